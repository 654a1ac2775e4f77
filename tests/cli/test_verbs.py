"""Every verb but run: what it prints, as text and as JSON, and its exit code."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nodeflow as package

Call = Callable[..., Any]


def broken(folder: Path, **inputs: object) -> str:
    nodes = {"soft": {"type": "image.blurr"}, "sharp": {"type": "image.blur", "inputs": {"sigma": -1.0, **inputs}}}
    (folder / "bad.json").write_text(json.dumps({"nodeflow": 1, "nodes": nodes}))
    return "bad.json"


def test_check_says_that_a_graph_is_in_order(nodeflow: Call) -> None:
    assert (0, "ok tiny.json (2 nodes)\n", "") == nodeflow("check", "tiny.json")


def test_check_tells_all_problems_of_all_files(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("check", "tiny.json", broken(tmp_path), "absent.json")

    assert (2, "ok tiny.json (2 nodes)\n") == (said.code, said.out)
    assert 'bad.json: node "soft": there is no node type "image.blurr"\n    did you mean "image.blur"?' in said.err
    assert 'bad.json: node "sharp", input "sigma": expected at least 0, found -1.0' in said.err
    assert 'bad.json: node "sharp", input "image": is missing' in said.err
    assert "absent.json: there is no such file" in said.err
    assert said.err.endswith("4 problems in 2 of 3 files\n")


def test_check_tells_faults_of_form_and_of_meaning_at_once(nodeflow: Call, tmp_path: Path) -> None:
    data = {
        "nodeflow": 1,
        "title": 5,
        "parameters": {"p": "gone.x", "q": 3},
        "outputs": {"a b": "soft", "o": "gone", "good": "soft.nothing"},
        "nodes": {
            "no id": {"type": "image.blurr"},
            "soft": {"type": "image.blur", "version": "x", "inputs": {"image": {"$from": 3}, "sigma": -1.0, "odd": 1}},
            "flat": 3,
            "bare": {"inputs": {"image": {"$from": "flat"}}},
            "last": {"type": "image.blur", "inputs": {"image": {"$from": "nobody"}, "sigma": {"$from": "up"}}},
            "up": {"type": "graph:inner", "inputs": {"image": {"$from": "soft"}}},
        },
        "graphs": {
            "inner": {
                "parameters": {"image": "x.image"},
                "outputs": {"out": "x"},
                "nodes": {"x": {"type": "image.blur", "inputs": {"sigma": {"$from": "x", "y": 1}}}},
            }
        },
    }
    (tmp_path / "bad.json").write_text(json.dumps(data))
    (told,) = nodeflow("check", "--json", "bad.json").json
    problems = [
        (problem["node"], problem["port"], problem["message"].partition(":")[0]) for problem in told["problems"]
    ]

    assert [
        (None, None, '"title" must be a text, but is a number'),
        ("no id", None, '"no id" cannot be the name of a node'),
        ("soft", None, '"version" must be a whole number from 1'),
        ("soft", "image", '{"$from"'),
        ("flat", None, "a node must be an object, but is a number"),
        ("bare", None, '"type" is missing'),
        (None, None, 'parameter "p" leads to node "gone", which is not there'),
        (None, None, 'parameter "q" must be "node.port", but is a number'),
        (None, None, '"a b" cannot be the name of an output'),
        (None, None, 'output "o" leads to node "gone", which is not there'),
        ("x", "sigma", '{"$from"'),
        ("no id", None, 'there is no node type "image.blurr"'),
        ("soft", "sigma", "expected at least 0, found -1.0"),
        ("soft", "odd", "image.blur has no such input"),
        ("last", "image", 'the wire comes from "nobody", which does not exist'),
        ("last", "sigma", 'expected float but "up/x" gives Image'),
        ("soft", None, 'output "good" asks for "nothing", which it does not have'),
    ] == problems


def test_all_that_is_wrong_with_a_call_is_told_at_once(nodeflow: Call, tmp_path: Path) -> None:
    arguments = ("--set", "colour", "--set", "odd=1", "--set", "sharp.sigma=-2", "--seed", "x", "--until", "nobody")
    said = nodeflow("run", broken(tmp_path), *arguments)

    assert (2, "") == (said.code, said.out)
    for told in (
        "--seed x: expected a whole number",
        "--set colour: expected name=value",
        'there is no parameter "odd"',
        'node "soft": there is no node type "image.blurr"',
        'node "sharp", input "sigma": expected at least 0, found -2',
        'node "sharp", input "image": is missing',
        '--until: there is no node "nobody"',
    ):
        assert told in said.err


def test_check_as_json(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("check", "--json", "tiny.json", broken(tmp_path))

    assert (2, "") == (said.code, said.err)
    assert [("tiny.json", True, 2, 0), ("bad.json", False, 0, 3)] == [
        (told["file"], told["ok"], told["nodes"], len(told["problems"])) for told in said.json
    ]


def test_what_a_terminal_would_obey_is_spelled_out(nodeflow: Call, tmp_path: Path) -> None:
    (tmp_path / "evil.json").write_text(json.dumps({"nodeflow": 1, "nodes": {"a": {"type": "\x1b]0;owned\x07"}}}))

    assert r"\x1b]0;owned\x07" in nodeflow("check", "evil.json").err


def test_diff_tells_edits_in_words(nodeflow: Call, tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text((tmp_path / "tiny.json").read_text().replace('"sigma": 1.0', '"sigma": 2.0'))

    assert (0, "sets soft.sigma to 2.0\n", "") == nodeflow("diff", "tiny.json", "new.json")
    assert [{"edit": "SetInput", "text": "sets soft.sigma to 2.0"}] == nodeflow(
        "diff", "--json", "tiny.json", "new.json"
    ).json
    assert (0, "", "") == nodeflow("diff", "tiny.json", "tiny.json")


def test_nodes_in_a_pipe_are_a_line_each_that_any_program_can_split(nodeflow: Call) -> None:
    said = nodeflow("nodes")

    lines = said.out.splitlines()
    known = {spec["id"]: spec for spec in nodeflow("nodes", "--json").json}
    assert known.keys() == {line.split(" ")[0] for line in lines}
    assert len(known) == len(lines)
    assert ["image.colour", "image/colour"] == next(line for line in lines if "image.colour " in line).split(" ")[:2]
    assert "ill.echo test Give a number or a seed: no torch, no file, so a run takes no time." in lines
    for line in lines:
        assert line == " ".join(line.split())
        assert len(line) <= 120
    assert "a line for each type" in " ".join(nodeflow("nodes", "--help").out.split())


def test_nodes_are_listed_by_category(nodeflow: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodeflow.cli.output.on_terminal", lambda *_: True)
    monkeypatch.setenv("NO_COLOR", "1")
    said = nodeflow("nodes")

    lines = said.out.splitlines()
    assert 0 == said.code
    assert lines.index("image/colour") < lines.index("image/file") < lines.index("test")
    assert any(line.startswith("  image.blur") for line in lines)
    assert said.err.startswith("left out: the nodes of broken")
    assert {"image.blur", "ill.nap"} < {spec["id"] for spec in nodeflow("nodes", "--json").json}


def test_a_node_is_explained(nodeflow: Call) -> None:
    said = nodeflow("nodes", "image.blur")

    assert said.out.startswith("image.blur  version 1, image/colour\n  Blur pictures")
    assert "  sigma  float, 0 to 200, default 2.0\n" in said.out
    assert "  image  Image, wired, required\n" in said.out
    assert "image.blur" == nodeflow("nodes", "image.blur", "--json").json["id"]


def test_an_unknown_node_type_gets_the_nearest(nodeflow: Call) -> None:
    said = nodeflow("nodes", "image.blurr")

    assert (2, 'error: there is no node type "image.blurr"\n    did you mean "image.blur"?\n') == (said.code, said.err)


def test_plugins_are_listed_and_broken_ones_explained(nodeflow: Call) -> None:
    said = nodeflow("plugins")

    assert 0 == said.code
    lines = [line.split() for line in said.out.splitlines()]
    assert ["ill", "4", "nodes", "nodeflow-ill", "1.5"] in lines
    assert ["broken", "broken", "nodeflow-ill", "1.5"] in lines
    assert "out of order" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in nodeflow("plugins", "-v").err
    told = {plugin["name"]: plugin for plugin in nodeflow("plugins", "--json").json}
    assert ["ill.echo", "ill.ill", "ill.nap", "ill.wrote"] == told["ill"]["nodes"]


def test_the_schema_is_printed_or_written(nodeflow: Call, tmp_path: Path) -> None:
    assert "image.blur" in nodeflow("schema").json["$defs"]
    assert (0, "", "") == nodeflow("schema", "--out", "schema.json")
    assert "image.blur" in json.loads((tmp_path / "schema.json").read_text())["$defs"]


def test_the_manual_is_printed_or_written(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("docs")
    nodeflow("docs", "--out", "manual")

    pages = {path.name: path.read_text() for path in (tmp_path / "manual").iterdir()}
    assert {"index.md", "commands.md", "hooks.md", "nodes-image.md", "nodes-test.md"} <= pages.keys()
    assert "## image.blur\n" in pages["nodes-image.md"]
    assert pages["nodes-image.md"].strip() in said.out
    assert pages == {name: text for name, text in pages.items() if nodeflow("docs", "--out", "manual").code == 0}


def test_the_cache_is_shown_and_cleared(
    nodeflow: Call, monkeypatch: pytest.MonkeyPatch, surroundings: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("NODEFLOW_CACHE", str(tmp_path / "own"))
    (tmp_path / "own" / "results" / "ab").mkdir(parents=True)
    (tmp_path / "own" / "results" / "ab" / "abcdef0123456789.safetensors").write_bytes(bytes(2500))

    assert "1 result, 2.5 kB" in nodeflow("cache").out
    assert {"results": 1, "bytes": 2500} == {
        key: value for key, value in nodeflow("cache", "--json").json.items() if key in ("results", "bytes")
    }
    assert (0, "cleared 1 result, 2.5 kB\n", "") == nodeflow("cache", "--clear")
    assert "0 results" in nodeflow("cache").out


def test_info_says_which_model_folders_are_none(
    nodeflow: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    named = [str(tmp_path / name) for name in ("there", "absent", "tiny.json")]
    monkeypatch.setenv("NODEFLOW_MODELS", os.pathsep.join(named))
    monkeypatch.setattr("nodeflow.cli.keeping._devices", lambda: ([], ""))
    lines = nodeflow("info").out.splitlines()
    told = [line.partition(" ")[2].strip() for line in lines if line.startswith("models")]

    assert [named[0], f"{named[1]} (not there)", f"{named[2]} (a file, not a folder)"] == told[:3]


def test_info_has_versions_devices_and_folders(nodeflow: Call, home: Path) -> None:
    told = nodeflow("info", "--json").json

    assert (package.__version__, "cpu", "") == (told["nodeflow"], told["devices"][0]["name"], told["devices_error"])
    assert str(home / "cache") == told["folders"]["cache"]
    assert 0 < told["devices"][0]["budget"] < told["devices"][0]["free"]
    assert "free, models may take" in told["devices"][0]["about"]


def test_the_version(nodeflow: Call) -> None:
    assert (0, f"nodeflow {package.__version__}\n", "") == nodeflow("--version")


def test_no_verb_is_told_in_half_a_sentence_where_lines_have_80_columns(
    nodeflow: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = nodeflow("--help").out.split("Commands:")[1].strip().splitlines()
    assert 16 <= len(listed)
    assert [] == [line for line in listed if not line.endswith(".") or line.endswith("...")]


@pytest.mark.parametrize("verb", ["run", "edit", "check", "nodes", "diff", "new plugin"])
def test_help_names_arguments_without_types_of_python(nodeflow: Call, verb: str) -> None:
    told = nodeflow(*verb.split(), "--help").out
    assert "Arguments:" in told
    assert "<" not in told


def test_without_a_verb_there_is_help(nodeflow: Call) -> None:
    said = nodeflow()

    assert (0, "") == (said.code, said.err)
    assert said.out.startswith("Usage: nodeflow [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["foo"], "error: no such command 'foo'"),
        (["check"], "error: missing argument"),
        (["check", "--foo", "tiny.json"], "error: no such option"),
        (["run", "a.json", "b.json"], "error: got unexpected extra argument"),
        (["new", "plugin"], "error: missing argument"),
    ],
)
def test_a_wrong_call_exits_with_2_and_says_how_it_goes(nodeflow: Call, arguments: list[str], message: str) -> None:
    said = nodeflow(*arguments)

    assert (2, "") == (said.code, said.out)
    assert said.err.startswith(message)
    assert "--help` says more" in said.err


def test_what_nobody_expected_is_told_in_a_line(nodeflow: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise LookupError("what is this")

    monkeypatch.setattr("nodeflow.cli.looking.open_catalog", fail)
    monkeypatch.delenv("NODEFLOW_DEBUG", raising=False)
    said = nodeflow("plugins")
    monkeypatch.setenv("NODEFLOW_DEBUG", "1")

    assert 1 == said.code
    assert said.err.startswith("error: nodeflow itself failed: LookupError: what is this\n    NODEFLOW_DEBUG=1")
    assert "Traceback" in nodeflow("plugins").err
