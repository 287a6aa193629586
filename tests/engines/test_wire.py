"""What travels between the driver and its workers arrives as it was, and what did not come from there is refused."""

from __future__ import annotations

import os
import threading
from dataclasses import fields, is_dataclass
from typing import Any, cast

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache.records import Record
from nodegraph.context import Cancelled, Roots
from nodegraph.engines.contract import Buffer
from nodegraph.engines.frames import FrameWriter, read_frame
from nodegraph.engines.hello import Setup, hello_data, hello_of, read_hello
from nodegraph.engines.messages import (
    Facts,
    facts_data,
    failure_message,
    outcome_message,
    preview_message,
    read_facts,
    read_failure,
    read_outcome,
    read_preview,
)
from nodegraph.engines.outcome import Reported, problem_of
from nodegraph.engines.wire import KINDS, from_wire, to_wire
from nodegraph.engines.work import Worked
from nodegraph.errors import Problem, ProblemError
from nodegraph.graph.model import GraphNode
from nodegraph.registry import Registry
from nodegraph.sockets import Clip, Control, ControlNet, Guider, Model, Patch, Sampler, Saved
from nodegraph.sockets.codecs import digest
from nodegraph.sockets.flow import Blocked, Many
from nodegraph.sockets.packing import FORMATS, BadFile, Unstorable
from nodegraph.workflow.document import NodeEntry
from tests.toys import Words

DTYPES = [getattr(torch, name) for name in FORMATS]


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Tensors of all number formats, of any bytes, also empty ones, without dimensions, or in another order."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    count = int(numpy.prod(shape)) if shape else 1
    size = torch.empty((), dtype=dtype).element_size()
    data = draw(st.binary(min_size=count * size, max_size=count * size))
    if dtype is torch.bool:
        data = bytes(byte & 1 for byte in data)
    flat = torch.frombuffer(bytearray(data), dtype=dtype) if count else torch.empty(0, dtype=dtype)
    tensor = flat.reshape(shape)
    return tensor.transpose(0, 1) if len(shape) > 1 and draw(st.booleans()) else tensor


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=20)
settings_ = st.lists(st.tuples(st.text(max_size=5), st.integers() | st.floats(allow_nan=False) | st.text()), max_size=2)
patches = st.builds(
    Patch, st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), settings_.map(tuple), scalars | tensors()
)
models = st.builds(Model, *[st.text(max_size=6)] * 4, st.lists(patches, max_size=2).map(tuple), settings_.map(tuple))
clips = st.builds(Clip, *[st.text(max_size=6)] * 4, second=st.none() | st.builds(Clip, *[st.text(max_size=6)] * 4))
recipes = models | clips | st.builds(Sampler, st.text(max_size=5), settings_.map(tuple))
values = st.recursive(
    scalars | tensors() | recipes,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
        | st.lists(inner, max_size=3).map(lambda items: Many(tuple(items)))
        | st.builds(Blocked, st.none() | st.text())
    ),
    max_leaves=8,
)


