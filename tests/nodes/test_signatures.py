"""The built-in nodes have the inputs, defaults, bounds and outputs that workflows from elsewhere rely on."""

from __future__ import annotations

import pytest

from nodegraph.node import Choices, InputSpec, NodeSpec
from nodegraph.registry import load_registry
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.schedules import SCHEDULES

MAX_SEED = 2**64 - 1
REQUIRED = object()
SAMPLER_NAMES = [
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
    "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm",
    "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2",
    "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2",
]  # fmt: skip
SCHEDULER_NAMES = [
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic",
    "kl_optimal",
]  # fmt: skip
RESIZING = ["nearest-exact", "bilinear", "area", "bicubic"]

#: name, type, default, (min, max, step) or choices
Expected = tuple[str, str, object, object]
_SAMPLING_TAIL: list[Expected] = [
    ("steps", "INT", 20, (1, 10_000, None)),
    ("cfg", "FLOAT", 8.0, (0, 100, 0.1)),
    ("sampler_name", "COMBO", "euler", SAMPLER_NAMES),
    ("scheduler", "COMBO", None, SCHEDULER_NAMES),
    ("positive", "CONDITIONING", REQUIRED, None),
    ("negative", "CONDITIONING", REQUIRED, None),
    ("latent_image", "LATENT", REQUIRED, None),
]
NODES: dict[str, tuple[list[Expected], list[tuple[str, str]], bool]] = {
    "KSampler": (
        [
            ("model", "MODEL", REQUIRED, None),
            ("seed", "INT", 0, (0, MAX_SEED, None)),
            *_SAMPLING_TAIL,
            ("denoise", "FLOAT", 1.0, (0, 1, 0.01)),
        ],
        [("LATENT", "LATENT")],
        False,
    ),
    "KSamplerAdvanced": (
        [
            ("model", "MODEL", REQUIRED, None),
            ("add_noise", "COMBO", "enable", ["enable", "disable"]),
            ("noise_seed", "INT", 0, (0, MAX_SEED, None)),
            *_SAMPLING_TAIL,
            ("start_at_step", "INT", 0, (0, 10_000, None)),
            ("end_at_step", "INT", 10_000, (0, 10_000, None)),
            ("return_with_leftover_noise", "COMBO", "disable", ["disable", "enable"]),
        ],
        [("LATENT", "LATENT")],
        False,
    ),
    "CheckpointLoaderSimple": (
        [("ckpt_name", "COMBO", REQUIRED, "files")],
        [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")],
        False,
    ),
    "CLIPTextEncode": (
        [("text", "STRING", REQUIRED, None), ("clip", "CLIP", REQUIRED, None)],
        [("CONDITIONING", "CONDITIONING")],
        False,
    ),
    "VAEDecode": (
        [("samples", "LATENT", REQUIRED, None), ("vae", "VAE", REQUIRED, None)],
        [("IMAGE", "IMAGE")],
        False,
    ),
    "VAEEncode": (
        [("pixels", "IMAGE", REQUIRED, None), ("vae", "VAE", REQUIRED, None)],
        [("LATENT", "LATENT")],
        False,
    ),
    "EmptyLatentImage": (
        [
            ("width", "INT", 512, (16, 16384, 8)),
            ("height", "INT", 512, (16, 16384, 8)),
            ("batch_size", "INT", 1, (1, 4096, None)),
        ],
        [("LATENT", "LATENT")],
        False,
    ),
    "LatentUpscale": (
        [
            ("samples", "LATENT", REQUIRED, None),
            ("upscale_method", "COMBO", "nearest-exact", [*RESIZING, "bislerp"]),
            ("width", "INT", 512, (0, 16384, 8)),
            ("height", "INT", 512, (0, 16384, 8)),
            ("crop", "COMBO", "disabled", ["disabled", "center"]),
        ],
        [("LATENT", "LATENT")],
        False,
    ),
    "ImageScale": (
        [
            ("image", "IMAGE", REQUIRED, None),
            ("upscale_method", "COMBO", "nearest-exact", [*RESIZING, "lanczos"]),
            ("width", "INT", 512, (0, 16384, 1)),
            ("height", "INT", 512, (0, 16384, 1)),
            ("crop", "COMBO", "disabled", ["disabled", "center"]),
        ],
        [("IMAGE", "IMAGE")],
        False,
    ),
    "LoadImage": ([("image", "COMBO", REQUIRED, "files")], [("IMAGE", "IMAGE"), ("MASK", "MASK")], False),
    "SaveImage": (
        # The prefix is this program's name by choice.
        [("images", "IMAGE", REQUIRED, None), ("filename_prefix", "STRING", "nodegraph", None)],
        [],
        True,
    ),
    "PreviewImage": ([("images", "IMAGE", REQUIRED, None)], [], True),
}
CATEGORIES = {
    "KSampler": "sampling",
    "KSamplerAdvanced": "sampling",
    "CheckpointLoaderSimple": "loaders",
    "CLIPTextEncode": "conditioning",
    "VAEDecode": "latent",
    "VAEEncode": "latent",
    "EmptyLatentImage": "latent",
    "LatentUpscale": "latent",
    "ImageScale": "image/upscaling",
    "LoadImage": "image",
    "SaveImage": "image",
    "PreviewImage": "image",
}


def spec(name: str) -> NodeSpec:
    found = load_registry().get(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", NODES)
def test_inputs_outputs_and_category_are_the_known_ones(name: str) -> None:
    inputs, outputs, is_output = NODES[name]
    found = spec(name)
    assert [(i.name, type_name(i)) for i in found.inputs] == [(i[0], i[1]) for i in inputs]
    assert [(o.name, str(o.type)) for o in found.outputs] == outputs
    assert found.output_node is is_output
    assert found.category == CATEGORIES[name]


@pytest.mark.parametrize("name", NODES)
def test_defaults_bounds_and_choices_are_the_known_ones(name: str) -> None:
    for (key, _, default, bounds), found in zip(NODES[name][0], spec(name).inputs, strict=True):
        assert found.required is (default is REQUIRED), key
        if default is not REQUIRED and default is not None:
            assert found.default == default, key
            assert type(found.default) is type(default), key
        if isinstance(bounds, tuple):
            assert found.range is not None
            assert (found.range.min, found.range.max) == bounds[:2], key
            assert bounds[2] is None or found.range.step == bounds[2], key
        elif bounds == "files":
            assert isinstance(found.choices, Choices)
        elif isinstance(bounds, list):
            assert isinstance(found.choices, tuple)
            assert set(found.choices) <= set(bounds), key
            if "SAMPLER" not in key.upper():
                assert set(found.choices) == set(bounds), key
        else:
            assert found.range is None and found.choices is None, key


@pytest.mark.parametrize("name", ["KSampler", "KSamplerAdvanced"])
def test_every_sampler_and_schedule_on_offer_exists_and_every_one_that_exists_is_offered(name: str) -> None:
    inputs = spec(name).inputs_by_name
    assert set(inputs["sampler_name"].choices or ()) == set(SAMPLERS)  # pyright: ignore[reportArgumentType]
    assert set(inputs["scheduler"].choices or ()) == set(SCHEDULES)  # pyright: ignore[reportArgumentType]


def test_widgets_that_editors_treat_specially_are_marked() -> None:
    assert spec("CLIPTextEncode").inputs_by_name["text"].multiline
    assert spec("KSampler").inputs_by_name["seed"].control
    assert spec("KSamplerAdvanced").inputs_by_name["noise_seed"].control
    image = spec("LoadImage").inputs_by_name["image"].choices
    assert isinstance(image, Choices) and image.upload


def test_every_built_in_node_explains_itself() -> None:
    for name, found in load_registry().specs.items():
        if found.function.__module__.startswith("nodes."):
            assert found.summary.endswith("."), name


def type_name(found: InputSpec) -> str:
    return "COMBO" if isinstance(found.choices, tuple | Choices) else str(found.type)
