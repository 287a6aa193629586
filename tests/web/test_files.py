"""Opening, saving and keeping files in the browser: nothing is lost, nothing is overwritten unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.flows import HELLO, ready, text_of
from tests.web.support import Served


@pytest.fixture
def canvas(page: Page) -> Page:
    """The page, ready."""
    return started(page)


def started(page: Page) -> Page:
    ready(page)
    return page


def set_steps(page: Page, steps: int) -> None:
    """A change of the graph, as a widget makes it."""
    change = """async (steps) => {
      const { setInput } = await import('/src/model/graph.js');
      nodegraph.session.get().edit('edit.text', (graph) => setInput(graph, 'latent', 'steps', steps));
    }"""
    page.evaluate(change, steps)


def save_as(page: Page, name: str) -> None:
    page.keyboard.press("Control+Shift+s")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def tab(page: Page, name: str) -> None:
    """Wait until a file of this name is shown."""
    expect(page.locator(".tab.shown .tab-name")).to_have_text(name)


def test_a_first_visit_shows_the_example(canvas: Page) -> None:
    assert text_of(canvas) == HELLO
    tab(canvas, "hello")


def test_a_saved_file_is_what_is_opened_again(canvas: Page, served: Served) -> None:
    set_steps(canvas, 9)
    tab(canvas, "hello •")
    save_as(canvas, "folder/mine")
    tab(canvas, "folder/mine.yaml")
    saved = next(served.folder.rglob("mine.yaml"))
    assert saved.read_text(encoding="utf-8") == HELLO.replace("steps: 20", "steps: 9")
    set_steps(canvas, 11)
    canvas.keyboard.press("Control+s")
    tab(canvas, "folder/mine.yaml")
    assert "steps: 11" in saved.read_text(encoding="utf-8")
    canvas.get_by_role("button", name="Close").last.click()
    canvas.keyboard.press("Control+o")
    canvas.get_by_role("button", name="folder/mine.yaml").first.click()
    tab(canvas, "folder/mine.yaml")
    assert "steps: 11" in text_of(canvas)


def test_a_name_that_leads_elsewhere_is_refused_at_once(canvas: Page) -> None:
    canvas.keyboard.press("Control+Shift+s")
    canvas.get_by_label("Name", exact=True).fill("../out")
    expect(canvas.get_by_role("alert").filter(has_text="A name is made")).to_be_visible()
    canvas.get_by_role("button", name="Save", exact=True).click()
    expect(canvas.get_by_role("dialog")).to_be_visible()


def test_a_second_window_cannot_overwrite_unseen(canvas: Page, browser: Browser, served: Served) -> None:
    save_as(canvas, "shared")
    context = browser.new_context(base_url=served.url, locale="en-US")
    other = started(context.new_page())
    other.keyboard.press("Control+o")
    other.get_by_role("button", name="shared.yaml").first.click()
    tab(other, "shared.yaml")
    set_steps(other, 5)
    other.keyboard.press("Control+s")
    tab(other, "shared.yaml")
    context.close()

    set_steps(canvas, 7)
    canvas.keyboard.press("Control+s")
    dialog = canvas.get_by_role("dialog", name="shared.yaml has been saved elsewhere meanwhile")
    expect(dialog).to_contain_text("steps")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    saved = next(served.folder.rglob("shared.yaml"))
    assert "steps: 5" in saved.read_text(encoding="utf-8")
    canvas.keyboard.press("Control+s")
    dialog.get_by_role("button", name="Open the other one").click()
    expect(dialog).to_have_count(0)
    tab(canvas, "shared.yaml (as saved)")
    assert "steps: 5" in text_of(canvas)
    canvas.locator(".tab-open", has_text="shared.yaml •").click()
    canvas.keyboard.press("Control+s")
    dialog.get_by_role("button", name="Save mine over it").click()
    tab(canvas, "shared.yaml")
    assert "steps: 7" in saved.read_text(encoding="utf-8")


def test_what_was_open_comes_back_after_a_reload(canvas: Page) -> None:
    set_steps(canvas, 3)
    canvas.keyboard.press("Alt+n")
    tab(canvas, "untitled")
    canvas.locator(".tab-open", has_text="hello").click()
    canvas.reload()
    canvas.wait_for_selector("html[data-ready]")
    expect(canvas.locator(".tab")).to_have_count(2)
    tab(canvas, "hello •")
    assert text_of(canvas) == HELLO.replace("steps: 20", "steps: 3")


def test_what_was_open_in_a_window_that_crashed_comes_back(canvas: Page) -> None:
    set_steps(canvas, 4)
    stored = "() => Object.keys(localStorage).some((key) => (localStorage[key] ?? '').includes('steps: 4'))"
    canvas.wait_for_function(stored)
    context = canvas.context
    crashed = canvas.context.new_page()
    canvas.close()
    started(crashed)
    assert text_of(crashed) == HELLO.replace("steps: 20", "steps: 4")
    second = started(context.new_page())  # while the other one lives, it keeps its own
    assert text_of(second) == HELLO
    expect(crashed.locator(".tab")).to_have_count(1)


def test_closing_a_changed_file_asks(canvas: Page) -> None:
    set_steps(canvas, 3)
    canvas.keyboard.press("Alt+w")
    canvas.get_by_role("button", name="Cancel").click()
    expect(canvas.get_by_role("dialog")).to_have_count(0)
    tab(canvas, "hello •")
    canvas.keyboard.press("Alt+w")
    canvas.get_by_role("button", name="Close without saving").click()
    tab(canvas, "untitled")


@pytest.mark.parametrize("kind", ["yaml", "api", "ui", "json"])
def test_a_file_goes_out_and_comes_back(canvas: Page, kind: str, tmp_path: Path) -> None:
    labels = {
        "yaml": "Export as YAML",
        "api": "Export for ComfyUI’s API",
        "ui": "Export for ComfyUI’s editor",
        "json": "Export as JSON",
    }
    canvas.get_by_role("menuitem", name="File").click()
    with canvas.expect_download() as download:
        canvas.get_by_role("menuitem", name=labels[kind]).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    before = canvas.evaluate("() => [...nodegraph.session.get().graph.get().nodes.keys()]")
    canvas.get_by_role("menuitem", name="File").click()
    with canvas.expect_file_chooser() as chooser:
        canvas.get_by_role("menuitem", name="Open from this computer…").click()
    chooser.value.set_files(path)
    expect(canvas.locator(".tab")).to_have_count(2)
    types = "() => [...nodegraph.session.get().graph.get().nodes.values()].map((node) => node.uses).sort()"
    assert len(canvas.evaluate(types)) == len(before)
    assert "KSampler" in canvas.evaluate(types)


def test_a_picture_of_the_graph_has_the_workflow_in_it(canvas: Page, tmp_path: Path) -> None:
    canvas.get_by_role("menuitem", name="File").click()
    with canvas.expect_download() as download:
        canvas.get_by_role("menuitem", name="Export a picture of the graph").click()
    path = tmp_path / "graph.png"
    download.value.save_as(path)
    drop(canvas, path, "image/png")
    expect(canvas.locator(".tab")).to_have_count(2)
    tab(canvas, "graph")
    assert canvas.evaluate("() => nodegraph.session.get().graph.get().nodes.size") == 7


def test_a_dropped_api_file_opens_with_readable_names(canvas: Page, tmp_path: Path) -> None:
    path = tmp_path / "from comfy.json"
    path.write_text(json.dumps({"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny"}}}))
    drop(canvas, path, "application/json")
    tab(canvas, "from comfy")
    assert "uses: CheckpointLoaderSimple" in text_of(canvas)


def test_what_is_no_workflow_is_told(canvas: Page, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{not json")
    drop(canvas, path, "application/json")
    expect(canvas.locator("#messages")).to_contain_text("a key must be a text in double quotes")
    expect(canvas.locator(".tab")).to_have_count(1)


def drop(page: Page, path: Path, kind: str) -> None:
    """Drop a file of this computer on the canvas."""
    data = page.evaluate_handle(
        """async ([bytes, name, type]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          return transfer;
        }""",
        [list(path.read_bytes()), path.name, kind],
    )
    page.dispatch_event("#stage", "drop", {"dataTransfer": data})
