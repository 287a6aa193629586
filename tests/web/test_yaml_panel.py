"""The text beside the canvas: either side edits the same document."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.flows import HELLO, serious
from tests.web.support import Served

SMALL = """\
# kept
nodegraph: 1
params: {prompt: a star}
nodes:
  model:
    uses: CheckpointLoaderSimple
    with: {ckpt_name: tiny}
  positive:   # says what
    uses: CLIPTextEncode
    with: {clip: $model.clip, text: $prompt}
"""
OPEN = """async ([text, name]) => {
  const { Session } = await import('/src/model/session.js');
  const { readCatalogue } = await import('/src/model/catalogue.js');
  const app = window.nodegraph;
  const known = app.catalogue.get().specs.size > 0;
  if (!known) app.catalogue.set(readCatalogue(await (await fetch('/api/v1/nodes')).json()));
  app.set({ yaml: true });
  app.open(new Session(text, name ? { file: { name, etag: null, label: name } } : {}));
}"""
EDIT = """async ([name, ...values]) => {
  const graph = await import('/src/model/graph.js');
  window.nodegraph.session.get().edit(name, (before) => graph[name](before, ...values));
}"""
# Somebody who has been here before is not greeted, which would cover the panel.
WELCOMED = "localStorage.setItem('nodegraph.welcomed', 'yes')"
VISIBLE_TOP = "() => document.querySelector('#yaml .cm-scroller').scrollTop"


class Panel:
    """The panel on a page, with a workflow open."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.content = page.locator("#yaml .cm-content")
        self.options = page.locator("#yaml .cm-tooltip-autocomplete li, body > .cm-tooltip-autocomplete li")

    def open(self, text: str, name: str | None = None) -> None:
        """Open a text as a file, and show it."""
        self.page.evaluate(OPEN, [text, name])
        first = next(line for line in text.splitlines() if line.strip())
        expect(self.content).to_contain_text(first.strip())
        self.page.wait_for_function("text => nodegraph.session.get().text.get() === text", arg=text)

    def edit(self, name: str, *values: object) -> None:
        """Edit the graph, as the canvas does."""
        self.page.evaluate(EDIT, [name, *values])

    def text_becomes(self, text: str) -> None:
        """Both the session's text and the editor's are this, sooner or later."""
        self.page.wait_for_function("text => nodegraph.session.get().text.get() === text", arg=text)
        self.page.wait_for_function(
            "text => document.querySelector('#yaml .cm-content').cmTile.view.state.doc.toString() === text", arg=text
        )

    def graph(self, script: str) -> Any:
        """A value of the graph that the canvas shows."""
        return self.page.evaluate(f"() => {{ const graph = nodegraph.session.get().graph.get(); return {script}; }}")

    def graph_becomes(self, script: str) -> None:
        self.page.wait_for_function(f"() => {{ const graph = nodegraph.session.get().graph.get(); return {script}; }}")

    def put_cursor(self, line: str, *keys: str) -> None:
        """Click a line at its end."""
        self.page.locator("#yaml .cm-line", has_text=line).first.click()
        for key in ("End", *keys):
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def complete(self, typed: str, offered: str, key: str = "Enter") -> None:
        """Type, and take what is offered first."""
        self.type(typed)
        expect(self.options.first).to_contain_text(offered)
        self.press(key)

    def selects(self, *keys: str) -> None:
        self.page.wait_for_function(
            "keys => [...nodegraph.session.get().selection.get()].join() === keys.join()", arg=list(keys)
        )


@pytest.fixture
def panel(page: Page) -> Panel:
    page.add_init_script(WELCOMED)
    page.goto("/")
    page.wait_for_selector("html[data-ready]", state="attached")
    return Panel(page)


def test_what_is_typed_is_on_the_canvas_after_a_pause(panel: Panel) -> None:
    panel.open(SMALL)
    panel.put_cursor("with: {clip")
    panel.press("Enter", "Shift+Tab")
    panel.type("second: {uses: VAEDecode}")
    panel.graph_becomes("graph.nodes.get('second')?.uses === 'VAEDecode'")
    assert panel.graph("graph.nodes.size") == 3


