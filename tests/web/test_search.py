"""Finding node types: the search that a double click or a dropped link opens, and the palette."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.flows import open_text, ready, wait_for
from tests.web.stage_page import at, drag, place, show, socket, value
from tests.web.widgets_page import advance, text_of, undo

EMPTY = "nodes: {}\n"
ENCODER = "nodes:\n  load: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}\n  k: {uses: KSampler}\n"


def open_page(page: Page, text: str) -> None:
    """The page with a file, once it knows the node types."""
    ready(page)
    open_text(page, text)


def search(page: Page, **detail: Any) -> Locator:
    """Open the search as the canvas does."""
    page.evaluate(
        "(detail) => { window.nodegraph.actions.run('search.open', new CustomEvent('search', { detail })); }",
        {"x": 100, "y": 200, "clientX": 300, "clientY": 150, **detail},
    )
    return page.get_by_role("dialog", name="Add a node")


def nodes(page: Page) -> dict[str, Any]:
    return page.evaluate(
        """() => {
          const graph = window.nodegraph.session.get().graph.get();
          const facts = ({ uses, inputs }) => ({ uses, ...Object.fromEntries(inputs) });
          return Object.fromEntries([...graph.nodes].map(([id, node]) => [id, facts(node)]));
        }"""
    )


def test_a_node_is_found_by_letters_and_added_by_keys(page: Page) -> None:
    open_page(page, EMPTY)
    box = search(page)
    expect(box.get_by_role("combobox")).to_be_focused()
    page.keyboard.type("ksam")
    expect(box.get_by_role("option").first).to_have_text("KSamplersampling")
    expect(box.locator(".search-help")).to_contain_text("Denoise a latent")
    expect(box.locator(".search-help")).to_contain_text("latent_image")
    page.keyboard.press("ArrowDown")
    expect(box.locator(".search-help")).to_contain_text("Run a part of a schedule")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(box).to_have_count(0)
    assert nodes(page) == {"ksampler": {"uses": "KSampler"}}, "defaults stay out of the file"
    assert "layout:\n  ksampler: [100, 200]" in text_of(page)
    assert page.evaluate("[...window.nodegraph.session.get().selection.get()]") == ["ksampler"]
    undo(page)
    assert nodes(page) == {}
    assert text_of(page) == EMPTY


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("cte", "CLIPTextEncode"),
        ("prompt", "CLIPTextEncode"),
        ("提示词", "CLIPTextEncode"),
        ("load check", "CheckpointLoaderSimple"),
        ("vae dec", "VAEDecode"),
        ("empty latent", "EmptyLatentImage"),
        ("inpaint", None),
        ("save img", "SaveImage"),
    ],
)
def test_what_people_type_finds_what_they_mean(page: Page, typed: str, found: str | None) -> None:
    open_page(page, EMPTY)
    box = search(page)
    page.keyboard.insert_text(typed)
    expect(box.get_by_role("option").first).to_be_visible()
    if found is not None:
        page.keyboard.press("Enter")
        assert [node["uses"] for node in nodes(page).values()] == [found]


def test_what_is_called_nothing_says_so(page: Page) -> None:
    open_page(page, EMPTY)
    box = search(page)
    page.keyboard.type("qqqqqq")
    expect(box).to_contain_text("no node fits")
    page.keyboard.press("Enter")
    expect(box).to_be_visible()
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    assert nodes(page) == {}


def test_what_was_used_last_comes_first(page: Page) -> None:
    open_page(page, EMPTY)
    for typed in ("VAEDecodeTiled", "XYGrid"):
        search(page)
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
    page.reload()
    open_page(page, EMPTY)
    box = search(page)
    expect(box.get_by_role("option").nth(0)).to_contain_text("Grid")
    expect(box.get_by_role("option").nth(1)).to_contain_text("Tiled")


def test_a_link_that_was_dropped_finds_what_takes_it(page: Page) -> None:
    open_page(page, ENCODER)
    box = search(page, accept={"type": "CLIP", "side": "input", "node": "load", "index": 1})
    expect(box).to_contain_text("nodes that take CLIP")
    page.keyboard.type("ksampler")
    expect(box.get_by_role("option", name="KSampler", exact=False)).to_have_count(0)
    box.get_by_role("combobox").fill("text encode")
    page.keyboard.press("Enter")
    assert nodes(page)["clip_text_encode"] == {"uses": "CLIPTextEncode", "clip": "$load.clip", "text": ""}
    place = page.evaluate("window.nodegraph.session.get().graph.get().places.get('clip_text_encode')")
    assert place["x"] == 100
    assert place["y"] < 200, "its socket lies where the link was dropped"


def test_a_link_that_was_dropped_finds_what_gives_it(page: Page) -> None:
    open_page(page, ENCODER)
    box = search(page, accept={"type": "CONDITIONING", "side": "output", "node": "k", "name": "negative"})
    expect(box).to_contain_text("nodes that give CONDITIONING")
    page.keyboard.type("text encode")
    page.keyboard.press("Enter")
    made = nodes(page)
    assert made["negative"]["uses"] == "CLIPTextEncode", "it is called what it is for"
    assert made["k"]["negative"] == "$negative"
    search(page, accept={"type": "MODEL", "side": "output", "node": "k", "name": "model"})
    page.keyboard.type("checkpoint loader simple")
    page.keyboard.press("Enter")
    made = nodes(page)
    assert made["k"]["model"] == "$checkpoint_loader_simple.model"
    assert made["checkpoint_loader_simple"]["ckpt_name"] == "tiny", "what has to be given begins with the first choice"


def test_a_node_that_is_added_gets_a_new_seed_after_each_run(page: Page) -> None:
    open_page(page, EMPTY)
    search(page)
    page.keyboard.type("ksampler")
    page.keyboard.press("Enter")
    advance(page)
    assert "seed" in nodes(page)["ksampler"]


def test_a_double_click_on_the_canvas_asks_and_adds_there(page: Page) -> None:
    show(page, EMPTY)
    page.mouse.dblclick(*at(page, 200, 150))
    page.keyboard.type("empty latent image")
    page.keyboard.press("Enter")
    expect(page.locator('.node[data-id="empty_latent_image"]')).to_be_focused()
    lies = place(page, "empty_latent_image")
    assert abs(lies["x"] - 200) <= 1
    assert abs(lies["y"] - 150) <= 1
    assert page.evaluate("nodegraph.camera.get()") == {"x": -100, "y": -100, "scale": 1}, "what is seen stays"


def test_a_link_is_dropped_on_the_canvas_and_goes_on(page: Page) -> None:
    show(page, ENCODER + "layout: {load: [0, 0], k: [700, 0]}\n")
    drag(page, socket(page, "load", 1), at(page, 350, 100))
    page.keyboard.type("encode")
    page.keyboard.press("Enter")
    assert value(page, "clip_text_encode", "clip") == "$load.clip"
    end = socket(page, "clip_text_encode", "clip")
    wanted = at(page, 350, 100)
    assert abs(end[0] - wanted[0]) < 3
    assert abs(end[1] - wanted[1]) < 3
    drag(page, socket(page, "k", "negative"), at(page, 600, 400))
    page.keyboard.type("encode")
    page.keyboard.press("Enter")
    assert value(page, "k", "negative") == "$negative"


PART = """nodegraph: 1
params: {size: 64}
nodes:
  empty: {uses: EmptyLatentImage, with: {width: $size, height: $size}}
