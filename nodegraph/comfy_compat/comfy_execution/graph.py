"""`comfy_execution.graph` of ComfyUI's interface, as far as nodegraph has it."""

from nodegraph.comfy_compat.graphs import DynamicPrompt, ExecutionBlocker, NodeNotFoundError

__all__ = ["DynamicPrompt", "ExecutionBlocker", "NodeNotFoundError"]
