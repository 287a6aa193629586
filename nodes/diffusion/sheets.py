"""Contact sheets: pictures in rows and columns, with labels, drawn by Pillow alone so that equal cells give equal
bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (255, 255, 255)
INK = (24, 24, 24)
MAX_IN_A_ROW = 8  # of a single axis; more are wrapped
MAX_LINES = 6  # of a label; the rest is cut off
MAX_PIXELS = 400_000_000

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class TooLarge(ValueError):
    """A sheet of more pixels than can be drawn; the message says how large it would be."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How many cells stand in a row, and what is written above columns, left of rows, and above single cells."""

    columns: int
    column_labels: tuple[str, ...] = ()
    row_labels: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Style:
    """Sizes in pixels: the gap between cells, the font, and a cell's longest side (0: that of the largest picture)."""

    gap: int = 8
    font_size: int = 20
    cell_size: int = 0


def arrange(axes: Sequence[Sequence[str]], count: int) -> Arrangement:
    """Where `count` cells go that vary along `axes` (the labels of each; the first varies slowest).

    One axis is a row, or, if it is long, a near-square block with a caption above each cell. Of several axes the first
    ones become the rows and the others the columns, split so that the sheet is as square as it can be. Axes that do
    not have `count` combinations are ignored.
    """
    if not axes or math.prod([len(axis) for axis in axes]) != count:
        return Arrangement(_near_square(count))
    if len(axes) == 1:
        labels = tuple(axes[0])
        if count <= MAX_IN_A_ROW:
            return Arrangement(count, column_labels=labels)
        return Arrangement(_near_square(count), captions=labels)
    sizes = [len(axis) for axis in axes]
    split = min(range(1, len(axes)), key=lambda k: max(math.prod(sizes[:k]), math.prod(sizes[k:])))
    return Arrangement(math.prod(sizes[split:]), _combined(axes[split:]), _combined(axes[:split]))


def _near_square(count: int) -> int:
    return max(1, math.ceil(math.sqrt(count)))


def _combined(axes: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple([", ".join(labels) for labels in product(*axes)])


def draw_sheet(cells: Sequence[Image.Image], arrangement: Arrangement, style: Style, title: str = "") -> Image.Image:
    """The sheet as RGB. Pictures keep their proportions: a smaller one is centred in its cell (letterboxed).

    Raises TooLarge.
    """
    font = ImageFont.load_default(style.font_size)
    picture = _cell_size(cells, style.cell_size)
    labelled = arrangement.column_labels or arrangement.captions
    width, height = max(picture[0], 5 * style.font_size if labelled else 0), picture[1]  # room for a word
    columns = max(1, arrangement.columns)
    rows = max(1, math.ceil(len(cells) / columns))
    gap, line = style.gap, _line_height(font)
    heads = [wrap(text, font, width) for text in arrangement.column_labels[:columns]]
    sides = [wrap(text, font, max(width // 2, 8 * style.font_size)) for text in arrangement.row_labels[:rows]]
    captions = [wrap(text, font, width) for text in arrangement.captions[: len(cells)]]
    left = max((math.ceil(font.getlength(text)) for side in sides for text in side), default=0)
    left += gap if left else 0
    head = _lines(heads) * line
    caption = _lines(captions) * line
    row_height = max(height + caption, _lines(sides) * line)
    sheet_width = left + columns * (width + gap) + gap
    name = wrap(title, font, sheet_width - 2 * gap) if title.strip() else []
    top = gap + sum(extra + gap for extra in (len(name) * line, head) if extra)
    sheet_height = top + rows * (row_height + gap)
    if sheet_width * sheet_height > MAX_PIXELS:
        raise TooLarge(f"the sheet would have {sheet_width:,} × {sheet_height:,} pixels, more than {MAX_PIXELS:,}")
    sheet = Image.new("RGB", (sheet_width, sheet_height), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    _write(pen, name, font, (gap, gap, sheet_width - 2 * gap, len(name) * line))
    for i, texts in enumerate(heads):
        _write(pen, texts, font, (left + gap + i * (width + gap), top - gap - head, width, head))
    for i, texts in enumerate(sides):
        _write(pen, texts, font, (gap, top + i * (row_height + gap), left - gap, row_height))
    for i, cell in enumerate(cells):
        x, y = left + gap + i % columns * (width + gap), top + i // columns * (row_height + gap)
        if i < len(captions):
            _write(pen, captions[i], font, (x, y, width, caption))
        fitted = _fitted(cell, *picture)
        middle = y + caption + (row_height - caption - fitted.height) // 2
        sheet.paste(fitted, (x + (width - fitted.width) // 2, middle))
    return sheet


def _cell_size(cells: Sequence[Image.Image], longest: int) -> tuple[int, int]:
    width, height = max(cell.width for cell in cells), max(cell.height for cell in cells)
    scale = longest / max(width, height) if longest else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


def _fitted(cell: Image.Image, width: int, height: int) -> Image.Image:
    """A picture as large as it can be in a cell, on the sheet's background where it is transparent."""
    scale = min(width / cell.width, height / cell.height)
    size = max(1, round(cell.width * scale)), max(1, round(cell.height * scale))
    if cell.mode == "RGBA":
        cell = Image.alpha_composite(Image.new("RGBA", cell.size, (*BACKGROUND, 255)), cell)
    cell = cell.convert("RGB")
    return cell if size == cell.size else cell.resize(size, Image.Resampling.LANCZOS)


def montage(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size side by side in a near-square block: what a cell shows of a batch."""
    if len(pictures) == 1:
        return pictures[0]
    columns = _near_square(len(pictures))
    width, height = pictures[0].size
    rows = math.ceil(len(pictures) / columns)
    block = Image.new("RGB", (columns * width, rows * height), BACKGROUND)
    for i, picture in enumerate(pictures):
        block.paste(_fitted(picture, width, height), (i % columns * width, i // columns * height))
    return block


def wrap(text: str, font: Font, width: int) -> list[str]:
    """A label in lines of at most `width` pixels, broken between words where that is possible, at most MAX_LINES."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            line = word
            while font.getlength(line) > width and len(line) > 1 and len(lines) <= MAX_LINES:
                count = _that_fit(line, font, width)
                lines.append(line[:count])
                line = line[count:]
        lines.append(line)
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], lines[MAX_LINES - 1][:-1] + "…"]
    return lines


def _that_fit(word: str, font: Font, width: int) -> int:
    """How many of a word's first characters are at most `width` wide; at least one."""
    low, high = 1, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(word[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def _lines(labels: Sequence[Sequence[str]]) -> int:
    return max((len(texts) for texts in labels), default=0)


def _line_height(font: Font) -> int:
    _, top, _, bottom = font.getbbox("Ågjp|")
    return math.ceil((bottom - min(top, 0)) * 1.2)


def _write(pen: ImageDraw.ImageDraw, texts: Sequence[str], font: Font, box: tuple[int, int, int, int]) -> None:
    """Write lines in the middle of a box (x, y, width, height)."""
    x, y, width, height = box
    line = _line_height(font)
    y += max(0, height - len(texts) * line) // 2
    for i, text in enumerate(texts):
        pen.text((x + max(0, width - math.ceil(font.getlength(text))) // 2, y + i * line), text, INK, font)
