"""Links under the pointer: drawn, refused, dropped on bodies and on nothing, picked up, bent, taken away."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.stage_page import (
    announced,
    asked,
    at,
    caught,
    drag,
    points,
    selection,
    settle,
    show,
    socket,
    text_of,
    title,
    value,
)

FOUR = """nodegraph: 1
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  text: {uses: CLIPTextEncode, with: {text: a star}}
  sampler: {uses: KSampler, with: {positive: $text, seed: 5}}
  decode: {uses: VAEDecode, with: {samples: $sampler}}
layout: {model: [0, 0], text: [300, 300], sampler: [720, 0], decode: [1000, 200]}
"""


def test_a_link_is_drawn_from_an_output_to_an_input(page: Page) -> None:
    show(page, FOUR)
    drag(page, socket(page, "model", 1), socket(page, "text", "clip"))
    assert value(page, "text", "clip") == "$model.clip"
    assert announced(page) == "model.CLIP is connected with text.clip"
    expect(page.locator('.node[data-id="text"] .socket[data-input="clip"]')).to_have_class("socket in filled")
    page.keyboard.press("Control+z")
    assert text_of(page) == FOUR


def test_and_from_an_input_to_an_output(page: Page) -> None:
    show(page, FOUR)
    drag(page, socket(page, "sampler", "model"), socket(page, "model", 0))
    assert value(page, "sampler", "model") == "$model.model"


def test_only_what_fits_lights_up_and_takes_the_link(page: Page) -> None:
    show(page, FOUR)
    drag(page, socket(page, "model", 2), socket(page, "sampler", "positive"), drop=False)
    fitting = page.locator(".socket.fits")
    expect(fitting).to_have_count(1)
    expect(fitting).to_have_attribute("data-input", "vae")
    expect(page.locator("#stage")).to_have_class("linking")
    page.mouse.up()
    settle(page)
    assert value(page, "sampler", "positive") == "$text"
    assert "fits VAE" in announced(page)
    expect(page.locator("#stage")).not_to_have_class("linking")
    assert text_of(page) == FOUR


def test_a_link_that_would_close_a_ring_is_refused(page: Page) -> None:
    show(
        page,
        FOUR.replace(
            "sampler: {uses: KSampler",
            "first: {uses: KSampler, with: {latent_image: $sampler}}\n  sampler: {uses: KSampler",
        ),
    )
    page.evaluate("() => nodegraph.actions.run('view.fit')")
    settle(page)
    drag(page, socket(page, "first", 0), socket(page, "sampler", "latent_image"))
    assert value(page, "sampler", "latent_image") is None


def test_a_drop_on_the_body_finds_the_first_free_input_that_fits(page: Page) -> None:
    show(page, FOUR)
    drag(page, socket(page, "text", 0), title(page, "sampler"))
    assert value(page, "sampler", "negative") == "$text"
    drag(page, socket(page, "decode", "vae"), title(page, "model"))
    assert value(page, "decode", "vae") == "$model.vae"


def test_a_drop_on_a_widget_drives_its_input(page: Page) -> None:
    show(
        page,
        FOUR.replace("text: {uses", "words: {uses: PrimitiveString, with: {value: x}}\n  text: {uses").replace(
            "text: [300", "words: [0, 200], text: [300"
        ),
    )
    if page.evaluate("() => !nodegraph.catalogue.get().specs.has('PrimitiveString')"):
        pytest.fail("the node type of this test is gone")
    drag(page, socket(page, "words", 0), socket(page, "text", "text"))
    assert value(page, "text", "text") == "$words"
    expect(page.locator('.node[data-id="text"]').get_by_text("← words")).to_be_visible()


def test_a_drop_on_empty_canvas_looks_for_nodes_that_fit(page: Page) -> None:
    show(page, FOUR)
    caught(page, "search.open")
    drag(page, socket(page, "sampler", 0), at(page, 900, 350))
    drag(page, socket(page, "decode", "vae"), at(page, 900, 350))
    first, second = asked(page)
    assert first["accept"] == {"type": "LATENT", "side": "input", "node": "sampler", "index": 0}
    assert second["accept"] == {"type": "VAE", "side": "output", "node": "decode", "name": "vae"}
    assert (first["x"], first["y"]) == (pytest.approx(900, abs=1), pytest.approx(350, abs=1))


def test_escape_leaves_everything_as_it_was(page: Page) -> None:
    show(page, FOUR)
    caught(page, "search.open")
    drag(page, socket(page, "model", 1), socket(page, "text", "clip"), drop=False)
    page.keyboard.press("Escape")
    page.mouse.up()
    assert value(page, "text", "clip") is None
    drag(page, socket(page, "decode", "samples"), at(page, 900, 350), drop=False)
    page.keyboard.press("Escape")
    page.mouse.up()
    assert value(page, "decode", "samples") == "$sampler"
    assert asked(page) == []


def test_a_link_is_picked_up_at_its_input_and_put_elsewhere_or_nowhere(page: Page) -> None:
    show(page, FOUR)
    drag(page, socket(page, "sampler", "positive"), socket(page, "sampler", "negative"))
    assert value(page, "sampler", "positive") is None
    assert value(page, "sampler", "negative") == "$text"
    drag(page, socket(page, "sampler", "negative"), at(page, 600, -60))
    assert value(page, "sampler", "negative") is None


def middle(page: Page) -> tuple[float, float]:
    """The middle of the link from the sampler to the decoder."""
    (x0, y0), (x1, y1) = socket(page, "sampler", 0), socket(page, "decode", "samples")
    return (x0 + x1) / 2, (y0 + y1) / 2


def test_a_link_is_bent_at_points_that_move_and_go(page: Page) -> None:
    show(page, FOUR)
    x, y = middle(page)
    page.mouse.click(x, y, button="middle")
    (point,) = points(page, "decode.samples")
    drag(page, (x, y), (x - 40, y + 150))
    (moved,) = points(page, "decode.samples")
    assert (moved["x"], moved["y"]) == (point["x"] - 40, point["y"] + 150)
    assert selection(page) == {"point:decode.samples:0"}
    assert f"decode.samples: [[{moved['x']}, {moved['y']}]]" in text_of(page)
    page.mouse.dblclick(x - 40, y + 150)
    assert points(page, "decode.samples") == []
    assert text_of(page) == FOUR
    page.keyboard.down("Control")
    page.mouse.click(x, y)
    page.keyboard.up("Control")
    assert len(points(page, "decode.samples")) == 1


def test_a_link_that_is_selected_goes_by_delete_and_one_by_its_menu(page: Page) -> None:
    show(page, FOUR)
    page.mouse.click(*middle(page))
    page.keyboard.press("Delete")
    assert value(page, "decode", "samples") is None
    assert page.evaluate("() => nodegraph.session.get().graph.get().nodes.size") == 4
    page.keyboard.press("Control+z")
    page.mouse.click(*middle(page), button="right")
    page.get_by_role("menuitem", name="Remove the link").click()
    assert value(page, "decode", "samples") is None


@pytest.mark.parametrize("links", ["straight", "hidden"])
def test_links_can_be_straight_or_hidden(page: Page, links: str) -> None:
    show(page, FOUR, links=links)
    page.mouse.click(*middle(page), button="middle")
    assert len(points(page, "decode.samples")) == (0 if links == "hidden" else 1)


def test_by_keyboard_an_output_lists_the_inputs_that_fit(page: Page) -> None:
    show(page, FOUR)
    page.locator('.node[data-id="model"] .socket[data-output="1"]').focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu", name="Connect with")
    expect(menu.get_by_role("menuitem")).to_have_text(["text.clip"])
    page.keyboard.press("Enter")
    assert value(page, "text", "clip") == "$model.clip"
    assert announced(page) == "model.CLIP is connected with text.clip"
    expect(page.locator('.node[data-id="model"] .socket[data-output="1"]')).to_be_focused()
    page.locator('.node[data-id="decode"] .socket[data-input="samples"]').focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Remove the link").click()
    assert value(page, "decode", "samples") is None
