"""The canvas under the pointer: moving, selecting, sizing, looking around, menus, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.flows import HELLO, wait_for
from tests.web.stage_page import (
    asked,
    at,
    camera,
    caught,
    drag,
    look,
    place,
    points,
    selection,
    settle,
    show,
    text_of,
    title,
    value,
)

THREE = """nodegraph: 1
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  text: {uses: CLIPTextEncode, with: {clip: $model.clip, text: a star}}
  save: {uses: SaveImage, title: Keep it}
layout: {model: [0, 0], text: [400, 0], save: [0, 300]}
groups: {Texts: [360, -60, 420, 260]}
notes: [{text: remember, at: [300, 300], size: [200, 100]}]
"""


def node(page: Page, name: str):
    """A node on the page."""
    return page.locator(f'.node[data-id="{name}"]')


def test_a_file_is_shown_whole_when_it_opens(page: Page) -> None:
    show(page, HELLO)
    page.evaluate("() => nodegraph.actions.run('view.fit')")
    settle(page)
    expect(page.locator(".node")).to_have_count(7)
    for name in ("model", "positive", "negative", "canvas", "latent", "picture", "save"):
        expect(node(page, name)).to_be_in_viewport(ratio=0.99)


def test_a_dragged_node_moves_and_the_text_follows_in_one_step(page: Page) -> None:
    show(page, THREE)
    x, y = title(page, "model")
    drag(page, (x, y), (x + 37, y - 21))
    assert (place(page, "model")["x"], place(page, "model")["y"]) == (37, -21)
    assert "model: [37, -21]" in text_of(page)
    page.keyboard.press("Control+z")
    assert text_of(page) == THREE


def test_a_long_drag_is_one_step_and_escape_takes_it_back(page: Page) -> None:
    show(page, THREE)
    x, y = title(page, "model")
    page.evaluate(
        """() => {
          let now = 0;
          const session = nodegraph.session.get();
          session.clock = {...session.clock, now: () => now += 5000};
        }"""
    )
    drag(page, (x, y), (x + 60, y + 60))
    page.evaluate("() => nodegraph.session.get().undo()")
    assert place(page, "model")["x"] == 0
    drag(page, (x, y), (x + 60, y + 60), drop=False)
    assert place(page, "model")["x"] == 60
    page.keyboard.press("Escape")
    page.mouse.up()
    assert place(page, "model")["x"] == 0


def test_the_selection_moves_together_and_pinned_nodes_stay(page: Page) -> None:
    show(page, THREE.replace("text: [400, 0]", "text: {at: [400, 0], pinned: true}"))
    page.mouse.click(*title(page, "model"))
    page.keyboard.down("Control")
    page.mouse.click(*title(page, "text"))
    page.keyboard.up("Control")
    page.keyboard.down("Shift")
    page.mouse.click(*title(page, "save"))
    page.keyboard.up("Shift")
    assert selection(page) == {"model", "text", "save"}
    x, y = title(page, "save")
    drag(page, (x, y), (x + 50, y + 10))
    assert [place(page, each)["x"] for each in ("model", "text", "save")] == [50, 400, 50]


def test_shift_and_the_setting_snap_to_the_grid(page: Page) -> None:
    show(page, THREE.replace("model: [0, 0]", "model: [3, 4]"))
    x, y = title(page, "model")
    drag(page, (x, y), (x + 33, y + 33), keys=("Shift",))
    assert (place(page, "model")["x"], place(page, "model")["y"]) == (40, 40)
    page.evaluate("() => nodegraph.set({snap: true})")
    x, y = title(page, "model")
    drag(page, (x, y), (x + 13, y + 16))
    assert (place(page, "model")["x"], place(page, "model")["y"]) == (50, 60)


def test_a_group_takes_along_what_lies_in_it(page: Page) -> None:
    show(page, THREE)
    start = at(page, 500, -45)
    drag(page, start, (start[0] + 20, start[1] + 30))
    assert (place(page, "text")["x"], place(page, "text")["y"]) == (420, 30)
    assert place(page, "model")["x"] == 0
    assert "Texts: [380, -30, 420, 260]" in text_of(page)


def test_alt_drags_a_copy(page: Page) -> None:
    show(page, THREE)
    x, y = title(page, "save")
    drag(page, (x, y), (x + 200, y + 100), keys=("Alt",))
    assert place(page, "save")["x"] == 0
    assert page.evaluate("() => nodegraph.session.get().graph.get().nodes.size") == 4
    (copy,) = selection(page)
    assert copy.startswith("save")
    assert place(page, copy)["x"] > 150


def test_a_frame_selects_adds_and_takes_away(page: Page) -> None:
    show(page, THREE)
    drag(page, at(page, -60, -60), at(page, 260, 60), keys=("Control",))
    assert selection(page) == {"model"}
    drag(page, at(page, -60, 260), at(page, 60, 330), keys=("Control", "Alt"))
    assert selection(page) == {"model"}
    page.evaluate("() => nodegraph.set({drag: 'select'})")
    drag(page, at(page, -60, 260), at(page, 320, 330), keys=("Shift",))
    assert selection(page) == {"model", "save", "note:0"}
    drag(page, at(page, -60, -60), at(page, 60, 60), keys=("Alt",))
    assert selection(page) == {"save", "note:0"}
    page.mouse.click(*at(page, -60, 200))
    assert selection(page) == set()


def test_dragging_empty_canvas_moves_it_and_so_do_space_and_the_middle_button(page: Page) -> None:
    show(page, THREE)
    before = camera(page)
    start = at(page, 200, 250)
    drag(page, start, (start[0] + 50, start[1] + 20))
    assert (camera(page)["x"], camera(page)["y"]) == (before["x"] - 50, before["y"] - 20)
    over = title(page, "model")
    page.locator("#stage").focus()
    drag(page, over, (over[0] + 10, over[1] + 10), keys=("Space",))
    assert camera(page)["x"] == before["x"] - 60
    field = node(page, "text").get_by_role("textbox").bounding_box()
    assert field is not None
    drag(page, (field["x"] + 20, field["y"] + 20), (field["x"] + 50, field["y"] + 20), button="middle")
    assert camera(page)["x"] == before["x"] - 90
    assert place(page, "model")["x"] == 0


def test_the_wheel_zooms_at_the_pointer_or_scrolls_as_it_is_set(page: Page) -> None:
    show(page, THREE)
    over = at(page, 100, 200)
    page.mouse.move(*over)
    page.mouse.wheel(0, -200)
    wait_for(page, "app => app.camera.get().scale > 1")
    settle(page)
    moved = at(page, 100, 200)
    assert (round(moved[0]), round(moved[1])) == (round(over[0]), round(over[1]))
    page.evaluate("() => nodegraph.set({wheel: 'scroll'})")
    before = camera(page)
    page.mouse.wheel(0, 100)
    wait_for(page, "(app, y) => app.camera.get().y > y", before["y"])
    assert camera(page)["scale"] == before["scale"]
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    wait_for(page, "(app, scale) => app.camera.get().scale > scale", before["scale"])


def test_zoom_has_ends_and_keys(page: Page) -> None:
    show(page, THREE)
    page.mouse.move(*at(page, 100, 200))
    for _ in range(12):
        page.mouse.wheel(0, -600)
    wait_for(page, "app => app.camera.get().scale === 4")
    for _ in range(20):
        page.mouse.wheel(0, 600)
    wait_for(page, "app => app.camera.get().scale === 0.05")
    page.locator("#stage").focus()
    page.keyboard.press("Period")
    assert camera(page)["scale"] > 0.5
    before = camera(page)["scale"]
    page.keyboard.press("Alt+Minus")
    assert camera(page)["scale"] == pytest.approx(before / 1.25)
    page.keyboard.press("Alt+Equal")
    assert camera(page)["scale"] == pytest.approx(before)
    start = at(page, 200, 250)
    drag(page, start, (start[0], start[1] - 100), keys=("Control", "Shift"))
    assert camera(page)["scale"] > before


def test_nodes_notes_and_groups_are_sized_at_their_corner(page: Page) -> None:
    show(page, THREE)
    box = node(page, "model").bounding_box()
    assert box is not None
    corner = (box["x"] + box["width"] - 5, box["y"] + box["height"] - 5)
    drag(page, corner, (corner[0] + 70, corner[1] + 45))
    assert place(page, "model")["width"] == 300
    assert place(page, "model")["height"] == box["height"] + 45
    drag(page, at(page, 494, 394), at(page, 554, 444))
    drag(page, at(page, 774, 194), at(page, 804, 294))
    text = text_of(page)
    assert "size: [260, 150]" in text
    assert "Texts: [360, -60, 450, 360]" in text


def test_a_title_is_changed_in_place(page: Page) -> None:
    show(page, THREE)
    page.mouse.dblclick(*title(page, "save"))
    field = page.get_by_role("textbox", name="Change the title")
    expect(field).to_have_value("Keep it")
    expect(field).to_be_focused()
    field.fill("<b>Keep</b>")
    page.keyboard.press("Enter")
    expect(node(page, "save").locator(".node-title")).to_have_text("<b>Keep</b>")
    expect(node(page, "save")).to_be_focused()
    page.mouse.dblclick(*title(page, "save"))
    field.fill("never")
    page.keyboard.press("Escape")
    expect(node(page, "save").locator(".node-title")).to_have_text("<b>Keep</b>")
    page.mouse.dblclick(*at(page, 400, -45))
    field.fill("Words")
    page.keyboard.press("Enter")
    page.mouse.dblclick(*at(page, 350, 350))
    field.fill("two\nlines")
    page.keyboard.press("Control+Enter")
    text = text_of(page)
    assert 'title: "<b>Keep</b>"' in text or "title: <b>Keep</b>" in text
    assert "Words: [360, -60, 420, 260]" in text
    expect(page.locator(".note-text")).to_have_text("two\nlines")


def test_a_node_is_folded_to_its_header(page: Page) -> None:
    show(page, THREE)
    node(page, "model").get_by_role("button", name="Collapse").click()
    settle(page)
    box = node(page, "model").bounding_box()
    assert box is not None
    assert box["height"] == 30
    expect(node(page, "model").locator(".node-row")).to_have_count(0)
    node(page, "model").get_by_role("button", name="Expand").click()
    expect(node(page, "model").locator(".node-row")).not_to_have_count(0)
    assert text_of(page) == THREE


def test_modes_and_problems_are_seen(page: Page) -> None:
    text = THREE.replace("save: {uses: SaveImage", "save: {uses: Gone").replace(
        "model: {uses", "model: {note: from the shelf, uses"
    )
    show(
        page,
        text.replace("text: {uses", "text: {mode: bypassed, uses").replace("model: {note", "model: {mode: muted, note"),
    )
    expect(node(page, "model")).to_have_class(re.compile(r"\bmuted\b"))
    expect(node(page, "model").get_by_role("img", name="from the shelf")).to_be_visible()
    expect(node(page, "text")).to_have_class(re.compile(r"\bbypassed\b"))
    expect(node(page, "save")).to_have_class(re.compile(r"\bmissing\b"))
    expect(node(page, "save")).to_have_accessible_name(re.compile("Gone"))
    wait_for(page, "app => app.problems.get().some((problem) => problem.node === 'save')")
    page.evaluate(
        """() => nodegraph.problems.set([
          {code: 'x', node: 'text', input: 'clip', message: 'no <i>clip</i>', hint: 'link one'},
          {code: 'y', node: 'text', message: 'it cannot be'},
        ])"""
    )
    expect(node(page, "text")).to_have_class(re.compile(r"\bwrong\b"))
    row = node(page, "text").locator(".node-row.wrong")
    expect(row).to_have_attribute("title", "no <i>clip</i>\nlink one")
    node(page, "text").hover()
    expect(node(page, "text").get_by_text("no <i>clip</i>")).to_be_visible()
    expect(node(page, "text").get_by_text("it cannot be")).to_be_visible()


def test_a_run_is_followed_at_the_nodes(page: Page) -> None:
    show(page, THREE)
    caught(page, "gallery.show")
    page.evaluate(
        """() => {
          const picture = {id: 'p', name: 'a.png', file: '/icon.svg', thumbnail: '/icon.svg', width: 512, height: 256};
          nodegraph.run.set({...nodegraph.run.get(), state: 'running', nodes: new Map([
            ['model', {state: 'running', value: 3, total: 12}],
            ['text', {state: 'failed', problem: {code: 'z', message: 'out of memory', hint: 'make it smaller'}}],
            ['save', {state: 'done', seconds: 1.26, pictures: [picture]}],
          ])});
        }"""
    )
    expect(node(page, "model")).to_have_attribute("data-state", "running")
    expect(node(page, "model").locator(".node-bar")).to_have_attribute("title", "3 / 12")
    expect(node(page, "text").get_by_text("out of memory")).to_be_visible()
    expect(node(page, "text").get_by_text("make it smaller")).to_be_visible()
    expect(node(page, "save").get_by_role("img", name="done")).to_be_visible()
    expect(node(page, "save").get_by_text("1.3 s")).to_be_visible()
    expect(node(page, "save").get_by_text("512 × 256")).to_be_visible()
    node(page, "save").get_by_role("button", name="Show a.png").click()
    assert asked(page)[0]["picture"]["id"] == "p"


def test_what_is_kept_is_marked_with_the_reason(page: Page) -> None:
    show(page, HELLO)
    wait_for(page, "app => app.plan.get().size > 0")
    page.evaluate(
        "() => nodegraph.plan.set(new Map([['model', {runs: false, reason: 'hit', text: 'kept since yesterday'}]]))"
    )
    expect(node(page, "model").get_by_role("img", name="kept since yesterday")).to_be_visible()


def test_double_click_on_empty_canvas_looks_for_a_node(page: Page) -> None:
    show(page, THREE)
    caught(page, "search.open")
    page.mouse.dblclick(*at(page, 200, 220))
    (found,) = asked(page)
    assert (found["x"], found["y"]) == (pytest.approx(200, abs=1), pytest.approx(220, abs=1))


def test_a_type_that_is_dropped_becomes_a_node(page: Page) -> None:
    show(page, THREE)
    x, y = at(page, 600, 400)
    page.evaluate(
        """([x, y]) => {
          const data = new DataTransfer();
          data.setData('application/x-nodegraph-type', 'VAEDecode');
          for (const type of ['dragover', 'drop']) {
            const how = {bubbles: true, cancelable: true, clientX: x, clientY: y, dataTransfer: data};
            document.getElementById('stage').dispatchEvent(new DragEvent(type, how));
          }
        }""",
        [x, y],
    )
    (added,) = selection(page)
    expect(node(page, added)).to_be_focused()
    assert "uses: VAEDecode" in text_of(page)


def test_menus_have_what_the_keyboard_has(page: Page) -> None:
    show(page, THREE)
    page.mouse.click(*title(page, "model"), button="right")
    menu = page.get_by_role("menu", name="Node")
    expect(menu).to_be_visible()
    page.keyboard.type("byp")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    expect(menu.get_by_role("menuitem").nth(1)).to_be_focused()
    menu.get_by_role("menuitem", name="Bypass").click()
    expect(menu).to_have_count(0)
    expect(node(page, "model")).to_have_class(re.compile(r"\bbypassed\b"))
    page.mouse.click(*at(page, -60, 200), button="right")
    expect(page.get_by_role("menu", name="Canvas")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    page.mouse.click(*at(page, 400, -45), button="right")
    page.get_by_role("menu", name="Group").get_by_role("menuitem", name="Take the frame away").click()
    expect(page.locator(".group")).to_have_count(0)


def test_a_parameter_is_made_of_a_value_by_its_menu(page: Page) -> None:
    show(page, THREE)
    page.mouse.click(*at(page, 420, 75), button="right")
    page.get_by_role("menuitem", name="Make it a parameter").click()
    assert value(page, "text", "text") == "$text" or value(page, "text", "text") == "$text_2"


def test_modes_of_the_mouse_have_keys(page: Page) -> None:
    show(page, THREE)
    page.locator("#stage").focus()
    page.keyboard.press("v")
    wait_for(page, "app => app.settings.get().drag === 'select'")
    page.keyboard.press("h")
    wait_for(page, "app => app.settings.get().drag === 'pan'")
    page.keyboard.press("Alt+m")
    expect(page.locator(".minimap")).to_be_visible()
    box = page.locator(".minimap").bounding_box()
    assert box is not None
    before = camera(page)
    page.mouse.click(box["x"] + 20, box["y"] + 20)
    assert camera(page) != before
    assert camera(page)["scale"] == before["scale"]


def test_each_file_keeps_its_view(page: Page) -> None:
    show(page, THREE)
    look(page, 55, 66, 0.8)
    page.evaluate("() => { window.first = nodegraph.session.get(); }")
    show(page, HELLO)
    look(page, 5, 6, 0.9)
    page.evaluate("() => nodegraph.open(window.first)")
    assert camera(page) == {"x": 55, "y": 66, "scale": 0.8}
    settle(page)
    assert points(page, "text.clip") == []