outputs: {latent: $empty}
"""


def test_a_saved_workflow_is_added_as_a_node(page: Page) -> None:
    open_page(page, EMPTY)
    page.evaluate(
        """async (files) => {
          for (const [name, text] of Object.entries(files)) {
            const headers = { 'Content-Type': 'application/yaml', 'If-None-Match': '*' };
            await fetch(`api/v1/workflows/${encodeURIComponent(name)}`, { method: 'PUT', headers, body: text });
          }
          nodegraph.actions.run('file.openName', new CustomEvent('open', { detail: { name: 'sub/whole.yaml' } }));
        }""",
        {"sub/a.yaml": PART, "sub/square.yaml": PART, "sub/whole.yaml": EMPTY},
    )
    wait_for(page, "app => app.session.get().file.get().name === 'sub/whole.yaml'")
    box = search(page)
    page.keyboard.type("square")
    expect(box.get_by_role("option").first).to_have_text("./square.yamlsaved workflows")
    page.keyboard.press("Enter")
    assert nodes(page) == {"square": {"uses": "./square.yaml"}}
    box = search(page, x=500)
    page.keyboard.type("./a")
    expect(box.get_by_role("option").first).to_have_text("./a.yamlsaved workflows")
    page.keyboard.press("Enter")
    for name in ("square", "a"):
        expect(page.locator(f'.node[data-id="{name}"] .widget[data-input="size"] .widget-field')).to_have_value("64")


def open_palette(page: Page) -> Locator:
    page.get_by_role("button", name="Nodes", exact=True).click()
    palette = page.get_by_role("complementary", name="Nodes")
    expect(palette.get_by_role("searchbox")).to_be_visible()
    return palette


def test_the_palette_is_walked_by_keys(page: Page) -> None:
    open_page(page, EMPTY)
    palette = open_palette(page)
    palette.get_by_role("searchbox").focus()
    page.keyboard.press("ArrowDown")
    first = palette.locator("summary").first
    expect(first).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    palette.locator("summary", has_text="loaders").filter(has_text="12").press("ArrowRight")
    palette.get_by_role("button", name="Load VAE").press("Enter")
    assert len(nodes(page)) == 1
    palette.get_by_role("searchbox").fill("ksampler")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    added = nodes(page)
    assert {"ksampler", "ksampler_2"} <= set(added)
    places = page.evaluate("[...nodegraph.session.get().graph.get().places.values()].map(({ x, y }) => `${x} ${y}`)")
    assert len(set(places)) == 3, "none hides another"


def test_a_node_is_dragged_from_the_palette(page: Page) -> None:
    open_page(page, EMPTY)
    palette = open_palette(page)
    palette.get_by_role("searchbox").fill("vae decode")
    button = palette.get_by_role("button", name="VAE Decode").first
    button.drag_to(page.locator("#stage"), target_position={"x": 400, "y": 300})
    assert [node["uses"] for node in nodes(page).values()] == ["VAEDecode"]


def test_packs_that_are_broken_say_why(page: Page) -> None:
    open_page(page, EMPTY)
    palette = open_palette(page)
    page.evaluate("""() => {
      const broken = [{ name: '<i>pack</i>', reason: 'no module named cv2', details: 'Traceback' }];
      window.nodegraph.catalogue.update((all) => ({ ...all, broken }));
    }""")
    broken = palette.get_by_role("region", name="Packs that could not be loaded")
    broken.locator("summary").click()
    expect(broken).to_contain_text("<i>pack</i>")
    expect(broken).to_contain_text("no module named cv2")
