"""`nodeflow new plugin`: what it makes must work as it is."""

import errno
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeflow.errors import GraphError
from nodeflow.scaffold import check_name

Call = Callable[..., Any]
ROOT = Path(__file__).parents[2]


def test_a_plugin_is_made_and_passes_its_own_tests(nodeflow: Call, surroundings: Path) -> None:
    said = nodeflow("new", "plugin", "brush")
    made = surroundings / "nodeflow-brush"

    assert (0, "") == (said.code, said.err)
    assert said.out.startswith("made nodeflow-brush\n")
    files = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert {
        ".gitignore", "README.md", "pyproject.toml", "graphs/brush.json", "nodeflow_brush/__init__.py",
        "nodeflow_brush/dots.py", "tests/test_brush.py",
    } == files  # fmt: skip
    paths = os.pathsep.join([str(made), *filter(None, [os.environ.get("PYTHONPATH")])])
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=made, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == child.returncode, child.stdout + child.stderr


def test_what_is_made_is_in_the_house_style(nodeflow: Call, surroundings: Path) -> None:
    nodeflow("new", "plugin", "fine_brush", "--folder", "deep/down")
    made = surroundings / "deep" / "down" / "nodeflow-fine-brush"

    assert "$" not in (made / "pyproject.toml").read_text()
    assert 'fine_brush = "nodeflow_fine_brush"' in (made / "pyproject.toml").read_text()
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--isolated", "--line-length", "120", "."]
        child = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        assert 0 == child.returncode, child.stdout
    assert (made / "graphs" / "fine_brush.json").read_text() == nodeflow_text(made / "graphs" / "fine_brush.json")


def nodeflow_text(path: Path) -> str:
    from nodeflow.document import read, write

    return write(read(path))


def test_what_is_there_already_stays(nodeflow: Call, surroundings: Path) -> None:
    (surroundings / "nodeflow-brush").mkdir()
    said = nodeflow("new", "plugin", "brush")

    assert (2, "") == (said.code, said.out)
    assert said.err.startswith("error: nodeflow-brush is there already")
    assert [] == list((surroundings / "nodeflow-brush").iterdir())


def test_a_name_that_is_installed_is_refused(nodeflow: Call, surroundings: Path) -> None:
    said = nodeflow("new", "plugin", "ill")

    assert 2 == said.code
    assert "the plugin of that name is installed (nodeflow-ill 1.5)" in said.err
    assert ["tiny.json"] == [path.name for path in surroundings.iterdir()]


def test_nothing_half_made_is_left(nodeflow: Call, surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(path: Path, *given: Any, **named: Any) -> int:
        if path.suffix == ".toml":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *given, **named)

    monkeypatch.setattr(Path, "write_text", full)
    said = nodeflow("new", "plugin", "brush")

    assert 2 == said.code
    assert "nodeflow-brush cannot be written: No space left on device\n    make room" in said.err
    assert ["tiny.json"] == [path.name for path in surroundings.iterdir()]


@pytest.mark.parametrize("name", ["Brush", "my-brush", "2d", "_x", "class", "", "../x", "größe", "a" * 41, "graph"])
def test_a_name_that_cannot_be_is_refused(nodeflow: Call, surroundings: Path, name: str) -> None:
    said = nodeflow("new", "plugin", "--", name)

    assert 2 == said.code
    assert "cannot be the name of a plugin" in said.err
    assert ["tiny.json"] == [path.name for path in surroundings.iterdir()]


def test_a_name_that_says_nodeflow_gets_the_shorter_one() -> None:
    for name in ("nodeflow-brush", "nodeflow_brush"):
        with pytest.raises(GraphError, match='"brush"'):
            check_name(name)


@pytest.mark.slow
def test_a_plugin_installs_into_a_fresh_environment_and_runs(nodeflow: Call, surroundings: Path) -> None:
    nodeflow("new", "plugin", "brush")
    made = surroundings / "nodeflow-brush"
    venv.create("fresh", with_pip=True, system_site_packages=False)
    python = surroundings / "fresh" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    here = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    (Path(here.strip()) / "lent.pth").write_text(f"{ours}\n")  # torch is lent: to install it anew takes a gigabyte
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    clean["NODEFLOW_CACHE"] = str(surroundings / "cache")

    def call(*command: str) -> str:
        child = subprocess.run([python, *command], cwd=made, env=clean, capture_output=True, text=True, check=False)
        assert 0 == child.returncode, child.stdout + child.stderr
        return child.stdout

    call("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", str(ROOT))
    call("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", ".")
    assert "1 node" in call("-m", "nodeflow.cli", "plugins")
    assert "ok graphs" in call("-m", "nodeflow.cli", "check", "graphs/brush.json")
    assert "outputs" in call("-m", "nodeflow.cli", "run", "graphs/brush.json")
    call("-m", "nodeflow.cli", "new", "plugin", "pencil")  # the templates are in the package
