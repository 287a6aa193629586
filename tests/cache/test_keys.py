"""Action keys: equal exactly for actions that give the same result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cache.keys import action_key, action_prefix, frame
from nodegraph.files import FileDigests
from nodegraph.node import Range, node, spec_of
from nodegraph.sockets.codecs import digest, encode
from tests.cli.support import ROOT, environment

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
names = st.text("abc", min_size=1, max_size=3)
settings_ = st.dictionaries(names, scalars, max_size=4)
links_ = st.dictionaries(names, st.binary(min_size=32, max_size=32), max_size=4)


@node(category="toys", version=3)
def Sample(
    seed: int = 0, cfg: Annotated[float, Range(0, 100)] = 8.0, mode: Literal["a", "b"] = "a", latent: str = ""
) -> str:
    """A node with inputs of several types."""
    return f"{seed}{cfg}{mode}{latent}"


SPEC = spec_of(Sample)


def key(values: dict[str, object], links: dict[str, bytes], environment: bytes = b"e") -> bytes:
    framed = [(frame(name), digest) for name, digest in sorted(links.items())]
    return action_key(action_prefix(SPEC, values, environment), framed)


def tagged(values: dict[str, object]) -> set[tuple[str, str, str]]:
    return {(name, type(value).__name__, repr(value)) for name, value in values.items()}


@given(settings_, links_, settings_, links_)
def test_keys_are_equal_exactly_when_all_inputs_are(v1: dict, l1: dict, v2: dict, l2: dict):
    same = tagged(v1) == tagged(v2) and l1 == l2
    assert (key(v1, l1) == key(v2, l2)) is same


def test_a_literal_cannot_pass_for_a_link():
    digest = b"30:i" + b"1" * 28  # what a crafted value's digest might look like
    assert key({"a": int(b"1" * 28)}, {"b": digest}) != key({}, {"a": digest, "b": digest})


def test_the_order_of_inputs_does_not_matter():
    assert key({"a": 1, "b": 2}, {}) == key({"b": 2, "a": 1}, {})


def test_type_version_code_and_environment_are_part_of_the_key():
    @node(category="toys", version=4)
    def Sample(seed: int = 0, cfg: float = 8.0, mode: str = "a", latent: str = "") -> str:
        return f"{seed}{cfg}{mode}{latent}"

    prefixes = {
        action_prefix(SPEC, {"seed": 1}, b"cpu"),
        action_prefix(SPEC, {"seed": 1}, b"cuda"),
        action_prefix(spec_of(Sample), {"seed": 1}, b"cpu"),
    }
    assert len(prefixes) == 3


def test_numbers_that_do_not_depend_on_the_machine_have_one_key_everywhere():
    @node(category="toys", numeric=False)
    def Exact(x: int) -> int:
        return x

    spec = spec_of(Exact)
    assert action_prefix(spec, {"x": 1}, b"cpu") == action_prefix(spec, {"x": 1}, b"cuda")


def test_comments_docstrings_and_layout_are_not_part_of_the_key(tmp_path: Path):
    first = "@node(category='toys')\ndef F(x: int) -> int:\n    return x + 1\n"
    second = "@node(\n    category='toys')\ndef F(x: int) -> int:\n    'Help.'\n    # why\n    return (x +\n      1)\n"
    third = "@node(category='toys')\ndef F(x: int) -> int:\n    return x + 2\n"
    digests: list[str] = []
    for i, text in enumerate((first, second, third)):
        file = tmp_path / f"pack{i}.py"
        file.write_text(text)
        namespace = {"node": node, "__name__": "pack"}
        exec(compile(text, str(file), "exec"), namespace)
        digests.append(spec_of(namespace["F"]).source_digest)  # type: ignore[arg-type]
    assert digests[0] == digests[1] != digests[2]


def test_code_without_a_source_file_counts_by_its_constants_too():
    def made(number: int) -> str:
        namespace = {"node": node}
        exec(f"@node(category='toys')\ndef F(x: int) -> int:\n    return [x + {number} for _ in (1,)][0]\n", namespace)
        return spec_of(namespace["F"]).source_digest  # type: ignore[arg-type]

    assert made(1) == made(1) != made(2)


def test_golden_keys():
    """These may never change: results that were kept are found by them."""
    vars(SPEC)["source_digest"] = "0" * 64
    values = {"seed": 7, "cfg": 8.0, "mode": "a", "latent": "grüße"}
    assert key(values, {}).hex()[:32] == "49ca7a945ac28557dcadda724839a4ca"
    assert key(values, {"latent": bytes(range(32))}).hex()[:32] == "5f7533708732b1a267bf95982cfe6691"


KEYS = """
import sys
from tests.cache.test_keys import SPEC, key
vars(SPEC)["source_digest"] = "0" * 64
values = dict([("seed", 7), ("cfg", 8.0), ("mode", "a"), ("latent", {"x": 1, "y": (None, True)})][:: int(sys.argv[1])])
print(key(values, {"a": bytes(32)}).hex())
"""


def test_keys_are_the_same_in_every_process():
    found = {
        subprocess.run(
            [sys.executable, "-c", KEYS, order], env=environment({"PYTHONHASHSEED": seed}), check=True,
            capture_output=True, cwd=ROOT,
        ).stdout
        for seed, order in (("1", "1"), ("2", "-1"))
    }  # fmt: skip
    assert len(found) == 1


@pytest.mark.parametrize(("value", "code"), [
    (None, "n"), (True, "b1"), (False, "b0"), (1, "i1"), (-5, "i-5"),
    (1.0, "f3ff0000000000000"), (-0.0, "f8000000000000000"),
    ("1", "s1"), ("", "s"), ("\ud800", "s\xed\xa0\x80"), (b"1", "y1:1"), ([1, "a"], "l2:i1;s1:a"), ((), "l0:"),
    ({"b": 1, "a": None}, "m2:2:san2:sbi1;"),
])  # fmt: skip
def test_golden_literals(value: object, code: str):
    """Every value has a mark of its type: 1, 1.0, True and "1" are not the same."""
    expected = code.encode("latin-1")
    if type(value) is float:
        expected = b"f" + bytes.fromhex(code[1:])
    assert encode(value) == expected


nested = st.recursive(
    scalars | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(nested, nested)
def test_different_values_have_different_codes(left: object, right: object):
    assert (encode(left) == encode(right)) is (normal(left) == normal(right))
    assert (digest(left) == digest(right)) is (normal(left) == normal(right))


def normal(value: object) -> object:
    """A value with its types written out, mappings in order."""
    if isinstance(value, list):
        return ["list", *map(normal, value)]
    if isinstance(value, dict):
        return ["dict", *sorted((name, normal(item)) for name, item in value.items())]
    return (type(value).__name__, repr(value))


def test_files_count_by_their_bytes(tmp_path: Path):
    files = FileDigests()
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"one")
    b.write_bytes(b"one")
    first = files.digest(a)
    assert first == files.digest(b) == FileDigests().digest(a)
    a.write_bytes(b"three")
    assert files.digest(a) != first


def test_folders_count_by_the_names_and_bytes_of_their_files(tmp_path: Path):
    def folder(name: str, content: dict[str, str]) -> str:
        for path, text in content.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return FileDigests().digest(tmp_path / name)

    base = folder("base", {"unet/config.json": "{}", "vae/config.json": "[]"})
    assert base == folder("same", {"vae/config.json": "[]", "unet/config.json": "{}", "README.md": "words"})
    assert base != folder("moved", {"unet/config.json": "[]", "vae/config.json": "{}"})
    assert base != folder("more", {"unet/config.json": "{}", "vae/config.json": "[]", "x": ""})
