"""Workflows as Python programs: what a program builds is the same graph, whatever the workflow was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.builder import Builder
from nodegraph.context import Roots
from nodegraph.errors import ProblemError
from nodegraph.graph.build import check
from nodegraph.graph.model import Checked, Graph
from nodegraph.graph.python_script import dump_python
from nodegraph.node import Choices, InputSpec, NodeSpec
from nodegraph.registry import Registry, load_registry
from nodegraph.resources import examples, models_folder
from nodegraph.sockets.types import SocketType, accepts
from nodegraph.workflow.document import NodeEntry, Param, Ref, Slot, Template, Value, Workflow
from nodegraph.workflow.read import load_file, load_text
from nodegraph.workflow.write import portable_ids

REGISTRY = load_registry()
ROOTS = Roots(models=(models_folder(),))


def built(text: str, file: str = "script.py") -> Builder:
    """What the program's `build` returns."""
    names: dict[str, Any] = {"__file__": file, "__name__": "script"}
    exec(compile(text, file, "exec"), names)
    return names["build"]()


def facts(checked: Checked, ids: Mapping[str, str] = MappingProxyType({})) -> object:
    """All that matters of a checked workflow: its graph by the names of nodes, or what is wrong with it."""
    if checked.graph is None:
        return sorted((problem.code, problem.input or "") for problem in checked.errors)
    return graph_facts(checked.graph, ids)


def graph_facts(graph: Graph, ids: Mapping[str, str]) -> object:
    def called(name: str) -> str:
        own, bracket, cell = name.partition("[")
        return ids.get(own, own) + bracket + cell

    nodes = {
        called(node.id): (
            node.spec.name,
            {name: (type(value), value) for name, value in node.values.items()},
            {name: (called(graph.nodes[link.node].id), link.output) for name, link in node.links.items()},
            [(called(graph.nodes[link.node].id), link.output) for link in node.when],
            node.absent,
            node.entry.cache,
            node.entry.mode,
        )
        for node in graph.nodes
    }
    outputs = {name: (called(graph.nodes[link.node].id), link.output) for name, link in graph.outputs.items()}
    return nodes, outputs, dict(graph.params)


def assert_same(workflow: Workflow, registry: Registry = REGISTRY, ids: Mapping[str, str] | None = None) -> str:
    """The program of a workflow, which builds the same graph."""
    text = dump_python(workflow, registry)
    copy = replace(built(text).workflow(), file=workflow.file)
    before, after = check(workflow, registry, roots=ROOTS), check(copy, registry, roots=ROOTS)
    assert facts(after) == facts(before, portable_ids(workflow) if ids is None else ids)
    return text


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_the_program_of_an_example_builds_the_same_graph_and_is_formatted(path: Path, tmp_path: Path):
    loaded = load_file(path)
    assert loaded.workflow is not None
    text = assert_same(loaded.workflow)
    assert "node_type" not in text
    assert text == dump_python(loaded.workflow, REGISTRY)


