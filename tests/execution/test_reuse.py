"""What is computed again after a change, and what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from nodegraph.cache.memory import MemoryStore
from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.node import Choices, node
from nodegraph.sockets import Saved, SavedFile
from nodegraph.workflow.document import NodeEntry
from tests.toys import entry, graph_of, run, workflow


def diamond(value: int = 3) -> list[NodeEntry]:
    return [
        entry("a", "Number", value=value),
        entry("left", "Add", left="$a", right=1),
        entry("right", "Add", left="$a", right=2),
        entry("other", "Number", value=100),
        entry("sum", "Add", left="$left", right="$right"),
        entry("more", "Add", left="$other", right=1),
        entry("s", "Show", value="$sum"),
        entry("t", "Show", value="$more"),
    ]


def test_a_second_run_executes_nothing():
    store = MemoryStore()
    first = run(graph_of(diamond()), store=store)
    second = run(graph_of(diamond()), store=store)
    assert second.executed == ()
    assert sorted(second.cached) == sorted(first.executed)
    assert second.saved == first.saved
    assert second.values == first.values


def test_a_change_runs_only_what_it_reaches():
    store = MemoryStore()
    run(graph_of(diamond(3)), store=store)
    result = run(graph_of(diamond(4)), store=store)
    assert sorted(result.executed) == ["a", "left", "right", "s", "sum"]
    assert sorted(result.cached) == ["more", "other", "t"]
    assert result.saved["s"].shown == {"value": 11}


def test_names_titles_notes_places_and_layout_do_not_matter():
    store = MemoryStore()
    run(graph_of([entry("a", "Number", value=1), entry("b", "Add", left="$a"), entry("s", "Show", value="$b")]),
        store=store)  # fmt: skip
    renamed = workflow(
        replace(entry("x", "Show", value="$y"), title="The end"),
        replace(entry("y", "Add", left="$z"), note="a note"),
        entry("z", "Number", value=1),
    )
    result = run(graph_of(replace(renamed, name="other", layout={"x": (1.0, 2.0)})), store=store)
    assert result.executed == ()


def test_a_default_and_the_same_value_given_are_the_same():
    store = MemoryStore()
    run(graph_of([entry("a", "Scale", value=1), entry("s", "Show", value="$a")]), store=store)
    given = [entry("a", "Scale", value=1.0, by=2), entry("s", "Show", value="$a")]
    assert run(graph_of(given), store=store).executed == ()


def test_a_result_that_comes_out_the_same_stops_there():
    calls: list[str] = []

    @node(category="toys")
    def Sign(x: int) -> int:
        calls.append("sign")
        return 1 if x > 0 else -1

    @node(category="toys")
    def Slow(x: int) -> int:
        calls.append("slow")
        return x * 100

    def document(x: int) -> list[NodeEntry]:
        return [
            entry("n", "Number", value=x),
            entry("sign", "Sign", x="$n"),
            entry("slow", "Slow", x="$sign"),
            entry("s", "Show", value="$slow"),
        ]

    store = MemoryStore()
    run(graph_of(document(3), Sign, Slow), store=store)
    result = run(graph_of(document(4), Sign, Slow), store=store)
    assert calls == ["sign", "slow", "sign"]
    assert (result.executed, result.cached) == (("n", "sign"), ("slow", "s"))
    assert result.saved["s"].shown == {"value": 100}


def counting() -> tuple[list[str], Any]:
    calls: list[str] = []

    @node(category="toys", numeric=False)
    def Blob(name: str, size: int = 1000, after: str | None = None) -> str:
        """A text of `size` letters."""
        calls.append(name)
        return name * (size // len(name))

    @node(category="toys", numeric=False)
    def Length(of: str, plus: int = 0) -> int:
        calls.append(f"length+{plus}")
        return len(of) + plus

    return calls, (Blob, Length)


def test_values_that_were_dropped_are_made_again_only_where_they_are_needed():
    calls, nodes = counting()

    def document(plus: int) -> list[NodeEntry]:
        return [
            entry("a", "Blob", name="a"),
            entry("b", "Blob", name="b", after="$a"),
            entry("c", "Blob", name="c", after="$b"),
            entry("d", "Blob", name="d", after="$c"),
            entry("n", "Length", of="$c", plus=plus),
            entry("s", "Show", value="$n"),
            entry("t", "Show", value="$d"),
        ]

    store = MemoryStore(budget=1500)  # room for one blob and the numbers
    run(graph_of(document(0), *nodes), store=store)
    assert store.used <= 1500
    calls.clear()
    assert run(graph_of(document(0), *nodes), store=store).executed == ()  # records are enough
    assert calls == []
    result = run(graph_of(document(1), *nodes), store=store)
    assert calls == ["a", "b", "c", "length+1"]  # c was gone, and so were b and a, which it needs
    assert "d" not in result.executed
    assert result.saved["s"].shown == {"value": 1001}


def test_the_byte_budget_holds_all_the_time():
    most = [0]

    class Watched(MemoryStore):
        def put(self, key: bytes, record: Any, values: tuple[object, ...], **more: Any) -> None:
            super().put(key, record, values, **more)
            most[0] = max(most[0], self.used)

    _, nodes = counting()
    entries = [entry(f"b{i}", "Blob", name=f"b{i}", size=400 + 100 * i) for i in range(40)]
    sums = [entry(f"s{i}", "Show", value=f"$b{i}") for i in range(40)]
    result = run(graph_of([*entries, *sums], *nodes), store=Watched(budget=3000))
    assert result.status == "done"
    assert 1000 < most[0] <= 3000


def test_a_wanted_value_that_was_dropped_is_made_again():
    calls, nodes = counting()
    graph = graph_of([entry("a", "Blob", name="a"), entry("s", "Show", value="$a")], *nodes)
    store = MemoryStore(budget=0)
    run(graph, store=store)
    result = run(graph, store=store, want=["a", "s"])
    assert calls == ["a", "a"]
    assert result["a"] == "a" * 1000
    assert result.cached == ("s",)


def test_cache_off_runs_always_and_what_it_feeds_only_when_it_gives_something_else():
    calls: list[str] = []

    @node(category="toys", numeric=False)
    def Read() -> int:
        calls.append("read")
        return 5

    @node(category="toys", numeric=False)
    def Work(x: int) -> int:
        calls.append("work")
        return x

    graph = graph_of([entry("r", "Read", "off"), entry("w", "Work", x="$r"), entry("s", "Show", value="$w")],
                     Read, Work)  # fmt: skip
    store = MemoryStore()
    run(graph, store=store)
    result = run(graph, store=store)
    assert calls == ["read", "work", "read"]
    assert result.executed == ("r",)


def test_a_node_that_is_not_deterministic_runs_always():
    given = iter(range(10))

    @node(category="toys", deterministic=False)
    def Clock() -> int:
        return next(given)

    graph = graph_of([entry("c", "Clock"), entry("n", "Add", left="$c"), entry("s", "Show", value="$n")], Clock)
    store = MemoryStore()
    shown = [run(graph, store=store).saved["s"].shown for _ in range(3)]
    assert shown == [{"value": 1}, {"value": 2}, {"value": 3}]


def test_a_saved_file_that_was_deleted_is_written_again(tmp_path: Path):
    @node(category="toys", output_node=True)
    def Write(text: str) -> Saved:
        path = tmp_path / "out.txt"
        path.write_text(text)
        return Saved((SavedFile(str(path), path.name, "", "output"),))

    graph = graph_of([entry("w", "Words", text="hello"), entry("s", "Write", text="$w")], Write)
    store, roots = MemoryStore(), Roots(output=tmp_path)
    run(graph, store=store, roots=roots)
    assert run(graph, store=store, roots=roots).executed == ()
    (tmp_path / "out.txt").unlink()
    result = run(graph, store=store, roots=roots)
    assert (result.executed, result.cached) == (("s",), ("w",))
    assert (tmp_path / "out.txt").read_text() == "hello"


def open_node() -> Any:
    @node(category="toys", numeric=False)
    def Open(
        name: Annotated[
            str,
            Choices(lambda roots: roots.list_files(roots.input, (".txt",)), lambda n, roots: roots.find_input(n)),
        ],
        context: Context = NO_CONTEXT,
    ) -> str:
        return context.input_file(name).read_text()

    return Open


def test_the_content_of_a_file_counts_not_its_name(tmp_path: Path):
    roots = Roots(input=(tmp_path,))
    graph_entries = [entry("o", "Open", name="a.txt"), entry("s", "Show", value="$o")]
    (tmp_path / "a.txt").write_text("one")
    from nodegraph.graph import check
    from tests.toys import registry

    def go() -> Any:
        checked = check(workflow(*graph_entries), registry(open_node()), roots=roots)
        assert checked.graph is not None
        return run(checked.graph, store=store, roots=roots, context=Context(roots=roots))

    store = MemoryStore()
    assert go().saved["s"].shown == {"value": "one"}
    assert go().executed == ()
    (tmp_path / "a.txt").write_text("three")
    assert go().saved["s"].shown == {"value": "three"}
    (tmp_path / "a.txt").write_text("one")
    assert go().executed == ()


def test_a_file_whose_name_comes_by_link_is_read_again(tmp_path: Path):
    roots = Roots(input=(tmp_path,))
    graph = graph_of([entry("w", "Words", text="a.txt"), entry("o", "Open", name="$w"),
                      entry("s", "Show", value="$o")], open_node())  # fmt: skip
    store = MemoryStore()
    for text in ("one", "three", "one"):
        (tmp_path / "a.txt").write_text(text)
        result = run(graph, store=store, roots=roots, context=Context(roots=roots))
        assert result.saved["s"].shown == {"value": text}


def test_values_without_a_digest_are_known_by_the_action_that_made_them():
    made: list[int] = []

    class Thing:
        def __init__(self, n: int) -> None:
            self.n = n

    @node(category="toys")
    def Make(n: int) -> Any:
        made.append(n)
        return Thing(n)

    @node(category="toys")
    def Use(thing: Any) -> int:
        return thing.n

    def graph(n: int) -> Any:
        return graph_of([entry("m", "Make", n=n), entry("u", "Use", thing="$m"), entry("s", "Show", value="$u")],
                        Make, Use)  # fmt: skip

    store = MemoryStore()
    assert run(graph(1), store=store).saved["s"].shown == {"value": 1}
    assert run(graph(2), store=store).saved["s"].shown == {"value": 2}
    assert run(graph(1), store=store).executed == ()
    assert made == [1, 2]


def test_two_packs_with_the_same_node_name_and_other_code_do_not_share_results():
    def pack(code: str) -> Any:
        namespace: dict[str, Any] = {"node": node}
        exec(
            f"@node(category='toys')\ndef Same(x: int) -> int:\n    return {code}\n",
            namespace,
        )
        return namespace["Same"]

    store = MemoryStore()
    document = [entry("a", "Same", x=5), entry("s", "Show", value="$a")]
    assert run(graph_of(document, pack("x + 1")), store=store).saved["s"].shown == {"value": 6}
    assert run(graph_of(document, pack("x + 2")), store=store).saved["s"].shown == {"value": 7}
