"""Edits and their inverses, what differs between two documents, and documents at random."""

import time
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodeflow.delta import ABSENT, Delta
from nodeflow.diff import describe, diff
from nodeflow.document import Document, NodeEntry, Wire, parse, write
from nodeflow.edits import (
    AddNode,
    Group,
    MoveNodes,
    Patch,
    RemoveNode,
    RenameNode,
    SetGraph,
    SetInput,
    SetMode,
    SetNode,
    SetOutput,
    SetParameter,
    SetTitle,
    SetView,
    Within,
)
from nodeflow.errors import GraphError

INNER = Document(nodes={"only": NodeEntry("image.blur", 1, {"radius": 2})}, outputs={"out": "only"})
DOCUMENT = Document(
    title="Text to image",
    parameters={"prompt": "text.prompt", "seed": "sample.seed", "model": "clip.model"},
    outputs={"words": "text", "image": "sample.out"},
    nodes={
        "clip": NodeEntry("text.load_clip", 1, {"model": "shapes:clip"}),
        "text": NodeEntry("text.encode", 1, {"encoder": Wire("clip"), "prompt": "a red circle"}),
        "mix": NodeEntry("image.mix", 2, {"items": [Wire("text", "x"), 3, Wire("clip")], "more": [Wire("text")]}),
        "sample": NodeEntry("diffusion.sample", 2, {"text": Wire("text"), "steps": 25}),
    },
    graphs={"soften": INNER},
    view={
        "nodes": {"clip": [0, 0], "text": [200, 0], "sample": [400, 0]},
        "frames": [{"title": "clip"}],
        "dots": {"text.encoder": [100, 0], "sample.text": [300, 0]},
    },
    extra={"licence": "CC0"},
)


def after(*edits, document=DOCUMENT):
    return Group(edits).change(document)


# --- what each edit does


def test_a_node_is_added_last_or_before_another():
    entry = NodeEntry("image.save", 1, {"image": {"$from": "sample"}})
    assert ["clip", "text", "mix", "sample", "save"] == list(after(AddNode("save", entry)).nodes)
    assert ["clip", "save", "text", "mix", "sample"] == list(after(AddNode("save", entry, before="text")).nodes)
    assert Wire("sample") == after(AddNode("save", entry)).nodes["save"].inputs["image"]


def test_a_removed_node_takes_along_all_that_leads_to_it():
    document = after(RemoveNode("text"))
    assert ["clip", "mix", "sample"] == list(document.nodes)
    assert {"items": [3, Wire("clip")]} == document.nodes["mix"].inputs
    assert {"steps": 25} == document.nodes["sample"].inputs
    assert {"seed": "sample.seed", "model": "clip.model"} == document.parameters
    assert {"image": "sample.out"} == document.outputs
    assert {"clip": [0, 0], "sample": [400, 0]} == document.view["nodes"]
    assert {"sample.text": [300, 0]} == document.view["dots"]
    assert [{"title": "clip"}] == document.view["frames"]


def test_all_that_leads_to_a_renamed_node_follows():
    document = after(RenameNode("text", "words"))
    assert ["clip", "words", "mix", "sample"] == list(document.nodes)
    assert {"items": [Wire("words", "x"), 3, Wire("clip")], "more": [Wire("words")]} == document.nodes["mix"].inputs
    assert {"prompt": "words.prompt", "seed": "sample.seed", "model": "clip.model"} == document.parameters
    assert {"words": "words", "image": "sample.out"} == document.outputs
    assert ["clip", "words", "sample"] == list(document.view["nodes"])
    assert ["words.encoder", "sample.text"] == list(document.view["dots"])
    assert write(DOCUMENT) == write(after(RenameNode("words", "text"), document=document))


def test_an_input_is_set_wired_or_cleared():
    assert {"text": Wire("text"), "steps": 30} == after(SetInput("sample", "steps", 30)).nodes["sample"].inputs
    assert Wire("clip", "x") == after(SetInput("sample", "steps", Wire("clip", "x"))).nodes["sample"].inputs["steps"]
    assert {"text": Wire("text")} == after(SetInput("sample", "steps", ABSENT)).nodes["sample"].inputs
    assert None is after(SetInput("sample", "steps", None)).nodes["sample"].inputs["steps"]


def test_the_small_edits_do_what_they_say():
    assert "sample.steps" == after(SetParameter("n", "sample.steps")).parameters["n"]
    assert ["prompt", "model"] == list(after(SetParameter("seed", ABSENT)).parameters)
    assert "mix" == after(SetOutput("image", "mix")).outputs["image"]
    assert {"image": "sample.out"} == after(SetOutput("words", ABSENT)).outputs
    assert "T" == after(SetTitle("T")).title
    assert NodeEntry("u", 3) == after(SetNode("clip", NodeEntry("u", 3))).nodes["clip"]
    assert {"soften": INNER, "again": INNER} == after(SetGraph("again", INNER)).graphs
    assert {} == after(SetGraph("soften", ABSENT)).graphs
    assert 5 == after(Within("soften", SetInput("only", "radius", 5))).graphs["soften"].nodes["only"].inputs["radius"]
    assert {"a": 1} == after(SetView("frames", {"a": 1})).view["frames"]
    assert ["nodes", "dots"] == list(after(SetView("frames", ABSENT)).view)


