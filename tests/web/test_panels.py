"""The panels beside the canvas: queue, gallery, outline, form and the rest, as somebody uses them."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.flows import PATIENCE, flow, open_text, ready, run_state, serious, wait_for
from tests.web.support import Served

KEYS = {
    "w": "Workflows",
    "n": "Nodes",
    "m": "Models",
    "a": "Gallery",
    "Control+,": "Settings",
    "Control+`": "Server",
}
BAD_PICTURE = """
nodegraph: 1
nodes:
  source: {uses: LoadImage, with: {image: bad.png}}
  save: {uses: PreviewImage, with: {images: $source.image}}
"""
HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;"


def ask(served: Served, method: str, path: str, body: object = None) -> Any:
    """Ask the server itself."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{served.url}/api/v1/{path}", data, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
        return json.loads(text) if text else None


@pytest.fixture(autouse=True)
def fresh(served: Served) -> Iterator[None]:
    """Nothing of one test is in another one's lists."""
    yield
    ask(served, "POST", "queue/cancel", {})
    ask(served, "POST", "queue/resume", {})
    ask(served, "DELETE", "jobs?state=done&state=failed&state=cancelled&state=interrupted")


def side(page: Page, name: str) -> Locator:
    """Show a panel."""
    page.evaluate("side => nodegraph.set({side})", name)
    return page.locator("#side")


def queue(served: Served, name: str, **values: Any) -> str:
    """Queue a job as another client would."""
    return ask(served, "POST", "jobs", {"workflow": flow(**values), "extra": {"file": name}})["id"]


def run_to_end(page: Page) -> dict[str, Any]:
    """Run what is shown."""
    page.evaluate("nodegraph.actions.run('run.queue')")
    wait_for(page, "app => ['done', 'failed', 'cancelled'].includes(app.run.get().state)")
    return run_state(page)


def names(panel: Locator) -> list[str]:
    """The names of the waiting jobs, in order."""
    return panel.locator(".job.queued .job-name").all_text_contents()


def test_the_first_visit_points_at_the_button_and_the_picture_comes(page: Page) -> None:
    ready(page)
    card = page.get_by_role("complementary", name="Your first picture")
    expect(card).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(card).to_be_hidden()
    expect(page.locator("#stage img").first).to_be_visible(timeout=PATIENCE)
    wait_for(page, "app => app.run.get().state === 'done'")
    panel = side(page, "gallery")
    expect(panel.get_by_role("button", name=re.compile(r"^Show hello_"))).to_have_count(1)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    expect(card).to_be_hidden()


