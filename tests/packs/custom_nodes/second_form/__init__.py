"""Nodes in ComfyUI's second form: classes with a schema, gathered by an extension."""

from comfy_api.latest import ComfyAPISync, ComfyExtension, io, ui

api = ComfyAPISync()


class Repeat(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SecondRepeat",
            display_name="Repeat",
            category="second/text",
            description="A text several times.",
            inputs=[
                io.String.Input("text", default="ab", multiline=True),
                io.Int.Input("times", default=2, min=1, max=9, tooltip="how often", control_after_generate=True),
                io.Combo.Input("between", options=["-", "+"], default="+"),
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[io.String.Output(display_name="whole"), io.Int.Output("length", tooltip="in letters")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, text):
        return True if text is None or text else "the text is empty"

    @classmethod
    def fingerprint_inputs(cls, text, times, **kwargs):
        return f"{text}{times}"

    @classmethod
    def execute(cls, text, times, between, mask=None):
        api.execution.set_progress(1, 2)
        whole = between.join([text] * times)
        return io.NodeOutput(f"{cls.hidden.unique_id}:{whole}", len(whole), ui=ui.PreviewText(whole))


class Pick(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        kind = io.MatchType.Template("kind")
        return io.Schema(
            node_id="SecondPick",
            inputs=[
                io.Boolean.Input("first"),
                io.MatchType.Input("a", template=kind, lazy=True),
                io.MatchType.Input("b", template=kind, lazy=True, optional=True),
            ],
            outputs=[io.MatchType.Output(template=kind, display_name="picked")],
        )

    @classmethod
    def check_lazy_status(cls, first, a=None, b=None):
        return ["a"] if first and a is None else ["b"] if not first and b is None else []

    @classmethod
    async def execute(cls, first, a=None, b=None):
        return io.NodeOutput(a if first else b)


class Sum(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        numbers = io.Autogrow.TemplatePrefix(
            input=io.MultiType.Input("number", types=[io.Int, io.Float]), prefix="n", min=1, max=4
        )
        return io.Schema(
            node_id="SecondSum",
            inputs=[io.Autogrow.Input("numbers", template=numbers)],
            outputs=[io.Float.Output()],
        )

    @classmethod
    def execute(cls, numbers):
        return io.NodeOutput(float(sum(numbers.values())))


class SavePictures(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SecondSave",
            is_output_node=True,
            inputs=[io.Image.Input("images"), io.String.Input("filename_prefix", default="second/p")],
        )

    @classmethod
    def execute(cls, images, filename_prefix):
        return io.NodeOutput(ui=ui.ImageSaveHelper.get_save_images_ui(images, filename_prefix, cls=cls))


class Blocks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="SecondBlocks", outputs=[io.Custom("THING").Output(), io.AnyType.Output()])

    @classmethod
    def execute(cls):
        return io.NodeOutput(block_execution="not today")


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [Repeat, Pick, Sum, SavePictures, Blocks]


async def comfy_entrypoint():
    return Extension()