def test_nodes_move_together_and_stand_nowhere_if_so_said():
    placed = after(MoveNodes({"clip": (1, 2), "mix": [3, 4], "text": ABSENT})).view["nodes"]
    assert {"clip": [1, 2], "sample": [400, 0], "mix": [3, 4]} == placed
    assert {"nodes": {"a": [0, 0]}} == after(MoveNodes({"a": (0, 0)}), document=Document()).view


def test_an_edit_leaves_the_document_as_it_was():
    before = write(DOCUMENT)
    after(RemoveNode("text"), RenameNode("clip", "c"), MoveNodes({"c": [9, 9]}), SetView("dots", ABSENT))
    assert before == write(DOCUMENT)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (AddNode("clip", NodeEntry("t")), 'there is a node "clip" already'),
        (AddNode("a.b", NodeEntry("t")), '"a.b" cannot be the name of a node'),
        (AddNode("new", NodeEntry("t"), before="clop"), 'there is no node "clop"'),
        (SetMode("clip", "mute"), '"mute" is no mode of a node'),
        (AddNode("new", NodeEntry("t", mode="off")), '"off" is no mode of a node'),
        (AddNode("new", NodeEntry("t", 1, {"x": float("nan")})), 'node "new", input "x": nan is no JSON number'),
        (RemoveNode("tex"), 'there is no node "tex"\n    did you mean "text"?'),
        (Group((RemoveNode("text"), RemoveNode("text"))), 'there is no node "text"\n    it has just been removed'),
        (Group((AddNode("a", NodeEntry("t")), AddNode("a", NodeEntry("t")))), 'there is a node "a" already'),
        (RenameNode("clip", "text"), 'there is a node "text" already'),
        (RenameNode("clip", "te xt"), '"te xt" cannot be the name of a node'),
        (SetInput("clap", "x", 1), 'there is no node "clap"'),
        (SetInput("clip", "x", {1}), 'node "clip", input "x": set has no JSON form'),
        (SetInput("clip", "x", Wire("a.b")), "is no wire"),
        (SetInput("clip", "x", {"a": {"$from": "text"}}), '"$from" inside a value'),
        (SetParameter("n", "nowhere.x"), 'there is no node "nowhere"'),
        (SetParameter("n", "clip"), '"clip" names no port'),
        (SetParameter("n n", "clip.model"), '"n n" cannot be the name of a parameter'),
        (SetOutput("n", "clip."), '"clip." names no port'),
        (SetGraph("a/b", INNER), '"a/b" cannot be the name of a graph'),
        (Within("sofen", SetTitle("T")), 'there is no graph "sofen" in this file\n    did you mean "soften"?'),
    ],
)
def test_an_edit_that_does_not_suit_the_document_is_refused(edit, message):
    with pytest.raises(GraphError) as caught:
        edit.apply(DOCUMENT)
    assert message in str(caught.value)


# --- undo


@pytest.mark.parametrize(
    "edit",
    [
        AddNode("new", NodeEntry("t"), before="clip"),
        RemoveNode("text"),
        RenameNode("clip", "zzz"),
        SetNode("mix", NodeEntry("t")),
        SetInput("text", "encoder", ABSENT),
        SetParameter("prompt", ABSENT),
        SetOutput("words", ABSENT),
        SetTitle("other"),
        SetGraph("soften", ABSENT),
        MoveNodes({"clip": ABSENT, "mix": [1, 1]}),
        SetView("nodes", ABSENT),
        Within("soften", RemoveNode("only")),
        Group((RemoveNode("clip"), RemoveNode("text"), RenameNode("mix", "text"), SetInput("text", "items", 5))),
        Group(()),
    ],
    ids=lambda edit: type(edit).__name__,
)
def test_undo_and_redo_give_the_same_bytes(edit):
    changed, back = edit.apply(DOCUMENT)
    undone, again = back.apply(changed)
    assert write(DOCUMENT) == write(undone)
    assert write(changed) == write(again.apply(undone)[0])


def test_the_inverse_of_a_small_edit_is_small():
    _, back = MoveNodes({"clip": [5, 5]}).apply(DOCUMENT)
    assert Patch(Delta({"view": Delta({"nodes": Delta({"clip": [0, 0]})})})) == back


