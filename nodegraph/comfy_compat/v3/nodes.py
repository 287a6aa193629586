"""The schema, the base class and the result of nodes in ComfyUI's second form, and what gathers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from nodegraph.comfy_compat.graphs import ExecutionBlocker
from nodegraph.comfy_compat.v3.types import Input, Output


class Hidden(Enum):
    """What a node can ask of the program, by the first form's names."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


@dataclass
class Schema:
    """All that a node says of itself."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: Sequence[Input] = field(default_factory=list[Input])
    outputs: Sequence[Output] = field(default_factory=list[Output])
    hidden: Sequence[Hidden] = field(default_factory=list[Hidden])
    description: str = ""
    search_aliases: Sequence[str] = field(default_factory=list[str])
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_dev_only: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False
    accept_all_inputs: bool = False


class HiddenHolder:
    """The values of hidden inputs, None for those that were not asked for."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> object:
        return self._values.get(name)


class ComfyNode:
    """The base of nodes. Nothing of it is an instance's: `execute` and all others are class methods."""

    hidden: ClassVar[HiddenHolder] = HiddenHolder({})

    @classmethod
    def define_schema(cls) -> Schema:
        """What the node says of itself."""
        raise NotImplementedError(f"{cls.__name__} has no define_schema")


class NodeOutput:
    """What a node returns: values, what it shows, more nodes, or a message why there is no value."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: Mapping[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        """The values, None where there are none."""
        return self.args or None

    def as_v1(self) -> object:
        """The same as nodes of the first form return it."""
        if self.block_execution is not None:
            return ExecutionBlocker(self.block_execution)
        shown: Any = self.ui.as_dict() if hasattr(self.ui, "as_dict") else self.ui
        parts: dict[str, Any] = {"result": self.args}
        parts |= {} if shown is None else {"ui": shown}
        return parts if self.expand is None else parts | {"expand": self.expand}


class ComfyExtension:
    """What a pack's `comfy_entrypoint` gives."""

    async def on_load(self) -> None:
        """Called once, before the nodes are asked for."""

    async def get_node_list(self) -> list[type[ComfyNode]]:
        """The pack's nodes."""
        return []
