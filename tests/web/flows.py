"""Small workflows for the embedded model, and what tests of the page do with them."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.web.support import ROOT

AXE = (ROOT / "tests" / "web" / "vendor" / "axe.min.js").read_text(encoding="utf-8")
HELLO = (ROOT / "workflows" / "hello.yaml").read_text(encoding="utf-8")
#: Milliseconds; the first run of a worker loads libraries, which takes long on a machine that has other things to do.
PATIENCE = 90_000


def flow(*, steps: int = 2, seed: int = 7, prefix: str = "hello", prompt: str = "a red star") -> str:
    """hello.yaml with other values."""
    text = HELLO.replace("steps: 20", f"steps: {steps}").replace("seed: 7", f"seed: {seed}")
    text = text.replace("filename_prefix: hello", f"filename_prefix: {prefix}")
    return text.replace("prompt: a red star at night under the stars", f"prompt: {prompt}")


def ready(page: Page, path: str = "/") -> None:
    """Open the canvas, and wait until it knows the server."""
    page.goto(path)
    page.wait_for_selector("html[data-ready]")
    wait_for(page, "app => app.catalogue.get().specs.size > 0 && app.online.get()")


def wait_for(page: Page, condition: str, argument: Any = None) -> None:
    """Wait until a function of the app, and of an argument, gives something true."""
    page.wait_for_function(f"argument => ({condition})(window.nodegraph, argument)", arg=argument, timeout=PATIENCE)


def open_text(page: Page, text: str, label: str = "test") -> None:
    """Show a text in a tab of its own."""
    page.evaluate(
        """([text, label]) =>
          nodegraph.actions.run('file.openText', new CustomEvent('open', {detail: {text, label}}))""",
        [text, label],
    )


def text_of(page: Page) -> str:
    """The file's text, with all that was edited."""
    return page.evaluate("() => { const s = nodegraph.session.get(); s.flush(); return s.text.get(); }")


def run_state(page: Page) -> dict[str, Any]:
    """The run that the canvas shows."""
    return page.evaluate("() => ({...nodegraph.run.get(), nodes: Object.fromEntries(nodegraph.run.get().nodes)})")


def job_count(page: Page) -> int:
    """How many jobs the server has."""
    return page.evaluate("() => fetch('api/v1/jobs').then((answer) => answer.json())")["total"]


def serious(page: Page, *places: str) -> list[str]:
    """What axe-core calls serious or critical in parts of the page."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate("async (include) => (await axe.run({include})).violations", list(places))
    return [
        f"{each['id']}: {[node['html'] + ' ' + node['failureSummary'] for node in each['nodes']][:3]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
