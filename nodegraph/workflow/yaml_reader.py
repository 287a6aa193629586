"""YAML text → located data, in one pass over libyaml's events.

Events are used rather than PyYAML's composer because libyaml's composer recurses: 200,000 brackets kill the
process. Here depth, size and aliases are counted as the events come. Without libyaml PyYAML's own parser
gives the same events, more slowly. No tag ever constructs anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from nodegraph.errors import Place, Problem, ProblemError, shorten
from nodegraph.workflow import complaints, scalars
from nodegraph.workflow.document import Scalar
from nodegraph.workflow.tree import UNREADABLE, Located, Report, Source, Unreadable, kind_of
from nodegraph.workflow.yaml_syntax import syntax_problem

if TYPE_CHECKING:
    import yaml

# What the YAML specification calls c-printable; the byte order mark is only allowed in front, where it was
# removed.
NOT_PRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
SURROGATE: Final = re.compile("[\ud800-\udfff]")
QUOTED: Final = frozenset("'\"|>")
CORE_TAGS: Final = "tag:yaml.org,2002:"


def read_yaml(source: Source, report: Report) -> Located | None:
    """The document in `source`, or None for an empty one.

    Args:
        source: the text.
        report: takes the problems that leave the rest readable.

    Raises:
        ProblemError: when the text cannot be parsed or exceeds a limit.
    """
    import yaml

    if found := NOT_PRINTABLE.search(source.text):
        raise ProblemError(complaints.unprintable(found.group(), source.place_at(found.start())))
    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = loader_class(source.text)
    except yaml.YAMLError as error:
        raise ProblemError(syntax_problem(error, source, (0, 0))) from None
    builder = Builder(source, report)
    try:
        # From None: the parser's own exception adds nothing to a problem.
        return builder.build(loader.get_event)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ProblemError(syntax_problem(error, source, (builder.line, builder.column))) from None
    finally:
        loader.dispose()


@dataclass(slots=True)
class Frame:
    """A list or mapping that is still open."""

    located: Located
    anchor: str | None
    # A mapping waits for a key unless `key_ready`; a `key` of None then means that its value is to be
    # dropped.
    key: str | None = None
    key_ready: bool = False
    key_line: int = 0
    key_column: int = 0
    # Values and depth with all aliases unfolded, itself included.
    size: int = 1
    depth: int = 1
    # It, or something around it, stands where a key must be; that was reported.
    in_key: bool = False


@dataclass(frozen=True, slots=True)
class Anchored:
    """What an anchor names, and what an alias to it unfolds to."""

    located: Located
    size: int
    depth: int


class Builder:
    """Builds located data from events, with a stack of its own."""

    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.report = report
        self.limits = report.limits
        self.stack: list[Frame] = []
        self.root: Located | None = None
        self.anchors: dict[str, Anchored] = {}
        self.aliases = 0
        self.aliased_values = 0
        self.values = 0
        # Where the newest event began, for errors that do not say where they are.
        self.line = 0
        self.column = 0

    def build(self, get_event: Callable[[], object]) -> Located | None:
        """Take events until the stream ends."""
        import yaml

        documents = 0
        while True:
            event: Any = get_event()
            mark = event.start_mark
            self.line, self.column = mark.line, mark.column
            if isinstance(event, yaml.ScalarEvent):
                self.scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self.open(event, is_list=isinstance(event, yaml.SequenceStartEvent))
            elif isinstance(event, yaml.CollectionEndEvent):
                self.close()
            elif isinstance(event, yaml.AliasEvent):
                self.alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.refuse(
                        "a second YAML document begins here, and a workflow is one",
                        "remove the line '---' and what follows it",
                    )
                    return self.root
            elif isinstance(event, yaml.StreamEndEvent):
                return self.root

    def scalar(self, event: yaml.ScalarEvent) -> None:
        """Take a scalar: a key where a mapping waits for one, otherwise a value."""
        text: str = event.value
        tag: str | None = event.tag
        quoted = event.style in QUOTED
        if len(text) > self.limits.text:
            raise ProblemError(complaints.text_too_long(len(text), self.limits, self.place()))
        if quoted and not text.isascii() and SURROGATE.search(text):
            # libyaml refuses the escape by itself, PyYAML's parser does not.
            raise ProblemError(Problem("yaml_syntax", "half of a surrogate pair is not a character", self.place()))
        frame = self.stack[-1] if self.stack else None
        if frame is not None and not frame.key_ready and type(frame.located.value) is dict:
            self.key(frame, text, plain=not quoted and tag is None)
            if event.anchor is not None:
                self.anchors[event.anchor] = Anchored(Located(text, self.line, self.column), 1, 0)
            return
        value: Scalar | Literal[Unreadable.UNREADABLE]
        try:
            if tag is None:
                value = text if quoted else scalars.plain(text)
            else:
                value = self.tagged(text, tag)
        except scalars.BadNumberError as error:
            message = complaints.number(text, error)
            self.report.add("bad_number", message, self.place(), hint=complaints.NUMBER_HINT)
            value = UNREADABLE
        located = Located(value, self.line, self.column)
        if event.anchor is not None:
            self.anchors[event.anchor] = Anchored(located, 1, 0)
        self.put(located, 1, 0)

    def tagged(self, text: str, tag: str) -> Scalar | Literal[Unreadable.UNREADABLE]:
        """The value of a scalar with a tag; only those of the core schema mean something."""
        kind = tag.removeprefix(CORE_TAGS)
        if tag == "!" or kind == "str":
            return text
        if kind in TAGGED and tag.startswith(CORE_TAGS):
            value = scalars.plain(text)
            if isinstance(value, bool) if kind == "bool" else type(value) in TAGGED[kind]:
                return float(value) if kind == "float" and isinstance(value, int) else value
            self.report.add("wrong_kind", f"{shorten(text)} is not what its tag !!{kind} says", self.place())
        else:
            self.refuse_tag(tag)
        return UNREADABLE

    def key(self, frame: Frame, text: str, *, plain: bool) -> None:
        """Remember the key whose value comes next; a key that cannot be used drops its value."""
        frame.key_ready = True
        frame.key_line, frame.key_column = self.line, self.column
        frame.key = None
        entries = frame.located.value
        assert isinstance(entries, dict)
        if len(text) > self.limits.key:
            message = f"a key of {len(text)} characters is longer than {self.limits.key}"
            self.report.add("too_large", message, self.place())
        elif plain and text == "<<":
            self.refuse("the merge key '<<' is not used in workflows", "write the keys out")
        elif plain and (kind := unfit_key(text)):
            message = f"the key {shorten(text)} means {kind}, and keys are texts"
            self.report.add("wrong_kind", message, self.place(), hint="put it in quotes if a text is meant")
        elif text in entries:
            first = entries[text]
            message = f"the key {shorten(text)} is given twice; the first is in line {first.key_line + 1}"
            self.report.add("duplicate_key", message, self.place(), hint="remove one of the two")
        else:
            frame.key = text

    def put(self, located: Located, size: int, depth: int) -> None:
        """Put a finished value where it belongs: the root, a list, or under the waiting key."""
        self.values += 1
        if self.values > self.limits.values:
            raise ProblemError(complaints.too_many_values(self.limits, self.place()))
        if not self.stack:
            self.root = located
            return
        frame = self.stack[-1]
        frame.size += size
        if depth >= frame.depth:
            frame.depth = depth + 1
        entries = frame.located.value
        if type(entries) is list:
            entries.append(located)
        elif not frame.key_ready:
            # A list or mapping as a key, or an alias; it was reported when it began.
            frame.key_ready, frame.key = True, None
        elif type(entries) is dict:
            if frame.key is not None:
                located.key_line, located.key_column = frame.key_line, frame.key_column
                entries[frame.key] = located
            frame.key_ready = False

    def open(self, event: yaml.CollectionStartEvent, *, is_list: bool) -> None:
        """Begin a list or mapping."""
        if len(self.stack) >= self.limits.depth:
            raise ProblemError(complaints.too_deep(self.limits, self.place()))
        parent = self.stack[-1] if self.stack else None
        is_key = parent is not None and not parent.key_ready and type(parent.located.value) is dict
        in_key = parent is not None and parent.in_key
        if is_key and not in_key:
            kind = "list" if is_list else "mapping"
            hint = "put a text that begins with '{' or '[' in quotes"
            self.report.add("wrong_kind", f"a {kind} cannot be a key; keys are texts", self.place(), hint=hint)
        tag: str | None = event.tag
        if tag is not None and tag not in ("!", f"{CORE_TAGS}{'seq' if is_list else 'map'}"):
            self.refuse_tag(tag)
        if event.anchor is not None:
            # Until it is finished its name means nothing, so that it cannot contain itself.
            self.anchors.pop(event.anchor, None)
        located = Located([] if is_list else {}, self.line, self.column)
        self.stack.append(Frame(located, event.anchor, in_key=is_key or in_key))

    def close(self) -> None:
        """End the innermost list or mapping."""
        frame = self.stack.pop()
        if frame.anchor is not None:
            self.anchors[frame.anchor] = Anchored(frame.located, frame.size, frame.depth)
        self.put(frame.located, frame.size, frame.depth)

    def alias(self, event: yaml.AliasEvent) -> None:
        """Put what an anchor names here too, and count what that unfolds to."""
        name = str(event.anchor)
        self.aliases += 1
        anchored = self.anchors.get(name)
        if anchored is None:
            inside = any(frame.anchor == name for frame in self.stack)
            self.refuse(
                f"the alias *{name} " + ("stands inside what it names" if inside else "has no anchor before it"),
                None if inside else "put the text in quotes if no alias is meant",
            )
            anchored = Anchored(Located(UNREADABLE, self.line, self.column), 1, 0)
        self.aliased_values += anchored.size
        if self.aliases > self.limits.aliases or self.aliased_values > self.limits.aliased_values:
            raise ProblemError(complaints.too_many_aliases(self.limits, self.place()))
        if len(self.stack) + anchored.depth > self.limits.depth:
            raise ProblemError(complaints.too_deep(self.limits, self.place()))
        value = anchored.located.value
        frame = self.stack[-1] if self.stack else None
        if frame is not None and not frame.key_ready and type(frame.located.value) is dict:
            if isinstance(value, str):
                self.key(frame, value, plain=False)
                return
            self.report.add("wrong_kind", f"the alias *{name} cannot be a key; keys are texts", self.place())
        self.put(Located(value, self.line, self.column), anchored.size, anchored.depth)

    def place(self) -> Place:
        """Where the newest event began."""
        return self.source.place(self.line, self.column)

    def refuse(self, message: str, hint: str | None) -> None:
        """Report a feature of YAML that workflows do not use."""
        self.report.add("unsupported_yaml", message, self.place(), hint=hint)

    def refuse_tag(self, tag: str) -> None:
        """Report a tag."""
        shown = "!!" + tag.removeprefix(CORE_TAGS) if tag.startswith(CORE_TAGS) else tag
        self.refuse(f"the YAML tag {shorten(shown)} is not used in workflows", "remove it; nothing was run")


# What `!!int` and its like must be.
TAGGED: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}


def unfit_key(text: str) -> str | None:
    """What an unquoted key means if it is neither a text nor a whole number, which stays as written."""
    if text and text[0] not in scalars.FIRST:
        return None
    try:
        value = scalars.plain(text)
    except scalars.BadNumberError:
        return None
    return None if isinstance(value, str) or type(value) is int else kind_of(value)
