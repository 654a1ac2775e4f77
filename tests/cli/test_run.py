"""`nodeflow run`: what is set, what is printed, what fails, and with which code."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeflow.carried import GRAPH_AT_MOST, SIGNATURE, open_graph
from nodeflow.catalog import Catalog
from nodeflow.cli.opening import name_for, value_of, with_seed, with_settings
from nodeflow.document import parse, write
from nodeflow.errors import GraphError
from nodeflow.nodes import Seed, node, spec_of
from nodeflow.types import PortType

Call = Callable[..., Any]
HERE = Path()


def graph(folder: Path, **inputs: Any) -> str:
    """A graph that needs no torch: a number, and a node that fails unless it is told not to."""
    second = {"type": "ill.ill", "inputs": {"after": {"$from": "first"}, "how": "raise"}}
    data = {
        "nodeflow": 1,
        "parameters": {"how": "second.how"},
        "outputs": {"number": "first", "table": "second"},
        "nodes": {"first": {"type": "ill.echo", "inputs": inputs}, "second": second},
    }
    (folder / "graph.json").write_text(json.dumps(data))
    return "graph.json"


def test_a_run_prints_a_line_a_node_and_the_files_which_run_again(nodeflow: Call) -> None:
    said = nodeflow("run", "tiny.json", "--set", "colour=#cc6633")
    lines = said.out.splitlines()
    path = Path(lines[-1])
    again = nodeflow("run", str(path), "--quiet", "--out", "again")

    assert (0, "", "outputs") == (said.code, said.err, str(path.parent))
    assert ["paint", "soft", "done"] == [line.split()[0] for line in lines[:-1]]
    assert "#cc6633" == open_graph(path).nodes["paint"].inputs["colour"]
    assert (0, 1, "") == (again.code, again.out.count("\n"), again.err)
    assert path.name == Path(again.out.strip()).name
    assert path.read_bytes() == Path(again.out.strip()).read_bytes()
    assert 0 == nodeflow("check", str(path)).code


def test_json_prints_events_alone(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", graph(tmp_path), "--json")
    events = [json.loads(line) for line in said.out.splitlines()]

    assert (1, "") == (said.code, said.err)
    assert ["began", "started", "finished", "delivered", "started", "failed", "ended"] == [
        event["event"] for event in events
    ]
    assert (3, 1) == (events[3]["value"], events[-1]["exit"])


def test_until_computes_no_more(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", graph(tmp_path), "--until", "first")

    assert (0, "") == (said.code, said.err)
    assert said.out.startswith("first   0.")
    assert "second" not in said.out


def test_what_a_node_prints_goes_to_standard_error(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", graph(tmp_path, text="here"), "--until", "first")

    assert "here\n" == said.err
    assert "here" not in said.out


def test_a_failed_node_is_told_by_place_and_cure(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", graph(tmp_path))

    assert 1 == said.code
    assert 'graph.json: node "second": it does not work\n    do something else\n' == said.err
    assert "second  failed" in said.out


def test_a_node_that_kills_its_process_is_named(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", graph(tmp_path), "--set", "how=die")

    assert 1 == said.code
    assert said.err.startswith('graph.json: node "second": the process that ran it ended (exit code 7)\n    a node')
    assert ["second  failed", "number = 3"] == [said.out.splitlines()[1], said.out.splitlines()[-1]]
    assert said.out.splitlines()[2].startswith("failed after")


def test_figures_are_printed_as_a_table(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", graph(tmp_path), "--set", "how=table")

    assert 0 == said.code
    assert "Losses\n  step  loss\n     1   0.5\n     2  0.25\n" in said.out


def test_files_that_a_node_wrote_are_an_output_as_they_are(nodeflow: Call, tmp_path: Path) -> None:
    data = {"nodeflow": 1, "outputs": {"weights": "w"}, "nodes": {"w": {"type": "ill.wrote"}}}
    (tmp_path / "wrote.json").write_text(json.dumps(data))
    said = nodeflow("run", "wrote.json")
    (told,) = [line for line in nodeflow("run", "wrote.json", "--json").out.splitlines() if '"delivered"' in line]

    paths = [str(tmp_path / name) for name in ("own0.bin", "own1.bin")]
    assert (0, ["own0.bin", "own1.bin"]) == (said.code, said.out.splitlines()[-2:])
    assert (paths, None) == (json.loads(told)["paths"], json.loads(told)["value"])


def test_what_no_plugin_writes_is_told_by_its_kind(nodeflow: Call, tmp_path: Path) -> None:
    nodes = {"w": {"type": "ill.wrote", "inputs": {"count": 0}}}
    (tmp_path / "none.json").write_text(json.dumps({"nodeflow": 1, "outputs": {"o": "w"}, "nodes": nodes}))
    said = nodeflow("run", "none.json", "--quiet")
    (told,) = [line for line in nodeflow("run", "none.json", "--json").out.splitlines() if '"delivered"' in line]

    assert (0, "o: a list, which cannot be written to a file\n") == (said.code, said.out)
    assert ([], None) == (json.loads(told)["paths"], json.loads(told)["value"])


def test_an_unknown_node_to_run_until_gets_the_nearest(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", graph(tmp_path), "--until", "frist")

    assert (2, True) == (said.code, 'did you mean "first"?' in said.err)


def test_outputs_that_are_left_out_are_said_with_the_reason(nodeflow: Call, tmp_path: Path) -> None:
    first, second = ({"type": "ill.echo", "inputs": {"number": number}} for number in (1, 2))
    data = {"nodeflow": 1, "outputs": {"a": "a", "b": "b"}, "nodes": {"a": first, "b": {**second, "mode": "muted"}}}
    (tmp_path / "g.json").write_text(json.dumps(data))
    told = nodeflow("run", "g.json", "--quiet")
    assert (0, "a = 1\n", 'g.json: output "b" is left out: "b" is muted\n') == (told.code, told.out, told.err)
    events = [json.loads(line) for line in nodeflow("run", "g.json", "--json").out.splitlines()]
    assert {"b": '"b" is muted'} == events[0]["left_out"]
    assert "ok g.json (1 node, 1 left out)\n" == nodeflow("check", "g.json").out
    told = nodeflow("run", "g.json", "--until", "b")
    assert (2, True) == (told.code, '--until: node "b" does not run: "b" is muted' in told.err)


def test_a_drawn_seed_is_printed_and_used(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", graph(tmp_path), "--seed", "random", "--until", "first")
    quiet = nodeflow("run", "graph.json", "--seed", "random", "--until", "first", "--quiet")

    seed = said.out.splitlines()[0].removeprefix("seed ")
    assert f"number = {seed}" == said.out.splitlines()[-1]
    assert quiet.err.removeprefix("seed ") == quiet.out.removeprefix("number = ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "colour"], "expected name=value"),
        (["--set", "clour=#ffffff"], 'did you mean "colour"?'),
        (["--set", "paint.width=8.5"], "expected int, found 8.5"),
        (["--seed", "-1"], "expected a whole number"),
        (["--seed", "1"], 'no parameter "seed"'),
    ],
)
def test_what_cannot_be_set_is_refused_before_anything_runs(nodeflow: Call, arguments: list[str], message: str) -> None:
    said = nodeflow("run", "tiny.json", *arguments)

    assert (2, "") == (said.code, said.out)
    assert message in said.err


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (PortType("str"), "5", "5"),
        (PortType("str"), "null", "null"),
        (PortType("path"), "1.5", "1.5"),
        (PortType("int"), "5", 5),
        (PortType("int"), "five", "five"),
        (PortType("bool"), "true", True),
        (PortType("choice", values=("1", "2")), "1", "1"),
        (PortType("choice", values=(1, 2)), "1", 1),
        (PortType("union", items=(PortType("str"), PortType("none"))), "5", "5"),
        (PortType("union", items=(PortType("str"), PortType("none"))), "null", None),
        (PortType("union", items=(PortType("str"), PortType("int"))), "5", 5),
        (PortType("list", items=(PortType("float"),)), "[1, 2.5]", [1, 2.5]),
    ],
)
def test_a_setting_is_read_as_its_input_asks(kind: PortType, text: str, value: object) -> None:
    found = value_of(kind, text)

    assert (value, type(value)) == (found, type(found))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("cat.json", "cat"),
        ("cat-0123abcd.json", "cat-0123abcd"),
        ("cat-0123abcd.png", "cat"),
        ("cat-0123abcd-07.png", "cat"),
        ("cat-mask-0123abcd.png", "cat"),
        ("picture.png", "picture"),
    ],
)
def test_a_picture_that_runs_again_keeps_its_name(file: str, name: str) -> None:
    document = parse('{"nodeflow": 1, "outputs": {"image": "a", "mask": "a"}, "nodes": {"a": {"type": "t.a"}}}')

    assert name == name_for(Path(file), document)


@node(category="test")
def draw(seed: Seed = 0, title: str = "", factor: float = 1.0) -> str:
    """Draw."""
    raise AssertionError(seed, title, factor)


CATALOG = Catalog.of(spec_of(draw, "test"))
NESTED = {
    "nodeflow": 1,
    "nodes": {
        "one": {"type": "test.draw"},
        "two": {"type": "test.draw", "inputs": {"seed": {"$from": "one"}}},
        "three": {"type": "graph:inner"},
    },
    "graphs": {
        "inner": {"parameters": {"name": "x.title", "start": "x.seed"}, "nodes": {"x": {"type": "test.draw"}}}
    },
}  # fmt: skip


def test_settings_reach_into_subgraphs() -> None:
    settings = ["three.name=12", "nothing", "one.factor=2", "nobody=1"]
    document, wrong = with_settings(parse(json.dumps(NESTED)), settings, CATALOG, HERE)

    assert ["--set nothing: expected name=value", 'there is no parameter "nobody"'] == [
        problem.message.partition(", such")[0] for problem in wrong
    ]
    assert {"name": "12"} == document.nodes["three"].inputs
    assert {"factor": 2} == document.nodes["one"].inputs


@pytest.mark.parametrize(
    ("name", "told", "cure"),
    [
        ("thre.name", 'there is no node "thre" whose input "name" could be set', 'did you mean "three.name"?'),
        ("on.factor", 'there is no node "on" whose input "factor" could be set', 'did you mean "one.factor"?'),
        (
            "wrong.thing",
            'there is no node "wrong" whose input "thing" could be set',
            "the graph's nodes are: one, two, three",
        ),
        ("three/x.title", '"three/x" is within the graph that "three" stands for', 'set "three.name" instead'),
        ("thre/x.title", 'there is no node "thre/x" whose input "title" could be set', 'did you mean "three.name"?'),
        ("three/y.title", 'there is no node "three/y" whose input "title" could be set', 'did you mean "three.name"?'),
        (
            "three/x.factor",
            'there is no node "three/x" whose input "factor" could be set',
            'of the graph that "three" stands for, parameters can be set: three.name, three.start',
        ),
        (
            "one",
            '"one" is a node, and what can be set is an input of it',
            "name one of its inputs: one.seed, one.title, one.factor",
        ),
        ("factor", 'there is no parameter "factor"', 'did you mean "one.factor"?'),
        ("quite-another", 'there is no parameter "quite-another"', "it has none; name an input as node.port"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_with_the_nearest_at_every_level(name: str, told: str, cure: str) -> None:
    _, wrong = with_settings(parse(json.dumps(NESTED)), [f"{name}=1"], CATALOG, HERE, "g.json")

    assert [("g.json", told, cure)] == [(problem.file, problem.message, problem.cure) for problem in wrong]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_subgraph_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "circle.json").symlink_to(tmp_path / "circle.json")
    for name in ("pipe", "circle"):
        nodes = {"a": {"type": f"graph:{name}.json"}}
        _, wrong = with_settings(parse(json.dumps({"nodeflow": 1, "nodes": nodes})), ["a.x=1"], CATALOG, tmp_path)
        assert [] == wrong  # the check of the whole graph says what is the matter with it


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("verb", ["run", "check", "plan"])
def test_a_pipe_in_place_of_a_graph_is_told_and_not_waited_for(nodeflow: Call, tmp_path: Path, verb: str) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    said = nodeflow(verb, "pipe.json")

    cure = "save what comes out of it to a file, and name that"
    assert (2, f"pipe.json: this is a pipe, not a file\n    {cure}\n") == (said.code, said.err)


def test_an_output_is_told_from_a_node(nodeflow: Call) -> None:
    for verb in ("run", "plan"):
        said = nodeflow(verb, "tiny.json", "--until", "image")
        told = 'tiny.json: --until: "image" is an output, and no node\n    name the node that makes it: "soft"\n'
        assert (2, told) == (said.code, said.err)


def test_a_seed_goes_to_every_seed_that_is_not_wired() -> None:
    document = with_seed(parse(json.dumps(NESTED)), 7, CATALOG, HERE)

    assert [{"seed": 7}, {"start": 7}] == [document.nodes[name].inputs for name in ("one", "three")]
    assert 7 not in document.nodes["two"].inputs.values()


def test_a_parameter_called_seed_is_the_seed() -> None:
    document = with_seed(parse(json.dumps(NESTED | {"parameters": {"seed": "three.start"}})), 7, CATALOG, HERE)

    assert ({}, {"start": 7}) == (document.nodes["one"].inputs, document.nodes["three"].inputs)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


TEXT = b'{"nodeflow": 1, "nodes": {"paint": {"type": "image.colour"}}}'
PLACES = {
    "text": chunk(b"tEXt", b"nodeflow\0" + TEXT),
    "packed text": chunk(b"zTXt", b"nodeflow\0\0" + zlib.compress(TEXT)),
    "unicode": chunk(b"iTXt", b"nodeflow\0\0\0\0\0" + TEXT),
    "packed unicode": chunk(b"iTXt", b"nodeflow\0\1\0\0\0" + zlib.compress(TEXT)),
    "after another": chunk(b"tEXt", b"Title\0x") + chunk(b"IDAT", b"") + chunk(b"iTXt", b"nodeflow\0\0\0\0\0" + TEXT),
}
NO_GRAPHS = {
    "nothing": b"",
    "end": chunk(b"IEND", b"") + PLACES["text"],
    "damaged": PLACES["text"].replace(b"paint", b"pAint"),
    "cut": PLACES["text"][:40],
    "long": struct.pack(">I", 2**31) + b"iTXt",
    "a bomb": chunk(b"zTXt", b"nodeflow\0\0" + zlib.compress(bytes(GRAPH_AT_MOST + 1))),
    "no text": chunk(b"iTXt", b"nodeflow\0"),
    "not packed": chunk(b"zTXt", b"nodeflow\0\0hello"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_graph_is_found_wherever_a_picture_may_carry_it(place: str, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(SIGNATURE + PLACES[place])

    assert write(parse(TEXT)) == write(open_graph(tmp_path / "picture.png"))


@pytest.mark.parametrize("place", NO_GRAPHS)
def test_a_picture_without_a_graph_is_told_from_others(place: str, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(SIGNATURE + NO_GRAPHS[place])

    with pytest.raises(GraphError, match="carries no graph"):
        open_graph(tmp_path / "picture.png")