def test_programs_are_formatted_and_have_nothing_to_complain_about(tmp_path: Path):
    pytest.importorskip("ruff", reason="ruff comes with the extra 'dev'")
    for path in examples():
        loaded = load_file(path)
        assert loaded.workflow is not None
        (tmp_path / f"{path.stem}.py").write_text(dump_python(loaded.workflow, REGISTRY), encoding="utf-8")
    for width in ("88", "120"):
        options = ["--isolated", "--no-cache", f"--config=line-length={width}", str(tmp_path)]
        for words in (["format", "--check"], ["check", "--select=E4,E7,E9,F,I,B,N,UP,SIM,RET"]):
            ruff = [sys.executable, "-m", "ruff", *words, *options]
            done = subprocess.run(ruff, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


# --- whatever a workflow may say


def of(text: str) -> Workflow:
    loaded = load_text("nodegraph: 1\n" + text)
    assert [problem.describe() for problem in loaded.problems] == []
    assert loaded.workflow is not None
    return loaded.workflow


def test_names_that_mean_something_in_python_are_made_others():
    text = assert_same(
        of("""
params: {input: 64, class: 64, graph: a}
nodes:
  build: {uses: EmptyLatentImage, with: {width: $input, height: $class}}
  a-b: {uses: LatentUpscale, with: {samples: $build, width: 8, height: 8}}
  a_b: {uses: LatentUpscale, with: {samples: $a-b, width: 8, height: 8}}
  EmptyLatentImage: {uses: LatentUpscale, with: {samples: $a_b, width: 8, height: 8}}
  None: {uses: PreviewAny, with: {source: "${graph} ${input}"}}
outputs: {last: $EmptyLatentImage}
""")
    )
    assert 'input_ = graph.param("input", 64)' in text
    assert "a_b_2 = graph.node(" in text


def test_parameters_keep_all_that_is_said_of_them():
    workflow = of("""
params:
  must: {type: STRING, description: 'say "it"'}
  any: {type: ANY}
  rate: {type: FLOAT, default: 1, min: 0, max: 2.5}
  pick: {type: STRING, default: b, choices: [a, b]}
  loose: {type: ANY, default: 3}
  none: null
nodes:
  a: {uses: PreviewAny, with: {source: $must}}
  b: {uses: PreviewAny, with: {source: $any}}
  c: {uses: PreviewAny, with: {source: $rate}}
  d: {uses: PreviewAny, with: {source: $pick}}
  e: {uses: PreviewAny, with: {source: $loose}}
  f: {uses: PreviewAny, with: {source: $none}}
""")
    copy = built(dump_python(workflow, REGISTRY)).workflow()
    assert {
        name: replace(param, place=copy.params[name].place) for name, param in workflow.params.items()
    } == copy.params


def test_nodes_may_stand_in_any_order_in_the_file():
    text = assert_same(
        of("""
nodes:
  last: {uses: LatentUpscale, with: {samples: $first, width: 8, height: 8}}
  other: {uses: EmptyLatentImage}
  first: {uses: EmptyLatentImage}
outputs: {last: $last, other: $other}
""")
    )
    assert text.index('"other"') < text.index('"first"') < text.index('"last"')


def test_titles_and_notes_become_comments():
    text = assert_same(
        of("""
nodes:
  a: {uses: EmptyLatentImage, title: A canvas, note: "of\\nno colour\\u2028at all \\u202e"}
outputs: {a: $a}
""")
    )
    assert "    # A canvas\n    # of\n    # no colour\n    # at all\n    a = graph.node(" in text


def test_sweeps_of_nodes_and_of_whole_workflows_are_kept():
    assert_same(
        of("""
params: {size: 64, seed: 1}
matrix: {size: [64, 128], canvas.height: '64..192:64'}
nodes:
  canvas: {uses: EmptyLatentImage, with: {width: $size}}
  larger:
    uses: LatentUpscale
    with: {samples: $canvas, height: 8}
    foreach: {width: [8, 16], crop: [disabled, center]}
outputs: {larger: $larger}
""")
    )
    text = assert_same(
        of("""
nodes:
  canvas: {uses: EmptyLatentImage, matrix: {width: 64..192:64, batch_size: [1, 2]}}
  larger: {uses: LatentUpscale, with: {samples: $canvas, height: 8, width: 8}}
outputs: {larger: $larger}
""")
    )
    assert "width=graph.matrix(range(64, 193, 64))" in text


def test_conditions_and_policies_of_nodes_are_kept():
    text = assert_same(
        of("""
params: {flag: true}
nodes:
  gate: {uses: CompareNumbers, with: {a: 1, b: 2}}
  a: {uses: PrimitiveInt, with: {value: 1}, when: $gate, cache: 'off'}
  b: {uses: PrimitiveInt, with: {value: 1}, when: [$gate, $flag]}
  c: {uses: PrimitiveInt, with: {value: 1}, when: false}
  first: {uses: FirstOf, with: {first: $a, second: $b, third: $c}}
outputs: {first: $first}
""")
    )
    assert 'graph.options("a", cache="off", when=gate)' in text
    assert 'graph.options("b", when=[gate, flag])' in text
    bypassed = NodeEntry("canvas", "EmptyLatentImage", mode="muted")
    assert 'graph.options("canvas", mode="muted")' in assert_same(Workflow({"canvas": bypassed}))


def test_sub_workflows_are_written_out(tmp_path: Path):
    (tmp_path / "part.yaml").write_text(
        """
nodegraph: 1
params: {size: 64, colour: red}
nodes:
  canvas: {uses: EmptyLatentImage, with: {width: $size, height: $size}}
  say: {uses: PreviewAny, with: {source: "a ${colour} thing"}}
outputs: {latent: $canvas}
"""
    )
    (tmp_path / "whole.yaml").write_text(
        """
nodegraph: 1
params: {hue: blue}
nodes:
  made: {uses: ./part.yaml, with: {colour: $hue}, matrix: {size: [64, 128]}}
  larger: {uses: LatentUpscale, with: {samples: $made.latent, width: 8, height: 8}}
outputs: {larger: $larger}
"""
    )
    loaded = load_file(tmp_path / "whole.yaml")
    assert loaded.workflow is not None
    text = dump_python(loaded.workflow, REGISTRY)
    before, after = (check(each, REGISTRY) for each in (loaded.workflow, built(text).workflow()))
    assert before.graph is not None
    assert after.graph is not None
    assert len(before.graph.nodes) == len(after.graph.nodes) == 5
    assert facts(after) == facts(before, {"made/canvas": "made_canvas", "made/say": "made_say"})


def test_nodes_whose_functions_cannot_be_imported_are_added_by_type(tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        '''
from typing import NamedTuple
from nodegraph.node import node

class Halves(NamedTuple):
    first: str
    rest: str

@node(category="test")
def Cut(text: str) -> Halves:
    """Two halves."""
    return Halves(text[:1], text[1:])

@node(category="test")
def Dup(text: str) -> str:
    """Twice."""
    return text * 2
'''
    )
    registry = load_registry([tmp_path])
    workflow = of("""
nodes:
  cut: {uses: Cut, with: {text: hello}}
  dup: {uses: Dup, with: {text: $cut.rest}}
  again: {uses: Dup, with: {text: $cut.0}}
outputs: {all: $dup, cut: $cut.first, again: $again}
""")
    text = assert_same(workflow, registry)
    assert 'dup = graph.node_type("dup", "Dup", text=cut["rest"])' in text
    assert "nodes=" not in text
    written = "".join(dump_python(workflow, registry, [str(tmp_path)]).split())  # on one line or several, by its length
    assert f'nodes=["{tmp_path}"' in written


def test_what_is_wrong_in_a_workflow_is_wrong_in_the_graph_too_and_told_by_the_check():
    workflow = of("""
nodes:
  a: {uses: EmptyLatentImage, with: {widht: 7}}
  b: {uses: LatentUpscale}
  c: {uses: NoSuchNode, with: {'odd name': [1, {a: b}], class: $a}}
  d: {uses: LatentUpscale, with: {samples: $a.nothing, width: -1, height: 8}}
outputs: {d: $d}
""")
    assert_same(workflow)


def test_what_cannot_be_built_at_all_is_told_with_all_its_places():
    workflow = of("""
nodes:
  a: {uses: LatentUpscale, with: {samples: $b, width: 8, height: 8}}
  b: {uses: LatentUpscale, with: {samples: $a, width: 8, height: 8}}
  c: {uses: LatentUpscale, with: {samples: $nobody, width: 8, height: 8}}
  d: {uses: PreviewAny, with: {source: "so ${much}"}}
""")
    with pytest.raises(ProblemError) as caught:
        dump_python(workflow, REGISTRY)
    assert {problem.code for problem in caught.value.problems} == {"cycle", "unknown_reference", "unknown_param"}
    assert all(problem.place.line for problem in caught.value.problems)


# --- random workflows of real nodes

AWKWARD = ['"', "'", "\\", "\n", "$", "{", "}", "\x00", "\u2028", "\U0001f31f", " ", "a", "#", "%", "\t", "\r", '"""']
pieces = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.sampled_from(AWKWARD))
texts = st.builds(lambda a, b, times: a * times + b, pieces, pieces, st.sampled_from([1, 1, 1, 60]))
ODD_IDS = ["def", "print", "graph", "10:3", "a b"]
ids = st.one_of(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,6}", fullmatch=True),
    st.integers(0, 99).map(str),
    st.sampled_from(ODD_IDS),
)


