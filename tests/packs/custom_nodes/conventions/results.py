"""What nodes can return."""

import asyncio
import os

import folder_paths
from comfy.utils import ProgressBar
from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder


class Two:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1})}}

    RETURN_TYPES = ("INT", "INT", "FLOAT")
    RETURN_NAMES = ("more", "less")
    OUTPUT_TOOLTIPS = ("one more",)
    FUNCTION = "go"

    def go(self, value):
        return (value + 1, value - 1, value / 2)


class Split:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "a b c"})}}

    RETURN_TYPES = ("STRING", "INT")
    RETURN_NAMES = ("words", "count")
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "split"

    def split(self, text):
        words = text.split()
        return ([ExecutionBlocker(None) if word == "stop" else word for word in words], len(words))


class Join:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"words": ("STRING,INT", {"forceInput": True}), "between": ("STRING", {"default": " "})},
            "hidden": {"id": "UNIQUE_ID"},
        }

    INPUT_IS_LIST = True
    RETURN_TYPES = ("STRING",)
    FUNCTION = "join"

    def join(self, words, between, id):
        assert len(between) == 1 and len(id) == 1
        return (between[0].join(map(str, words)),)


class Block:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0}), "message": ("STRING", {"default": ""})}}

    RETURN_TYPES = ("INT", "INT")
    FUNCTION = "go"

    def go(self, value, message):
        if value < 0:
            return ExecutionBlocker(message or None)
        return (ExecutionBlocker(message or None) if value == 0 else value, value)


class Expand:
    """Adds one as often as it is told."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0, "rawLink": True}), "times": ("INT", {"default": 2})}}

    RETURN_TYPES = ("INT", "STRING")
    FUNCTION = "expand"

    def expand(self, value, times):
        graph = GraphBuilder()
        last = value
        for _ in range(times):
            node = graph.node("ConvTwo", value=last)
            last = node.out(0)
        return {"result": (last, "done"), "expand": graph.finalize()}


class ExpandBlocked:
    """Adds a node that has no value to work on."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "expand"

    def expand(self):
        graph = GraphBuilder()
        node = graph.node("ConvTwo", value=ExecutionBlocker(None))
        return {"result": (node.out(0),), "expand": graph.finalize()}


class Later:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"

    async def go(self, value):
        bar = ProgressBar(2)
        for _ in range(2):
            await asyncio.sleep(0)
            bar.update(1)
        return (value * 10,)


class Counts:
    """Keeps a count on itself."""

    def __init__(self):
        self.count = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"

    def go(self, value):
        self.count += value
        return (self.count,)


class Collects:
    """Keeps a list on itself, and returns that very list."""

    def __init__(self):
        self.all = []

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1})}}

    RETURN_TYPES = ("NUMBERS",)
    FUNCTION = "go"

    def go(self, value):
        self.all.append(value)
        return (self.all,)


class Stop:
    """Ends the run, as a user would."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": {"shade": ("SHADE",)}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "stop"

    def stop(self, shade="none"):
        from comfy.model_management import InterruptProcessingException

        if shade != "none":
            return (len(shade),)
        raise InterruptProcessingException()


class Write:
    """Writes a text into the output folder, and shows it."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"forceInput": True}), "prefix": ("STRING", {"default": "notes/n"})}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "write"

    def write(self, text, prefix):
        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory()
        )
        file = f"{name}_{number:05}_.txt"
        with open(os.path.join(folder, file), "w", encoding="utf-8") as opened:  # noqa: PTH118, PTH123
            opened.write(text)
        return {"ui": {"files": [{"filename": file, "subfolder": subfolder, "type": "output"}], "text": (text,)}}


class Show:
    """Shows a text, and passes it on."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"forceInput": True})}}

    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True
    FUNCTION = "show"

    def show(self, text):
        return {"ui": {"text": [text]}, "result": (text,)}


class Wrong:
    """Returns what it did not say."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"how": (["few", "many", "text", "dictionary"],)}}

    RETURN_TYPES = ("INT", "INT")
    FUNCTION = "go"

    def go(self, how):
        return {"few": (1,), "many": (1, 2, 3), "text": "ab", "dictionary": {"a": 1}}[how]


NODES = {
    "ConvTwo": Two,
    "ConvSplit": Split,
    "ConvJoin": Join,
    "ConvBlock": Block,
    "ConvExpand": Expand,
    "ConvExpandBlocked": ExpandBlocked,
    "ConvLater": Later,
    "ConvCounts": Counts,
    "ConvCollects": Collects,
    "ConvStop": Stop,
    "ConvWrite": Write,
    "ConvShow": Show,
    "ConvWrong": Wrong,
}
