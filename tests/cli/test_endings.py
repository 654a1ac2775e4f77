"""However a call ends, a program learns it from the last line of JSON, and a person from standard error."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nodeflow.cli.output as output
from nodeflow.errors import Problem

ROOT = Path(__file__).parents[2]
Call = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]


def made(folder: Path, **more: Any) -> str:
    """A graph of three outputs: a number, what an ill node gives, and what is computed after it."""
    data = {
        "nodeflow": 1,
        "parameters": {"how": "second.how", "text": "first.text"},
        "outputs": {"number": "first", "ill": "second", "last": "third"},
        "nodes": {
            "first": {"type": "ill.echo"},
            "second": {"type": "ill.ill", "inputs": {"after": {"$from": "first"}}},
            "third": {"type": "ill.echo", "inputs": {"number": 5}},
        },
        **more,
    }
    (folder / "graph.json").write_text(json.dumps(data))
    return "graph.json"


def last(said: Any) -> Any:
    return json.loads(said.out.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.json"], "there is no such file"),
        (["graph.json", "--set", "nothing"], "expected name=value"),
        (["graph.json", "--seed", "x"], "expected a whole number"),
        (["graph.json", "--until", "nobody"], 'there is no node "nobody"'),
        (["graph.json", "--out", "graph.json/out"], "cannot write to"),
        (["graph.json", "--out", "graph.json"], "--out graph.json: this is a file, but files are written to a folder"),
        (["graph.json", "--out", "link"], "--out link: this is a link that leads nowhere"),
        (["graph.json", "--out", os.devnull], f"--out {os.devnull}: this is a device, but"),
        (["graph.json", "--vram", "6"], "--vram 6: 6 of which unit?"),
        (["graph.json", "--device", "cuda:99"], 'there is no device "cuda:99" here'),
        (["graph.json", "--nonsense"], "no such option"),
        ([], "missing argument"),
    ],
)
def test_a_refused_run_ends_in_a_line_that_says_so(
    nodeflow: Call, tmp_path: Path, arguments: list[str], message: str
) -> None:
    made(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    said = nodeflow("run", "--json", *arguments)

    assert (2, "refused", 2) == (said.code, last(said)["event"], last(said)["exit"])
    assert message in last(said)["problems"][0]["message"]
    assert message in said.err
    assert 1 == len(said.out.splitlines())


@pytest.mark.parametrize("arguments", [["nodes", "nope"], ["diff", "graph.json", "absent.json"], ["check"]])
def test_other_calls_that_are_refused_say_so_too(nodeflow: Call, tmp_path: Path, arguments: list[str]) -> None:
    made(tmp_path)
    said = nodeflow(*arguments, "--json")

    assert (2, "refused", True) == (said.code, last(said)["event"], bool(said.err))


def test_a_fault_of_nodeflow_itself_ends_in_a_line_as_well(nodeflow: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise LookupError("what is this")

    monkeypatch.setattr("nodeflow.cli.looking.open_catalog", fail)
    said = nodeflow("plugins", "--json")

    assert (1, "broken", 1) == (said.code, last(said)["event"], last(said)["exit"])
    assert "LookupError: what is this" in last(said)["problems"][0]["message"]


def test_an_interrupt_ends_in_a_line_whichever_verb_is_at_work(
    nodeflow: Call, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def press(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nodeflow.cli.looking.open_catalog", press)
    said = nodeflow("plugins", "--json")

    assert (130, "broken", 130) == (said.code, last(said)["event"], last(said)["exit"])
    assert ["interrupted"] == [problem["message"] for problem in last(said)["problems"]]
    assert (130, "", "") == nodeflow("plugins")


PRESSED = """
import sys

