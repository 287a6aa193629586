"""All node types on one page of Markdown: a line each, by category. What `nodegraph nodes --markdown` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nodegraph.cli.nodes import first_sentence, literal

if TYPE_CHECKING:
    from nodegraph.node import InputSpec, NodeSpec

HEAD = """# All nodes

{count} node types, as `nodegraph nodes --markdown` prints them; `nodegraph nodes NAME` tells all of one.
An input with `=` may be left out, one with `?` is an optional link, and one with `…` takes all cells of a sweep.
`[]` stands for several items, for each of which what follows runs, or which an input takes all at once.
*(file)* names a file, *(a/b)* is one of these."""
MOST_CHOICES = 4


def page(specs: Sequence[NodeSpec]) -> str:
    """The page, without a line break at its end."""
    return "\n".join(_lines(specs))


def _lines(specs: Sequence[NodeSpec]) -> Iterator[str]:
    yield HEAD.format(count=len(specs))
    category = None
    for spec in sorted(specs, key=lambda spec: (spec.category, spec.name)):
        if spec.category != category:
            category = spec.category
            yield f"\n## {category}\n"
        yield line(spec)


def line(spec: NodeSpec) -> str:
    """A node type in a line: what it takes, what it gives, and the first sentence of its help."""
    taken = ", ".join(_input(given) for given in spec.inputs)
    given = ", ".join(_named(output.name, str(output.type)) + "[]" * output.is_list for output in spec.outputs)
    marks = [
        word
        for word, true in (
            ("output node", spec.output_node),
            ("deprecated", spec.deprecated),
            ("experimental", spec.experimental),
        )
        if true
    ]
    summary = first_sentence(spec.summary)
    told = f" {summary}." if summary else ""
    return f"- **{spec.name}** ({taken}) → {given or 'files'}.{told}" + (f" *{', '.join(marks)}*" if marks else "")


def _named(name: str, type_: str) -> str:
    """An output that is called as its type is needs no type."""
    return f"`{name}`" if name.casefold() == type_.casefold() else f"`{name}` {type_}"


def _input(given: InputSpec) -> str:
    many = "…" if given.collects else "[]" if given.takes_list else ""
    if given.required:
        default = ""
    else:
        default = "?" if given.default is None else f" = `{_short(literal(given.default))}`"
    type_ = str(given.type).replace("*", "\\*")
    return f"`{given.name}` {type_}{_choices(given)}{many}{default}"


def _choices(given: InputSpec) -> str:
    """What may be chosen; files depend on the machine, and long lists are for `nodegraph nodes NAME`."""
    from nodegraph.node import Choices

    if isinstance(given.choices, Choices):
        return " *(file)*"
    if not given.choices:
        return ""
    if len(given.choices) > MOST_CHOICES:
        return f" *({len(given.choices)} choices)*"
    return f" *({'/'.join(str(choice) for choice in given.choices)})*"


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:23] + "…"
