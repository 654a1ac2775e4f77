"""Tests of the editor want Qt. Where its system libraries are absent they are left out, and the run says so."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def _missing() -> str:
    """Why Qt cannot be loaded; empty where it can. pytest-qt, loaded by itself, would end the whole run there."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        for name in ("PySide6.QtWidgets", "PySide6.QtTest", "pytestqt.plugin"):
            importlib.import_module(name)
    except ImportError as error:
        return str(error)
    return ""


MISSING = _missing()
if MISSING:
    collect_ignore = ["editor"]
else:
    pytest_plugins = ["pytestqt.plugin"]


def pytest_report_header() -> str:
    """What is said above the tests."""
    if not MISSING:
        return "editor: tested"
    return f"editor: NOT tested, {MISSING}; docs/editor.md names the system's packages that Qt wants"


def pytest_terminal_summary(terminalreporter) -> None:
    """Said again below them, where people look."""
    if MISSING:
        terminalreporter.write_line(f"SKIPPED tests/editor: {MISSING}")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread for small tensors: beside another busy process, two took six times the processor's time of one."""
    import torch  # most tests do without

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing of the models that this computer's user has."""
    monkeypatch.chdir(tmp_path)
    for variable in ("NODEFLOW_MODELS", "XDG_DATA_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    return tmp_path