def test_an_edit_of_one_node_in_5000_copies_no_other():
    large = Document(nodes={f"n{n}": NodeEntry("t", 1, {"x": n}) for n in range(5_000)})
    start = time.process_time()
    changed, back = SetInput("n7", "x", 0).apply(large)
    undone, _ = back.apply(changed)
    assert time.process_time() - start < 0.1
    assert all(changed.nodes[name] is entry for name, entry in large.nodes.items() if name != "n7")
    assert large == undone


def test_5000_nodes_are_removed_and_restored_in_a_moment():
    chain = {f"n{n}": NodeEntry("t", 1, {"x": Wire(f"n{n - 1}")}) for n in range(5_000)}
    large = Document(nodes=chain, view={"nodes": {name: [0, 0] for name in chain}})
    start = time.process_time()
    empty, back = Group(tuple(map(RemoveNode, chain))).apply(large)
    undone, _ = back.apply(empty)
    assert time.process_time() - start < 0.5
    assert ({}, large) == (empty.nodes, undone)


def test_nodes_added_together_stand_each_in_its_place():
    entry, kept = NodeEntry("t"), Document(nodes={"last": NodeEntry("t")})
    edits = (AddNode("a", entry), AddNode("b", entry, before="a"), AddNode("c", entry), AddNode("d", entry))
    assert ["last", "b", "a", "c", "d"] == list(Group(edits).change(kept).nodes)


# --- what differs


def test_a_diff_reads_as_what_was_done():
    edits = (
        SetTitle("T"),
        RenameNode("clip", "encoder"),
        RemoveNode("mix"),
        AddNode("save", NodeEntry("image.save"), before="sample"),
        SetNode("text", NodeEntry("text.encode", 2, {"encoder": Wire("encoder"), "prompt": "a red circle"})),
        SetMode("sample", "bypassed"),
        SetInput("sample", "text", ABSENT),
        SetInput("sample", "steps", 30),
        SetInput("sample", "seed", Wire("encoder", "x")),
        SetParameter("model", ABSENT),
        SetParameter("n", "sample.steps"),
        SetOutput("words", "save"),
        Within("soften", SetInput("only", "radius", 5)),
        MoveNodes({"text": [1, 1]}),
        SetView("frames", []),
    )
    assert edits == diff(DOCUMENT, after(*edits))
    assert [
        'titles the graph "T"',
        'renames "clip" to "encoder"',
        'removes "mix"',
        'adds "save" (image.save)',
        'makes "text" a text.encode, version 2',
        'bypasses "sample"',
        "clears sample.text",
        "sets sample.steps to 30",
        "wires sample.seed from encoder.x",
        'drops parameter "model"',
        'leads parameter "n" to sample.steps',
        'takes output "words" from save',
        'in graph "soften": sets only.radius to 5',
        'moves "text"',
        'changes the view\'s "frames"',
    ] == [describe(edit) for edit in edits]


def test_the_rarer_edits_have_a_line_too():
    many = Group(tuple(SetTitle(str(n)) for n in range(5)))
    reordered = replace(DOCUMENT, nodes=dict(reversed(DOCUMENT.nodes.items())), extra={"a": 1, "licence": "MIT"})
    assert 'titles the graph "0"; titles the graph "1"; titles the graph "2"; and 2 more' == describe(many)
    assert "changes nothing" == describe(Group(()))
    assert ['mutes "a"', 'runs "a" again'] == [describe(SetMode("a", mode)) for mode in ("muted", "")]
    assert "moves 2 nodes" == describe(MoveNodes({"a": [0, 0], "b": [1, 1]}))
    assert ['reorders nodes; changes "a", "licence" in extra; reorders extra'] == [
        describe(edit) for edit in diff(DOCUMENT, reordered)
    ]
    assert 'drops graph "g"' == describe(SetGraph("g", ABSENT))
    assert 'sets a.b to [{"$from": "c"}, 1]' == describe(SetInput("a", "b", [Wire("c"), 1]))
    assert "\n" not in describe(SetInput("a", "b", "two\nlines" * 99))
    assert "changes the title" == describe(SetTitle("x").apply(DOCUMENT)[1])


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0.0, -0.0), (1, True), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_values_that_python_calls_equal_but_are_written_otherwise_differ(one, other):
    old, new = (Document(nodes={"a": NodeEntry("t", 1, {"x": value})}, extra={"e": value}) for value in (one, other))
    assert old == new
    assert write(new) == write(reduce(lambda document, edit: edit.change(document), diff(old, new), old))


# --- at random

