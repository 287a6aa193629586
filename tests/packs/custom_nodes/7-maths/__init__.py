"""Numbers: expressions, comparisons, conversions. The arithmetic is in a module of its own."""

from .arithmetic import Compare, Evaluate, ToInt

NODE_CLASS_MAPPINGS = {"MathExpression|7": Evaluate, "MathCompare|7": Compare, "MathInt|7": ToInt}
