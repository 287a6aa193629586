"""Texts: joining, replacing, templates, lists of lines."""

import re


class TextConcatenate:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "delimiter": ("STRING", {"default": ", "}),
                "clean_whitespace": (["true", "false"],),
            },
            "optional": {f"text_{letter}": ("STRING", {"forceInput": True}) for letter in "abcd"},
        }

    RETURN_TYPES = ("STRING",)
    FUNCTION = "join"
    CATEGORY = "Text Utils/Operations"

    def join(self, delimiter, clean_whitespace, **kwargs):
        texts = [kwargs[key] for key in sorted(kwargs) if isinstance(kwargs[key], str)]
        if clean_whitespace == "true":
            texts = [text.strip() for text in texts]
        return (delimiter.join(text for text in texts if text),)


class TextReplace:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "text": ("STRING", {"multiline": True, "default": ""}),
                "find": ("STRING", {"default": ""}),
                "replace": ("STRING", {"default": ""}),
                "use_regex": ("BOOLEAN", {"default": False}),
            }
        }

    RETURN_TYPES = ("STRING", "INT")
    RETURN_NAMES = ("result text", "replacement count")
    FUNCTION = "replace_text"
    CATEGORY = "Text Utils/Operations"

    def replace_text(self, text, find, replace, use_regex):
        return re.subn(find if use_regex else re.escape(find), replace, text)


class TextLines:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "text": ("STRING", {"multiline": True, "default": ""}),
                "start": ("INT", {"default": 0, "min": 0, "max": 9999}),
                "max_rows": ("INT", {"default": 1000, "min": 1, "max": 9999}),
            }
        }

    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("LINES", "all")
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "lines"
    CATEGORY = "Text Utils"

    def lines(self, text, start, max_rows):
        lines = [line for line in text.splitlines() if line.strip()][start : start + max_rows]
        return (lines, "\n".join(lines))


class ShowText:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"text": ("STRING", {"forceInput": True})},
            "hidden": {"unique_id": "UNIQUE_ID", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    INPUT_IS_LIST = True
    RETURN_TYPES = ("STRING",)
    FUNCTION = "notify"
    OUTPUT_NODE = True
    OUTPUT_IS_LIST = (True,)
    CATEGORY = "Text Utils"

    def notify(self, text, unique_id=None, extra_pnginfo=None):
        return {"ui": {"text": text}, "result": (text,)}


NODE_CLASS_MAPPINGS = {
    "Text Concatenate (TU)": TextConcatenate,
    "Text Find & Replace": TextReplace,
    "Text Lines|TU": TextLines,
    "ShowText|TU": ShowText,
}
NODE_DISPLAY_NAME_MAPPINGS = {"ShowText|TU": "Show Text 📝"}