def literal(spec: InputSpec) -> st.SearchStrategy[Any] | None:
    """Values that an input takes; None if there are none that can be written."""
    if isinstance(spec.choices, Choices):
        offered = list(spec.choices.list(ROOTS))
        return st.sampled_from(offered) if offered else None
    if spec.choices is not None:
        return st.sampled_from(spec.choices)
    names = spec.type.names
    if "INT" in names or "FLOAT" in names:
        low, high = (spec.range.min, spec.range.max) if spec.range is not None else (-1000, 1000)
        step = spec.range.multiple if spec.range is not None else 1
        whole = st.integers(-(-int(low) // step), int(high) // step).map(lambda value: value * step)
        return whole if "INT" in names or int(low) < low else whole | st.floats(float(low), float(high))
    if "STRING" in names:
        return texts
    return st.booleans() if "BOOLEAN" in names else None


def can_be_given_all(spec: NodeSpec, offered: Sequence[SocketType]) -> bool:
    """Whether all that a node needs can be written, or taken from what others offer."""
    needed = [given_ for given_ in spec.inputs if given_.required]
    return all(literal(each) is not None or any(accepts(each.type, type_) for type_ in offered) for each in needed)


@st.composite
def entries(draw: st.DrawFn, name: str, spec: NodeSpec, before: dict[str, NodeEntry], params: list[str]) -> NodeEntry:
    """A node of a type, which takes from those before it what it can."""
    inputs: dict[str, Value] = {}
    for given_ in spec.inputs:
        links: list[Ref | Slot] = []
        for other, entry in before.items():
            outputs = REGISTRY.specs[entry.uses].outputs
            for i, output in enumerate(outputs):
                if accepts(given_.type, output.type):
                    links += [Slot(other, i), Ref(other, output.name) if len(outputs) > 1 else Ref(other)]
        values = literal(given_)
        choices = [st.sampled_from(links)] if links else []
        if values is not None:
            choices += [values, values]
            if "STRING" in given_.type.names and params:
                part = st.one_of(st.sampled_from(params).map(Ref), texts.filter(bool))
                choices += [
                    st.sampled_from(params).map(Ref),
                    st.lists(part, max_size=4).map(lambda p: Template(tuple(p))),
                ]
        if choices and (given_.required or draw(st.booleans())):
            inputs[given_.name] = draw(st.one_of(choices))
    title = draw(st.none() | texts)
    return NodeEntry(name, spec.name, MappingProxyType(inputs), title, draw(st.none() | texts))


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    names = draw(st.lists(ids, min_size=3, max_size=8, unique=True))
    params = {name: Param(name, "STRING", draw(texts)) for name in ("text", "class", "model") if name not in names}
    nodes: dict[str, NodeEntry] = {}
    for name in names:
        offered = [output.type for entry in nodes.values() for output in REGISTRY.specs[entry.uses].outputs]
        specs = [spec for spec in REGISTRY.specs.values() if can_be_given_all(spec, offered)]
        nodes[name] = draw(entries(name, draw(st.sampled_from(specs)), nodes, list(params)))
    shuffled = draw(st.permutations(list(nodes)))
    outputs = {"one": Ref(names[0])} if len(REGISTRY.specs[nodes[names[0]].uses].outputs) == 1 else {}
    return Workflow(
        MappingProxyType({name: nodes[name] for name in shuffled}),
        MappingProxyType(params),
        MappingProxyType(outputs),
        name=draw(st.none() | texts),
        description=draw(texts),
    )


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(workflows())
def test_the_program_of_any_workflow_builds_the_same_graph(workflow: Workflow):
    assert_same(workflow)
