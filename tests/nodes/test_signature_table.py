"""Built-in nodes have the names, inputs, defaults, bounds and outputs that workflows from elsewhere rely on.

The table is data. What it has and nodegraph has not is listed here with the reason.
"""

from __future__ import annotations

import pytest

from nodegraph.node import Choices, InputSpec, NodeSpec
from nodegraph.registry import load_registry
from tests.nodes.signature_table import Signature, Told, read_table

TABLE = read_table()
SPECS = {name: spec for name, spec in load_registry().specs.items() if name in TABLE}

_OTHER_FAMILIES = "for model families other than Stable Diffusion 1.x, 2.x and XL"
MISSING: dict[str, str] = dict.fromkeys(
    [
        "CLIPTextEncodeFlux", "CLIPTextEncodeSD3", "ControlNetApplySD3", "ControlNetInpaintingAliMamaApply",
        "EmptySD3LatentImage", "FluxDisableGuidance", "FluxGuidance", "FluxKontextImageScale",
        "FluxKontextMultiReferenceLatentMethod", "ModelSamplingAuraFlow", "ModelSamplingFlux", "ModelSamplingSD3",
        "ModelSamplingStableCascade", "SkipLayerGuidanceSD3", "T5TokenizerOptions", "TripleCLIPLoader",
    ],
    _OTHER_FAMILIES,
)  # fmt: skip

#: (node, input or output) → why it differs from the table on purpose.
DIFFERENT: dict[tuple[str, str], str] = {
    ("SaveImage", "filename_prefix"): "pictures are named after nodegraph",
    **dict.fromkeys(
        [(name, "filename_prefix") for name in ("CheckpointSave", "CLIPSave", "LoraSave", "ModelSave", "VAESave")],
        "files are named after nodegraph",
    ),
    ("VAELoader", "vae_name"): "its files are looked up, and so is what else it offers",
    ("SaveAnimatedPNG", "filename_prefix"): "pictures are named after nodegraph",
    ("SaveAnimatedWEBP", "filename_prefix"): "pictures are named after nodegraph",
    ("SaveLatent", "filename_prefix"): "latents are named after nodegraph",
}


def test_the_table_is_read_whole():
    assert len(TABLE) == 218
    assert [told.name for told in TABLE["KSampler"].inputs][:3] == ["model", "seed", "steps"]
    assert TABLE["ControlNetApplyAdvanced"].outputs == [("positive", "CONDITIONING"), ("negative", "CONDITIONING")]


def test_what_is_missing_is_listed_with_its_reason():
    assert sorted(TABLE.keys() - SPECS.keys()) == sorted(MISSING)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_node_is_as_the_table_tells(name: str):
    spec, told = SPECS[name], TABLE[name]
    wanted, found = _wanted(told), _found(spec, told)
    for part in (*[each.name for each in told.inputs], "->", "output node"):
        if (name, part) not in DIFFERENT:
            assert found.get(part) == wanted.get(part), part
    extra = [each.name for each in spec.inputs if each.name not in wanted]
    assert not [each for each in extra if spec.inputs_by_name[each].required], "more inputs must be optional"


def _wanted(told: Signature) -> dict[str, object]:
    inputs: dict[str, object] = {each.name: _told_facts(each) for each in told.inputs}
    return inputs | {"->": told.outputs, "output node": told.output_node}


def _told_facts(told: Told) -> tuple[object, ...]:
    default = told.facts.get("default") if told.type != "COMBO" else None
    bounds = (float(told.facts["min"]), float(told.facts["max"])) if "min" in told.facts else None
    return (told.type, _number(default), bounds, sorted(set(told.choices)) if told.choices else None)


def _found(spec: NodeSpec, told: Signature) -> dict[str, object]:
    known = {each.name: each for each in told.inputs}
    facts: dict[str, object] = {
        each.name: _input_facts(each, known[each.name]) for each in spec.inputs if each.name in known
    }
    outputs = [(output.name, f"{output.type}[]" if output.is_list else str(output.type)) for output in spec.outputs]
    return facts | {"->": outputs, "output node": spec.output_node}


def _input_facts(spec: InputSpec, told: Told) -> tuple[object, ...]:
    """Defaults and bounds count where the table has them; choices of files are whatever files there are."""
    bounds = (float(spec.range.min), float(spec.range.max)) if spec.range is not None and "min" in told.facts else None
    default = _number(spec.default) if "default" in told.facts and told.type != "COMBO" else None
    choices = None if isinstance(spec.choices, Choices | None) or not told.choices else sorted(map(str, spec.choices))
    return (str(spec.type), default, bounds, choices)


def _number(value: object) -> object:
    try:
        return float(str(value)) if not isinstance(value, bool) else str(value)
    except ValueError:
        return str(value) if value is not None else None
