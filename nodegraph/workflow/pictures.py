"""Workflows inside pictures, PNG and WebP: nodegraph's own, or the two that ComfyUI writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from nodegraph.errors import Place, Problem, ProblemError
from nodegraph.workflow.arrangement import arranged
from nodegraph.workflow.document import Loaded, NodeEntry, Workflow
from nodegraph.workflow.limits import DEFAULT_LIMITS, Limits
from nodegraph.workflow.png import read_text_chunks
from nodegraph.workflow.read import PNG_SIGNATURE, load_text
from nodegraph.workflow.ui_format import Specs
from nodegraph.workflow.webp import read_exif_texts

#: Where nodegraph keeps a picture's workflow, as its author wrote it.
OWN_KEY: Final = "nodegraph"
#: Where ComfyUI, and nodegraph too, keep the API-format prompt, which is what ran.
PROMPT_KEY: Final = "prompt"
#: Where ComfyUI keeps what its editor showed.
EDITOR_KEY: Final = "workflow"


def workflow_in_picture(
    path: str | os.PathLike[str], *, limits: Limits = DEFAULT_LIMITS, specs: Callable[[], Specs] | None = None
) -> Loaded:
    """The workflow that a picture was made with: nodegraph's own, or else ComfyUI's.

    Of ComfyUI's two the prompt is what ran, so it gives the graph; positions, titles, groups and notes are the
    editor's.
    """
    try:
        texts = read_text_chunks(path, limits) if is_png(path) else read_exif_texts(path, limits)
    except ProblemError as error:
        return Loaded(None, error.problems)
    return workflow_in_texts(texts, os.fspath(path), limits=limits, specs=specs)


def workflow_in_texts(
    texts: Mapping[str, str],
    file: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
    specs: Callable[[], Specs] | None = None,
) -> Loaded:
    """The same from the texts of a picture by their keys; `file` is what it is called."""

    def load(key: str) -> Loaded:
        # Places are in the text inside the picture, so its name says so.
        loaded = load_text(texts[key], file=f"{file}[{key}]", limits=limits, specs=specs)
        workflow = loaded.workflow
        return replace(loaded, workflow=replace(workflow, file=file) if workflow is not None else None)

    if OWN_KEY in texts:
        return load(OWN_KEY)
    if PROMPT_KEY in texts:
        prompt = load(PROMPT_KEY)
        editor = load(EDITOR_KEY) if EDITOR_KEY in texts else Loaded(None)
        if prompt.workflow is None:
            return editor if editor.workflow is not None else prompt
        return prompt if editor.workflow is None else replace(prompt, workflow=joined(prompt.workflow, editor.workflow))
    if EDITOR_KEY in texts:
        return load(EDITOR_KEY)
    hint = "only pictures saved by nodegraph, or by ComfyUI with its metadata, hold one"
    return Loaded(None, (Problem("no_workflow_in_picture", f"{file} holds no workflow", Place(file), hint=hint),))


def is_png(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as PNG files do."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(8) == PNG_SIGNATURE
    except (OSError, ValueError):
        return True  # reading it as one will say what is wrong


def joined(prompt: Workflow, editor: Workflow) -> Workflow:
    """What ran, with what the editor knows of its nodes."""
    nodes = {name: titled(entry, editor.nodes.get(name)) for name, entry in prompt.nodes.items()}
    known = replace(prompt, nodes=MappingProxyType(nodes), groups=editor.groups, notes=editor.notes)
    return arranged(known, editor, lambda name: name if name in nodes else None)


def titled(entry: NodeEntry, shown: NodeEntry | None) -> NodeEntry:
    """A node with the title, pack and model files that the editor has for it."""
    if shown is None or shown.uses != entry.uses:
        return entry
    return replace(entry, title=shown.title, pack=shown.pack, wanted=shown.wanted)
