"""The canvas, as a reader's hand finds it: where nodes and sockets are on the screen, and what the graph came to."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.web.flows import open_text, ready, wait_for

Point = tuple[float, float]

SETTLED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def show(page: Page, text: str, *, camera: tuple[float, float, float] = (-100, -100, 1), **settings: object) -> None:
    """Show a text on a canvas without anything beside it, with a canvas point at the stage's corner."""
    if page.url == "about:blank":
        page.add_init_script("localStorage.setItem('nodegraph.welcomed', 'yes')")
        ready(page)
    page.evaluate("(settings) => nodegraph.set({yaml: false, minimap: false, side: null, ...settings})", settings)
    open_text(page, text)
    settle(page)
    look(page, *camera)


def look(page: Page, x: float, y: float, scale: float) -> None:
    """Look at a place of the canvas, and wait until it is drawn."""
    page.evaluate("([x, y, scale]) => nodegraph.camera.set({x, y, scale})", [x, y, scale])
    settle(page)


def settle(page: Page) -> None:
    """Wait until what was done is drawn."""
    page.evaluate(SETTLED)


def at(page: Page, x: float, y: float) -> Point:
    """Where a point of the canvas is on the screen."""
    found = page.evaluate(
        """([x, y]) => {
          const { left, top } = document.getElementById('stage').getBoundingClientRect();
          const camera = nodegraph.camera.get();
          return [left + (x - camera.x) * camera.scale, top + (y - camera.y) * camera.scale];
        }""",
        [x, y],
    )
    return found[0], found[1]


def title(page: Page, node: str) -> Point:
    """A point in the header of a node on the page."""
    box = page.locator(f'.node[data-id="{node}"] .node-head').bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def socket(page: Page, node: str, name: str | int) -> Point:
    """The middle of a socket: of an input by name, of an output by number."""
    kind = "output" if isinstance(name, int) else "input"
    box = page.locator(f'.node[data-id="{node}"] .socket[data-{kind}="{name}"]').bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(
    page: Page, start: Point, end: Point, *, keys: tuple[str, ...] = (), button: Any = "left", drop: bool = True
) -> None:
    """Drag from a point of the screen to another, with keys held."""
    for key in keys:
        page.keyboard.down(key)
    page.mouse.move(*start)
    page.mouse.down(button=button)
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    settle(page)
    page.mouse.move(*end)
    settle(page)
    if drop:
        page.mouse.up(button=button)
        settle(page)
    for key in keys:
        page.keyboard.up(key)


def place(page: Page, node: str) -> dict[str, Any]:
    """Where a node lies."""
    return page.evaluate("(id) => nodegraph.session.get().graph.get().places.get(id)", node)


def value(page: Page, node: str, name: str) -> Any:
    """What an input is given in the file."""
    return page.evaluate(
        "([id, name]) => nodegraph.session.get().graph.get().nodes.get(id)?.inputs.get(name) ?? null", [node, name]
    )


def points(page: Page, link: str) -> list[dict[str, float]]:
    """The points that a link passes."""
    return page.evaluate("(key) => nodegraph.session.get().graph.get().points.get(key) ?? []", link)


def selection(page: Page) -> set[str]:
    """What is selected."""
    return set(page.evaluate("() => [...nodegraph.session.get().selection.get()]"))


def camera(page: Page) -> dict[str, float]:
    """Where we look."""
    return page.evaluate("() => nodegraph.camera.get()")


def announced(page: Page) -> str:
    """What screen readers were told last."""
    return page.evaluate("() => nodegraph.announced.get()")


def caught(page: Page, action: str) -> None:
    """Keep what an action is asked for from now on, in place of doing it."""
    page.evaluate(
        """(id) => {
          window.asked = [];
          const label = nodegraph.actions.all.get(id)?.label ?? 'view.fit';
          const run = (event) => void window.asked.push(event?.detail ?? null);
          nodegraph.actions.add({ id, label, group: 'menu.view', run });
        }""",
        action,
    )


def asked(page: Page) -> list[Any]:
    """What the caught action was asked for."""
    return page.evaluate("() => window.asked")


def text_of(page: Page) -> str:
    """The file's text, once it has followed the graph."""
    wait_for(page, "app => app.session.get().history.current.text !== null")
    return page.evaluate("() => nodegraph.session.get().text.get()")
