"""The canvas in a headless Chromium, with 1,000 nodes: frames while it moves, first render, page load, sync, memory.

Milliseconds a frame are processor time of the page's main thread, frames per second are by the clock.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.table import print_table

CHAIN = """  model{i}: {{uses: CheckpointLoaderSimple, with: {{ckpt_name: tiny}}}}
  positive{i}: {{uses: CLIPTextEncode, with: {{clip: $model{i}.clip, text: "a red star at night, number {i}"}}}}
  negative{i}: {{uses: CLIPTextEncode, with: {{clip: $model{i}.clip, text: ""}}}}
  canvas{i}: {{uses: EmptyLatentImage, with: {{width: 128, height: 128}}}}
  latent{i}:
    uses: KSampler
    with:
      {{model: $model{i}.model, positive: $positive{i}, negative: $negative{i}, latent_image: $canvas{i}, seed: {i}}}
  picture{i}: {{uses: VAEDecode, with: {{samples: $latent{i}, vae: $model{i}.vae}}}}
  save{i}: {{uses: SaveImage, with: {{images: $picture{i}}}}}
"""
PLACES = {
    "model": (0, 0),
    "positive": (270, 0),
    "negative": (270, 170),
    "canvas": (0, 190),
    "latent": (650, 0),
    "picture": (920, 0),
    "save": (920, 110),
}

#: Moves the camera a little each frame, there and back; answers milliseconds by the clock, and the frames.
PAN = """async ([scale, frames]) => {
  const app = window.nodegraph;
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const start = scale === null ? app.camera.get() : { x: 600, y: 600, scale };
  app.camera.set(start);
  for (let still = 0; still < 20; still += 1) await frame();
  await window.meter();
  const began = performance.now();
  for (let i = 0; i < frames; i += 1) {
    const along = 14 * (i < frames / 2 ? i : frames - i) / start.scale;
    app.camera.set({ ...start, x: start.x + along, y: start.y + along / 3 });
    await frame();
  }
  const spent = performance.now() - began;
  await window.meter();
  return [spent, frames];
}"""

OPEN = """async ([text, scale]) => {
  const app = window.nodegraph;
  const { Session } = await import('/src/model/session.js');
  const { autoPlace } = await import('/src/util/layout.js');
  const session = new Session(text, { place: (graph) => autoPlace(graph, app.catalogue.get()) });
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const count = () => document.querySelectorAll('.node').length;
  await frame();
  const began = performance.now();
  app.open(session);
  if (scale !== null) app.camera.set({ x: 600, y: 600, scale });
  let last = began;
  for (let before = -1; before !== count();) {
    before = count();
    last = performance.now();
    await frame();
  }
  // When the frame in which nothing was left to be done began.
  return last - began;
}"""

SYNC = """async () => {
  const session = window.nodegraph.session.get();
  const [id, place] = [...session.graph.get().places][100];
  const done = new Promise((told) => {
    const stop = session.text.subscribe(() => { stop(); told(performance.now()); });
  });
  const began = performance.now();
  const moved = { ...place, x: place.x + 10 };
  session.edit('edit.move', (graph) => ({ ...graph, places: new Map([...graph.places, [id, moved]]) }));
  return await done - began;
}"""

#: So many runs of all nodes, each with its states, times and what they show, as the server would tell them.
RUNS = """async (runs) => {
  const app = window.nodegraph;
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const ids = [...app.session.get().graph.get().nodes.keys()];
  for (let run = 0; run < runs; run += 1) {
    const none = { job: `job-${run}`, state: 'running', done: 0, total: ids.length, problems: [], started: Date.now() };
    for (const share of [0.3, 0.7, 1]) {
      const nodes = new Map(ids.map((id, i) => [id, i < share * ids.length
        ? { state: 'done', seconds: i / 100, message: `run ${run}` }
        : i < share * ids.length + 2 ? { state: 'running', value: run % 20, total: 20 } : { state: 'waiting' }]));
      app.run.set({ ...none, done: Math.round(share * ids.length), nodes });
      await frame();
    }
  }
}"""


def workflow(nodes: int) -> str:
    """Chains of seven nodes and nine links, in rows."""
    lines, places = ["nodegraph: 1", "nodes:"], list[str]()
    for i in range(-(-nodes // 7)):
        lines.append(CHAIN.format(i=i).rstrip("\n"))
        x, y = (i % 10) * 1250, (i // 10) * 420
        places += [f"  {name}{i}: [{x + dx}, {y + dy}]" for name, (dx, dy) in PLACES.items()]
    return "\n".join([*lines, "layout:", *places, ""])


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server in a process of its own: its address."""
    (folder / "in").mkdir()
    command = [sys.executable, "-m", "nodegraph", "serve", "--port", "0", "--log-format", "json", "--devices", "cpu"]
    command += ["--data-dir", "data", "--output-dir", "out", "--input-dir", "in", "--cache-dir", "kept"]
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "HOME": str(folder)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"].rstrip("/")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@dataclass(frozen=True, slots=True)
class Frames:
    """How a movement went."""

    per_second: float
    milliseconds: float

    def __str__(self) -> str:
        """As the table shows it."""
        return f"{self.milliseconds:.1f} ms / {self.per_second:.0f}"


