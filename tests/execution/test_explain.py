"""What a run will do and why is said beforehand, and it is what happens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache.disk import DiskStore
from nodegraph.execution.explain import Explained
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.node import NO_CONTEXT, Choices, Context, node
from nodegraph.sockets import Saved, SavedFile
from nodegraph.workflow.document import CachePolicy, NodeEntry, Workflow
from tests.execution.test_properties import Heavy, Item, Late, Mix, document, histories
from tests.toys import entry, registry, workflow

POLICIES: Sequence[CachePolicy] = ("auto", "auto", "auto", "memory", "off", "refresh")


def session(folder: Path, *more: Callable[..., object], cache: CachePolicy = "auto") -> Session:
    chosen = Settings(output=folder / "output", inputs=(folder,), cache_dir=folder / "cache", cache=cache)
    return Session(chosen, registry(*more))


def named(explained: Sequence[Explained]) -> dict[str, Explained]:
    return {each.node: each for each in explained}


@settings(deadline=None, max_examples=30)
@given(histories(), st.data())
def test_what_is_foretold_is_what_happens(history: list[list[Item]], data: st.DataObject):
    names = [f"n{i}" for i in range(len(history[0]))]
    with tempfile.TemporaryDirectory() as folder:
        for graph in history:
            policies = data.draw(st.lists(st.sampled_from(POLICIES), min_size=len(names), max_size=len(names)))
            plain = document(graph)
            chosen = {
                name: replace(each, cache=policy)
                for (name, each), policy in zip(plain.nodes.items(), policies, strict=True)
            }
            only = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
            with session(Path(folder), Mix, Heavy, Late) as each:  # as if after a restart
                checked = each.graph(replace(plain, nodes=chosen))
                if data.draw(st.booleans()) and isinstance(each.store, DiskStore) and each.store.index is not None:
                    each.store.index.write("DELETE FROM action WHERE substr(key, 1, 1) < x'80'")
                explained = each.explain(checked, only=only)
                result = each.run(checked, only=only)
            assert result.status == "done"
            hits = {each.node for each in explained if each.action == "hit"}
            early = set(result.cached) - hits  # they would have run, but what came in was as before after all
            assert hits <= set(result.cached)
            assert {each.node for each in explained} - hits - early == set(result.executed)
            causes = {each.node: each.cause for each in explained}
            assert all(causes[name] is not None for name in result.executed)


class TestReasons:
    def after(
        self,
        folder: Path,
        before: Sequence[NodeEntry],
        now: Sequence[NodeEntry],
        *more: Callable[..., object],
        between: Callable[[Session], object] = lambda session: None,
        cache: CachePolicy = "auto",
    ) -> dict[str, Explained]:
        """How `now` is explained after a run of `before`, in another session."""
        with session(folder, *more) as first:
            assert first.run(workflow(*before)).status == "done"
            between(first)
        with session(folder, *more, cache=cache) as second:
            return named(second.explain(workflow(*now)))

    chain = (
        entry("n", "Number", value=1),
        entry("m", "Add", left="$n"),
        entry("s", "Show", value="$m"),
    )

    def test_a_workflow_that_never_ran(self, tmp_path: Path):
        with session(tmp_path) as fresh:
            explained = named(fresh.explain(workflow(*self.chain)))
        assert {each.action for each in explained.values()} == {"run"}
        assert {each.cause.reason for each in explained.values() if each.cause} == {"never_run"}

    def test_nothing_changed(self, tmp_path: Path):
        explained = self.after(tmp_path, self.chain, self.chain)
        assert [each.action for each in explained.values()] == ["hit"] * 3
        assert all(each.cause is None and each.seconds is not None for each in explained.values())

    def test_an_input_changed_and_what_follows_names_it_as_the_root(self, tmp_path: Path):
        changed = (entry("n", "Number", value=5), *self.chain[1:])
        explained = self.after(tmp_path, self.chain, changed)
        cause = explained["n"].cause
        assert cause is not None
        assert (cause.reason, cause.field, cause.old, cause.new) == ("input_changed", "value", 1, 5)
        for name, through in (("m", "left"), ("s", "value")):
            follows, root = explained[name].cause, explained[name].root
            assert follows is not None
            assert (follows.reason, follows.field) == ("upstream_changed", through)
            assert root == cause

    def test_a_type_changed_and_a_link_became_a_value(self, tmp_path: Path):
        now = (entry("n", "Add", left=1), entry("m", "Add", left=3), self.chain[2])
        explained = self.after(tmp_path, self.chain, now)
        uses, value = explained["n"].cause if "n" in explained else None, explained["m"].cause
        assert uses is None  # nothing needs it any more
        assert value is not None
        assert (value.reason, value.field, value.old, value.new) == ("input_changed", "left", "a link", 3)

    def test_a_file_changed(self, tmp_path: Path):
        @node(category="toys", numeric=False)
        def Open(
            name: Annotated[
                str,
                Choices(lambda roots: roots.list_files(roots.input, (".txt",)), lambda n, roots: roots.find_input(n)),
            ],
            context: Context = NO_CONTEXT,
        ) -> str:
            return context.input_file(name).read_text()

        (tmp_path / "a.txt").write_text("one")
        nodes = (entry("o", "Open", name="a.txt"), entry("s", "Show", value="$o"))
        change: Callable[[Session], object] = lambda session: (tmp_path / "a.txt").write_text("two")  # noqa: E731
        explained = self.after(tmp_path, nodes, nodes, Open, between=change)
        cause = explained["o"].cause
        assert cause is not None
        assert (cause.reason, cause.field) == ("file_changed", "name")
        assert explained["s"].root == cause

    def test_the_code_or_version_changed(self, tmp_path: Path):
        def version(number: int, plus: int) -> Callable[..., object]:
            if plus == 1:

                @node(category="toys", version=number, numeric=False)
                def Step(value: int) -> int:
                    return value + 1
            else:

                @node(category="toys", version=number, numeric=False)
                def Step(value: int) -> int:
                    return value + 2

            return Step

        nodes = (entry("a", "Step", value=1), entry("s", "Show", value="$a"))
        with session(tmp_path, version(1, 1)) as first:
            first.run(workflow(*nodes))
        for changed, field in ((version(2, 1), "version"), (version(1, 2), "source")):
            with session(tmp_path, changed) as second:
                cause = named(second.explain(workflow(*nodes)))["a"].cause
            assert cause is not None
            assert (cause.reason, cause.field) == ("code_changed", field)

    def test_the_environment_changed(self, tmp_path: Path):
        @node(category="toys")
        def Numeric(value: int) -> int:
            return value

        nodes = workflow(entry("a", "Numeric", value=1), entry("b", "Number"), entry("s", "Show", value="$a"))
        with session(tmp_path, Numeric) as first:
            first.run(nodes)
        with Session(replace(first.settings, device="mps"), registry(Numeric)) as second:
            explained = named(second.explain(nodes))
        cause = explained["a"].cause
        assert cause is not None
        assert cause.reason == "environment_changed"
        assert cause.old != cause.new

    def test_results_were_evicted_or_are_missing(self, tmp_path: Path):
        @node(category="toys", numeric=False)
        def Large(size: int) -> str:
            return "x" * (size + sum(range(3_000_000)) % 2)

        @node(category="toys", output_node=True, light=True)
        def Length(value: str, plus: int = 0) -> Saved:
            return Saved(shown={"length": len(value) + plus})

        before = (entry("a", "Large", size=20_000), entry("s", "Length", value="$a"))
        now = (before[0], entry("s", "Length", value="$a", plus=1))

        def evict(session: Session) -> None:
            assert isinstance(session.store, DiskStore)
            assert session.store.evict(1) >= 20_000

        cause = self.after(tmp_path, before, now, Large, Length, between=evict)["a"].cause
        assert cause is not None
        assert cause.reason == "evicted"
        # Nobody needs the value if nothing else changed.
        assert self.after(tmp_path, before, before, Large, Length)["a"].action == "hit"

        def lose(session: Session) -> None:
            for blob in (tmp_path / "cache").rglob("*.safetensors"):
                blob.unlink()

        now = (before[0], entry("s", "Length", value="$a", plus=2))
        with session(tmp_path, Large, Length, cache="refresh") as again:
            again.run(workflow(*before))
        cause = self.after(tmp_path, before, now, Large, Length, between=lose)["a"].cause
        assert cause is not None
        assert cause.reason == "blob_missing"

    def test_what_is_never_reused_says_so(self, tmp_path: Path):
        @node(category="toys", deterministic=False, numeric=False)
        def Clock() -> int:
            return 1

        nodes = (
            entry("c", "Clock"),
            entry("o", "Number", "off"),
            entry("r", "Number", "refresh", value=2),
            *[entry(f"s{name}", "Show", value=f"${name}") for name in "cor"],
        )
        explained = self.after(tmp_path, nodes, nodes, Clock)
        reasons = {name: each.cause.reason for name, each in explained.items() if each.cause is not None}
        assert (reasons["c"], reasons["o"], reasons["r"]) == ("not_deterministic", "cache_off", "cache_off")
        off = self.after(tmp_path, self.chain, self.chain, cache="off")
        assert {each.cause.reason for each in off.values() if each.cause is not None} == {"cache_off"}
        assert len(off) == 3

    def test_a_saved_file_is_gone_or_another(self, tmp_path: Path):
        @node(category="toys", output_node=True, numeric=False)
        def Write(text: str, context: Context = NO_CONTEXT) -> Saved:
            path = context.roots.output / "out.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            return Saved((SavedFile(str(path), path.name, "", "output"),))

        nodes = (entry("w", "Write", text="hello"),)
        delete: Callable[[Session], object] = lambda session: (tmp_path / "output/out.txt").unlink()  # noqa: E731
        assert self.after(tmp_path, nodes, nodes, Write, between=delete)["w"].action == "hit"  # a copy is kept
        with session(tmp_path, Write) as second:
            assert second.run(workflow(*nodes)).executed == ()
        assert (tmp_path / "output/out.txt").read_text() == "hello"
        (tmp_path / "output/out.txt").write_text("mine")
        with session(tmp_path, Write) as third:
            cause = named(third.explain(workflow(*nodes)))["w"].cause
        assert cause is not None
        assert cause.reason == "output_missing"


def test_models_are_loaded_again_only_where_something_needs_them(tmp_path: Path):
    """A handle is never kept, so its loader runs when what takes it runs, and does not count as a change."""

    class Opaque:
        digest = "the same each time"

    @node(category="toys", numeric=False)
    def Load() -> object:
        return Opaque()

    @node(category="toys", output_node=True, light=True)
    def Use(model: object, strength: int = 1) -> Saved:
        return Saved(shown={"strength": strength})

    before: Workflow = workflow(entry("l", "Load"), entry("u", "Use", model="$l"))
    with session(tmp_path, Load, Use) as first:
        first.run(before)
    with session(tmp_path, Load, Use) as second:
        assert {each.action for each in second.explain(before)} == {"hit"}
        changed = named(second.explain(workflow(entry("l", "Load"), entry("u", "Use", model="$l", strength=2))))
    load, use = changed["l"].cause, changed["u"].cause
    assert load is not None
    assert use is not None
    assert (load.reason, use.reason, use.field) == ("not_kept", "input_changed", "strength")


def test_explaining_runs_nothing(tmp_path: Path):
    with session(tmp_path) as each:
        each.explain(workflow(*TestReasons.chain))
        assert each.run(workflow(*TestReasons.chain)).executed == ("n", "m", "s")
