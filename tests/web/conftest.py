"""One server and one Chromium for all tests of a file, a fresh page for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.web.support import IN_CI, Served, find_chromium, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose files lie in a temporary folder."""
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


# Not for the whole session: while playwright is up it holds the thread's event loop, and asyncio.run fails elsewhere.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    program = find_chromium()
    if program is None:
        reason = "there is no Chromium; install one or name it in NODEGRAPH_CHROMIUM"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """An empty page with a storage of its own, whose addresses are the server's.

    An uncaught error fails the test, and so does what the content security policy forbids.
    """
    context = browser.new_context(base_url=served.url, viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(15_000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(f"{error.message}\n{error.stack}"))
    opened.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    yield opened
    context.close()
    assert errors == []
