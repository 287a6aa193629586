"""Calling a pack's node: what it is given, and what is made of what it returns."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

from nodegraph.comfy_compat.current import Interrupted, calling
from nodegraph.comfy_compat.graphs import DynamicPrompt
from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.packs.copies import copied
from nodegraph.packs.declared import REQUIRED, Declared
from nodegraph.packs.missing import missing_of
from nodegraph.packs.outcomes import outcome_of
from nodegraph.sockets.flow import Blocked, Outcome
from nodegraph.spec import InputSpec, OutputSpec

CONTEXT: Final = "nodegraph context"  # no input of a pack has a name with a space that a function could take


def function_of(
    declared: Declared,
    inputs: Mapping[str, InputSpec],
    outputs: Sequence[OutputSpec],
    doubts: dict[str, str],
) -> Callable[..., Any]:
    """The function of a node type: it takes the inputs and a context, and gives an `Outcome`.

    doubts: what is to be told as a warning, by node.
    """
    lists = tuple(output.is_list for output in outputs)

    def call(**arguments: Any) -> object:
        context = cast(Context, arguments.pop(CONTEXT, NO_CONTEXT))
        if (blocked := _blocked(arguments)) is not None:
            return Outcome((blocked,) * len(lists))
        _warn(context, doubts)
        with _ending(context), calling(context):
            hidden = hidden_of(declared, context)
            result = _told(lambda: declared.bind(hidden)(**arguments_of(declared, inputs, arguments, hidden)))
            if inspect.isawaitable(result):  # a plain function that returns what `async` ones do
                result = asyncio.run(_waited(result))
        return outcome_of(result, lists, context)

    async def call_async(**arguments: Any) -> object:
        context = cast(Context, arguments.pop(CONTEXT, NO_CONTEXT))
        if (blocked := _blocked(arguments)) is not None:
            return Outcome((blocked,) * len(lists))
        _warn(context, doubts)
        with _ending(context), calling(context):
            hidden = hidden_of(declared, context)
            try:
                result = await declared.bind(hidden)(**arguments_of(declared, inputs, arguments, hidden))
            except Exception as error:
                raise _known(error) from error
        return outcome_of(result, lists, context)

    return call_async if declared.is_async else call


def _blocked(arguments: Mapping[str, object]) -> Blocked | None:
    """The blocker among the values of a node that an expansion added with it; those of links never get here."""
    return next((value for value in arguments.values() if type(value) is Blocked), None)


@contextmanager
def _ending(context: Context) -> Generator[None]:
    """Have a node end its run, if it says so."""
    try:
        yield
    except Interrupted:
        if context.token is not None:
            context.token.cancel()
        raise


def _warn(context: Context, doubts: dict[str, str]) -> None:
    doubt = doubts.pop(context.node, None)
    if doubt is not None:
        context.warn(doubt)


async def _waited(awaitable: Any) -> object:
    return await awaitable


def _told(call: Callable[[], object]) -> object:
    try:
        return call()
    except Exception as error:
        raise _known(error) from error


def _known(error: Exception) -> Exception:
    """A failure in words of ours, if something is missing that nodegraph could have told beforehand."""
    missing = missing_of(error)
    return error if missing is None else ProblemError(Problem("node_failed", missing.reason, hint=missing.hint))


def arguments_of(
    declared: Declared, inputs: Mapping[str, InputSpec], arguments: Mapping[str, object], hidden: Mapping[str, object]
) -> dict[str, object]:
    """The arguments for a pack's function: copies, for packs write to what they are given, and results are shared."""
    given: dict[str, object] = {}
    for name, value in arguments.items():
        spec = inputs.get(name)
        if spec is not None and _left_out(declared, spec, value):
            if declared.taken.defaults.get(name) is REQUIRED:
                given[name] = None
            continue
        given[name] = _raw(value) if spec is not None and spec.raw else copied(value)
        if spec is not None and spec.type.names == ("CONDITIONING",):
            given[name] = _conditioning(given[name])
    for name, members in declared.groups.items():
        given[name] = {key: given.pop(member) for member, key in members.items() if member in given}
    if declared.holder:
        return given
    passed = declared.taken.of(hidden)
    return given | ({name: [value] for name, value in passed.items()} if declared.takes_lists else passed)


def _left_out(declared: Declared, spec: InputSpec, value: object) -> bool:
    """Whether an optional input was not given; then the function's own default holds."""
    if spec.required or spec.default is not None or spec.name in declared.required:
        return False
    return value is None or (declared.takes_lists and value in ([None], (None,)))


def _raw(value: object) -> object:
    """A link as packs know it, a list."""
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value


def _conditioning(value: object) -> object:
    """Encoded prompts as packs know them, lists of two."""
    if not isinstance(value, list | tuple):
        return value
    entries = cast("Sequence[object]", value)
    return [list(cast("tuple[object, ...]", entry)) if isinstance(entry, tuple) else entry for entry in entries]


def hidden_of(declared: Declared, context: Context) -> dict[str, object]:
    """The values of the hidden inputs that a class asks for."""
    return {name: _hidden(kind, context) for name, kind in declared.hidden.items()}


def _hidden(kind: str, context: Context) -> object:
    if kind == "UNIQUE_ID":
        return context.node
    if kind == "PROMPT":
        return _prompt(context)
    if kind == "DYNPROMPT":
        return DynamicPrompt(context.graph, _prompt(context))
    if kind == "EXTRA_PNGINFO":
        workflow = _parsed(context.provenance.editor or context.provenance.workflow)
        return {} if workflow is None else {"workflow": workflow}
    return None


def _prompt(context: Context) -> dict[str, Any]:
    return _parsed(context.provenance.prompt) or {}


def _parsed(text: str | None) -> dict[str, Any] | None:
    """A JSON object; None for any other text, YAML above all."""
    if text is None or not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
