"""XYGrid: a labelled sheet of a sweep's pictures."""

from __future__ import annotations

import pytest
import torch

from nodegraph.errors import ProblemError
from nodegraph.registry import load_registry
from nodegraph.sockets import Image
from nodegraph.sockets.sweeps import Axes
from nodes.grid import XYGrid

COLOURS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "plum": (0.6, 0.2, 0.8),
    "cyan": (0.0, 1.0, 1.0),
    "gold": (1.0, 0.8, 0.0),
}
TWO = Axes((("cfg=1", "cfg=2"), ("seed=1", "seed=2", "seed=3")))


def picture(colour: str, width: int = 24, height: int = 24, batch: int = 1) -> Image:
    return Image(torch.tensor(COLOURS[colour]).expand(batch, height, width, 3).clone())


def cells() -> tuple[Image, ...]:
    return tuple(picture(colour) for colour in COLOURS)


def where(sheet: Image, colour: str) -> tuple[int, int, int, int]:
    """left, top, width, height of what has a colour."""
    rgb = (sheet[0] * 255).round().int()
    wanted = (torch.tensor(COLOURS[colour]) * 255).int()
    ys, xs = ((rgb - wanted).abs().amax(-1) <= 1).nonzero(as_tuple=True)
    assert len(xs), colour
    return int(xs.min()), int(ys.min()), int(xs.max() - xs.min()) + 1, int(ys.max() - ys.min()) + 1


def ink(sheet: Image, left: int, top: int, right: int, bottom: int) -> bool:
    """Whether anything is written there."""
    return bool((sheet[0, top:bottom, left:right] < 0.5).all(-1).any())


def test_two_axes_become_rows_and_columns_with_labels():
    sheet = XYGrid(cells(), axes=TWO)
    assert sheet.dtype == torch.float32 and sheet.shape[0] == 1 and sheet.shape[3] == 3
    spots = {colour: where(sheet, colour) for colour in COLOURS}
    assert {spot[2:] for spot in spots.values()} == {(24, 24)}
    columns = [spots[colour][0] for colour in ("red", "green", "blue")]
    assert columns == sorted(columns)
    assert [spots[colour][0] for colour in ("plum", "cyan", "gold")] == columns
    assert len({spots[colour][1] for colour in ("red", "green", "blue")}) == 1
    left, top = spots["red"][:2]
    assert ink(sheet, left, 0, left + 24, top)  # seed=1, above the first column
    assert ink(sheet, 0, top, left, top + 24)  # cfg=1, left of the first row
    assert not ink(sheet, 0, 0, left - 40, top)  # nothing in the corner


def test_the_same_cells_give_the_same_bytes():
    assert torch.equal(XYGrid(cells(), axes=TWO, title="A title"), XYGrid(cells(), axes=TWO, title="A title"))


def test_one_axis_is_a_row_and_a_long_one_is_wrapped_with_captions():
    row = XYGrid(cells(), axes=Axes((tuple(f"seed={i}" for i in range(6)),)))
    assert len({where(row, colour)[1] for colour in COLOURS}) == 1
    many = (*cells(), *(picture("red"),) * 6)
    block = XYGrid(many, axes=Axes((tuple(f"seed={i}" for i in range(12)),)))
    x, y, _, _ = where(block, "gold")
    assert y > where(block, "green")[1]
    assert ink(block, x, y - 30, x + 24, y)  # its own caption


def test_three_axes_share_two_sides():
    axes = Axes((("a=1",), ("b=1", "b=2"), ("c=1", "c=2", "c=3")))
    sheet = XYGrid(cells(), axes=axes)
    assert where(sheet, "red")[1] == where(sheet, "blue")[1] < where(sheet, "plum")[1]


def test_labels_can_be_overridden():
    usual = XYGrid(cells(), axes=TWO)
    named = XYGrid(cells(), axes=TWO, column_labels="one\ntwo\nthree", row_labels="low\nhigh")
    assert not torch.equal(named[0, :20, :40], usual[0, :20, :40]) or named.shape != usual.shape
    assert XYGrid(cells(), column_labels="one\ntwo\nthree").shape[2] > XYGrid(cells(), columns=1).shape[2]


def test_columns_can_be_chosen_and_every_cell_is_named_then():
    sheet = XYGrid(cells(), axes=TWO, columns=2)
    x, y, _, _ = where(sheet, "blue")
    assert where(sheet, "red")[0] == x
    assert ink(sheet, x, y - 30, x + 24, y)


def test_pictures_of_different_sizes_keep_their_proportions():
    sheet = XYGrid((picture("red", 40, 40), picture("green", 40, 20), picture("blue", 10, 20)), gap=4)
    assert where(sheet, "red")[2:] == (40, 40)
    assert where(sheet, "green")[2:] == (40, 20)
    assert where(sheet, "blue")[2:] == (20, 40)
    small = XYGrid((picture("red", 40, 20),), cell_size=20)
    assert where(small, "red")[2:] == (20, 10)


def test_a_single_batch_is_one_cell_a_picture_and_other_batches_are_one_cell():
    batch = Image(torch.cat([picture(colour) for colour in ("red", "green", "blue", "plum")]))
    sheet = XYGrid((batch,))
    assert where(sheet, "green")[0] > where(sheet, "red")[0] + 24
    both = XYGrid((batch, picture("gold", 48, 48)))
    assert where(both, "green")[0] == where(both, "red")[0] + 24
    assert where(both, "plum")[1] == where(both, "red")[1] + 24


def test_transparent_and_grey_pictures_are_shown_on_the_sheet():
    clear = Image(torch.cat([picture("red"), torch.zeros(1, 24, 24, 1)], dim=-1))
    assert not ink(XYGrid((clear,)), 0, 0, 40, 40)
    assert ink(XYGrid((Image(torch.zeros(1, 24, 24, 1)),)), 8, 8, 32, 32)


def test_long_labels_are_broken_into_lines_and_cut_off():
    words = "prompt=" + "a very long text about a star that nobody wants to read twice " * 20
    unbroken = "x" * 500
    sheet = XYGrid(cells(), axes=Axes((("a", words), (unbroken, "b", "c"))), title=words)
    assert sheet.shape[2] < 1000
    assert sheet.shape[1] < 1500


def test_inputs_are_not_written_to():
    given = cells()
    before = [cell.clone() for cell in given]
    XYGrid(given, axes=TWO)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ((), "no pictures"),
        ((picture("red", batch=0),), "no pictures"),
        ((Image(torch.zeros(1, 8, 8, 2)),), "channels, not 2"),
    ],
)
def test_what_cannot_be_shown_is_told(images: tuple[Image, ...], words: str):
    with pytest.raises(ProblemError) as caught:
        XYGrid(images)
    assert words in str(caught.value)


def test_a_sheet_that_is_too_large_is_not_begun():
    with pytest.raises(ProblemError) as caught:
        XYGrid((picture("red"),) * 40, cell_size=16384)
    assert "cell_size" in str(caught.value)


def test_it_collects_and_does_not_depend_on_torch():
    spec = load_registry().specs["XYGrid"]
    assert spec.collecting == {"images"}
    assert not spec.numeric
    assert [(output.name, str(output.type)) for output in spec.outputs] == [("IMAGE", "IMAGE")]
