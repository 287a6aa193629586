"""A pack that uses every convention of ComfyUI's first form of nodes."""

from .inputs import NODES as INPUT_NODES
from .results import NODES as RESULT_NODES
from .rules import NODES as RULE_NODES

WEB_DIRECTORY = "./js"
NODE_CLASS_MAPPINGS = {**INPUT_NODES, **RESULT_NODES, **RULE_NODES}
NODE_DISPLAY_NAME_MAPPINGS = {"Conv Kinds": "All kinds of inputs", "ConvOpen": "Takes anything"}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
