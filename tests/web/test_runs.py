"""Runs in the page: queued by button and key, followed by their events, caught up with after the server was away."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.support import Served, serving
from tests.web.flows import HELLO, flow, open_text, ready, run_state, wait_for


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
    assert page.evaluate("url => fetch(url).then((answer) => answer.headers.get('content-type'))", picture["file"]) == "image/png"


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
    seen = page.evaluate("() => ({...seen, titles: [...seen.titles], previews: [...seen.previews], values: [...seen.values]})")
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