class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Pressed())
sys.argv = ["nodeflow", "plugins", *{more!r}]
from nodeflow.__main__ import main
main()
"""


@pytest.mark.parametrize("name", ["typer", "nodeflow.catalog", "nodeflow.cli.running"])
def test_an_interrupt_while_the_command_line_is_imported_leaves_no_trace(name: str) -> None:
    def pressed(*more: str) -> tuple[int, str, str]:
        code = PRESSED.format(name=name, more=more)
        ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout, ran.stderr

    assert (130, "", "") == pressed()
    end, out, err = pressed("--json")
    assert (130, "") == (end, err)
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        output.say_end(130, [Problem("interrupted")])
    assert stream.getvalue() == out


def test_the_program_begins_with_next_to_nothing() -> None:
    """What is imported before Ctrl+C is listened to is answered by Python, with a trace."""
    code = "import nodeflow.__main__, sys; print(*sys.modules)"
    command = [sys.executable, "-P", "-S", "-c", f"import sys; sys.path.append({str(ROOT)!r}); {code}"]
    known = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert {"nodeflow", "nodeflow.__main__"} == {name for name in known if name.startswith("nodeflow")}
    assert set() == known & {"typing", "re", "enum", "pathlib", "json", "dataclasses", "typer"}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "nodeflow.__main__:main" == declared["project"]["scripts"]["nodeflow"]


def test_a_worker_that_dies_ends_in_failed_and_ended(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", made(tmp_path), "--json", "--set", "how=die")
    told = [json.loads(line) for line in said.out.splitlines()]

    assert ["began", "started", "finished", "delivered", "started", "failed", "ended"] == [e["event"] for e in told]
    assert ("second", 1, 1, 1) == (told[-2]["node"], told[-1]["failed"], told[-1]["ran"], told[-1]["exit"])
    assert said.err.startswith('graph.json: node "second": the process that ran it ended (exit code 7)\n    a node')


def test_a_node_that_raises_keyboard_interrupt_failed(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", made(tmp_path), "--set", "how=interrupt")

    assert (1, 'graph.json: node "second": KeyboardInterrupt\n') == (said.code, said.err)
    assert ["number = 3", "last = 5"] == said.out.splitlines()[-2:]


def test_what_a_node_printed_is_not_taken_for_a_cure(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", made(tmp_path), "--set", "how=die", "--set", "text=heard", "--quiet")
    told = nodeflow("run", "graph.json", "--set", "how=die", "--set", "text=heard", "--json", "--no-cache")

    assert "heard" not in said.err
    assert "heard" in json.loads(told.out.splitlines()[-2])["trace"]


def test_an_output_that_cannot_be_written_leaves_the_others_and_the_summary(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", made(tmp_path), "--set", "how=half")
    lines = said.out.splitlines()

    assert 1 == said.code
    assert said.err.startswith('graph.json: output "ill" cannot be written to outputs/graph-ill-')
    assert "the text holds U+D800, which no file can hold\n    take it out of the text\n" in said.err
    assert lines[-3].startswith("failed after")
    assert lines[-3].endswith("1 output not written")
    assert ["number = 3", "last = 5"] == lines[-2:]
    told = nodeflow("run", "graph.json", "--set", "how=half", "--json")
    assert ("ended", 1) == (last(told)["event"], last(told)["exit"])
    assert 1 == sum('"undelivered"' in line for line in told.out.splitlines())


def test_numbers_that_json_lacks_are_texts(nodeflow: Call, tmp_path: Path) -> None:
    said = nodeflow("run", made(tmp_path), "--set", "how=nan", "--json")
    (line,) = [line for line in said.out.splitlines() if '"Figures"' in line]

    assert (0, "") == (said.code, said.err)
    assert [["NaN", "Infinity"], ["-Infinity", 1.5]] == json.loads(line, parse_constant=pytest.fail)["value"]["rows"]
    assert '{"a": ["NaN"]}' == output.json_text({"a": (float("nan"),)}, indent=None)
    assert "nan" in nodeflow("run", "graph.json", "--set", "how=nan").out


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_run_that_is_ended_from_outside_says_so(start: Start, tmp_path: Path) -> None:
    nap = {"type": "ill.nap", "inputs": {"seconds": 30.0, "steps": 300}}
    child = start("run", made(tmp_path, outputs={}, parameters={}, nodes={"nap": nap}), "--json", "--no-cache")
    assert child.stdout is not None
    while json.loads(child.stdout.readline())["event"] != "stepped":
        pass
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=30)

    told = json.loads(out.splitlines()[-1])
    assert (143, "broken", 143) == (child.returncode, told["event"], told["exit"])


@pytest.mark.parametrize("place", [os.devnull, "graph.json"])
def test_a_cache_that_cannot_be_used_is_told_once(
    nodeflow: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("NODEFLOW_CACHE", place)
    warning = f"warning: results are not kept: cannot write to {place}{os.sep}results: Not a directory\n"
    made(tmp_path)
    shown = nodeflow("cache")

    assert 1 == nodeflow("run", "absent.json").err.count(warning)  # a graph that is there would import all plugins
    assert 0 == nodeflow("run", "absent.json", "--no-cache").err.count(warning)
    assert (0, True) == (shown.code, shown.err.startswith(warning))
    assert "Not a directory" == nodeflow("cache", "--json").json["error"]