def same(one: object, other: object) -> bool:
    """Whether two values are the same, bit for bit, and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and digest(one) == digest(other)
    if isinstance(one, float):
        return digest(one) == digest(other)
    if isinstance(one, list | tuple):
        items, others = cast("list[object]", one), cast("list[object]", other)
        return len(items) == len(others) and all(map(same, items, others))
    if isinstance(one, dict):
        pairs, others = (
            list(cast("dict[object, object]", one).items()),
            list(cast("dict[object, object]", other).items()),
        )
        return len(pairs) == len(others) and all(map(same, pairs, others))
    if is_dataclass(one) and not isinstance(one, type):
        return all(same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    return one == other


def travel(data: dict[str, Any], buffers: Any) -> tuple[dict[str, Any], list[Buffer]]:
    """A message through a real pipe."""
    read, write = os.pipe()
    with os.fdopen(read, "rb", buffering=0) as stream:
        thread = threading.Thread(target=FrameWriter(write).send, args=(data, buffers))
        thread.start()
        frame = read_frame(cast(Any, stream))
        thread.join()
        os.close(write)
        assert frame is not None
        assert read_frame(cast(Any, stream)) is None
    return frame.data, list(frame.buffers)


@settings(max_examples=200)
@given(values)
def test_any_value_arrives_as_it_was(value: object):
    wired = to_wire(value)
    data, buffers = travel({"structure": wired.structure, "tensors": wired.tensors}, wired.buffers)
    assert same(value, from_wire(data["structure"], data["tensors"], buffers))


@given(recipes)
def test_recipes_keep_their_digest(recipe: Any):
    wired = to_wire(recipe)
    assert cast(Any, from_wire(wired.structure, wired.tensors, wired.buffers)).digest == recipe.digest


def test_what_steers_a_sampling_travels_with_its_tensors():
    model = Model("file", "/m", "c", "unet").patched(Patch("ip", payload={"embeds": torch.ones(2)}))
    control = Control(ControlNet("file", "/n", "d", "net"), torch.rand(1, 4, 4, 3), 0.5, extra=(("a", torch.ones(1)),))
    conditioning: Any = [(torch.rand(1, 3, 4), {"control": (control,)})]
    guider = Guider("cfg", model, (("positive", conditioning),), (("cfg", 7.0),))
    wired = to_wire(guider)
    assert cast(Any, from_wire(wired.structure, wired.tensors, wired.buffers)).digest == guider.digest
    assert len(wired.buffers) == 4


def test_large_tensors_are_not_copied_on_their_way_out_and_may_be_written_to_where_they_arrive():
    tensor = torch.zeros(1000, dtype=torch.bfloat16)
    wired = to_wire(tensor)
    tensor[3] = 5
    data, buffers = travel({"structure": wired.structure, "tensors": wired.tensors}, wired.buffers)
    arrived = cast(torch.Tensor, from_wire(data["structure"], data["tensors"], buffers))
    assert arrived[3] == 5
    arrived[4] = 6
    assert memoryview(cast(Any, buffers[0])).cast("B")[8:10].tobytes() != b"\0\0"


def test_bytes_that_must_not_be_written_to_are_copied():
    wired = to_wire(torch.ones(4))
    frozen = [bytes(cast(Any, buffer)) for buffer in wired.buffers]
    arrived = cast(torch.Tensor, from_wire(wired.structure, wired.tensors, frozen))
    arrived[0] = 9
    assert frozen == [bytes(cast(Any, buffer)) for buffer in wired.buffers]


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 0, [object()], {"a": {1}}, torch.ones(2).to_sparse()])
def test_what_only_one_process_knows_does_not_travel(value: object):
    with pytest.raises(Unstorable):
        to_wire(value)


@given(st.text(max_size=30) | st.sampled_from(['{"@":["Path",[]]}', '{"@":["Model",[["a",1]]]}', '{"x":"7"}']))
def test_a_structure_from_elsewhere_is_refused_or_plain(structure: str):
    try:
        value = from_wire(structure, [], [])
    except BadFile:
        return
    assert not isinstance(value, tuple(KINDS.values()))


@given(
    st.binary(max_size=30),
    st.sampled_from(["float32", "uint8", "nothing", "Tensor"]),
    st.lists(st.integers(), max_size=3),
)
def test_tensors_that_do_not_fit_their_bytes_are_refused(data: bytes, format_: str, shape: list[int]):
    try:
        tensor = cast(torch.Tensor, from_wire('{"x":"0"}', [[format_, shape]], [data]))
    except BadFile:
        return
    assert tensor.numel() * tensor.element_size() == len(data)


def test_outcomes_failures_facts_previews_and_hellos_arrive():
    import PIL.Image

    worked = Worked((torch.ones(2), "a"), Record((b"1" * 32, b"2" * 32), 1.5, Saved((), {"text": ["x"]})))
    data, buffers = travel(*cast(Any, outcome_message(3, 1, worked)))
    assert (data["call"], data["step"]) == (3, 1)
    back = read_outcome(data, buffers)
    assert back.record == worked.record
    assert same(list(back.values), list(worked.values))
    facts = Facts(Roots(extra_models=(("loras", Roots().output),)), "fp16", "auto", True, ("here", 1.0))
    assert read_facts(travel(facts_data(facts), [])[0])._replace(files=()) == facts
    image = PIL.Image.new("RGB", (3, 2), (1, 2, 3))
    assert read_preview(*travel(*cast(Any, preview_message(1, 0, image)))).tobytes() == image.tobytes()
    hello = hello_of(Setup(device="cpu"), Registry())
    assert read_hello(travel(hello_data(hello), [])[0]) == hello
    setup = Setup(nodes=("a",), extra_models=(("loras", "b"),), threads=2)
    assert Setup.from_data(travel(setup.to_data(), [])[0]) == setup


def test_a_failure_says_the_same_there_and_here():
    node = GraphNode("n", Words.__node__, {}, {}, NodeEntry("n", "Words"))
    for error in (ValueError("no"), MemoryError(), ProblemError(Problem("bad_value", "bad", input="text"))):
        told = read_failure(travel(dict(failure_message(1, 0, node, error)), [])[0])
        assert isinstance(told, Reported)
        assert problem_of(node, told) == problem_of(node, error)
    assert isinstance(read_failure(travel(dict(failure_message(1, 0, node, Cancelled())), [])[0]), Cancelled)