def test_an_edit_of_the_canvas_changes_only_its_place_and_leaves_the_cursor(panel: Panel) -> None:
    panel.open(SMALL)
    panel.put_cursor("with: {clip")
    panel.edit("setInput", "model", "ckpt_name", "other-model")
    panel.text_becomes(SMALL.replace("tiny", "other-model"))
    panel.type(" # here")
    panel.text_becomes(SMALL.replace("tiny", "other-model").rstrip("\n") + " # here\n")


def test_undo_in_the_text_undoes_both_sides_in_order_and_redo_brings_them_back(panel: Panel) -> None:
    panel.open(SMALL)
    panel.put_cursor("# kept")
    panel.type(", typed")
    typed = SMALL.replace("# kept", "# kept, typed")
    panel.text_becomes(typed)
    panel.page.evaluate("() => nodegraph.session.get().flush()")
    panel.edit("setInput", "model", "ckpt_name", "other")
    both = typed.replace("tiny", "other")
    panel.text_becomes(both)
    panel.press("Control+z")
    panel.text_becomes(typed)
    panel.press("Control+z")
    panel.text_becomes(SMALL)
    panel.press("Control+z")
    panel.text_becomes(SMALL)
    panel.press("Control+y", "Control+Shift+KeyZ")
    panel.text_becomes(both)


def test_node_types_inputs_and_references_are_completed(panel: Panel) -> None:
    panel.open(SMALL)
    panel.put_cursor("with: {clip")
    panel.press("Enter", "Shift+Tab")
    panel.type("decoded:")
    panel.press("Enter")
    panel.complete("us", "uses")
    panel.complete("CheckpointLoaderSi", "CheckpointLoaderSimple")
    expect(panel.options).to_have_count(0)
    panel.press("Enter")
    panel.complete("wi", "with", "Tab")
    panel.complete("ckpt", "ckpt_name")
    panel.complete("", "tiny")
    panel.graph_becomes("graph.nodes.get('decoded')?.inputs.get('ckpt_name') === 'tiny'")


def test_only_outputs_that_fit_are_completed_as_references(panel: Panel) -> None:
    panel.open(HELLO)
    panel.put_cursor("latent_image: $canvas")
    panel.press("Control+Backspace", "Backspace")
    panel.type("$")
    expect(panel.options).to_have_text(["$canvasLATENT"])
    panel.press("Escape")


def test_a_word_is_explained_where_the_pointer_rests(panel: Panel) -> None:
    panel.open(SMALL)
    line = panel.page.locator("#yaml .cm-line", has_text="uses: CLIPTextEncode")
    box = line.bounding_box()
    assert box is not None
    panel.page.mouse.move(box["x"] + 110, box["y"] + 8)
    panel.page.mouse.move(box["x"] + 112, box["y"] + 8)
    meaning = panel.page.locator(".yaml-meaning")
    expect(meaning).to_contain_text("CLIPTextEncode")
    expect(meaning).to_contain_text("CONDITIONING")


def test_problems_are_underlined_with_what_would_be_right(panel: Panel) -> None:
    panel.open(SMALL.replace("CLIPTextEncode", "CLIPTextEncod"))
    underlined = panel.page.locator("#yaml .cm-lintRange-error")
    expect(underlined).to_have_text("CLIPTextEncod")
    underlined.hover()
    expect(panel.page.locator(".cm-tooltip .yaml-problem")).to_contain_text("unknown node type 'CLIPTextEncod'")
    expect(panel.page.locator(".cm-tooltip .yaml-hint")).to_contain_text("did you mean 'CLIPTextEncode'?")


