"""A page with the widgets of a workflow and nothing around them."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

MOUNT = """async ({ text, name }) => {
  const [{ Session }, { specOf, isWidget }, { setInput }, { widgetKind }, { makeWidget }] = await Promise.all([
    'model/session.js', 'model/catalogue.js', 'model/graph.js', 'view/geometry.js', 'widgets/index.js',
  ].map((name) => import(`/src/${name}`)));
  const app = window.nodegraph;
  while (app.catalogue.get().specs.size === 0) await new Promise(requestAnimationFrame);
  const session = new Session(text, name ? { file: { name, etag: null, label: name } } : {});
  app.open(session);
  document.getElementById('shelf')?.remove();
  const shelf = document.createElement('div');
  shelf.id = 'shelf';
  Object.assign(shelf.style, { position: 'fixed', inset: '20px auto auto 40px', width: '340px', zIndex: '1' });
  shelf.style.background = 'var(--node)';
  document.body.append(shelf);
  const heights = { prompt: 92, image: 176 };
  window.heard = [];
  for (const type of ['pointerdown', 'dblclick', 'contextmenu', 'wheel']) {
    shelf.addEventListener(type, () => window.heard.push(type));
  }
  const made = [];
  for (const node of session.graph.get().nodes.values()) {
    const box = document.createElement('section');
    box.setAttribute('aria-label', node.id);
    for (const input of specOf(app.catalogue.get(), node, session.graph.get()).inputs.filter(isWidget)) {
      const kind = window.kinds?.[`${node.id}.${input.name}`] ?? widgetKind(input);
      const change = (value, options) => {
        session.edit('widget.edit.change', (graph) => setInput(graph, node.id, input.name, value), options);
      };
      const widget = makeWidget({ app, session, id: node.id, input, kind, change });
      const row = document.createElement('div');
      row.style.height = `${heights[kind] ?? 24}px`;
      row.append(widget.element);
      box.append(row);
      made.push(() => {
        const graph = session.graph.get();
        widget.update(graph.nodes.get(node.id)?.inputs.get(input.name), graph);
      });
    }
    shelf.append(box);
  }
  window.updateWidgets = () => made.forEach((update) => update());
  session.graph.subscribe(window.updateWidgets);
  app.problems.subscribe(window.updateWidgets);
  window.updateWidgets();
}"""


def show_widgets(page: Page, text: str, name: str | None = None) -> None:
    """Open the page with the widgets of a file's nodes."""
    if page.url == "about:blank":
        page.goto("/")
        page.wait_for_selector("html[data-ready]")
    page.evaluate(MOUNT, {"text": text, "name": name})


def widget(page: Page, name: str, node: str | None = None) -> Locator:
    """The widget of an input."""
    root = page.get_by_role("region", name=node, exact=True) if node else page.locator("#shelf")
    return root.locator(f'.widget[data-input="{name}"]')


def field(page: Page, name: str, node: str | None = None) -> Locator:
    """The control of a widget that its label names."""
    return widget(page, name, node).locator(".widget-field, .widget-switch").first


def text_of(page: Page) -> str:
    """The file's text, after what was edited has gone into it."""
    return page.evaluate("() => { const s = window.nodegraph.session.get(); s.flush(); return s.text.get(); }")


def value_of(page: Page, node: str, name: str) -> Any:
    """What the graph has for an input; integers as texts, so that large ones stay exact."""
    return page.evaluate(
        """([node, name]) => {
          const value = window.nodegraph.session.get().graph.get().nodes.get(node).inputs.get(name);
          return typeof value === 'bigint' ? `${value}n` : value ?? null;
        }""",
        [node, name],
    )


def undo(page: Page) -> None:
    page.evaluate("() => { window.nodegraph.session.get().undo(); }")


def look_for(page: Page, name: str, typed: str) -> None:
    """Open the list of an input's choices, and type into its search."""
    field(page, name).click()
    page.keyboard.type(typed)


def press_keys(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def advance(page: Page) -> None:
    """Give the seeds their next values, as after a run was queued."""
    page.evaluate("""async () => {
      const { advanceSeeds } = await import('/src/widgets/index.js');
      advanceSeeds(window.nodegraph, window.nodegraph.session.get());
    }""")
