"""The canvas with many nodes, by keyboard, under fingers, and with strings that would like to be markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.flows import open_text, ready, wait_for
from tests.web.stage_page import announced, asked, at, camera, caught, look, place, selection, settle, show, title
from tests.web.support import Served

GRID = """nodegraph: 1
nodes:
  a: {uses: VAEDecode}
  b: {uses: VAEDecode, with: {samples: $d}}
  c: {uses: VAEDecode}
  d: {uses: EmptyLatentImage}
layout: {a: [0, 0], b: [400, 0], c: [0, 300], d: [400, 300]}
"""


def many(count: int) -> str:
    """Chains of five nodes, in rows."""
    lines, layout = ["nodegraph: 1", "nodes:"], []
    for i in range(count):
        given = f"samples: $n{i - 1}" if i % 5 == 1 else ""
        lines.append(f"  n{i}: {{uses: {'EmptyLatentImage' if i % 5 == 0 else 'VAEDecode'}, with: {{{given}}}}}")
        layout.append(f"n{i}: [{(i % 40) * 280}, {(i // 40) * 220}]")
    return "\n".join([*lines, f"layout: {{{', '.join(layout)}}}", ""])


def mounted(page: Page) -> int:
    """How many nodes are elements of the page."""
    return page.evaluate("() => document.querySelectorAll('.node').length")


def still(page: Page) -> None:
    """Wait until a frame has put no more nodes on the page."""
    page.evaluate(
        """async () => {
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          const count = () => document.querySelectorAll('.node').length;
          for (let before = -1, same = 0; same < 3; ) {
            await frame();
            same = count() === before ? same + 1 : 0;
            before = count();
          }
        }"""
    )


def test_only_nodes_in_view_are_on_the_page(page: Page) -> None:
    show(page, many(1000))
    still(page)
    assert 8 <= mounted(page) < 60
    for scale in (0.6, 0.4, 0.36, 0.3, 0.26):
        look(page, 1000, 500, scale)
        still(page)
        assert 0 < mounted(page) < 150, scale
    page.evaluate("() => nodegraph.actions.run('view.fit')")
    still(page)
    assert camera(page)["scale"] < 0.2
    assert mounted(page) == 0
    page.evaluate("() => nodegraph.session.get().selection.set(new Set(['n500']))")
    still(page)
    assert mounted(page) == 1
    page.locator("#stage").focus()
    page.keyboard.press("Control+a")
    still(page)
    assert mounted(page) < 150


def test_nodes_can_be_dragged_as_boxes_from_afar(page: Page) -> None:
    show(page, many(200), camera=(-500, -500, 0.1))
    x, y = at(page, 100, 60)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20)
    settle(page)
    page.mouse.up()
    settle(page)
    assert (place(page, "n0")["x"], place(page, "n0")["y"]) == (pytest.approx(300, abs=12), pytest.approx(200, abs=12))


def test_the_canvas_moves_along_when_a_node_is_dragged_to_its_edge(page: Page) -> None:
    show(page, GRID)
    page.mouse.move(*title(page, "a"))
    page.mouse.down()
    page.mouse.move(700, 300)
    page.mouse.move(1275, 300)
    wait_for(page, "app => app.camera.get().x > 200")
    page.mouse.up()
    settle(page)
    dragged = page.locator('.node[data-id="a"]').bounding_box()
    assert dragged is not None
    assert dragged["x"] < 1275 < dragged["x"] + dragged["width"]
    assert place(page, "a")["x"] > 1000


def test_what_is_typed_in_a_field_survives_its_node_leaving_the_view(page: Page) -> None:
    show(page, GRID)
    field = (
        page.locator('.node[data-id="d"]')
        .get_by_role("spinbutton", name="width")
        .or_(page.locator('.node[data-id="d"]').get_by_role("textbox", name="width"))
    )
    field.fill("320")
    look(page, 9000, 9000, 1)
    still(page)
    assert page.evaluate("() => [...document.querySelectorAll('.node')].map((node) => node.dataset.id)") == ["d"]
    expect(field).to_have_value("320")


def test_arrow_keys_go_from_node_to_node_and_bring_them_into_view(page: Page) -> None:
    show(page, GRID, camera=(-50, -50, 1))
    page.locator("#stage").focus()
    page.locator('.node[data-id="a"]').focus()
    for key, name in (("ArrowRight", "b"), ("ArrowDown", "d"), ("ArrowLeft", "c"), ("ArrowUp", "a")):
        page.keyboard.press(key)
        expect(page.locator(f'.node[data-id="{name}"]')).to_be_focused()
        assert selection(page) == {name}
    look(page, 3000, 3000, 1)
    page.locator("#stage").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator('.node[data-id="d"]')).to_be_focused()
    expect(page.locator('.node[data-id="d"]')).to_be_in_viewport(ratio=0.99)
    page.keyboard.press("Escape")
    expect(page.locator("#stage")).to_be_focused()


def test_a_node_is_called_into_view(page: Page) -> None:
    show(page, many(300))
    page.evaluate("() => nodegraph.actions.run('view.focus', new CustomEvent('focus', {detail: {id: 'n280'}}))")
    expect(page.locator('.node[data-id="n280"]')).to_be_focused()
    expect(page.locator('.node[data-id="n280"]')).to_be_in_viewport(ratio=0.99)
    assert selection(page) == {"n280"}


NASTY = '<img src=x onerror=\\"window.pwned=1\\"><script>window.pwned=1</script>&amp;'


def test_strings_of_a_file_are_shown_as_they_are(page: Page) -> None:
    shown = NASTY.replace("\\", "")
    show(
        page,
        f"""nodegraph: 1
