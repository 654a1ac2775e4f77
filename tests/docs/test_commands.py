"""What README and docs tell people to type is there: verbs, options, files, parameters of graphs, switches."""

import inspect
import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.nodes import execution

from nodeflow.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OUTPUTS = ("out/", "ball.json", "cat.json", "graph.json", "picture.png")
"""What the commands themselves make, or stands for a reader's own."""


def typed(page: Path, program: str) -> Iterator[list[str]]:
    """The words of each command of that program in a code block or between backticks."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"```(?:sh|console|bash)?\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r"^(?: {4}.*\n)+", text, re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", text)
    for line in lines:
        bare = re.sub(r"^(\$ |PYTHONPATH=\S+ )", "", line.split("  #")[0].strip())
        if bare.startswith(program + " ") and " import " not in bare:
            yield shlex.split(bare)[len(program.split()) :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_and_option_exists(page: Path) -> None:
    for verb, *rest in typed(page, "nodeflow"):
        if verb.startswith("-"):
            continue
        assert verb in VERBS, (page.name, verb)
        known = {option for parameter in VERBS[verb].params for option in parameter.opts} | {"--help"}
        assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known, (page.name, verb, rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_parameter_exists(page: Path) -> None:
    for _, *rest in typed(page, "nodeflow"):
        named = [word for word in rest if word.endswith((".json", ".png")) and not word.startswith(OUTPUTS)]
        files = [ROOT / word for word in named if "/" in word and "=" not in word]
        assert [] == [file for file in files if not file.exists()], page.name
        given = {value.split("=")[0] for flag, value in pairwise(rest) if flag == "--set"}
        for file in files if given else ():
            known = json.loads(file.read_text("utf-8"))["parameters"]
            assert given - {"name"} <= known.keys(), (page.name, file.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_script_option_and_verb_of_make_exists(page: Path) -> None:
    benches = "".join(path.read_text("utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    makes = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for script, *rest in typed(page, "python"):
        if script.endswith(".py"):
            assert (ROOT / script).exists(), (page.name, script)
            assert [] == [word for word in rest if word.startswith("--") and f'"{word}"' not in benches], page.name
    assert {verb for verb, *_ in typed(page, "make")} <= set(makes), page.name
    for words in typed(page, "pytest"):
        assert [] == [word for word in words if word.endswith(".py") and not (ROOT / word).exists()], page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_where_a_command_names_a_device_it_is_said_that_it_must_be_there(page: Path) -> None:
    named = [value for words in typed(page, "nodeflow") for flag, value in pairwise(words) if flag == "--device"]
    if set(named) - {"cpu"}:
        assert "is refused" in page.read_text("utf-8"), (page.name, named)


def test_the_commands_are_found() -> None:
    found = [words[0] for page in PAGES for words in typed(page, "nodeflow")]
    assert {"run", "plan", "check", "info", "kernels"} <= set(found)
    assert ["benchmarks/kernels.py"] == sorted(
        {words[0] for words in typed(ROOT / "docs/benchmarks.md", "python") if "kernels" in words[0]}
    )


def test_the_switches_of_the_loop_stand_there_with_their_defaults() -> None:
    text = (ROOT / "docs/execution.md").read_text("utf-8")
    table = text.split("\n\n")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| `?(\w+)`? \|", table, re.MULTILINE))
    switches = {name: part.default for name, part in inspect.signature(execution).parameters.items()}
    del switches["denoiser"]
    said = {True: "on", False: "off"}
    assert {name: said.get(default, default) for name, default in switches.items()} == rows
    assert len(rows) == len(inspect.signature(Execution).parameters)
