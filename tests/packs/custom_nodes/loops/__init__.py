"""Loops by expansion: an opening and a closing node, and all that lies between the two again for each turn."""

from comfy_execution.graph_utils import GraphBuilder, is_link


class AnyType(str):
    def __ne__(self, other):
        return False


any_type = AnyType("*")
SLOTS = 3


class WhileOpen:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"condition": ("BOOLEAN", {"default": True})},
            "optional": {f"initial_value{i}": (any_type,) for i in range(SLOTS)},
        }

    RETURN_TYPES = ("FLOW_CONTROL", *[any_type] * SLOTS)
    RETURN_NAMES = ("FLOW_CONTROL", *[f"value{i}" for i in range(SLOTS)])
    FUNCTION = "open"
    CATEGORY = "loops"

    def open(self, condition, **kwargs):
        return ("stub", *[kwargs.get(f"initial_value{i}") for i in range(SLOTS)])


class WhileClose:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "flow_control": ("FLOW_CONTROL", {"rawLink": True}),
                "condition": ("BOOLEAN", {"forceInput": True}),
            },
            "optional": {f"initial_value{i}": (any_type,) for i in range(SLOTS)},
            "hidden": {"dynprompt": "DYNPROMPT", "unique_id": "UNIQUE_ID"},
        }

    RETURN_TYPES = (any_type,) * SLOTS
    RETURN_NAMES = tuple(f"value{i}" for i in range(SLOTS))
    FUNCTION = "close"
    CATEGORY = "loops"

    def close(self, flow_control, condition, dynprompt=None, unique_id=None, **kwargs):
        if not condition:
            return tuple(kwargs.get(f"initial_value{i}") for i in range(SLOTS))
        opening = flow_control[0]
        inside = self.between(dynprompt, opening, unique_id)
        graph = GraphBuilder()
        for id in inside:
            original = dynprompt.get_node(id)
            node = graph.node(original["class_type"], "Recurse" if id == unique_id else id)
            node.set_override_display_id(id)
        for id in inside:
            original = dynprompt.get_node(id)
            node = graph.lookup_node("Recurse" if id == unique_id else id)
            for name, value in original["inputs"].items():
                if is_link(value) and value[0] in inside:
                    parent = graph.lookup_node("Recurse" if value[0] == unique_id else value[0])
                    node.set_input(name, parent.out(value[1]))
                else:
                    node.set_input(name, value)
        first = graph.lookup_node(opening)
        for i in range(SLOTS):
            first.set_input(f"initial_value{i}", kwargs.get(f"initial_value{i}"))
        again = graph.lookup_node("Recurse")
        return {"result": tuple(again.out(i) for i in range(SLOTS)), "expand": graph.finalize()}

    def between(self, dynprompt, opening, closing):
        """The nodes that lie between the two, both included."""
        takers, pending, seen = {}, [closing], set()
        while pending:
            id = pending.pop()
            for value in dynprompt.get_node(id)["inputs"].values():
                if is_link(value):
                    takers.setdefault(value[0], []).append(id)
                    if value[0] not in seen:
                        seen.add(value[0])
                        pending.append(value[0])
        inside, pending = {opening: None, closing: None}, [opening]
        while pending:
            for id in takers.get(pending.pop(), []):
                if id not in inside:
                    inside[id] = None
                    pending.append(id)
        return inside


class ForOpen:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"remaining": ("INT", {"default": 1, "min": 0, "max": 1000})},
            "optional": {f"initial_value{i}": (any_type,) for i in range(1, SLOTS)},
            "hidden": {"initial_value0": (any_type,)},
        }

    RETURN_TYPES = ("FLOW_CONTROL", "INT", *[any_type] * (SLOTS - 1))
    RETURN_NAMES = ("flow_control", "remaining", *[f"value{i}" for i in range(1, SLOTS)])
    FUNCTION = "open"
    CATEGORY = "loops"

    def open(self, remaining, **kwargs):
        graph = GraphBuilder()
        remaining = kwargs.get("initial_value0") or remaining
        values = {f"initial_value{i}": kwargs.get(f"initial_value{i}") for i in range(1, SLOTS)}
        graph.node("LoopWhileOpen", condition=remaining, initial_value0=remaining, **values)
        return {
            "result": ("stub", remaining, *[kwargs.get(f"initial_value{i}") for i in range(1, SLOTS)]),
            "expand": graph.finalize(),
        }


class ForClose:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"flow_control": ("FLOW_CONTROL", {"rawLink": True})},
            "optional": {f"initial_value{i}": (any_type, {"rawLink": True}) for i in range(1, SLOTS)},
            "hidden": {"dynprompt": "DYNPROMPT"},
        }

    RETURN_TYPES = (any_type,) * (SLOTS - 1)
    RETURN_NAMES = tuple(f"value{i}" for i in range(1, SLOTS))
    FUNCTION = "close"
    CATEGORY = "loops"

    def close(self, flow_control, dynprompt=None, **kwargs):
        graph = GraphBuilder()
        remaining = [flow_control[0], 1]
        less = graph.node("LoopMinusOne", value=remaining)
        more = graph.node("LoopIsPositive", value=less.out(0))
        values = {key: value for key, value in kwargs.items() if key.startswith("initial_value")}
        closing = graph.node(
            "LoopWhileClose", flow_control=flow_control, condition=more.out(0), initial_value0=less.out(0), **values
        )
        return {"result": tuple(closing.out(i) for i in range(1, SLOTS)), "expand": graph.finalize()}


class MinusOne:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "loops"

    def go(self, value):
        return (value - 1,)


class IsPositive:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    RETURN_TYPES = ("BOOLEAN",)
    FUNCTION = "go"
    CATEGORY = "loops"

    def go(self, value):
        return (value > 0,)


NODE_CLASS_MAPPINGS = {
    f"Loop{cls.__name__}": cls for cls in (WhileOpen, WhileClose, ForOpen, ForClose, MinusOne, IsPositive)
}
