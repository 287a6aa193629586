"""`@node`: a typed function becomes a node, and stays a function."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union

import pytest

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.node import (
    Choices,
    Help,
    Multiline,
    NodeDefinitionError,
    NodeSpec,
    Range,
    Seed,
    SeedControl,
    node,
    spec_of,
)
from nodegraph.sockets import Image, Latent, Mask, Model, Saved

T = TypeVar("T")
ROOT = Path(__file__).parents[1]


class Found(NamedTuple):
    picture: Annotated[Image, Help("what was found")]
    mask: Mask


def list_names(roots: object) -> list[str]:
    return ["a", "b"]


@node(category="toys/all", version=2, output_node=False, display_name="All of it")
def Everything(
    model: Model,
    seed: Seed = 0,
    steps: Annotated[int, Range(1, 10_000), Help("how many")] = 20,
    cfg: Annotated[float, Range(0, 100, step=0.1)] = 8,
    mode: Literal["fast", "good"] = "fast",
    quality: Literal[1, 2] | None = None,
    text: Annotated[str, Multiline()] = "",
    flag: bool = False,
    *,
    either: Image | Latent,
    generic: T,
    mask: Mask | None = None,
    limit: Annotated[int, Range(0, 9)] | None = None,
    name: Annotated[str, Choices(list_names)],
    whatever: Any = None,
    context: Context = NO_CONTEXT,
) -> Found:
    """Everything that a signature can say.

    The second paragraph.
    """
    raise AssertionError


SPEC = spec_of(Everything)


def test_the_signature_is_the_specification():
    inputs = SPEC.inputs_by_name
    assert list(inputs) == [name for name in inspect.signature(Everything).parameters if name != "context"]
    assert {name: str(spec.type) for name, spec in inputs.items()} == {
        "model": "MODEL", "seed": "INT", "steps": "INT", "cfg": "FLOAT", "mode": "COMBO", "quality": "COMBO",
        "text": "STRING", "flag": "BOOLEAN", "either": "IMAGE | LATENT", "generic": "T", "mask": "MASK", "limit": "INT",
        "name": "COMBO", "whatever": "*",
    }  # fmt: skip
    assert [name for name, spec in inputs.items() if spec.required] == ["model", "either", "generic", "name"]
    assert inputs["steps"].range == Range(1, 10_000)
    assert inputs["steps"].help == "how many"
    assert inputs["steps"].default == 20
    assert inputs["cfg"].range == Range(0, 100, 0.1)
    assert inputs["seed"].range == Range(0, 2**64 - 1)
    assert inputs["seed"].control
    assert inputs["mode"].choices == ("fast", "good")
    assert inputs["quality"].choices == (1, 2)
    assert inputs["limit"].range == Range(0, 9)
    assert inputs["text"].multiline
    assert isinstance(inputs["name"].choices, Choices)
    assert inputs["generic"].type.variable == "T"
    assert SPEC.context_name == "context"
    assert SeedControl() == SeedControl()


def test_the_outputs_are_those_of_the_named_tuple():
    assert [(output.name, str(output.type), output.help) for output in SPEC.outputs] == [
        ("picture", "IMAGE", "what was found"),
        ("mask", "MASK", ""),
    ]
    assert SPEC.several
    assert (SPEC.output_index("MASK"), SPEC.output_index("nothing")) == (1, None)


def test_the_docstring_is_the_help():
    assert SPEC.description == "Everything that a signature can say.\n\nThe second paragraph."
    assert SPEC.summary == "Everything that a signature can say."
    assert (SPEC.category, SPEC.version, SPEC.display_name) == ("toys/all", 2, "All of it")


def test_one_output_is_called_by_its_type():
    @node(category="toys")
    def One() -> Latent:
        raise AssertionError

    @node(category="toys")
    def Two() -> Image | Mask:
        raise AssertionError

    @node(category="toys", output_node=True)
    def Save(image: Image) -> Saved:
        raise AssertionError

    assert [output.name for output in spec_of(One).outputs] == ["LATENT"]
    assert [output.name for output in spec_of(Two).outputs] == ["value"]
    assert spec_of(Save).outputs == ()


def test_nodes_stay_plain_functions():
    @node(category="toys")
    def Half(value: float, by: float = 2.0) -> float:
        return value / by

    @node(category="toys")
    async def Later(value: int) -> int:
        return value

    assert Half(3.0) == 1.5
    assert Half(value=3.0, by=3.0) == 1.0
    assert inspect.isfunction(Half)
    assert Half.__name__ == "Half"
    assert inspect.iscoroutinefunction(Later)
    assert spec_of(Later).is_async
    with pytest.raises(TypeError, match="is not a node"):
        spec_of(len)


def wrong_vararg(*values: int) -> int: ...  # type: ignore[empty-body]
def wrong_untyped(value) -> int: ...  # type: ignore[empty-body]
def wrong_type(value: bytes) -> int: ...  # type: ignore[empty-body]
def wrong_default(value: int = "x") -> int: ...  # type: ignore[assignment]
def wrong_bool(value: int = True) -> int: ...  # type: ignore[empty-body]
def wrong_model(value: Model = 3) -> int: ...  # type: ignore[assignment]
def wrong_range(value: Annotated[int, Range(5, 1)]) -> int: ...  # type: ignore[empty-body]
def wrong_outside(value: Annotated[int, Range(0, 5)] = 6) -> int: ...  # type: ignore[empty-body]
def wrong_text_range(value: Annotated[str, Range(0, 5)]) -> int: ...  # type: ignore[empty-body]
def wrong_choice(value: Literal["a", "b"] = "c") -> int: ...  # type: ignore[assignment]
def wrong_optional(value: Mask | None) -> int: ...  # type: ignore[empty-body]
def wrong_return(): ...
def wrong_tuple() -> tuple[int, int]: ...  # type: ignore[empty-body]
def wrong_output() -> dict[str, int]: ...  # type: ignore[empty-body]
def wrong_collected(values: tuple[bytes, ...]) -> int: ...  # type: ignore[empty-body]
def wrong_pair(values: tuple[int, int]) -> int: ...  # type: ignore[empty-body]
def wrong_collection(values: tuple[int, ...] = (1,)) -> int: ...  # type: ignore[empty-body]
def wrong_maybe(values: Annotated[tuple[int, ...], Range(5, 1)]) -> int: ...  # type: ignore[empty-body]
def wrong_name(value: Missing) -> int: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (wrong_vararg, "must be a plain named one"),
        (wrong_untyped, "'value' has no annotation"),
        (wrong_type, "input 'value': bytes is not a socket type"),
        (wrong_default, "its default 'x' is not INT"),
        (wrong_bool, "its default True is not INT"),
        (wrong_model, "only values can have a default"),
        (wrong_range, "the range 5 … 1 is empty"),
        (wrong_outside, "its default 6 is outside 0 … 5"),
        (wrong_text_range, "a Range needs a number, not STRING"),
        (wrong_choice, "its default 'c' is not among its choices"),
        (wrong_optional, "an optional input"),
        (wrong_return, "no return annotation"),
        (wrong_tuple, "several outputs are a NamedTuple"),
        (wrong_output, "its return type: dict"),
        (wrong_collected, "input 'values': bytes is not a socket type"),
        (wrong_pair, "is not a socket type"),
        (wrong_collection, "required or has the default ()"),
        (wrong_maybe, "the range 5 … 1 is empty"),
        (wrong_name, "its annotations cannot be resolved"),
    ],
)
def test_a_signature_that_cannot_be_understood_fails_at_import_and_says_where(
    function: Callable[..., Any], reason: str
):
    with pytest.raises(NodeDefinitionError) as caught:
        node(category="toys")(function)
    message = str(caught.value)
    assert reason in message
    line = function.__code__.co_firstlineno
    assert message.startswith(f"node {function.__qualname__} ({__file__}:{line}): ")


def test_a_tuple_of_any_length_is_an_input_that_collects():
    @node(category="toys")
    def Many(
        pictures: Annotated[tuple[Image, ...], Help("all of them")],
        amounts: tuple[Annotated[float, Range(0, 1)], ...] = (),
        kinds: tuple[Literal["a", "b"], ...] = (),
        whatever: tuple[T, ...] = (),
    ) -> T:
        """Take many."""
        raise NotImplementedError

    spec = spec_of(Many)
    assert spec.collecting == {"pictures", "amounts", "kinds", "whatever"}
    assert [str(given.type) for given in spec.inputs] == ["IMAGE", "FLOAT", "COMBO", "T"]
    assert [given.required for given in spec.inputs] == [True, False, False, False]
    pictures, amounts, kinds, _ = spec.inputs
    assert (pictures.help, amounts.range, kinds.choices) == ("all of them", Range(0, 1), ("a", "b"))


def test_what_is_no_function_or_has_no_name_is_refused():
    with pytest.raises(NodeDefinitionError, match="decorates a function"):
        node(category="toys")(NodeSpec)
    with pytest.raises(NodeDefinitionError, match="cannot be the name of a node"):
        node(category="toys", name="a, b")(wrong_model)


def test_old_style_unions_are_unions():
    @node(category="toys")
    def Old(value: Union[Image, Mask], other: "Union[int, None]" = None) -> int:  # noqa: UP007, UP037
        raise AssertionError

    assert [str(spec.type) for spec in spec_of(Old).inputs] == ["IMAGE | MASK", "INT"]


def test_importing_every_node_imports_no_torch():
    code = (
        "import sys, json; from nodegraph.registry import load_registry; registry = load_registry();"
        "print(json.dumps([sorted(registry.specs), [p.reason for p in registry.broken],"
        "[m for m in sys.modules if m.split('.')[0] in "
        "('torch', 'diffusers', 'transformers', 'numpy', 'PIL', 'networkx')]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    specs, broken, heavy = json.loads(done.stdout)
    assert {"KSampler", "SaveImage", "CheckpointLoaderSimple"} <= set(specs)
    assert (broken, heavy) == ([], [])


CALLS = """\
from nodes.latents import EmptyLatentImage
from nodes.sampling import KSampler
from nodes.vae import VAEDecode
from nodegraph.sockets import Conditioning, Latent, Model, Vae


def right(model: Model, vae: Vae, positive: Conditioning, negative: Conditioning) -> None:
    latent = EmptyLatentImage(64, 64)
    drawn = KSampler(model, 1, positive=positive, negative=negative, latent_image=latent, sampler_name="euler")
    VAEDecode(drawn, vae)


def wrong(model: Model, vae: Vae, positive: Conditioning, negative: Conditioning, latent: Latent) -> None:
    EmptyLatentImage("64")
    KSampler(vae, positive=positive, negative=negative, latent_image=latent)
    KSampler(model, positive=positive, negative=negative, latent_image=latent, sampler_name="eular")
    VAEDecode(positive, vae)
"""


def test_a_type_checker_catches_wrong_calls(tmp_path: Path):
    (tmp_path / "calls.py").write_text(CALLS)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)], "typeCheckingMode": "basic"}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    lines = {entry["range"]["start"]["line"] + 1 for entry in found if entry["severity"] == "error"}
    first = CALLS.splitlines().index('    EmptyLatentImage("64")') + 1
    assert lines == {first, first + 1, first + 2, first + 3}
