"""Contact sheets of sweeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Multiline, Range, node
from nodegraph.sockets import Image
from nodegraph.sockets.sweeps import Axes

Size = Annotated[int, Range(0, 16384)]


@node(category="image", display_name="XY Grid", numeric=False)
def XYGrid(
    images: Annotated[tuple[Image, ...], Help("all cells of a sweep, or a batch")],
    title: str = "",
    column_labels: Annotated[str, Multiline(), Help("one a line; left empty, what the sweep varies")] = "",
    row_labels: Annotated[str, Multiline(), Help("one a line; left empty, what the sweep varies")] = "",
    columns: Annotated[int, Range(0, 1000), Help("cells in a row; 0: as many as the sweep suggests")] = 0,
    cell_size: Annotated[Size, Help("longest side of a cell; 0: that of the largest picture")] = 0,
    gap: Annotated[int, Range(0, 256)] = 8,
    font_size: Annotated[int, Range(6, 256)] = 20,
    axes: Annotated[Axes | None, Help("what varies; filled in by the sweep")] = None,
) -> Image:
    """Put the pictures of a sweep side by side on one labelled sheet (XY plot).

    One axis is drawn as a row, two as rows and columns; of more, several share a side. Pictures of different sizes keep
    their proportions, and a batch is shown as one cell (a single batch as one cell a picture).
    """
    import numpy as np
    import torch

    from nodes.diffusion.pictures import to_image
    from nodes.diffusion.sheets import Style, TooLarge, arrange, draw_sheet, montage

    if not images or any(not len(batch) for batch in images):
        raise ProblemError(Problem("bad_value", "there are no pictures to put on the sheet", input="images"))
    for batch in images:
        if batch.shape[-1] not in (1, 3, 4):
            message = f"pictures have 1, 3 or 4 channels, not {batch.shape[-1]}"
            raise ProblemError(Problem("bad_value", message, input="images"))
    batches = [[to_image(picture) for picture in batch] for batch in images]
    cells = [montage(batch) for batch in batches] if len(batches) > 1 else batches[0]
    arrangement = arrange(axes or (), len(cells))
    across, down = _labels(column_labels), _labels(row_labels)
    if across or down:
        arrangement = replace(
            arrangement,
            columns=(len(across) or -(-len(cells) // len(down))) if not axes else arrangement.columns,
            column_labels=across or arrangement.column_labels,
            row_labels=down or arrangement.row_labels,
        )
    if columns and columns != arrangement.columns:  # headers no longer stand above what they name
        captions = arrangement.captions
        if axes and not captions:
            captions = tuple([", ".join(pair) for pair in _names(arrangement.row_labels, arrangement.column_labels)])
        arrangement = replace(arrangement, columns=columns, column_labels=across, row_labels=down, captions=captions)
    try:
        sheet = draw_sheet(cells, arrangement, Style(gap, font_size, cell_size), title)
    except TooLarge as error:
        hint = "make its cells smaller with 'cell_size'"
        raise ProblemError(Problem("bad_value", str(error), input="images", hint=hint)) from error
    return Image(torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255)[None])


def _labels(text: str) -> tuple[str, ...]:
    return tuple(text.strip("\n").split("\n")) if text.strip() else ()


def _names(rows: tuple[str, ...], columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What each cell is called, row by row."""
    return [tuple(filter(None, (row, column))) for row in rows or ("",) for column in columns or ("",)]
