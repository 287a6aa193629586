"""Switches that only compute the branch that is taken."""


class AnyType(str):
    def __ne__(self, other):
        return False


any_type = AnyType("*")


class FlexibleInputs(dict):
    """Says that it has every input, as packs with inputs that grow in the browser do."""

    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return (any_type, {"lazy": True})


class LazySwitch:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"switch": ("BOOLEAN", {"default": True})},
            "optional": {"on_true": (any_type, {"lazy": True}), "on_false": (any_type, {"lazy": True})},
        }

    RETURN_TYPES = (any_type,)
    RETURN_NAMES = ("*",)
    FUNCTION = "switch"
    CATEGORY = "switches"

    def check_lazy_status(self, switch, on_true=None, on_false=None):
        if switch and on_true is None:
            return ["on_true"]
        if not switch and on_false is None:
            return ["on_false"]
        return None

    def switch(self, switch, on_true=None, on_false=None):
        return (on_true if switch else on_false,)


class IndexSwitch:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"index": ("INT", {"default": 0, "min": 0, "max": 9})},
            "optional": {f"value{i}": (any_type, {"lazy": True}) for i in range(4)},
        }

    RETURN_TYPES = (any_type,)
    RETURN_NAMES = ("value",)
    FUNCTION = "pick"
    CATEGORY = "switches"

    def check_lazy_status(self, index, **kwargs):
        key = f"value{index}"
        return [key] if kwargs.get(key) is None else []

    def pick(self, index, **kwargs):
        return (kwargs.get(f"value{index}"),)


class FirstGiven:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": FlexibleInputs()}

    RETURN_TYPES = (any_type,)
    FUNCTION = "first"
    CATEGORY = "switches"

    def first(self, **kwargs):
        return (next((kwargs[key] for key in sorted(kwargs) if kwargs[key] is not None), None),)


class Gate:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (any_type,), "open": ("BOOLEAN", {"default": True})}}

    RETURN_TYPES = (any_type,)
    FUNCTION = "gate"
    CATEGORY = "switches"

    def gate(self, value, open):
        from comfy_execution.graph_utils import ExecutionBlocker

        return (value if open else ExecutionBlocker(None),)


NODE_CLASS_MAPPINGS = {
    "LazySwitch//SW": LazySwitch,
    "IndexSwitch//SW": IndexSwitch,
    "FirstGiven//SW": FirstGiven,
    "Gate//SW": Gate,
}
NODE_DISPLAY_NAME_MAPPINGS = {"LazySwitch//SW": "Lazy switch"}