def test_the_rail_shows_one_panel_at_a_time_by_pointer_and_key(page: Page) -> None:
    ready(page)
    rail = page.get_by_role("navigation", name="Panels")
    rail.get_by_role("button", name="Gallery").click()
    expect(page.get_by_role("complementary", name="Gallery")).to_be_visible()
    page.locator("#stage").press("q")
    expect(page.get_by_role("complementary", name="Queue")).to_be_visible()
    expect(rail.get_by_role("button", name="Gallery")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Escape")
    expect(page.locator("#side")).to_be_hidden()
    for key, name in KEYS.items():
        page.keyboard.press(key)
        expect(page.get_by_role("complementary", name=name)).to_be_visible()
    edge = page.get_by_role("separator", name="Width of the panel")
    before = page.locator("#side").bounding_box()
    edge.press("ArrowRight")
    after = page.locator("#side").bounding_box()
    assert before and after and after["width"] == before["width"] + 24


def test_waiting_jobs_are_put_elsewhere_by_key_by_button_and_by_dragging(page: Page, served: Served) -> None:
    ask(served, "POST", "queue/pause", {})
    for name in ("one", "two", "three"):
        queue(served, name)
    ready(page)
    panel = side(page, "queue")
    waiting = panel.locator(".job.queued .job-name")
    expect(waiting).to_have_text(["one", "two", "three"])
    expect(panel.get_by_role("button", name="Resume")).to_be_visible()
    panel.locator(".job.queued").nth(2).press("Alt+ArrowUp")
    expect(waiting).to_have_text(["one", "three", "two"])
    expect(page.get_by_text("Now at place 2 of 3.")).to_be_attached()
    expect(panel.locator(".job.queued").nth(1)).to_be_focused()
    panel.locator(".job.queued").nth(2).get_by_role("button", name="To the front", exact=True).click()
    expect(waiting).to_have_text(["two", "one", "three"])
    panel.locator(".job.queued").nth(0).drag_to(panel.locator(".job.queued").nth(2), target_position={"x": 60, "y": 50})
    expect(waiting).to_have_text(["one", "three", "two"])
    panel.locator(".job.queued").nth(2).drag_to(panel.locator(".job.queued").nth(0), target_position={"x": 60, "y": 4})
    expect(waiting).to_have_text(["two", "one", "three"])
    panel.locator(".job.queued").nth(1).get_by_role("button", name="Take out of the queue").click()
    expect(waiting).to_have_text(["two", "three"])
    panel.get_by_role("button", name="Clear the queue").click()
    expect(panel.get_by_text("Nothing waits or runs.")).to_be_visible()
    panel.get_by_role("button", name="Resume").click()
    expect(panel.get_by_role("button", name="Pause")).to_be_visible()


def test_a_run_goes_through_the_queue_into_the_history(page: Page) -> None:
    ready(page)
    open_text(page, flow(steps=3000, seed=51), "slow")
    panel = side(page, "queue")
    page.evaluate("nodegraph.actions.run('run.queue')")
    running = panel.locator(".job.running")
    expect(running).to_be_visible(timeout=PATIENCE)
    wait_for(page, "app => app.run.get().nodes.get('latent')?.value > 0")
    running.get_by_role("button", name="Cancel").click()
    ended = panel.locator(".job.cancelled")
    expect(ended).to_contain_text("slow")
    ended.get_by_role("button", name="Open its workflow").click()
    wait_for(page, "app => app.session.get().file.get().label === 'slow (as it ran)'")
    assert "steps: 3000" in page.evaluate("nodegraph.session.get().text.get()")
    ended.get_by_role("button", name="Run it again").click()
    expect(panel.locator(".job.running")).to_be_visible()
    panel.locator(".job.running").get_by_role("button", name="Cancel").click()
    expect(ended).to_have_count(2)
    ended.first.get_by_role("button", name="Delete from the history").click()
    expect(ended).to_have_count(1)
    panel.get_by_role("button", name="Clear the history").click()
    page.get_by_role("dialog").get_by_role("button", name="Clear", exact=True).click()
    expect(panel.get_by_text("Runs that have ended appear here.")).to_be_visible()


def test_a_failure_in_the_history_shows_its_remedy(page: Page, served: Served) -> None:
    (served.folder / "input" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture at all")
    ready(page)
    open_text(page, BAD_PICTURE)
    panel = side(page, "queue")
    assert run_to_end(page)["state"] == "failed"
    expect(panel.locator(".job.failed .job-error")).to_contain_text("bad.png")


def test_the_gallery_shows_pictures_large_with_what_they_say(page: Page) -> None:
    ready(page)
    open_text(page, flow(prefix="gallery", seed=2**64 - 1, prompt="a green heart"))
    run_to_end(page)
    panel = side(page, "gallery")
    panel.get_by_role("button", name=re.compile("^Show gallery_")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("128 × 128")).to_be_visible()
    expect(dialog.locator("pre").first).to_be_attached()
    dialog.locator("summary").filter(has_text=re.compile("^nodegraph$")).click()
    expect(dialog.locator("pre").first).to_contain_text("a green heart")
    dialog.get_by_role("button", name="Open its workflow").click()
    expect(dialog).to_be_hidden()
    wait_for(page, "app => app.session.get().file.get().label.startsWith('gallery_')")
    assert "a green heart" in page.evaluate("nodegraph.session.get().text.get()")
    panel.get_by_role("button", name=re.compile("^Show gallery_")).click()
    dialog.get_by_role("button", name="Load it in the graph").click()
    expect(dialog).to_be_hidden()
    nodes = "[...app.session.get().graph.get().nodes.values()]"
    loads = "({uses, inputs}) => uses === 'LoadImage' && /^gallery_/.test(inputs.get('image'))"
    wait_for(page, f"app => {nodes}.some({loads})")
    wait_for(
        page,
        "app => app.catalogue.get().specs.get('LoadImage').inputs[0].choices.some((name) => /^gallery_/.test(name))",
    )


def test_two_pictures_are_compared_with_the_arrow_keys(page: Page) -> None:
    ready(page)
    for seed in (53, 54):
        open_text(page, flow(prefix=f"pair{seed}", seed=seed))
        run_to_end(page)
    panel = side(page, "gallery")
    panel.get_by_role("button", name="Compare two").click()
    expect(panel.get_by_text("Choose 2 to compare.")).to_be_visible()
    panel.get_by_role("button", name=re.compile("^Show pair53")).click()
    panel.get_by_role("button", name=re.compile("^Show pair54")).click()
    slider = page.get_by_role("slider")
    expect(slider).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator(".compare-top")).to_have_css("clip-path", "inset(0px 0px 0px 100%)")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_strings_of_others_are_shown_as_they_are(page: Page, served: Served) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a text was run: {dialog.message}"))
    ready(page)
    prompt = json.dumps(HOSTILE)
    open_text(page, flow(prefix="'<b>bold</b>'", seed=55, prompt=prompt), HOSTILE)
    state = run_to_end(page)
    assert state["state"] == "done", state["problems"]
    queue_panel = side(page, "queue")
    expect(queue_panel.locator(".job.done .job-name")).to_have_text(HOSTILE)
    form = side(page, "form")
    expect(form.get_by_label("prompt", exact=True)).to_have_value(HOSTILE)
    gallery = side(page, "gallery")
    gallery.locator(".thumb").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("summary").filter(has_text=re.compile("^nodegraph$")).click()
    expect(dialog.locator("pre").first).to_contain_text("onerror=alert(1)")
    page.keyboard.press("Escape")
    page.evaluate("text => nodegraph.say('error', text, {hint: text})", HOSTILE)
    expect(page.get_by_role("alert").filter(has_text=HOSTILE).first).to_be_visible()
    page.evaluate("text => { const {models} = nodegraph; models.set(new Map([[text, [text]]])); }", HOSTILE)
    expect(side(page, "models").locator(".path")).to_have_text(HOSTILE)
    assert page.locator("#side img[src=x], #messages img[src=x], dialog img[src=x]").count() == 0
    assert page.locator("#side b").count() == 0


def test_the_outline_has_the_nodes_in_running_order_and_connects_by_key(page: Page) -> None:
    ready(page)
    open_text(page, flow(seed=56).replace("samples: $latent, ", ""))
    outline = side(page, "outline").get_by_role("list", name="Outline")
    wait_for(page, "app => app.problems.get().length > 0")
    nodes = outline.locator(".outline-node .outline-name")
    expect(nodes).to_have_text(["model", "canvas", "positive", "negative", "picture", "latent", "save"])
    expect(outline.get_by_role("button", name=re.compile("picture"))).to_contain_text("1 to mend")
    outline.get_by_role("button", name=re.compile("model")).focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    expect(outline.get_by_role("button", name=re.compile("6. latent"))).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(outline.get_by_role("button", name="canvas · LATENT")).to_be_visible()
    choices = outline.get_by_label("Connect LATENT", exact=True)
    expect(choices.locator("option")).to_have_text(["Connect to…", "picture · samples"])
    choices.select_option(label="picture · samples")
    expect(page.get_by_text("latent LATENT is connected to picture samples.")).to_be_attached()
    expect(nodes).to_have_text(["model", "canvas", "positive", "negative", "latent", "picture", "save"])
    page.evaluate("nodegraph.session.get().flush()")
    assert "samples: $latent" in page.evaluate("nodegraph.session.get().text.get()")
    outline.get_by_label("Disconnect latent_image").click()
    expect(outline.get_by_role("button", name="canvas · LATENT")).to_have_count(0)


def test_the_form_changes_parameters_and_shows_the_picture(page: Page) -> None:
    ready(page)
    open_text(page, flow(prefix="form", seed=57))
    form = side(page, "form")
    expect(form.get_by_label("prompt", exact=True)).to_have_value("a red star")
    form.get_by_label("prompt", exact=True).fill("a blue star")
    seed = form.get_by_label("seed", exact=True)
    seed.fill("18446744073709551616")
    expect(form.get_by_role("alert").filter(has_text="At most")).to_have_text("At most 18446744073709551615.")
    seed.fill("18446744073709551615")
    form.get_by_role("button", name="Run", exact=True).click()
    wait_for(page, "app => app.run.get().state === 'done'")
    expect(page.get_by_role("region", name="Results").locator("img")).to_be_visible()
    text = page.evaluate("nodegraph.session.get().text.get()")
    assert "prompt: a blue star" in text and "seed: 18446744073709551615" in text
    job = run_state(page)["job"]
    page.get_by_role("button", name="Show the graph").click()
    expect(page.locator("#stage")).to_be_visible()
    assert (
        "seed: 18446744073709551615"
        in page.evaluate("job => fetch(`api/v1/jobs/${job}`).then((answer) => answer.json())", job)["request"][
            "workflow"
        ]
    )


def test_several_values_run_at_once_and_a_sheet_shows_them(page: Page) -> None:
    ready(page)
    open_text(page, flow(prefix="sweep", seed=58))
    form = side(page, "form")
    form.get_by_role("button", name="Several values for seed").click()
    form.get_by_label("Values of seed").fill("1..2")
    form.get_by_role("button", name="Several values for prompt").click()
    form.get_by_label("Values of prompt").fill("a red star; a blue, big heart")
    form.get_by_role("button", name="Run all values").click()
    wait_for(page, "app => app.run.get().state === 'done'")
    pictures = page.get_by_role("region", name="Results").locator(".thumb img")
    expect(pictures).to_have_count(5)
    sizes = page.evaluate(
        """() => Promise.all([...document.querySelectorAll('.form-pictures img')].map(async (image) => {
          await image.decode();
          return image.naturalWidth;
        }))"""
    )
    assert max(sizes) == sizes[0] > 128
    assert sizes.count(128) == 4


def test_examples_say_what_they_need_and_open(page: Page) -> None:
    ready(page)
    page.evaluate("void nodegraph.actions.run('welcome.examples')")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name=re.compile("^lora"))).to_contain_text("v1-5-pruned-emaonly")
    dialog.get_by_role("button", name=re.compile("^compose")).click()
    wait_for(
        page, "app => app.session.get().file.get().label === 'compose' && app.session.get().graph.get().nodes.size > 5"
    )