def test_hostile_words_are_shown_as_they_are(panel: Panel) -> None:
    hostile = "<img src=x onerror=hurt()>"
    panel.page.evaluate("() => { window.hurt = () => { window.isHurt = true; }; }")
    panel.open(SMALL.replace("CLIPTextEncode", f'"{hostile}"'))
    panel.page.locator("#yaml .cm-lintRange-error").first.hover()
    expect(panel.page.locator(".cm-tooltip .yaml-problem")).to_contain_text(hostile)
    panel.page.evaluate(
        """words => nodegraph.catalogue.update((catalogue) => ({ ...catalogue, specs: new Map([...catalogue.specs,
             ['Evil', { name: 'Evil', display_name: words, category: words, description: words, pack: '', version: 1,
               output_node: false, inputs: [], outputs: [] }]]) }))""",
        hostile,
    )
    panel.page.mouse.move(0, 0)
    expect(panel.page.locator(".cm-tooltip")).to_have_count(0)
    panel.put_cursor("uses: CheckpointLoaderSimple", "Control+Backspace")
    panel.type("Evi")
    expect(panel.options.first).to_contain_text(hostile)
    expect(panel.page.locator(".cm-completionInfo")).to_have_text(hostile)
    panel.press("Enter")
    panel.page.locator("#yaml .cm-line", has_text="uses: Evil").hover(position={"x": 100, "y": 8})
    expect(panel.page.locator(".yaml-meaning-title")).to_have_text(hostile)
    assert panel.page.evaluate("() => window.isHurt") is None


def test_the_cursor_selects_its_node_and_a_selected_node_is_scrolled_to(panel: Panel) -> None:
    filler = "".join(f"  filler_{number}:\n    uses: Note\n" for number in range(200))
    panel.open(SMALL + filler)
    panel.put_cursor("uses: CheckpointLoaderSimple")
    panel.selects("model")
    panel.press("ArrowDown", "ArrowDown")
    panel.selects("positive")
    panel.page.evaluate("() => document.activeElement.blur()")
    panel.page.evaluate("() => nodegraph.session.get().selection.set(new Set(['filler_150']))")
    marked = panel.page.locator("#yaml .cm-node-selected")
    expect(marked).to_have_text(["  filler_150:", "    uses: Note"])
    expect(marked.first).to_be_in_viewport()
    before = panel.page.evaluate(VISIBLE_TOP)
    panel.page.evaluate("() => nodegraph.session.get().selection.set(new Set(['filler_151']))")
    expect(marked.first).to_have_text("  filler_151:")
    assert panel.page.evaluate(VISIBLE_TOP) == before


def test_a_text_that_cannot_be_read_is_said_and_the_canvas_stays(panel: Panel) -> None:
    panel.open(SMALL)
    status = panel.page.locator("#yaml [role=status]")
    panel.put_cursor("with: {ckpt_name", "Backspace")
    expect(status).to_contain_text("The canvas shows the workflow as it was before")
    assert panel.graph("graph.nodes.size") == 2
    panel.press("Control+z")
    panel.text_becomes(SMALL)
    expect(status).to_be_hidden()


def test_each_file_keeps_its_cursor(panel: Panel) -> None:
    panel.open(SMALL)
    panel.put_cursor("uses: CheckpointLoaderSimple")
    panel.page.evaluate("() => { window.first = nodegraph.session.get(); }")
    panel.open(HELLO)
    panel.put_cursor("# A first picture")
    panel.page.evaluate("() => nodegraph.open(window.first)")
    expect(panel.content).to_contain_text("# kept")
    panel.content.focus()
    panel.type(" # again")
    panel.text_becomes(SMALL.replace("CheckpointLoaderSimple", "CheckpointLoaderSimple # again"))


def test_json_is_shown_and_not_edited(panel: Panel) -> None:
    text = '{"nodegraph": 1, "nodes": {"model": {"uses": "CheckpointLoaderSimple", "with": {"ckpt_name": "tiny"}}}}\n'
    panel.open(text, "a.json")
    expect(panel.page.locator("#yaml [role=status]")).to_have_text("JSON is shown, not edited, as text")
    panel.put_cursor("nodegraph")
    panel.type("x")
    panel.edit("setInput", "model", "ckpt_name", "other")
    panel.text_becomes(text.replace("tiny", "other"))


