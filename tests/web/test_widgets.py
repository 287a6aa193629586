"""The widgets of a node: what is dragged, typed and chosen goes into the file, and what cannot be taken is said."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.widgets_page import (
    advance,
    field,
    look_for,
    press_keys,
    show_widgets,
    text_of,
    undo,
    value_of,
    widget,
)

SAMPLER = "nodes:\n  k: {uses: KSampler, with: {seed: 5, steps: 30, cfg: 5.5}}\n"
PROMPT = "params: {subject: fox, other: 2}\nnodes:\n  p: {uses: CLIPTextEncode, with: {text: %s}}\n"


def drag(page: Page, what: Locator, dx: int, *keys: str) -> None:
    """Press, move sideways, release, with keys held."""
    box = what.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    for key in keys:
        page.keyboard.down(key)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y)
    page.mouse.move(x + dx, y)
    page.mouse.up()
    for key in keys:
        page.keyboard.up(key)


def steps_of(page: Page) -> int:
    return page.evaluate("() => window.nodegraph.session.get().state.get()")


def test_a_number_is_dragged_in_steps_and_that_is_one_step_of_undo(page: Page) -> None:
    show_widgets(page, SAMPLER)
    drag(page, field(page, "steps"), 40)
    assert value_of(page, "k", "steps") == 40
    expect(field(page, "steps")).to_have_value("40")
    undo(page)
    assert value_of(page, "k", "steps") == 30
    drag(page, field(page, "steps"), 40, "Shift")
    assert value_of(page, "k", "steps") == 130
    drag(page, field(page, "cfg"), -40, "Alt")
    assert value_of(page, "k", "cfg") == 5.4
    drag(page, field(page, "steps"), -1000)
    assert value_of(page, "k", "steps") == 1
    assert "steps: 1," in text_of(page)
    assert "pointerdown" not in page.evaluate("window.heard")


def test_a_number_is_typed_with_enter_and_stepped_with_arrow_keys(page: Page) -> None:
    show_widgets(page, SAMPLER)
    field(page, "cfg").dblclick()
    page.keyboard.type("7,25")
    page.keyboard.press("Enter")
    assert value_of(page, "k", "cfg") == 7.25
    press_keys(page, "ArrowUp", "ArrowUp", "Shift+ArrowUp")
    assert value_of(page, "k", "cfg") == 8.45
    page.keyboard.press("Alt+ArrowDown")
    assert value_of(page, "k", "cfg") == 8.44
    field(page, "denoise").click()
    page.keyboard.press("ArrowUp")
    assert value_of(page, "k", "denoise") is None, "one is the most, and the default"


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("steps", "0", "1 is the least"),
        ("steps", "2.5", "whole number"),
        ("steps", "many", "“many” is not a number"),
        ("steps", "", "a number is needed"),
        ("cfg", "101", "100 is the most"),
        ("seed", "18446744073709551616", "18446744073709551615 is the most"),
    ],
)
def test_what_is_no_such_number_is_said_and_not_taken(page: Page, name: str, typed: str, said: str) -> None:
    show_widgets(page, SAMPLER)
    before = value_of(page, "k", name)
    number = field(page, name)
    number.fill(typed)
    page.keyboard.press("Enter")
    expect(number).to_have_attribute("aria-invalid", "true")
    expect(number).to_have_accessible_description(re.compile(said))
    assert value_of(page, "k", name) == before
    page.keyboard.press("Escape")
    expect(number).not_to_have_attribute("aria-invalid", "true")
    expect(number).to_have_value(str(before))


def test_integers_are_exact_however_large(page: Page) -> None:
    show_widgets(page, "nodes:\n  k: {uses: KSampler, with: {seed: 18446744073709551614}}\n")
    seed = field(page, "seed")
    expect(seed).to_have_value("18446744073709551614")
    seed.click()
    press_keys(page, "ArrowUp", "ArrowUp")
    assert value_of(page, "k", "seed") == "18446744073709551615n"
    seed.fill("9007199254740993")
    page.keyboard.press("Enter")
    assert "seed: 9007199254740993}" in text_of(page)


def test_typing_a_text_is_one_step_and_its_dollars_are_dollars(page: Page) -> None:
    show_widgets(page, PROMPT % "old")
    prompt = field(page, "text")
    prompt.fill("")
    prompt.press_sequentially("costs $5, a ${subject")
    assert value_of(page, "p", "text") == "costs $$5, a $${subject"
    prompt.press_sequentially("}")
    assert value_of(page, "p", "text") == "costs $$5, a ${subject}", "a parameter is filled in"
    expect(prompt).to_have_value("costs $5, a ${subject}")
    undo(page)
    assert value_of(page, "p", "text") == "old"
    expect(prompt).to_have_value("old")
    show_widgets(page, PROMPT % "costs $$5")
    expect(field(page, "text")).to_have_value("costs $5")


@pytest.mark.parametrize(
    ("before", "selected", "keys", "after"),
    [
        ("a red fox", (3, 3), ["Up"], "a (red:1.05) fox"),
        ("a red fox", (2, 9), ["Up", "Up"], "a (red fox:1.1)"),
        ("a (red:1.1) fox", (4, 4), ["Down"], "a (red:1.05) fox"),
        ("a (red:1.05) fox", (4, 4), ["Down"], "a red fox"),
        ("a (red) fox", (4, 4), ["Up"], "a (red:1.15) fox"),
        ("(a (red:1.2):1.1)", (4, 7), ["Up"], "(a (red:1.25):1.1)"),
        ("a red fox", (3, 3), ["Shift+Up"], "a (red:1.1) fox"),
        (r"a \(red\) fox", (5, 5), ["Up"], r"a \((red:1.05)\) fox"),
        ("a fox", (1, 1), ["Down"], "(a:0.95) fox"),
    ],
)
def test_weights_of_words_are_changed_by_keys(
    page: Page, before: str, selected: tuple[int, int], keys: list[str], after: str
) -> None:
    show_widgets(page, PROMPT % "x")
    prompt = field(page, "text")
    prompt.fill(before)
    prompt.evaluate("(element, [from, to]) => element.setSelectionRange(from, to)", list(selected))
    for key in keys:
        page.keyboard.press(f"Control+{key}".replace("Up", "ArrowUp").replace("Down", "ArrowDown"))
    expect(prompt).to_have_value(after)
    assert value_of(page, "p", "text") == after


def test_names_of_parameters_and_embeddings_are_completed(page: Page) -> None:
    show_widgets(page, PROMPT % "x")
    page.evaluate("nodegraph.models.set(new Map([['embeddings', ['EasyNegative.safetensors', 'bad/hands.pt']]]))")
    prompt = field(page, "text")
    prompt.fill("")
    prompt.press_sequentially("a ${s")
    expect(page.locator(".popup").get_by_role("option")).to_have_text(["subject"])
    page.keyboard.press("Enter")
    expect(prompt).to_have_value("a ${subject}")
    prompt.press_sequentially(", embedding:")
    expect(page.locator(".popup").get_by_role("option")).to_have_text(["EasyNegative", "bad/hands"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert value_of(page, "p", "text") == "a ${subject}, embedding:bad/hands"
    expect(page.get_by_role("listbox")).to_have_count(0)
    show_widgets(page, "params: {subject: fox}\nnodes:\n  s: {uses: SaveImage}\n")
    field(page, "filename_prefix").fill("")
    field(page, "filename_prefix").press_sequentially("${")
    page.keyboard.press("Enter")
    assert value_of(page, "s", "filename_prefix") == "${subject}"


def test_a_choice_is_found_by_typing(page: Page) -> None:
    show_widgets(page, SAMPLER)
    field(page, "sampler_name").focus()
    page.keyboard.type("sde heu")
    expect(page.locator(".popup").get_by_role("option").first).to_have_text("dpmpp_2m_sde_heun")
    press_keys(page, "ArrowUp", "Backspace", "Escape")
    expect(page.get_by_role("listbox")).to_have_count(0)
    expect(field(page, "sampler_name")).to_be_focused()
    assert value_of(page, "k", "sampler_name") is None
    look_for(page, "sampler_name", "uni")
    press_keys(page, "ArrowDown", "Enter")
    assert value_of(page, "k", "sampler_name") == "uni_pc_bh2"
    page.keyboard.press("ArrowUp")
    assert value_of(page, "k", "sampler_name") == "uni_pc"
    field(page, "scheduler").click()
    page.locator(".popup").get_by_role("option", name="karras").click()
    assert value_of(page, "k", "scheduler") == "karras"


def test_a_choice_that_is_none_is_shown_so(page: Page) -> None:
    show_widgets(page, "nodes:\n  c: {uses: CheckpointLoaderSimple, with: {ckpt_name: '<b>gone</b>'}}\n")
    expect(field(page, "ckpt_name")).to_have_text("<b>gone</b>")
    expect(field(page, "ckpt_name")).to_have_class(re.compile("unknown"))
    field(page, "ckpt_name").click()
    page.locator(".popup").get_by_role("option", name="tiny").click()
    expect(field(page, "ckpt_name")).not_to_have_class(re.compile("unknown"))


def test_a_long_list_is_shown_in_parts(page: Page) -> None:
    show_widgets(page, "nodes:\n  c: {uses: CheckpointLoaderSimple}\n")
    page.evaluate("""() => window.nodegraph.catalogue.update((all) => {
      const spec = structuredClone(all.specs.get('CheckpointLoaderSimple'));
      const choices = Array.from({ length: 5000 }, (_, i) => `model ${i}`);
      Object.assign(spec.inputs.find((input) => input.name === 'ckpt_name'), { choices });
      return { ...all, specs: new Map([...all.specs, ['CheckpointLoaderSimple', spec]]) };
    })""")
    field(page, "ckpt_name").click()
    expect(page.get_by_text("4700 more")).to_be_visible()
    page.keyboard.type("4999")
    page.keyboard.press("Enter")
    assert value_of(page, "c", "ckpt_name") == "model 4999"


def test_a_switch_is_pressed(page: Page) -> None:
    show_widgets(page, "nodes:\n  s: {uses: KSamplerAdvanced}\n")
    page.evaluate("window.kinds = {'s.noise_seed': 'toggle'}")
    show_widgets(page, "nodes:\n  s: {uses: KSamplerAdvanced, with: {noise_seed: false}}\n")
    page.get_by_role("switch", name="noise_seed").press("Space")
    assert value_of(page, "s", "noise_seed") is True
    undo(page)
    expect(page.get_by_role("switch", name="noise_seed")).not_to_be_checked()


def test_nothing_is_changed_while_the_text_cannot_be_read(page: Page) -> None:
    show_widgets(page, SAMPLER)
    page.evaluate("nodegraph.session.get().editText('nodes: [')")
    field(page, "cfg").fill("9")
    page.keyboard.press("Enter")
    expect(field(page, "cfg")).to_have_accessible_description(re.compile("text"))
    expect(field(page, "cfg")).to_have_value("5.5")
    assert value_of(page, "k", "cfg") == 5.5


def test_a_colour_is_chosen_or_typed(page: Page) -> None:
    show_widgets(page, "nodes: {}\n")
    page.evaluate("window.kinds = {'e.color': 'colour'}")
    show_widgets(page, "nodes:\n  e: {uses: EmptyImage, with: {color: 255}}\n")
    expect(field(page, "color")).to_have_value("#0000ff")
    page.get_by_label("Choose color").fill("#102030")
    assert value_of(page, "e", "color") == 0x102030
    field(page, "color").fill("#f00")
    page.keyboard.press("Enter")
    assert value_of(page, "e", "color") == 0xFF0000
    field(page, "color").fill("red")
    page.keyboard.press("Enter")
    expect(field(page, "color")).to_have_accessible_description("a colour is written as #rrggbb")


def test_any_value_is_written_as_json_or_as_a_text(page: Page) -> None:
    show_widgets(page, "nodes: {}\n")
    page.evaluate("window.kinds = {'k.cfg': 'value'}")
    show_widgets(page, SAMPLER)
    cfg = field(page, "cfg")
    cfg.fill('[1, {"a": 18446744073709551615}]')
    page.keyboard.press("Enter")
    assert "cfg: [1, {a: 18446744073709551615}]" in text_of(page)
    cfg.fill("[1")
    page.keyboard.press("Enter")
    expect(cfg).to_have_accessible_description("this begins like JSON and is none")
    cfg.fill("costs $5")
    page.keyboard.press("Enter")
    assert value_of(page, "k", "cfg") == "costs $$5"


def test_a_default_is_fainter_and_can_be_gone_back_to(page: Page) -> None:
    show_widgets(page, SAMPLER)
    expect(widget(page, "denoise")).to_have_class(re.compile("is-default"))
    expect(widget(page, "steps")).not_to_have_class(re.compile("is-default"))
    widget(page, "steps").locator("label").click(button="right")
    page.get_by_role("menuitem", name="Reset to default").click()
    expect(field(page, "steps")).to_have_value("20")
    assert "steps" not in text_of(page)
    assert "contextmenu" not in page.evaluate("window.heard")


def test_an_input_becomes_a_parameter_and_comes_back(page: Page) -> None:
    show_widgets(page, SAMPLER + "  l: {uses: KSampler}\n")
    steps = widget(page, "steps", "k")
    field(page, "steps", "k").focus()
    page.keyboard.press("Shift+F10")
    page.get_by_role("menuitem", name="Make it a parameter").click()
    assert "params:\n  steps: 30\n" in text_of(page)
    assert value_of(page, "k", "steps") == "$steps"
    field(page, "steps", "k").fill("33")
    page.keyboard.press("Enter")
    assert "steps: 33\n" in text_of(page)
    steps.get_by_role("button", name="Parameter steps").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.keyboard.type("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="taken")).to_be_visible()
    page.get_by_label("Name of the parameter").fill("count")
    page.keyboard.press("Enter")
    assert value_of(page, "k", "steps") == "$count"
    steps.get_by_role("button", name="Parameter count").click()
    page.get_by_role("menuitem", name="Put its value here").click()
    assert value_of(page, "k", "steps") == 33


def test_a_link_says_where_the_value_comes_from(page: Page) -> None:
    show_widgets(page, "nodes:\n  s: {uses: CheckpointLoaderSimple}\n  k: {uses: KSampler, with: {cfg: $s.clip}}\n")
    linked = widget(page, "cfg", "k")
    expect(linked).to_have_attribute("disabled", "")
    expect(linked).to_contain_text("← s.CLIP")
    expect(linked.locator("input")).to_be_hidden()


def test_the_checkers_words_stand_at_the_input(page: Page) -> None:
    show_widgets(page, "nodes:\n  e: {uses: EmptyLatentImage, with: {width: 3, batch_size: 2}}\n")
    width = field(page, "width")
    expect(width).to_have_attribute("aria-invalid", "true")
    expect(width).to_have_accessible_description(re.compile("16"))
    expect(width).to_have_value("3")
    expect(field(page, "batch_size")).not_to_have_attribute("aria-invalid", "true")
    width.fill("64")
    page.keyboard.press("Enter")
    expect(width).not_to_have_attribute("aria-invalid", "true")


def test_a_seed_changes_after_a_run_as_its_control_says(page: Page) -> None:
    top = "nodes:\n  k: {uses: KSampler, with: {seed: 18446744073709551615}}\n"
    top += "  other: {uses: KSampler, with: {seed: 7}}\n"
    show_widgets(page, top, "one.yaml")
    advance(page)
    assert value_of(page, "k", "seed") == "18446744073709551615n"
    control = widget(page, "seed", "k").get_by_label("seed after each run")
    control.select_option("increment")
    advance(page)
    assert value_of(page, "k", "seed") == 0, "it starts again"
    control.select_option("decrement")
    advance(page)
    assert value_of(page, "k", "seed") == "18446744073709551615n"
    control.select_option("randomize")
    seen: set[int] = set()
    for _ in range(40):
        advance(page)
        seen.add(int(str(value_of(page, "k", "seed")).rstrip("n")))
    assert len(seen) == 40
    assert max(seen) > 2**60
    assert max(seen) < 2**64
    assert value_of(page, "other", "seed") == 7
    page.reload()
    page.wait_for_selector("html[data-ready]")
    show_widgets(page, top, "two.yaml")
    expect(widget(page, "seed", "k").get_by_label("seed after each run")).to_have_value("fixed")
    show_widgets(page, top, "one.yaml")
    expect(widget(page, "seed", "k").get_by_label("seed after each run")).to_have_value("randomize")


def test_a_seed_that_nodes_share_changes_once(page: Page) -> None:
    two = "params: {seed: 5}\nnodes:\n"
    two += "".join(f"  {name}: {{uses: KSampler, with: {{seed: $seed}}}}\n" for name in "ab")
    show_widgets(page, two)
    for node in ("a", "b"):
        widget(page, "seed", node).get_by_label("seed after each run").select_option("increment")
    advance(page)
    assert "params: {seed: 6}" in text_of(page)
    expect(field(page, "seed", "b")).to_have_value("6")
    widget(page, "seed", "a").get_by_role("button", name="Another seed").click()
    assert "params: {seed: 6}" not in text_of(page)
