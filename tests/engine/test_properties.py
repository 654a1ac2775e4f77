"""Random graphs: built in order, computed as direct evaluation has it, and computed again only where they changed."""

from collections.abc import Mapping

from graphs_for_tests import CATALOG, finished
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import documents

from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.graph import build
from nodeflow.runner import Engine

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def direct(document: Document, name: str, known: dict[str, int]) -> int:
    """What a node gives, by the meaning of the graph alone."""

    def of(value):
        return direct(document, value.node, known) if isinstance(value, Wire) else value

    if name not in known:
        entry = document.nodes[name]
        values = [
            of(item) for value in entry.inputs.values() for item in (value if isinstance(value, list) else [value])
        ]
        known[name] = sum(values)
    return known[name]


def below(document: Document, name: str) -> set[str]:
    found = {name}
    while more := {n for n, e in document.nodes.items() if n not in found and {w.node for _, w in e.wires()} & found}:
        found |= more
    return found


def outputs(engine: Engine, document: Document) -> tuple[Mapping[str, int], list[str]]:
    told = list(engine.run(build(document, CATALOG)))
    return told[-1].outputs, finished(told)


@QUICK
@given(documents())
def test_every_node_comes_after_those_it_takes_from(document):
    order = list(build(document, CATALOG).steps)
    assert set(document.nodes) == set(order)
    for name, entry in document.nodes.items():
        assert all(order.index(wire.node) < order.index(name) for _, wire in entry.wires())


@QUICK
@given(documents())
def test_a_run_gives_what_direct_evaluation_gives_and_a_second_run_the_same(document):
    engine, expected = Engine(device="cpu"), {}
    for name in document.nodes:
        direct(document, name, expected)
    first, ran = outputs(engine, document)
    assert expected == first
    assert len(ran) == len(set(ran)) <= len(document.nodes)
    assert (expected, []) == outputs(engine, document)


@QUICK
@given(documents(), st.data())
def test_a_changed_value_computes_its_node_and_those_below_again_and_no_other(document, data):
    engine = Engine(device="cpu")
    outputs(engine, document)
    name = data.draw(st.sampled_from(sorted(document.nodes)))
    literals = [port for port, value in document.nodes[name].inputs.items() if type(value) is int]
    if not literals:
        return
    entry = document.nodes[name]
    changed = NodeEntry(entry.type, 1, {**entry.inputs, data.draw(st.sampled_from(literals)): 1_000})
    after = Document(nodes={**document.nodes, name: changed}, outputs=document.outputs)
    told = list(engine.run(build(after, CATALOG)))
    results, names, ran = told[-1].outputs, told[-1].names, finished(told)
    affected = below(after, name)
    assert affected >= set(ran)
    assert {names[each] for each in affected} == {names[each] for each in ran}  # of two that are the same, one runs
    expected: dict[str, int] = {}
    assert results == {each: direct(after, each, expected) for each in after.nodes}


@QUICK
@given(documents(), st.data())
def test_a_run_until_a_node_runs_what_it_needs_and_nothing_else(document, data):
    name = data.draw(st.sampled_from(sorted(document.nodes)))
    needed = {each for each in document.nodes if name in below(document, each)}
    ran = finished(Engine(device="cpu").run(build(document, CATALOG), until=name))
    assert set(ran) <= needed
    assert name in ran or len(ran) < len(needed)
