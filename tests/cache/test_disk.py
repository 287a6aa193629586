"""The persistent store: what one process puts, another one gets."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import torch

from nodegraph.cache.records import Record, Tally
from nodegraph.sockets import Model, Saved, SavedFile
from tests.cache.support import key_of, noise, opened, put, record_for, same, sql
from tests.cli.support import environment

READER = """
import json, sys
from pathlib import Path
from nodegraph.cache.disk import DiskStore

store = DiskStore(Path(sys.argv[1]), free=0)
keys = [bytes.fromhex(name) for name in sys.argv[2:]]
records = [store.record(key) for key in keys]
places = [store.absent(key) for key in keys]
values = [store.values(key) for key in keys]
print(json.dumps({
    "seconds": [record and record.seconds for record in records],
    "absent": places,
    "values": [repr(value) for value in values],
    "torch": "torch" in sys.modules,
}))
"""


def read_elsewhere(folder: Path, *keys: bytes) -> dict:
    """What another process finds under the keys."""
    command = [sys.executable, "-c", READER, str(folder), *[key.hex() for key in keys]]
    return json.loads(subprocess.run(command, env=environment(), check=True, capture_output=True).stdout)


def test_what_one_process_puts_another_one_gets(tmp_path: Path):
    with opened(tmp_path) as first:
        small = put(first.store, "small", 1, "grüße", [None, (True, 2.5)], seconds=3)
        large = put(first.store, "large", torch.arange(2000))
        first.store.put(key_of("light"), record_for(7), (7,))  # not at once: with the end of the run
        found = read_elsewhere(tmp_path, small, key_of("light"))
        assert found["absent"] == [None, "unknown"]
        first.store.end({})
    found = read_elsewhere(tmp_path, small, key_of("light"), key_of("nothing"))
    assert found == {
        "seconds": [3, 60, None],
        "absent": [None, None, "unknown"],
        "values": ["(1, 'grüße', [None, (True, 2.5)])", "(7,)", "None"],
        "torch": False,
    }
    assert "1999" in read_elsewhere(tmp_path, large)["values"][0]


def test_values_keep_their_types_shapes_and_bytes(tmp_path: Path):
    values = ({"samples": noise(1), "batch_index": [0, 1]}, [(noise(2).to(torch.bfloat16), {"strength": 0.5})])
    with opened(tmp_path) as first:
        key = put(first.store, "latent", *values)
    with opened(tmp_path) as again:
        found = again.store.values(key)
        assert found is not None
        assert same(found, values)
        assert type(found[1]) is list and type(found[1][0]) is tuple
        assert again.warnings == []


def test_changing_what_was_read_reaches_neither_the_file_nor_others(tmp_path: Path):
    large = torch.ones(3 << 20)  # of 12 MB, which is mapped
    with opened(tmp_path) as first:
        keys = [put(first.store, "large", large), put(first.store, "small", torch.ones(5000))]
    for key in keys:
        with opened(tmp_path) as again:
            values = again.store.values(key)
            assert values is not None and isinstance(values[0], torch.Tensor)
            values[0].zero_()
        with opened(tmp_path) as again:
            values = again.store.values(key)
            assert values is not None and isinstance(values[0], torch.Tensor)
            assert values[0].min() == 1


def test_of_models_only_the_record_is_kept(tmp_path: Path):
    model = Model("diffusers", "/nowhere", "0" * 64, "unet")
    with opened(tmp_path) as first:
        key = put(first.store, "model", model)
        assert first.store.values(key) == (model,)
    with opened(tmp_path) as again:
        assert again.store.record(key) == record_for(model)
        assert again.store.absent(key) == "unstorable"
        assert again.store.values(key) is None
    assert list((tmp_path / "v1" / "blobs").glob("*/*")) == []


def test_values_cheaper_to_make_than_to_read_are_not_written(tmp_path: Path):
    with opened(tmp_path) as first:
        cheap = put(first.store, "cheap", noise(), seconds=1e-5)
        dear = key_of("dear")
        first.store.put(dear, record_for(noise(), seconds=1e-5), (noise(),), rebuild=60, at_once=True)
        tiny = put(first.store, "tiny", 5, seconds=1e-9)
    with opened(tmp_path) as again:
        assert [again.store.absent(key) for key in (cheap, dear, tiny)] == ["cheap", None, None]
        assert again.store.record(cheap) is not None


def test_results_that_are_to_stay_in_memory_do(tmp_path: Path):
    with opened(tmp_path) as first:
        first.store.put(key_of("a"), record_for(noise()), (noise(),), to_disk=False, at_once=True)
        assert first.store.values(key_of("a")) is not None
    with opened(tmp_path) as again:
        assert again.store.record(key_of("a")) is None


def test_a_result_put_again_replaces_the_older_one(tmp_path: Path):
    with opened(tmp_path) as first:
        for seed in range(3):
            put(first.store, "a", noise(seed))
    with opened(tmp_path) as again:
        values = again.store.values(key_of("a"))
        assert values is not None and same(values[0], noise(2))


def test_what_was_forgotten_is_gone(tmp_path: Path):
    with opened(tmp_path) as first:
        key = put(first.store, "a", 5)
        first.store.forget(key)
        assert first.store.record(key) is None
        assert first.store.values(key) is None
    with opened(tmp_path) as again:
        assert again.store.record(key) is None


def saved_record(folder: Path, content: bytes, shown: dict | None = None) -> tuple[Record, SavedFile]:
    path = folder / "out" / "a_00001.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    file = SavedFile(str(path), path.name, "", "output", 3, 4, hashlib.sha256(content).hexdigest())
    return Record((), 5, Saved((file,), shown)), file


def test_saved_files_are_kept_and_written_again(tmp_path: Path):
    shown = {"text": ("a", 1), "more": {"x": None}}
    record, file = saved_record(tmp_path, b"picture" * 1000, shown)
    with opened(tmp_path / "cache") as first:
        first.store.put(key_of("save"), record, (), at_once=True)
    target = tmp_path / "elsewhere" / "b.png"
    with opened(tmp_path / "cache") as again:
        assert again.store.record(key_of("save")) == record
        assert again.store.has_file(file)
        assert again.store.restore(file, target)
        assert target.read_bytes() == b"picture" * 1000
        target.write_bytes(b"mine")
        assert not again.store.restore(file, target)  # what is there is never replaced
        assert target.read_bytes() == b"mine"
        assert [path.name for path in target.parent.iterdir()] == ["b.png"]
        assert again.warnings == []


def test_a_damaged_copy_of_a_saved_file_is_not_written(tmp_path: Path):
    record, file = saved_record(tmp_path, b"picture" * 1000)
    with opened(tmp_path / "cache") as first:
        first.store.put(key_of("save"), record, (), at_once=True)
    (copy,) = (tmp_path / "cache" / "v1" / "files").glob("??/*")
    copy.write_bytes(b"Picture" * 1000)
    with opened(tmp_path / "cache") as again:
        assert not again.store.restore(file, tmp_path / "b.png")
        assert not (tmp_path / "b.png").exists()
        assert len(again.warnings) == 1
        assert not again.store.has_file(file)


def test_a_file_changed_while_it_was_saved_is_not_kept(tmp_path: Path):
    record, file = saved_record(tmp_path, b"picture")
    Path(file.path).write_bytes(b"another")
    with opened(tmp_path / "cache") as first:
        first.store.put(key_of("save"), record, (), at_once=True)
        assert first.store.record(key_of("save")) == record
        assert not first.store.has_file(file)


def test_what_a_node_shows_must_fit_into_a_file(tmp_path: Path):
    record = Record((), 1, Saved((), {"thing": object()}))
    with opened(tmp_path) as first:
        first.store.put(key_of("show"), record, (), at_once=True)
        assert first.store.record(key_of("show")) is record
    with opened(tmp_path) as again:
        assert again.store.record(key_of("show")) is None


def test_hits_and_runs_are_counted_over_processes(tmp_path: Path):
    for tally in (Tally(0, 2, 0.0), Tally(2, 1, 4.0)):
        with opened(tmp_path) as each:
            each.store.begin()
            each.store.end({"KSampler": tally})
    assert sql(tmp_path, "SELECT * FROM tally") == [("KSampler", 2, 3, 4.0)]
    assert sql(tmp_path, "SELECT * FROM run") == []


def test_a_closed_store_works_on_in_memory(tmp_path: Path):
    with opened(tmp_path) as first:
        put(first.store, "before", noise())
    key = put(first.store, "after", noise())
    assert first.store.values(key) is not None
    first.store.begin([key])
    assert first.store.claim(key)
    first.store.release(key)
    first.store.end({})
    first.store.close()
    assert first.warnings == []


def test_numbers_without_a_digest_do_not_trouble_the_store(tmp_path: Path):
    huge = 10**5000  # more digits than Python turns into text
    with opened(tmp_path) as first:
        key = key_of("huge")
        first.store.put(key, Record((b"k" * 32,), 60), (huge,), at_once=True)
    with opened(tmp_path) as again:
        assert again.store.values(key) is None


def test_tensors_without_data_do_not_trouble_the_store(tmp_path: Path):
    for i, tensor in enumerate([torch.empty(9999, device="meta"), torch.eye(99).to_sparse(), torch.ones(9, 2) + 1j]):
        with opened(tmp_path) as first:
            key = key_of(i)
            first.store.put(key, Record((b"k" * 32,), 60), (tensor,), at_once=True)
            assert first.store.absent(key, memory_counts=False) == "unstorable"
            assert first.warnings == []