class Meter:
    """The processor time of the page's main thread, between two calls of `meter()` in the page."""

    def __init__(self, page: Any) -> None:
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.taken: list[float] = []
        page.expose_function("meter", self.take)

    def take(self) -> None:
        """Note how much time has been spent until now."""
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        self.taken.append(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

    def frames(self, move: Callable[[], tuple[float, int]]) -> Frames:
        """Measure a movement that answers the milliseconds and the frames it took."""
        self.taken.clear()
        spent, count = move()
        return Frames(count / spent * 1e3, (self.taken[-1] - self.taken[0]) * 1e3 / count)


def drag(page: Any, meter: Meter, moves: int) -> tuple[float, int]:
    """Drag a node about by so many moves: the milliseconds, and the frames that the page drew meanwhile."""
    page.evaluate("() => nodegraph.camera.set({x: -50, y: -100, scale: 0.6})")
    page.evaluate("() => new Promise((done) => setTimeout(done, 300))")
    box = page.locator('.node[data-id="latent0"] .node-title').bounding_box()
    x, y = box["x"] + 10, box["y"] + 5
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 9, y + 9)
    page.evaluate(
        """() => {
          window.drawn = 0;
          const count = () => { window.drawn += 1; window.counting = requestAnimationFrame(count); };
          window.counting = requestAnimationFrame(count);
          window.began = performance.now();
        }"""
    )
    meter.take()
    for i in range(moves):
        page.mouse.move(x + 9 + 2 * (i % 60), y + 9 + i % 60)
    meter.take()
    drawn, spent = page.evaluate("() => [window.drawn, performance.now() - window.began]")
    page.evaluate("() => cancelAnimationFrame(window.counting)")
    page.mouse.up()
    return spent, drawn


def heap(meter: Meter) -> float:
    """MiB of the page's heap that are in use."""
    meter.session.send("HeapProfiler.collectGarbage")
    metrics = meter.session.send("Performance.getMetrics")["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize") / 2**20


def load_seconds(context: Any) -> float:
    """Seconds from the address to a page that is ready; CodeMirror is not loaded."""
    page = context.new_page()
    page.goto("/")
    page.wait_for_selector("html[data-ready]")
    spent = page.evaluate("() => performance.getEntriesByName('ready')[0]?.startTime ?? performance.now()")
    page.close()
    return float(spent) / 1e3


READY = """
  localStorage.setItem('nodegraph.settings', JSON.stringify({ yaml: false }));
  new MutationObserver((_, watch) => {
    if (!document.documentElement?.hasAttribute('data-ready')) return;
    performance.mark('ready');
    watch.disconnect();
  }).observe(document, { attributes: true, subtree: true, attributeFilter: ['data-ready'] });
"""


def measure(browser: Any, url: str, small: bool) -> list[list[object]]:
    """All rows of the table."""
    nodes, frames, runs = (200, 40, 10) if small else (1_000, 180, 200)
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 800})
    context.add_init_script(READY)
    loads = [load_seconds(context) for _ in range(2 if small else 5)]
    page = context.new_page()
    meter = Meter(page)
    page.goto("/")
    page.wait_for_selector("html[data-ready]")
    page.wait_for_function("() => nodegraph.catalogue.get().specs.size > 0")
    text = workflow(nodes)
    firsts = {scale: [page.evaluate(OPEN, [text, scale]) for _ in range(3)] for scale in (1, 0.6, None)}
    moved = {scale: meter.frames(lambda at=scale: page.evaluate(PAN, [at, frames])) for scale in (1, 0.6, 0.3)}
    page.evaluate("() => nodegraph.actions.run('view.fit')")
    far = meter.frames(lambda: page.evaluate(PAN, [None, frames]))
    dragged = meter.frames(lambda: drag(page, meter, frames))
    synced = [page.evaluate(SYNC) for _ in range(2 if small else 5)]
    page.evaluate("() => nodegraph.camera.set({x: 600, y: 600, scale: 0.6})")
    page.evaluate(RUNS, 10)
    before = heap(meter)
    page.evaluate(RUNS, runs)
    after = heap(meter)
    context.close()
    first = {scale: f"{min(taken) / 1e3:.2f} s" for scale, taken in firsts.items()}
    return [
        ["panning at 100 %: main thread a frame / frames a second", str(moved[1]), "8 ms / 50", "", ""],
        ["panning at 60 %", str(moved[0.6]), "8 ms / 50", "8-9 ms / 58", "25-29 ms / 21-28"],
        ["panning at 30 %, between nodes and boxes", str(moved[0.3]), "8 ms / 50", "", ""],
        ["panning with the whole graph in view", str(far), "8 ms / 50", "20 ms / 30-35", "52-55 ms / 6-7"],
        ["dragging a node at 60 %", str(dragged), "8 ms / 50", "", ""],
        ["first render after the data, at 100 %", first[1], "0.3 s", "", ""],
        ["first render after the data, at 60 %", first[0.6], "0.3 s", "", ""],
        ["first render after the data, the whole graph", first[None], "0.3 s", "0.9 s", "4.7-5.1 s"],
        ["the text after the last edit", f"{statistics.median(synced) / 1e3:.2f} s", "0.6 s", "", ""],
        ["the page, until it is ready", f"{statistics.median(loads):.2f} s", "0.5 s", "", ""],
        [f"heap over {runs} runs", f"{before:.1f} → {after:.1f} MiB", "flat", "", ""],
    ]


def main(small: bool = False) -> None:
    """Print the table."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    program = os.environ.get("NODEGRAPH_CHROMIUM") or next(
        (path for name in names if (path := shutil.which(name))), None
    )
    if program is None:
        print("\nThe canvas: there is no Chromium; install one or name it in NODEGRAPH_CHROMIUM")
        return
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        rows = measure(browser, url, small)
        version = re.sub(r"\..*", "", browser.version)
        browser.close()
    count = 200 if small else 1_000
    print_table(
        f"The canvas with {count:,} nodes, Chromium {version} without a window or a graphics card",
        ["", "measured", "to reach", "litegraph", "React Flow"],
        rows,
        "The last two columns were measured with prototypes on the same graph sizes.",
    )
