"""What nodes are asked before they run: whether they changed, whether inputs will do, which ones they need."""

import inspect


class Base:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 1, "min": 0, "max": 9})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    CATEGORY = "conventions/rules"

    def go(self, value):
        return (value,)


class Fingerprint(Base):
    seen = []

    @classmethod
    def IS_CHANGED(cls, value):
        return f"v{value}"


class Always(Base):
    @classmethod
    def IS_CHANGED(cls, **kwargs):
        return float("NaN")


class FingerprintLater(Base):
    @classmethod
    async def IS_CHANGED(cls, value):
        return value


class FingerprintFails(Base):
    @classmethod
    def IS_CHANGED(cls, value):
        raise OSError("the file is gone")


class OwnRange(Base):
    @classmethod
    def VALIDATE_INPUTS(cls, value):
        return True if value is None or value < 100 else f"value {value} is too much"


class OwnEverything(Base):
    @classmethod
    async def VALIDATE_INPUTS(cls, **kwargs):
        return kwargs.get("value") != 13


class OwnTypes(Base):
    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True if input_types.get("value", "INT") in ("INT", "STRING") else "only whole numbers and texts"

    def go(self, value):
        return (int(value),)


class Lazy:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "first": ("BOOLEAN", {"default": True}),
                "a": ("*", {"lazy": True}),
                "b": ("*", {"lazy": True}),
            }
        }

    RETURN_TYPES = ("*",)
    FUNCTION = "pick"

    def check_lazy_status(self, first, a=None, b=None):
        wanted = "a" if first else "b"
        return [wanted] if {"a": a, "b": b}[wanted] is None else []

    def pick(self, first, a=None, b=None):
        return (a if first else b,)


class Once(Base):
    NOT_IDEMPOTENT = True
    DEPRECATED = True


class Identified(Base):
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls):
        return {**super().INPUT_TYPES(), "hidden": {"id": "UNIQUE_ID"}}

    def go(self, value, id):
        return (f"{id}:{value}",)

    RETURN_TYPES = ("STRING",)


NODES = {f"Conv{cls.__name__}": cls for cls in list(globals().values()) if inspect.isclass(cls) and cls is not Base}
