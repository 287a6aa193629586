"""Edits by key and menu: undone step by step, copied between files and windows."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.flows import HELLO, ready, text_of


@pytest.fixture
def canvas(page: Page) -> Page:
    """The page with hello.yaml on the canvas."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ready(page)
    page.locator("#stage").click(position={"x": 20, "y": 20})
    return page


def select(page: Page, *names: str) -> None:
    """Select nodes by clicking their headers."""
    for at, name in enumerate(names):
        page.locator(f'#stage .node[data-id="{name}"] .node-title').click(modifiers=["Control"] if at else [])


def ids(page: Page) -> list[str]:
    return page.evaluate("() => [...nodegraph.session.get().graph.get().nodes.keys()]")


def ids_become(page: Page, *last: str) -> None:
    """Wait until the graph's last nodes are these; the clipboard is read while the page goes on."""
    condition = """(last) => {
      const ids = [...nodegraph.session.get().graph.get().nodes.keys()];
      return JSON.stringify(ids.slice(-last.length)) === JSON.stringify(last);
    }"""
    page.wait_for_function(condition, arg=list(last))


def test_a_deleted_node_comes_back_to_the_byte(canvas: Page) -> None:
    select(canvas, "latent")
    canvas.keyboard.press("Delete")
    assert "latent" not in ids(canvas)
    canvas.keyboard.press("Control+z")
    assert text_of(canvas) == HELLO
    canvas.keyboard.press("Control+Shift+z")
    assert "latent" not in ids(canvas)


def test_copies_keep_the_links_among_themselves(canvas: Page) -> None:
    select(canvas, "latent", "picture")
    canvas.keyboard.press("Control+c")
    canvas.keyboard.press("Control+v")
    ids_become(canvas, "latent_2", "picture_2")
    assert "samples: $latent_2" in text_of(canvas)
    assert "positive: $positive" not in text_of(canvas).partition("latent_2:")[2]


def test_copies_keep_the_links_from_outside_with_shift(canvas: Page) -> None:
    select(canvas, "latent")
    canvas.keyboard.press("Control+c")
    canvas.keyboard.press("Control+Shift+v")
    ids_become(canvas, "latent_2")
    assert "positive: $positive" in text_of(canvas).partition("latent_2:")[2]


def test_copies_go_to_another_window_as_readable_text(canvas: Page) -> None:
    select(canvas, "positive")
    canvas.keyboard.press("Control+c")
    copied = canvas.evaluate("() => navigator.clipboard.readText()")
    assert "uses: CLIPTextEncode" in copied
    other = canvas.context.new_page()
    ready(other)
    other.keyboard.press("Alt+n")
    other.locator("#stage").click(position={"x": 20, "y": 20})
    other.keyboard.press("Control+v")
    ids_become(other, "positive")
    assert ids(other) == ["positive"]
    assert "text: a red star at night under the stars" in text_of(other)


def test_cut_and_duplicate(canvas: Page) -> None:
    select(canvas, "save")
    canvas.keyboard.press("Control+d")
    assert ids(canvas)[-1] == "save_2"
    canvas.keyboard.press("Control+x")
    ids_become(canvas, "save")


@pytest.mark.parametrize(
    ("keys", "written"),
    [
        ("Control+m", "mode: muted"),
        ("Control+b", "mode: bypassed"),
        ("Alt+c", "collapsed: true"),
        ("p", "pinned: true"),
    ],
)
def test_modes_and_looks_are_switched(canvas: Page, keys: str, written: str) -> None:
    select(canvas, "negative")
    canvas.keyboard.press(keys)
    assert written in text_of(canvas)
    canvas.keyboard.press(keys)
    assert written not in text_of(canvas)


def test_a_name_is_changed_wherever_it_stands(canvas: Page) -> None:
    select(canvas, "latent")
    canvas.keyboard.press("F2")
    field = canvas.get_by_label("Name in the file")
    field.fill("2 bad")
    expect(canvas.get_by_role("alert").filter(has_text="A name is a letter")).to_be_visible()
    field.fill("seed")
    expect(canvas.get_by_role("alert").filter(has_text="seed is taken")).to_be_visible()
    field.fill("sampler")
    field.press("Enter")
    expect(canvas.get_by_role("dialog")).to_have_count(0)
    assert text_of(canvas) == HELLO.replace("latent:\n", "sampler:\n").replace("$latent", "$sampler").replace(
        "latent: [", "sampler: ["
    )


