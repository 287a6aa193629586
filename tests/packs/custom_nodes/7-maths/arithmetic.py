"""Arithmetic."""

import ast
import operator

from .wildcards import any_type

OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
TESTS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt}


class Evaluate:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"expression": ("STRING", {"multiline": True, "dynamicPrompts": False})},
            "optional": dict.fromkeys("abc", ("INT,FLOAT,IMAGE,LATENT",)),
        }

    RETURN_TYPES = ("INT", "FLOAT")
    FUNCTION = "evaluate"
    CATEGORY = "maths"

    @classmethod
    def VALIDATE_INPUTS(cls, expression, input_types):
        try:
            ast.parse(expression or "0", mode="eval")
        except SyntaxError as error:
            return f"the expression is not one: {error.msg}"
        return all(each in ("INT", "FLOAT", "*") for each in input_types.values())

    def evaluate(self, expression, a=None, b=None, c=None):
        result = self.value(ast.parse(expression, mode="eval").body, {"a": a, "b": b, "c": c})
        return (int(result), float(result))

    def value(self, node, names):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return names[node.id]
        if isinstance(node, ast.UnaryOp):
            return -self.value(node.operand, names)
        return OPERATORS[type(node.op)](self.value(node.left, names), self.value(node.right, names))


class Compare:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "a": (any_type, {"default": 0}),
                "b": (any_type, {"default": 0}),
                "comparison": (list(TESTS), {"default": "=="}),
            }
        }

    RETURN_TYPES = ("BOOLEAN",)
    FUNCTION = "compare"
    CATEGORY = "maths"

    def compare(self, a, b, comparison):
        return (TESTS[comparison](a, b),)


class ToInt:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"any": (any_type,)}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "convert"
    CATEGORY = "maths"

    def convert(self, any):
        return (int(float(any)),)