def test_the_editor_is_loaded_when_it_is_first_shown(browser: Browser, served: Served) -> None:
    context = browser.new_context(base_url=served.url, locale="en-US")
    context.add_init_script("localStorage.setItem('nodegraph.settings', JSON.stringify({ yaml: false }))")
    context.add_init_script(WELCOMED)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/")
    page.wait_for_selector("html[data-ready]", state="attached")
    expect(page.locator("#yaml")).to_be_hidden()
    assert not [url for url in asked if url.endswith("codemirror.js")]
    page.evaluate("() => nodegraph.actions.run('yaml.toggle')")
    expect(page.locator("#yaml .cm-content")).to_be_visible()
    page.get_by_role("button", name="Hide the text").click()
    expect(page.locator("#yaml")).to_be_hidden()
    context.close()


def test_it_follows_what_happened_while_it_was_hidden(panel: Panel) -> None:
    panel.open(SMALL)
    panel.page.evaluate("() => nodegraph.set({ yaml: false })")
    panel.edit("setInput", "model", "ckpt_name", "other")
    panel.page.evaluate("() => nodegraph.session.get().flush()")
    panel.page.evaluate("() => nodegraph.set({ yaml: true })")
    panel.text_becomes(SMALL.replace("tiny", "other"))


def test_search_and_folding(panel: Panel) -> None:
    panel.open(HELLO)
    panel.put_cursor("nodegraph: 1", "Control+f")
    expect(panel.page.get_by_placeholder("Find")).to_be_focused()
    panel.type("cfg")
    panel.press("Enter", "Escape")
    expect(panel.page.locator("#yaml .cm-activeLine")).to_contain_text("cfg: 4")
    panel.put_cursor("  latent:", "Control+Shift+BracketLeft")
    expect(panel.content).not_to_contain_text("cfg: 4")


def test_its_width_is_changed_by_keys_and_kept(panel: Panel) -> None:
    panel.open(SMALL)
    edge = panel.page.get_by_role("separator", name="Width of the text")
    edge.focus()
    before = int(edge.get_attribute("aria-valuenow") or 0)
    panel.press("ArrowLeft")
    expect(edge).to_have_attribute("aria-valuenow", str(before + 24))
    panel.page.reload()
    panel.page.wait_for_selector("html[data-ready]", state="attached")
    expect(edge).to_have_attribute("aria-valuenow", str(before + 24))


def test_a_place_is_gone_to(panel: Panel) -> None:
    panel.open(SMALL)
    panel.page.evaluate(
        "() => nodegraph.actions.run('yaml.reveal', new CustomEvent('reveal', { detail: { line: 9, column: 11 } }))"
    )
    expect(panel.content).to_be_focused()
    panel.selects("positive")
    panel.type("X")
    panel.text_becomes(SMALL.replace("CLIPTextEncode", "XCLIPTextEncode"))


def test_the_page_s_keys_are_left_to_the_page(panel: Panel) -> None:
    panel.open(SMALL)
    panel.put_cursor("# kept")
    panel.page.evaluate(
        """() => {
          const queue = [...nodegraph.actions.all.values()].find(({ keys }) => keys?.includes('Ctrl+Enter'));
          Object.assign(queue, { run: () => { window.queued = true; }, enabled: () => true });
        }"""
    )
    panel.press("Control+Enter")
    assert panel.page.evaluate("() => window.queued")
    panel.text_becomes(SMALL)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(panel: Panel, scheme: Any) -> None:
    panel.page.emulate_media(color_scheme=scheme)
    panel.open(SMALL)
    panel.put_cursor("with: {ckpt_name", "Backspace")
    expect(panel.page.locator("#yaml [role=status]")).to_be_visible()
    assert serious(panel.page, "#yaml") == []
