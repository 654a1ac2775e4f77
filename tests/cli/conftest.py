"""One catalog and one cache for all tests of the command line, so that plugins are imported once."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nodeflow import catalog
from nodeflow.cli import call

TINY = {
    "nodeflow": 1,
    "title": "Tiny",
    "parameters": {"colour": "paint.colour"},
    "outputs": {"image": "soft"},
    "nodes": {
        "paint": {"type": "image.colour", "version": 1, "inputs": {"colour": "#3366cc", "width": 8, "height": 8}},
        "soft": {"type": "image.blur", "version": 1, "inputs": {"image": {"$from": "paint"}, "sigma": 1.0}},
    },
}
PLUGIN = '''
import os, sys, time
from nodeflow import QUIET, Context, SavedFile, Seed, Table, hook, node


@node(category="test")
def nap(seconds: float = 0.0, steps: int = 10, *, ctx: Context = QUIET) -> int:
    """Sleep a while."""
    for _ in ctx.steps(range(steps)):
        time.sleep(seconds / steps)
    return steps


@node(category="test")
def echo(number: int = 3, text: str = "", seed: Seed = 0) -> int:
    """Give a number or a seed: no torch, no file, so a run takes no time."""
    if text:
        print(text)
    return seed or number


@node(category="test")
def ill(after: int, how: str = "raise") -> Table | str:
    """Fail, or die, or give a table or a text."""
    if how == "die":
        os._exit(7)
    if how == "table":
        return Table("Losses", ("step", "loss"), ((1, 0.5), (2, 0.25)))
    if how == "nan":
        return Table("Figures", ("a", "b"), ((float("nan"), float("inf")), (float("-inf"), 1.5)))
    if how == "half":
        return "half a letter: \\ud800"
    if how == "interrupt":
        raise KeyboardInterrupt
    raise ValueError("it does not work\\n    do something else")


@node(category="test")
def wrote(count: int = 2) -> list[SavedFile]:
    """Write files of its own."""
    for number in range(count):
        with open(f"own{number}.bin", "wb") as file:
            file.write(b"x")
    return [SavedFile.at(os.path.abspath(f"own{number}.bin")) for number in range(count)]


@hook
def register_nodes():
    return [nap, echo, ill, wrote]
'''


class Said(NamedTuple):
    """What a command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache, a catalog, and an installed plugin that naps and fails."""
    folder = tmp_path_factory.mktemp("home")
    info = folder / "site" / "nodeflow_ill-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nodeflow-ill\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[nodeflow]\nill = nodeflow_ill\nbroken = nodeflow_broken\n")
    (folder / "site" / "nodeflow_ill.py").write_text(PLUGIN)
    (folder / "site" / "nodeflow_broken.py").write_text("raise RuntimeError('out of order')\n")
    command = [sys.executable, "-P", "-m", "nodeflow.cli", "plugins"]  # or a test would be told who is waited for
    subprocess.run(command, env={**os.environ, **environment(folder)}, capture_output=True, check=True)
    return folder


def environment(home: Path) -> dict[str, str]:
    """What makes a process find the plugin and the cache there."""
    paths = [str(home / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "NODEFLOW_CACHE": str(home / "cache")}


@pytest.fixture
def surroundings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a graph in it."""
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(catalog, "PATIENCE", 600.0)  # the broken plugin is tried again in each test
    monkeypatch.setattr(sys, "path", [str(home / "site"), *sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY), "utf-8")
    return tmp_path


@pytest.fixture
def nodeflow(surroundings: Path) -> Callable[..., Said]:
    """Calls the command line in this process, its streams caught."""

    def run(*arguments: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = call(arguments)
        return Said(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def start(surroundings: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts the command line as a process of its own."""

    def run(*arguments: str, **settings: Any) -> "subprocess.Popen[str]":
        environment = {**os.environ, **settings.pop("env", {})}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
        command = [sys.executable, "-P", "-m", "nodeflow.cli", *arguments]
        return subprocess.Popen(command, text=True, env=environment, **pipes)

    return run
