"""The widget of pictures: bringing them along, and drawing masks that come back from the server."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.web.support import Served
from tests.web.widgets_page import field, look_for, press_keys, show_widgets, value_of, widget

LOADER = "nodes:\n  i: {uses: LoadImage}\n"
SIDE = 64


def picture() -> Image.Image:
    """Red to the left, blue to the right."""
    image = Image.new("RGB", (SIDE, SIDE), (200, 10, 20))
    image.paste((10, 20, 200), (SIDE // 2, 0, SIDE, SIDE))
    return image


def png() -> bytes:
    data = io.BytesIO()
    picture().save(data, "PNG")
    return data.getvalue()


def press(page: Page, canvas: Locator, *points: tuple[float, float], button: str = "left") -> None:
    """Press at a place of the picture, in parts of its sides, and move on to others."""
    box = canvas.bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down(button="right" if button == "right" else "left")
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up(button="right" if button == "right" else "left")


def open_editor(page: Page) -> Locator:
    widget(page, "image").get_by_role("button", name="Draw a mask of image").click()
    dialog = page.get_by_role("dialog", name=re.compile("Mask of"))
    expect(dialog).to_be_visible()
    return dialog


def save(page: Page, dialog: Locator, served: Served, before: str) -> Image.Image:
    """Keep the mask; the picture that the server has then."""
    dialog.get_by_role("button", name="Save the mask").click()
    expect(field(page, "image")).not_to_have_text(before)
    return Image.open(served.folder / "input" / str(value_of(page, "i", "image")))


def alpha(image: Image.Image, x: float, y: float) -> int:
    value = image.getchannel("A").getpixel((int(x * SIDE), int(y * SIDE)))
    assert isinstance(value, int)
    return value


def test_a_picture_is_brought_by_the_button(page: Page, tmp_path: Path) -> None:
    show_widgets(page, LOADER)
    expect(widget(page, "image").get_by_role("button", name="Draw a mask")).to_be_disabled()
    (tmp_path / "<b>one.png").write_bytes(png())
    with page.expect_file_chooser() as chosen:
        widget(page, "image").get_by_role("button", name="Bring a picture").click()
    chosen.value.set_files(tmp_path / "<b>one.png")
    expect(field(page, "image")).to_have_text(re.compile(r"one\.png$"))
    assert str(value_of(page, "i", "image")).endswith("one.png")
    shown = widget(page, "image").locator("img")
    expect(shown).to_have_js_property("complete", True)
    expect(shown).to_have_js_property("naturalWidth", SIDE)
    field(page, "image").click()
    expect(page.locator(".popup").get_by_role("option")).to_have_count(1)


def test_a_picture_is_dropped_or_pasted(page: Page) -> None:
    show_widgets(page, LOADER)
    for kind in ("drop", "paste"):
        page.evaluate(
            """([kind, data]) => {
              const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
              const files = new DataTransfer();
              files.items.add(new File([bytes], `${kind}ped.png`, { type: 'image/png' }));
              const where = document.querySelector('[data-input="image"] .image-well');
              const init = { bubbles: true, cancelable: true };
              where.dispatchEvent(kind === 'drop'
                ? new DragEvent('drop', { ...init, dataTransfer: files })
                : new ClipboardEvent('paste', { ...init, clipboardData: files }));
            }""",
            [kind, base64.b64encode(png()).decode()],
        )
        expect(field(page, "image")).to_have_text(f"{kind}ped.png")


def test_a_picture_beside_the_file_is_typed(page: Page) -> None:
    show_widgets(page, LOADER)
    look_for(page, "image", "beside.png")
    expect(page.locator(".popup").get_by_role("option").last).to_have_text("Use “beside.png”")
    press_keys(page, "End", "ArrowUp", "Enter")
    assert value_of(page, "i", "image") == "beside.png"


def test_what_is_no_picture_is_said(page: Page, tmp_path: Path) -> None:
    show_widgets(page, LOADER)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    widget(page, "image").locator("input[type=file]").set_input_files(tmp_path / "bad.png")
    expect(field(page, "image")).to_have_accessible_description(re.compile("picture"))
    assert value_of(page, "i", "image") is None


def test_a_mask_is_drawn_kept_and_read_back(page: Page, served: Served) -> None:
    (served.folder / "input" / "two.png").write_bytes(png())
    show_widgets(page, "nodes:\n  i: {uses: LoadImage, with: {image: two.png}}\n")
    dialog = open_editor(page)
    canvas = dialog.get_by_role("application")
    press(page, canvas, (0.25, 0.5), (0.75, 0.5))
    masked = save(page, dialog, served, "two.png")
    assert alpha(masked, 0.5, 0.5) == 0
    assert alpha(masked, 0.5, 0.1) == 255
    assert masked.convert("RGB").tobytes() == picture().tobytes(), "colours stay, under the mask too"

    dialog = open_editor(page)
    press(page, canvas, (0.5, 0.5), button="right")
    again = save(page, dialog, served, str(value_of(page, "i", "image")))
    assert alpha(again, 0.5, 0.5) == 255
    assert alpha(again, 0.3, 0.5) == 0
    assert again.convert("RGB").tobytes() == picture().tobytes()


def test_the_tools_of_the_mask(page: Page, served: Served) -> None:
    (served.folder / "input" / "three.png").write_bytes(png())
    show_widgets(page, "nodes:\n  i: {uses: LoadImage, with: {image: three.png}}\n")
    dialog = open_editor(page)
    canvas = dialog.get_by_role("application")
    dialog.get_by_label("Brush size").fill("10")
    press(page, canvas, (0.2, 0.2))
    press(page, canvas, (0.8, 0.8))
    dialog.get_by_role("button", name="Undo").click()
    dialog.get_by_role("button", name="Invert").click()
    dialog.get_by_label("Erase").check()
    press(page, canvas, (0.5, 0.9))
    masked = save(page, dialog, served, "three.png")
    assert alpha(masked, 0.2, 0.2) == 255, "drawn, then inverted"
    assert alpha(masked, 0.8, 0.8) == 0, "taken back, then inverted"
    assert alpha(masked, 0.5, 0.9) == 255, "erased"

    dialog = open_editor(page)
    dialog.get_by_role("button", name="Clear").click()
    canvas.focus()
    press_keys(page, "]", "]", *["ArrowRight"] * 4, "b", "Space", "Control+z", "Control+y")
    assert dialog.get_by_role("button", name="Redo").is_disabled()
    by_key = save(page, dialog, served, str(value_of(page, "i", "image")))
    changed = [index for index, level in enumerate(by_key.getchannel("A").tobytes()) if level == 0]
    assert 30 < len(changed) < 60
    assert all(index % SIDE > SIDE // 2 for index in changed)

    dialog = open_editor(page)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
