"""`widgets_values` of ComfyUI's editor files, which are values by position, as values by the names of inputs.

After each seed stands what the editor does with it after a run ("fixed", "randomize" …), and after a picture that can
be uploaded the word "image"; neither is an input. Both are recognised by how they look, since old files lack some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nodegraph.errors import shorten
from nodegraph.spec import Choices, InputSpec, NodeSpec
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of
from nodegraph.workflow.ui_reader import UiNode

CONTROLS: Final = frozenset(("fixed", "increment", "decrement", "randomize", "increment-wrap"))
FILLERS: Final = frozenset(("", "image"))
PLAIN_TYPES: Final = frozenset(("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"))
SEED_NAMES: Final = frozenset(("seed", "noise_seed"))


@dataclass(frozen=True, slots=True)
class Widget:
    """A widget in its place among those of a node."""

    name: str
    spec: InputSpec | None = None
    type: str = "*"

    @property
    def is_seed(self) -> bool:
        """Whether the editor may change it by itself."""
        if self.spec is not None:
            return self.spec.control
        return self.name in SEED_NAMES or self.type in ("INT", "COMBO", "FLOAT")

    @property
    def uploads(self) -> bool:
        """Whether files can be uploaded for it."""
        return is_upload(self.spec) if self.spec is not None else self.type == "COMBO"


def is_upload(spec: InputSpec) -> bool:
    """Whether an editor offers to upload files for an input."""
    by_choice = isinstance(spec.choices, Choices) and spec.choices.upload
    return by_choice or any(bool(spec.options.get(key)) for key in ("image_upload", "video_upload", "audio_upload"))


def widget_values(node: UiNode, spec: NodeSpec | None, label: str, report: Report) -> dict[str, Located]:
    """The values of a node's widgets by name; what does not fit is reported."""
    entry = node.widgets
    if entry is None or entry.value is None or entry.value is UNREADABLE:
        return {}
    if isinstance(entry.value, dict):
        known = spec.inputs_by_name if spec is not None and not spec.open else None
        return {
            name: value
            for name, value in entry.value.items()
            if (known is None or name in known) and value.value is not None
        }
    if not isinstance(entry.value, list):
        message = f"'widgets_values' of the node {label} are a list, not {kind_of(entry.value)}"
        report.add("wrong_kind", message, report.at(entry), node=node.id)
        return {}
    if spec is None:
        return foreign_values(node, entry.value)
    found, rest = by_position(widgets_of(node, spec), entry.value)
    rest = [value for value in rest if not is_filler(value)]
    if rest:
        shown = ", ".join(
            shorten(value.value) if not isinstance(value.value, list | dict) else "…" for value in rest[:3]
        )
        message = f"the node {label} has {len(rest)} more widget values than {spec.name} has widgets: {shown}"
        hint = "it was saved with another version of the node; check its values"
        report.add("wrong_kind", message, report.at(rest[0]), node=node.id, hint=hint, severity="warning")
    return found


def widgets_of(node: UiNode, spec: NodeSpec) -> list[Widget]:
    """The widgets of a known node in the order of their values: that of the file if it lists all, else the type's."""
    own = [Widget(given.name, given) for given in spec.inputs if given.is_widget]
    listed = [given for given in node.inputs if given.widget is not None and given.type in (*PLAIN_TYPES, "*")]
    names = {given.widget for given in listed}
    if len(listed) < len(own) or not names.issuperset(widget.name for widget in own):
        return own
    by_name = {widget.name: widget for widget in own}
    named = [given.widget or given.name for given in listed]
    return [by_name.get(name, Widget(name, None, "STRING")) for name in named]


def by_position(widgets: Sequence[Widget], values: Sequence[Located]) -> tuple[dict[str, Located], list[Located]]:
    """Values for widgets in order, and the values that are left over."""
    found: dict[str, Located] = {}
    index = 0
    for number, widget in enumerate(widgets):
        if index >= len(values):
            break
        value = values[index]
        index += 1
        if value.value is not None:
            found[widget.name] = value
        following = widgets[number + 1] if number + 1 < len(widgets) else None
        spare = len(values) - index > len(widgets) - number - 1
        if index < len(values) and is_extra(widget, values[index], following, spare):
            index += 1
    return found, list(values[index:])


def is_extra(widget: Widget, value: Located, following: Widget | None, spare: bool) -> bool:
    """Whether a value belongs to the editor and not to the widget that follows. `spare`: there are values enough."""
    if widget.is_seed and (value.value in CONTROLS if isinstance(value.value, str) else type(value.value) is bool):
        return spare or following is None or not takes(following, value)
    if widget.uploads and value.value == "image":
        return spare or following is None or not takes(following, value)
    return False


def takes(widget: Widget, value: Located) -> bool:
    """Whether a value could be that of a widget."""
    spec = widget.spec
    if spec is None:
        return True
    if isinstance(spec.choices, tuple):
        return value.value in spec.choices
    names = spec.type.names
    if type(value.value) is bool:
        return "BOOLEAN" in names
    return isinstance(value.value, str) and ("STRING" in names or "COMBO" in names)


def is_filler(value: Located) -> bool:
    """Whether a value that is left over means nothing: a button's, or a control's."""
    return value.value is None or (isinstance(value.value, str) and (value.value in FILLERS or value.value in CONTROLS))


def foreign_values(node: UiNode, values: Sequence[Located]) -> dict[str, Located]:
    """The values of a node whose type is not known, by the names that the node lists, otherwise by number."""
    widgets = [Widget(given.widget, None, given.type) for given in node.inputs if given.widget is not None]
    found, rest = by_position(widgets, values)
    if widgets and not [value for value in rest if not is_filler(value)]:
        return found
    return {f"widget_{number}": value for number, value in enumerate(values) if value.value is not None}
