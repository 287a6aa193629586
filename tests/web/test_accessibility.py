"""The page by axe-core: no serious problem in any of its states, in either theme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.web.flows import flow, open_text, ready, wait_for
from tests.web.support import Served

AXE = next((Path(__file__).parent / "vendor").glob("axe*.js"))
PANELS = ("workflows", "nodes", "models", "gallery", "queue", "form", "outline", "logs", "settings")


@pytest.fixture(params=["light", "dark"])
def canvas(browser: Browser, served: Served, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page in a theme."""
    context = browser.new_context(
        base_url=served.url,
        viewport={"width": 1280, "height": 800},
        color_scheme=request.param,
        locale="en-US",
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put into the page as a script
    )
    page = context.new_page()
    ready(page)
    page.add_script_tag(path=AXE)
    yield page
    context.close()


def serious(page: Page) -> list[str]:
    """What axe finds that is serious or critical, in words."""
    found: dict[str, Any] = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'][:160] for node in rule['nodes']][:4]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


def test_the_first_visit(canvas: Page) -> None:
    assert serious(canvas) == []


def test_every_panel(canvas: Page) -> None:
    found = {}
    for panel in PANELS:
        canvas.evaluate("(panel) => nodegraph.actions.run(`side.${panel}`)", panel)
        canvas.wait_for_selector("#side:not([hidden])")
        found[panel] = serious(canvas)
    assert {panel: problems for panel, problems in found.items() if problems} == {}


def test_menus_dialogs_and_the_search(canvas: Page) -> None:
    canvas.get_by_role("menuitem", name="Edit").click()
    assert serious(canvas) == []
    canvas.keyboard.press("Escape")
    canvas.keyboard.press("?")
    canvas.wait_for_selector("dialog[open]")
    assert serious(canvas) == []
    canvas.keyboard.press("Escape")
    canvas.evaluate(
        "() => nodegraph.actions.run('search.open', new CustomEvent('x', "
        "{ detail: { x: 0, y: 0, clientX: 300, clientY: 300 } }))"
    )
    canvas.wait_for_selector(".search input")
    assert serious(canvas) == []


def test_a_finished_run_and_a_mistake(canvas: Page) -> None:
    open_text(canvas, flow(steps=1))
    canvas.evaluate("() => nodegraph.actions.run('run.queue')")
    wait_for(canvas, "app => app.run.get().state === 'done'")
    assert serious(canvas) == []
    open_text(canvas, flow(steps=1).replace("cfg: 4", "cfq: 4"))
    wait_for(canvas, "app => app.problems.get().length > 0")
    assert serious(canvas) == []


def test_high_contrast(canvas: Page) -> None:
    canvas.evaluate("() => nodegraph.set({ contrast: true })")
    assert serious(canvas) == []


WIDGETS = """nodegraph: 1
params: {size: 512}
nodes:
  load: {uses: CheckpointLoaderSimple, with: {ckpt_name: gone}}
  encode: {uses: CLIPTextEncode, with: {clip: $load.clip, text: a fox}}
  k: {uses: KSampler, with: {cfg: $load.model, steps: 0}}
  empty: {uses: EmptyLatentImage, with: {width: $size}}
  picture: {uses: LoadImage, with: {image: star.png}}
layout: {load: [0, 0], encode: [260, 0], k: [620, 0], empty: [0, 200], picture: [260, 200]}
"""


def test_widgets_and_what_they_open(canvas: Page, served: Served) -> None:
    Image.new("RGB", (64, 64), "red").save(served.folder / "input" / "star.png")
    open_text(canvas, WIDGETS)
    canvas.evaluate("nodegraph.set({ yaml: false, side: null, minimap: false })")
    canvas.evaluate("nodegraph.camera.set({ x: -40, y: -40, scale: 1 })")
    wait_for(canvas, "app => app.problems.get().length > 0")
    assert serious(canvas) == []
    for pressed, opened in (("scheduler] .combo", "listbox"), ("width] .widget-chip", "menu")):
        canvas.locator(f".node .widget[data-input={pressed}").click()
        canvas.wait_for_selector(f".popup [role={opened}]")
        assert serious(canvas) == [], pressed
        canvas.keyboard.press("Escape")
    canvas.locator('.node .widget[data-input="image"]').get_by_role("button", name="Draw a mask").click()
    canvas.wait_for_selector("dialog.mask-editor[open]")
    assert serious(canvas) == []