NAMES = st.sampled_from(["a", "b", "c", "d", "e-1", "F_2"])
PORTS = st.sampled_from(["x", "y", "prompt", "üñ", "a.b"])
SCALARS = (
    st.sampled_from([None, True, False, 0, 1, -1, 2**70, 0.0, -0.0, 1.0, 1e22, 0.1, "", "a", "\n", "\u2028"])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
)
LITERALS = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "ß"]), SCALARS)
WIRES = st.builds(Wire, NAMES, st.sampled_from(["out", "x", "y.z"]))
INPUTS = LITERALS | WIRES | st.lists(LITERALS | WIRES, max_size=3)
MODES = st.sampled_from(["", "muted", "bypassed"])
ENTRIES = st.builds(
    NodeEntry,
    st.sampled_from(["image.load", "text.encode", "graph:g"]),
    st.integers(1, 3),
    st.dictionaries(PORTS, INPUTS, max_size=3),
    st.dictionaries(st.sampled_from(["note", "muted"]), LITERALS, max_size=1),
    MODES,
)
VIEWS = st.fixed_dictionaries(
    {},
    optional={
        "nodes": st.dictionaries(NAMES, st.lists(st.integers(-99, 99), min_size=2, max_size=2), max_size=4),
        "dots": st.dictionaries(st.sampled_from(["a.x", "b.y", "c", "q"]), LITERALS, max_size=2),
        "frames": st.lists(LITERALS, max_size=2),
    },
)


@st.composite
def documents(draw, inner=True):
    nodes = draw(st.dictionaries(NAMES, ENTRIES, max_size=5))
    places = st.sampled_from(sorted(nodes)) if nodes else st.nothing()
    wanted = {"max_size": 3 if nodes else 0}
    return Document(
        draw(st.text(max_size=8)),
        draw(st.dictionaries(NAMES, st.builds("{}.{}".format, places, PORTS), **wanted)),
        draw(st.dictionaries(NAMES, places | st.builds("{}.{}".format, places, PORTS), **wanted)),
        nodes,
        draw(st.dictionaries(NAMES, documents(inner=False), max_size=2)) if inner else {},
        draw(VIEWS),
        draw(st.dictionaries(st.sampled_from(["licence", "by", "$schema"]), LITERALS, max_size=2)),
    )


POSITIONS = st.dictionaries(NAMES, st.just(ABSENT) | st.tuples(st.integers(), st.integers()), max_size=3)
EDITS = st.recursive(
    st.builds(AddNode, NAMES, ENTRIES, st.none() | NAMES)
    | st.builds(RemoveNode, NAMES)
    | st.builds(RenameNode, NAMES, NAMES)
    | st.builds(SetNode, NAMES, ENTRIES)
    | st.builds(SetInput, NAMES, PORTS, INPUTS | st.just(ABSENT))
    | st.builds(SetMode, NAMES, MODES)
    | st.builds(SetParameter, NAMES, st.builds("{}.{}".format, NAMES, PORTS) | st.just(ABSENT))
    | st.builds(SetOutput, NAMES, NAMES | st.just(ABSENT))
    | st.builds(SetTitle, st.text(max_size=5))
    | st.builds(SetGraph, NAMES, documents(inner=False) | st.just(ABSENT))
    | st.builds(MoveNodes, POSITIONS)
    | st.builds(SetView, st.sampled_from(["nodes", "dots", "frames", "other"]), LITERALS | st.just(ABSENT)),
    lambda edit: st.builds(Group, st.lists(edit, max_size=3).map(tuple)) | st.builds(Within, NAMES, edit),
    max_leaves=4,
)
SOME = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SOME
@given(documents())
def test_any_document_is_read_as_it_was_written(document):
    text = write(document)
    assert document == parse(text)
    assert text == write(parse(text)) == write(parse(text.encode()))


@SOME
@given(documents(), st.lists(EDITS, max_size=8))
def test_any_edits_are_undone_and_done_again_to_the_byte(document, edits):
    texts, inverses = [write(document)], []
    for edit in edits:
        try:
            document, inverse = edit.apply(document)
        except GraphError:
            continue
        assert texts.append(write(document)) is None
        inverses.append(inverse)
    assert document == parse(texts[-1])
    redo = []
    for text, inverse in zip(texts[-2::-1], reversed(inverses), strict=True):
        document, again = inverse.apply(document)
        redo.append(again)
        assert text == write(document)
    for text, again in zip(texts[1:], reversed(redo), strict=True):
        document, _ = again.apply(document)
        assert text == write(document)


@SOME
@given(documents(), documents())
def test_the_diff_of_any_two_documents_leads_from_one_to_the_other(old, new):
    edits = diff(old, new)
    assert write(new) == write(Group(edits).change(old))
    assert all("\n" not in describe(edit) and describe(edit) for edit in edits)
    assert () == diff(new, parse(write(new)))


@SOME
@given(documents(), st.lists(EDITS, max_size=3))
def test_the_diff_after_any_edits_leads_there(document, edits):
    changed = document
    for edit in edits:
        try:
            changed = edit.change(changed)
        except GraphError:
            continue
    assert write(changed) == write(Group(diff(document, changed)).change(document))
