"""Widgets inside the nodes of the canvas: what is done in them is nothing to the canvas, and the other way round."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.flows import open_text, ready, wait_for
from tests.web.widgets_page import value_of

FILE = """nodegraph: 1
params: {size: 512}
nodes:
  encode: {uses: CLIPTextEncode, with: {text: "%s"}}
  k: {uses: KSampler, with: {steps: 30}}
  empty: {uses: EmptyLatentImage, with: {width: $size, height: $size}}
layout:
  encode: [0, 0]
  k: [400, 0]
  empty: [0, 220]
"""


@pytest.fixture(autouse=True)
def canvas(page: Page) -> None:
    """A file on the canvas, in its own size, with nothing in front of it."""
    ready(page)
    page.evaluate("nodegraph.set({yaml: false, side: null, minimap: false})")
    open_text(page, FILE % "\\n".join(["a line"] * 40))
    wait_for(page, "app => app.session.get().graph.get().nodes.has('k')")
    page.evaluate("nodegraph.camera.set({x: -60, y: -60, scale: 1})")
    expect(node(page, "k")).to_be_visible()


def node(page: Page, id: str) -> Locator:
    return page.locator(f'#stage .node[data-id="{id}"]')


def field(page: Page, id: str, name: str) -> Locator:
    return node(page, id).locator(f'.widget[data-input="{name}"] .widget-field').first


def state(page: Page) -> dict[str, Any]:
    """Where the node lies, what the canvas shows, and what is selected."""
    return page.evaluate("""() => {
      const session = nodegraph.session.get();
      const { x, y } = session.graph.get().places.get('k');
      return { x, y, camera: nodegraph.camera.get(), selection: [...session.selection.get()] };
    }""")


def middle(what: Locator) -> tuple[float, float]:
    box = what.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_dragging_a_number_moves_nothing(page: Page) -> None:
    before = state(page)
    x, y = middle(field(page, "k", "steps"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    assert value_of(page, "k", "steps") == 40
    after = state(page)
    assert (after["x"], after["y"], after["camera"]) == (before["x"], before["y"], before["camera"])
    page.keyboard.press("Control+z")
    assert value_of(page, "k", "steps") == 30, "nothing has the focus, so the key is the canvas's"


def test_pressing_twice_in_a_widget_looks_for_no_node(page: Page) -> None:
    field(page, "k", "cfg").dblclick()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.type("3.5")
    page.keyboard.press("Control+s")
    assert value_of(page, "k", "cfg") == 3.5, "what saves the file takes it along"


def test_keys_in_a_field_are_not_the_canvass(page: Page) -> None:
    node(page, "k").locator(".node-head").click()
    field(page, "encode", "text").fill("")
    page.keyboard.type("hv.p")
    page.keyboard.press("Delete")
    page.keyboard.press("Control+a")
    assert value_of(page, "encode", "text") == "hv.p"
    assert state(page)["selection"] == ["k"]
    page.keyboard.press("Escape")
    expect(node(page, "encode")).to_be_focused()


def test_the_wheel_zooms_over_widgets_and_scrolls_a_text_that_is_edited(page: Page) -> None:
    prompt = field(page, "encode", "text")
    page.mouse.move(*middle(prompt))
    page.mouse.wheel(0, -100)
    wait_for(page, "app => app.camera.get().scale > 1")
    assert prompt.evaluate("element => element.scrollTop") == 0
    prompt.focus()
    before = state(page)["camera"]
    page.mouse.move(*middle(prompt))
    page.mouse.wheel(0, 60)
    page.wait_for_function("element => element.scrollTop > 0", arg=prompt.element_handle())
    assert state(page)["camera"] == before


def test_the_menu_of_a_widget_is_its_own(page: Page) -> None:
    node(page, "k").locator('.widget[data-input="steps"] .widget-name').click(button="right")
    expect(page.get_by_role("menu")).to_have_count(1)
    page.get_by_role("menuitem", name="Make it a parameter").click()
    assert value_of(page, "k", "steps") == "$steps"


def test_a_parameter_is_changed_in_all_its_widgets(page: Page) -> None:
    field(page, "empty", "width").fill("768")
    page.keyboard.press("Enter")
    expect(field(page, "empty", "height")).to_have_value("768")
    page.evaluate("nodegraph.session.get().flush()")
    assert "params: {size: 768}" in page.evaluate("nodegraph.session.get().text.get()")
    expect(node(page, "empty").get_by_role("button", name="Parameter size")).to_have_count(2)


def test_a_list_lies_over_the_canvas_at_any_size(page: Page) -> None:
    page.evaluate("nodegraph.camera.set({x: -60, y: -60, scale: 0.6})")
    field(page, "k", "scheduler").click()
    options = page.locator(".popup").get_by_role("option")
    expect(options.first).to_be_visible()
    page.mouse.click(900, 700)
    expect(options).to_have_count(0)
    assert value_of(page, "k", "scheduler") is None