def test_a_group_goes_around_what_is_selected(canvas: Page) -> None:
    select(canvas, "positive", "negative")
    canvas.keyboard.press("Control+g")
    assert "groups:\n  Group: [" in text_of(canvas)
    canvas.keyboard.press("Control+z")
    assert text_of(canvas) == HELLO


def test_nodes_are_lined_up_from_the_menu(canvas: Page) -> None:
    select(canvas, "positive", "canvas", "latent")
    canvas.get_by_role("menuitem", name="Edit").click()
    canvas.get_by_role("menuitem", name="Align left edges").click()
    xs = canvas.evaluate(
        "() => ['positive', 'canvas', 'latent'].map((id) => nodegraph.session.get().graph.get().places.get(id).x)"
    )
    assert len(set(xs)) == 1


def test_menus_are_walked_by_keyboard(canvas: Page) -> None:
    canvas.get_by_role("menuitem", name="File").focus()
    canvas.keyboard.press("ArrowDown")
    expect(canvas.get_by_role("menuitem", name="New Alt+N")).to_be_focused()
    canvas.keyboard.press("ArrowRight")
    expect(canvas.get_by_role("menu", name="Edit")).to_be_visible()
    canvas.keyboard.press("Escape")
    expect(canvas.get_by_role("menu")).to_have_count(0)
    expect(canvas.get_by_role("menuitem", name="Edit")).to_be_focused()


def test_keys_belong_to_a_field_that_is_written_in(canvas: Page) -> None:
    select(canvas, "latent")
    canvas.locator("#yaml .cm-content").click()
    canvas.keyboard.press("Delete")
    canvas.keyboard.type("p")
    assert "latent" in ids(canvas)
    assert "pinned" not in text_of(canvas)


def test_the_list_of_keys_opens_by_a_question_mark(canvas: Page) -> None:
    canvas.keyboard.press("?")
    dialog = canvas.get_by_role("dialog", name="Keys and gestures")
    expect(dialog).to_contain_text("Ctrl+Shift+Z")
    canvas.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_everything_that_was_done_is_undone_to_the_byte(canvas: Page) -> None:
    canvas.keyboard.press("Control+a")
    canvas.keyboard.press("Control+d")
    canvas.keyboard.press("Control+m")
    canvas.keyboard.press("Control+g")
    select(canvas, "model")
    canvas.keyboard.press("Delete")
    while canvas.evaluate("() => nodegraph.session.get().history.undoLabel") is not None:
        canvas.keyboard.press("Control+z")
    assert text_of(canvas) == HELLO


def test_a_selection_becomes_a_sub_workflow_that_runs(canvas: Page) -> None:
    canvas.keyboard.press("Control+Shift+s")
    canvas.get_by_label("Name", exact=True).fill("parts/whole")
    canvas.get_by_role("button", name="Save", exact=True).click()
    expect(canvas.locator(".tab.shown .tab-name")).to_have_text("parts/whole.yaml")
    select(canvas, "positive", "negative")
    canvas.keyboard.press("Control+Shift+e")
    canvas.get_by_label("Name", exact=True).fill("prompts")
    canvas.get_by_role("button", name="Save", exact=True).click()
    ids_become(canvas, "prompts")
    node = canvas.locator('.node[data-id="prompts"]')
    expect(node).not_to_have_class("missing")
    expect(node.get_by_text("clip", exact=True)).to_be_visible()
    assert "uses: ./prompts.yaml" in text_of(canvas)
    canvas.wait_for_function("() => nodegraph.plan.get().size > 0 && nodegraph.problems.get().length === 0")
    select(canvas, "prompts")
    canvas.keyboard.press("Control+Alt+e")
    expect(canvas.locator(".tab.shown .tab-name")).to_have_text("parts/prompts.yaml")
    assert ids(canvas) == ["positive", "negative"]