nodes:
  a: {{uses: "{NASTY}", title: "{NASTY}", note: "{NASTY}", with: {{"{NASTY}": "{NASTY}", x: 1}}}}
  b: {{uses: VAEDecode, title: "constructor", with: {{samples: $a.__proto__}}}}
params: {{prompt: "{NASTY}"}}
layout: {{a: {{at: [0, 0], colour: "url(javascript:alert(1))"}}, b: [400, 0]}}
groups: {{"{NASTY}": [-20, 200, 300, 100]}}
notes: [{{text: "{NASTY}", at: [400, 200], size: [300, 100]}}]
""",
    )
    node = page.locator('.node[data-id="a"]')
    expect(node.locator(".node-title")).to_have_text(shown)
    expect(node.get_by_text(shown).first).to_be_visible()
    expect(page.locator(".group-title")).to_have_text(shown)
    expect(page.locator(".note-text")).to_have_text(shown)
    expect(page.locator("#stage img, #stage script")).to_have_count(0)
    page.mouse.click(*title(page, "a"), button="right")
    page.keyboard.press("Escape")
    page.evaluate(
        """(text) => {
          nodegraph.problems.set([{code: 'x', node: 'a', message: text, hint: text}]);
          const failed = {state: 'failed', problem: {code: 'y', message: text + '!'}};
          nodegraph.run.set({...nodegraph.run.get(), nodes: new Map([['a', failed]])});
        }""",
        shown,
    )
    expect(node.locator(".node-trouble")).to_contain_text(shown)
    assert page.evaluate("() => window.pwned") is None


class Hand:
    """Fingers on a screen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.session = page.context.new_cdp_session(page)

    def touch(self, kind: str, *fingers: tuple[float, float]) -> None:
        """Tell the browser where fingers are now."""
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(fingers)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        settle(self.page)


@pytest.fixture
def hand(browser: Browser, served: Served) -> Iterator[Hand]:
    """A page on a device that is touched."""
    context = browser.new_context(
        base_url=served.url, viewport={"width": 800, "height": 800}, has_touch=True, locale="en-US"
    )
    yield Hand(context.new_page())
    context.close()


def test_one_finger_moves_the_canvas_or_a_node_and_two_zoom(hand: Hand) -> None:
    page, touch = hand.page, hand.touch
    show(page, GRID)
    before = camera(page)
    x, y = at(page, 200, 200)
    touch("touchStart", (x, y))
    touch("touchMove", (x + 20, y + 20))
    touch("touchMove", (x + 40, y + 30))
    touch("touchEnd")
    assert (camera(page)["x"], camera(page)["y"]) == (
        pytest.approx(before["x"] - 40, abs=1),
        pytest.approx(before["y"] - 30, abs=1),
    )
    x, y = title(page, "a")
    touch("touchStart", (x, y))
    touch("touchMove", (x + 20, y + 20))
    touch("touchMove", (x + 50, y + 60))
    touch("touchEnd")
    assert (place(page, "a")["x"], place(page, "a")["y"]) == (pytest.approx(50, abs=1), pytest.approx(60, abs=1))
    touch("touchStart", (600, 700))
    touch("touchStart", (600, 700), (700, 700))
    touch("touchMove", (550, 700), (750, 700))
    touch("touchEnd")
    assert camera(page)["scale"] == pytest.approx(2, abs=0.05)


def test_a_long_press_opens_the_menu(hand: Hand) -> None:
    page, touch = hand.page, hand.touch
    show(page, GRID)
    touch("touchStart", title(page, "a"))
    expect(page.get_by_role("menu", name="Node")).to_be_visible()
    touch("touchEnd")
    expect(page.get_by_role("menu", name="Node")).to_be_visible()


def test_the_camera_and_the_theme_follow(page: Page) -> None:
    show(page, GRID)
    before = page.evaluate("() => document.querySelector('.stage-canvas').toDataURL()")
    page.evaluate("() => nodegraph.set({theme: 'dark'})")
    page.wait_for_function("(before) => document.querySelector('.stage-canvas').toDataURL() !== before", arg=before)


def test_a_file_without_layout_is_laid_out_so_that_nothing_overlaps(page: Page) -> None:
    ready(page)
    text = re.sub(r"(?ms)^layout:.*?(?=^\S|\Z)", "", many(60))
    open_text(page, text)
    overlaps = """() => {
      const boxes = [...document.querySelectorAll('.node')].map((node) => node.getBoundingClientRect());
      const beside = (a, b) => a.left >= b.right - 1 || b.left >= a.right - 1;
      const meet = (a, b) => !beside(a, b) && a.top < b.bottom - 1 && b.top < a.bottom - 1;
      return boxes.some((a, i) => boxes.some((b, j) => i < j && meet(a, b)));
    }"""
    page.evaluate("() => nodegraph.actions.run('view.fit')")
    page.evaluate("() => nodegraph.camera.update((camera) => ({...camera, scale: 0.36}))")
    still(page)
    assert not page.evaluate(overlaps)
    before = place(page, "n3")
    page.keyboard.press("Control+Shift+L")
    wait_for(
        page, "(app, before) => JSON.stringify(app.session.get().graph.get().places.get('n3')) !== before", str(before)
    )
    page.evaluate("() => nodegraph.actions.run('view.fit')")
    page.evaluate("() => nodegraph.camera.update((camera) => ({...camera, scale: 0.36}))")
    still(page)
    assert not page.evaluate(overlaps)
    assert announced(page) == ""
    caught(page, "search.open")
    assert asked(page) == []
