"""Runs in the page: queued by button and key, followed by their events, caught up with after the server was away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.flows import flow, job_count, open_text, ready, run_state, wait_for
from tests.web.support import Served, serving

LOAD = """
nodegraph: 1
nodes:
  source: {uses: LoadImage, with: {image: PICTURE}}
  save: {uses: SaveImage, with: {images: $source.image, filename_prefix: loaded}}
"""


@pytest.fixture(autouse=True)
def nothing_left(page: Page) -> Iterator[None]:
    """What a test leaves running would hold up the next one."""
    yield
    if page.url.startswith("http"):
        page.evaluate(
            """() => {
              const headers = {'Content-Type': 'application/json'};
              return fetch('api/v1/queue/cancel', {method: 'POST', headers, body: '{}'});
            }"""
        )


def set_seed(page: Page, seed: int) -> None:
    """Change the seed as the form does."""
    page.evaluate(
        """async (seed) => {
          const {setParam} = await import('/src/model/graph.js');
          nodegraph.session.get().edit('edit.text', (graph) => setParam(graph, 'seed', seed));
        }""",
        seed,
    )


def test_the_button_makes_a_picture(page: Page) -> None:
    ready(page)
    open_text(page, flow(prefix="button"))
    page.get_by_role("button", name="Run", exact=True).click()
    wait_for(page, "app => app.run.get().state === 'done'")
    run = run_state(page)
    assert {node["state"] for node in run["nodes"].values()} <= {"done", "cached"}
    assert run["done"] == run["total"] == 7
    picture = run["nodes"]["save"]["pictures"][0]
    assert picture["name"].startswith("button_")
    assert (
        page.evaluate("url => fetch(url).then((answer) => answer.headers.get('content-type'))", picture["file"])
        == "image/png"
    )


def test_a_node_keeps_its_picture_until_it_has_another(page: Page) -> None:
    ready(page)
    open_text(page, flow(prefix="kept", seed=41))
    page.evaluate("nodegraph.actions.run('run.queue')")
    wait_for(page, "app => app.run.get().state === 'done'")
    set_seed(page, 42)
    page.evaluate(
        """() => {
          window.seen = [];
          nodegraph.run.subscribe((run) => seen.push(run.nodes.get('save')?.pictures?.[0].name));
          nodegraph.actions.run('run.queue');
        }"""
    )
    wait_for(page, "app => app.run.get().nodes.get('save')?.pictures?.[0].name === 'kept_00002_.png'")
    assert set(page.evaluate("seen")) == {"kept_00001_.png", "kept_00002_.png"}


def test_progress_and_previews_come_while_it_runs(page: Page) -> None:
    ready(page)
    open_text(page, flow(steps=60, seed=31, prefix="progress"))
    page.evaluate(
        """() => {
          const seen = (window.seen = { titles: new Set(), previews: new Set(), values: new Set(), waiting: 0 });
          window.nodegraph.run.subscribe((run) => {
            const latent = run.nodes.get('latent');
            seen.titles.add(document.title);
            if (latent?.preview) seen.previews.add(latent.preview);
            if (latent?.value) seen.values.add(latent.value);
            if ([...run.nodes.values()].some((node) => node.state === 'waiting')) seen.waiting += 1;
          });
        }"""
    )
    wait_for(page, "app => app.plan.get().size > 0")
    page.keyboard.press("Control+Enter")
    wait_for(page, "app => app.run.get().state === 'done'")
    seen = page.evaluate(
        "() => ({...seen, titles: [...seen.titles], previews: [...seen.previews], values: [...seen.values]})"
    )
    assert len(seen["values"]) > 2
    assert seen["waiting"] > 0
    assert seen["previews"] and all(url.startswith("blob:") for url in seen["previews"])
    assert any(re.match(r"\d+ % · ", title) for title in seen["titles"])
    assert "preview" not in run_state(page)["nodes"]["latent"]
    assert "%" not in page.title()


def test_the_plan_says_what_is_kept_and_why_the_rest_runs(page: Page) -> None:
    ready(page)
    open_text(page, flow(prefix="plan", seed=32))
    wait_for(page, "app => app.plan.get().get('latent')?.runs === true")
    page.evaluate("nodegraph.actions.run('run.queue')")
    wait_for(page, "app => app.run.get().state === 'done'")
    wait_for(page, "app => app.plan.get().get('latent')?.runs === false && app.plan.get().get('save')?.runs === false")
    open_text(page, flow(prefix="plan", seed=33))
    wait_for(page, "app => app.plan.get().get('latent')?.runs === true")
    plan = page.evaluate("() => Object.fromEntries(nodegraph.plan.get())")
    assert plan["latent"]["text"] == "It will run: seed was 32 and is now 33."
    assert plan["positive"]["runs"] is False
    assert "It begins at latent" in plan["save"]["text"]


def test_a_workflow_with_a_mistake_is_not_queued_and_the_remedy_is_told(page: Page) -> None:
    ready(page)
    open_text(page, flow().replace("ckpt_name: tiny", "ckpt_name: huge"))
    wait_for(
        page,
        "app => app.problems.get().some(({node, input, hint}) => node === 'model' && input === 'ckpt_name' && hint)",
    )
    jobs = job_count(page)
    page.evaluate("nodegraph.actions.run('run.queue')")
    alert = page.get_by_role("alert").filter(has_text="This cannot run yet")
    expect(alert).to_contain_text("huge")
    expect(alert).to_contain_text("tiny")
    assert job_count(page) == jobs
    assert run_state(page)["state"] == "none"


def test_a_node_that_fails_says_so_at_its_place(page: Page, served: Served) -> None:
    ready(page)
    (served.folder / "input" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture at all")
    open_text(page, LOAD.replace("PICTURE", "broken.png"))
    page.evaluate("nodegraph.actions.run('run.queue')")
    wait_for(page, "app => app.run.get().state === 'failed'")
    failed = run_state(page)["nodes"]["source"]
    assert failed["state"] == "failed"
    assert "broken.png" in failed["problem"]["message"]
    expect(page.get_by_role("alert").filter(has_text="failed")).to_contain_text("broken.png")


def test_a_run_is_cancelled(page: Page) -> None:
    ready(page)
    open_text(page, flow(steps=5000, seed=34))
    page.evaluate("nodegraph.actions.run('run.queue')")
    wait_for(page, "app => app.run.get().nodes.get('latent')?.value > 0")
    page.locator("#cancel").click()
    wait_for(page, "app => app.run.get().state === 'cancelled'")
    assert "latent" not in run_state(page)["nodes"] or run_state(page)["nodes"]["latent"]["state"] == "skipped"


def test_a_batch_is_queued_at_once(page: Page) -> None:
    ready(page)
    open_text(page, flow(prefix="batch", seed=35))
    page.evaluate("nodegraph.batch.set(3)")
    jobs = job_count(page)
    page.evaluate("nodegraph.actions.run('run.queue')")
    page.wait_for_function(
        "wanted => fetch('api/v1/jobs').then((answer) => answer.json()).then(({total}) => total === wanted)",
        arg=jobs + 3,
    )
    wait_for(page, "app => app.run.get().state === 'done' && app.queue.get().queued + app.queue.get().running === 0")


def test_a_change_is_run_by_itself_where_that_is_wanted(page: Page) -> None:
    ready(page)
    open_text(page, flow(prefix="auto", seed=36))
    page.evaluate("nodegraph.set({autoQueue: true})")
    wait_for(page, "app => app.run.get().state === 'done'")
    first = run_state(page)["job"]
    set_seed(page, 37)
    wait_for(page, "(app, first) => app.run.get().state === 'done' && app.run.get().job !== first", first)
    page.evaluate("nodegraph.set({autoQueue: false})")


def test_a_reload_finds_the_run_again(page: Page) -> None:
    ready(page)
    open_text(page, flow(steps=3000, seed=38), "long one")
    page.evaluate("nodegraph.actions.run('run.queue')")
    wait_for(page, "app => app.run.get().nodes.get('latent')?.value > 0")
    job = run_state(page)["job"]
    page.reload()
    page.wait_for_selector("html[data-ready]")
    wait_for(page, "(app, job) => app.run.get().job === job && app.run.get().nodes.get('latent')?.value > 0", job)
    # What comes live may be here before what came while the page was away.
    wait_for(page, "app => ['done', 'cached'].includes(app.run.get().nodes.get('model')?.state)")
    page.evaluate("nodegraph.actions.run('run.cancel')")
    wait_for(page, "app => app.run.get().state === 'cancelled'")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    wait_for(page, "(app, job) => app.run.get().job === job && app.run.get().state === 'cancelled'", job)


def test_two_tabs_see_the_same_queue(browser: Browser, page: Page, served: Served) -> None:
    ready(page)
    context = browser.new_context(base_url=served.url, locale="en-US")
    other = context.new_page()
    ready(other)
    open_text(page, flow(steps=3000, seed=39))
    page.evaluate("nodegraph.actions.run('run.queue')")
    wait_for(other, "app => app.queue.get().running === 1")
    assert run_state(other)["state"] == "none"
    page.evaluate("nodegraph.actions.run('run.cancel')")
    wait_for(other, "app => app.queue.get().running === 0")
    context.close()


def test_each_browser_is_somebody_of_its_own_also_after_a_reload(browser: Browser, page: Page, served: Served) -> None:
    def queue(where: Page) -> str:
        open_text(where, flow(prefix="turns"))
        with where.expect_request(lambda request: request.method == "POST" and request.url.endswith("/jobs")) as asked:
            where.evaluate("nodegraph.actions.run('run.queue')")
        sent: Any = asked.value.post_data_json
        return sent["client"]

    ready(page)
    first = queue(page)
    page.reload()
    ready(page)
    assert queue(page) == first
    context = browser.new_context(base_url=served.url, locale="en-US")
    other = context.new_page()
    ready(other)
    assert queue(other) != first
    context.close()


def test_the_page_catches_up_when_the_server_comes_back(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    with serving(tmp_path) as first:
        ready(page, first.url)
        open_text(page, flow(steps=4000, seed=40, prefix="back"))
        page.evaluate("nodegraph.actions.run('run.queue')")
        wait_for(page, "app => app.run.get().nodes.get('latent')?.value > 0")
        job = run_state(page)["job"]
    wait_for(page, "app => !app.online.get()")
    expect(page.get_by_role("status").filter(has_text="The server does not answer")).to_be_visible()
    page.evaluate("nodegraph.actions.run('run.queue')")
    expect(page.get_by_role("alert").filter(has_text="nodegraph serve")).to_be_visible()
    with serving(tmp_path, "--port", first.url.rsplit(":", 1)[1]) as second:
        assert second.url == first.url
        wait_for(page, "app => app.online.get()")
        wait_for(page, "(app, job) => app.run.get().job === job && app.run.get().nodes.get('latent')?.value > 0", job)
        page.evaluate("nodegraph.actions.run('run.cancel')")
        wait_for(page, "app => app.run.get().state === 'cancelled'")
        seen = page.evaluate(
            "async () => (await (await fetch('api/v1/jobs')).json()).jobs.map(({id, state}) => [id, state])"
        )
        assert [job, "cancelled"] in seen
    context.close()
