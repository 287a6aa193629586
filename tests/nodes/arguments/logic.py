"""Arguments to try the nodes of logic with; those of lazy inputs are wrapped where they are used."""

from __future__ import annotations

from tests.nodes.arguments import Arguments, latent, picture

ARGUMENTS: Arguments = {
    "CombineConditions": lambda tiny: {"a": True, "b": False},
    "CompareNumbers": lambda tiny: {"a": 1, "b": 1.5},
    "FirstOf": lambda tiny: {"second": latent()},
    "InvertCondition": lambda tiny: {"condition": True},
    "ItemOf": lambda tiny: {"items": [picture(1), picture(2)], "index": 1},
    "ListOf": lambda tiny: {"first": picture(1), "third": picture(2)},
    "RebatchImages": lambda tiny: {"images": [picture(1), picture(2)], "batch_size": 2},
    "RebatchLatents": lambda tiny: {"latents": [latent(1), latent(2)], "batch_size": 2},
    "SwitchValue": lambda tiny: {"condition": True, "on_true": picture(1), "on_false": picture(2)},
}