def test_an_empty_file_says_what_to_do(page: Page) -> None:
    ready(page)
    open_text(page, "nodegraph: 1\nnodes: {}\n")
    hint = page.get_by_text("This workflow is empty.")
    expect(hint).to_be_visible()
    side(page, "nodes").get_by_role("searchbox").fill("empty latent")
    page.locator("#side").get_by_role("button", name="Empty Latent Image").click()
    expect(hint).to_be_hidden()


def test_saved_workflows_are_listed_renamed_deleted_and_taken_back(page: Page, served: Served) -> None:
    text = flow().encode()
    request = urllib.request.Request(
        f"{served.url}/api/v1/workflows/mine.yaml",
        text,
        {"Content-Type": "application/yaml", "If-None-Match": "*"},
        method="PUT",
    )
    urllib.request.urlopen(request, timeout=60).close()
    ready(page)
    panel = side(page, "workflows")
    panel.get_by_role("button", name=re.compile(r"^mine\.yaml")).click()
    wait_for(page, "app => app.session.get().file.get().name === 'mine.yaml'")
    panel.get_by_role("button", name="Rename mine.yaml").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("yours.yaml")
    page.get_by_role("dialog").get_by_role("button", name="Rename", exact=True).click()
    wait_for(page, "app => app.session.get().file.get().name === 'yours.yaml'")
    panel.get_by_role("button", name="Delete yours.yaml").click()
    expect(panel.get_by_text("Nothing is saved yet.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(panel.get_by_role("button", name="Delete yours.yaml")).to_be_visible()


def test_settings_change_the_page_and_the_language_keeps_what_is_open(page: Page) -> None:
    ready(page)
    open_text(page, flow(seed=59), "kept")
    panel = side(page, "settings")
    panel.get_by_label("Colours").select_option(label="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    panel.get_by_label("High contrast").check()
    assert page.evaluate("document.documentElement.dataset.contrast") == "more"
    panel.get_by_label("Language").select_option(label="简体中文")
    expect(page.locator("#run")).to_have_text(re.compile("运行"))
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert "seed: 59" in page.evaluate("nodegraph.session.get().text.get()")


def test_the_server_panel_tells_memory_and_log(page: Page) -> None:
    ready(page)
    panel = side(page, "logs")
    expect(panel.get_by_text(re.compile(r"nodegraph \d"))).to_be_visible()
    expect(panel.get_by_text(re.compile(r"of memory"))).to_be_visible()
    expect(panel.get_by_role("log")).to_contain_text(re.compile(r"worker cpu is ready"))
    panel.get_by_role("button", name="Free memory").click()
    expect(page.get_by_text("Models and kept results leave the memory")).to_be_visible()


PANELS = ["workflows", "nodes", "models", "gallery", "queue", "form", "outline", "logs", "settings"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, served: Served, theme: str) -> None:
    ready(page)
    page.evaluate("theme => nodegraph.set({theme})", theme)
    open_text(page, flow(seed=60, prefix="axe"))
    run_to_end(page)
    ask(served, "POST", "queue/pause", {})
    queue(served, "waiting")
    page.evaluate(
        """() => {
          nodegraph.say('error', 'An error', {hint: 'A hint', action: {label: 'Do', run() {}}});
          nodegraph.say('info', 'A note');
        }"""
    )
    for name in PANELS:
        panel = side(page, name)
        expect(panel.locator(".side-body > *").first).to_be_attached()
        if name == "outline":
            panel.locator(".outline-node").nth(4).focus()
            page.keyboard.press("ArrowRight")
        places = ["#side", "#rail", "#messages", *([".form-results"] if name == "form" else [])]
        assert serious(page, *places) == [], name
    panel = side(page, "gallery")
    panel.locator(".thumb").first.click()
    expect(page.get_by_role("dialog").locator("dl")).to_be_visible()
    assert serious(page, "dialog") == []
    page.keyboard.press("Escape")
    page.evaluate("void nodegraph.actions.run('welcome.examples')")
    expect(page.locator(".example").first).to_be_visible()
    assert serious(page, "dialog") == []
