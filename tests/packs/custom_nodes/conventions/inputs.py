"""What inputs can be."""

import os

import folder_paths
from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict


class AnyType(str):
    def __ne__(self, other):
        return False


ANY = AnyType("*")


class Kinds:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "count": ("INT", {"default": 3, "min": 0, "max": 10, "step": 2, "tooltip": "how many"}),
                "share": ("FLOAT", {"default": 1, "min": 0, "step": 0.1, "round": 0.01}),
                "text": ("STRING", {"default": "a", "multiline": True}),
                "flag": ("BOOLEAN", {"default": True, "label_on": "yes"}),
                "mode": (["plain", "loud"],),
                "size": ([1, 2, 4], {"default": 2}),
                "corner": ("COMBO", {"options": ["left", "right"], "default": "right"}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}),
                "colour": ("COLOR", {"default": "#ff0000"}),
                "number": ("INT,FLOAT", {"default": 1.5}),
                "anything": (ANY,),
            },
            "optional": {
                "image": ("IMAGE",),
                "wired": ("STRING", {"forceInput": True}),
                "own": ("INT", {"default": 5}),
                "left_out": ("INT", {"default": 6}),
            },
        }

    RETURN_TYPES = ("STRING",)
    FUNCTION = "tell"
    CATEGORY = "conventions/inputs"
    DESCRIPTION = """
        Takes inputs of all kinds.

        And says what it got.
    """

    def tell(
        self, count, share, text, flag, mode, size, corner, seed, colour, number, anything, image=None, wired="no",
        own=7, left_out=None,
    ):  # fmt: skip
        parts = [count, share, text, flag, mode, size, corner, seed, colour, number, anything, wired, own, left_out]
        return (" ".join(map(repr, parts)),)


class Typed(ComfyNodeABC):
    """Types written as an enum's members."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypeDict:
        return {"required": {"value": (IO.NUMBER, {}), "text": (IO.STRING, {"default": ""}), "any": (IO.ANY,)}}

    RETURN_TYPES = (IO.STRING,)
    FUNCTION = "run"

    def run(self, value, text, any):
        return (f"{value}{text}{any}",)


class Files:
    @classmethod
    def INPUT_TYPES(cls):
        folder = folder_paths.get_input_directory()
        files = os.listdir(folder) if os.path.isdir(folder) else []  # noqa: PTH112, PTH208
        return {
            "required": {
                "lora": (folder_paths.get_filename_list("loras"),),
                "image": (sorted(folder_paths.filter_files_content_types(files, ["image"])), {"image_upload": True}),
            }
        }

    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("lora", "image")
    FUNCTION = "find"

    def find(self, lora, image):
        return (folder_paths.get_full_path_or_raise("loras", lora), folder_paths.get_annotated_filepath(image))


class Open:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": {"first": (ANY,)}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "join"

    def join(self, **kwargs):
        return (",".join(f"{name}={value}" for name, value in sorted(kwargs.items())),)


class Hidden:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {},
            "hidden": {
                "unique_id": "UNIQUE_ID",
                "prompt": "PROMPT",
                "extra_pnginfo": "EXTRA_PNGINFO",
                "dynprompt": "DYNPROMPT",
            },
        }

    RETURN_TYPES = ("STRING",)
    FUNCTION = "tell"

    def tell(self, unique_id, prompt, extra_pnginfo, dynprompt):
        own = dynprompt.get_node(unique_id)["class_type"]
        return (f"{unique_id} {prompt[unique_id]['class_type']} {own} {sorted(extra_pnginfo)}",)


class Raw:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"link": ("*", {"rawLink": True})}, "hidden": {"id": "UNIQUE_ID"}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "tell"

    def tell(self, link, id):
        from comfy_execution.graph_utils import is_link

        return (f"{link!r} {is_link(link)}",)


class Spoils:
    """Writes to what it is given, as packs should not."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",), "conditioning": ("CONDITIONING",)}}

    RETURN_TYPES = ("LATENT", "CONDITIONING")
    FUNCTION = "spoil"

    def spoil(self, latent, conditioning):
        latent["samples"].add_(1)
        latent["more"] = True
        conditioning[0][1]["strength"] = 2.0
        conditioning[0][0] = conditioning[0][0] * 0
        return (latent, conditioning)


NODES = {
    "Conv Kinds": Kinds,
    "ConvTyped": Typed,
    "ConvFiles": Files,
    "ConvOpen": Open,
    "ConvHidden": Hidden,
    "ConvRaw": Raw,
    "ConvSpoils": Spoils,
}
