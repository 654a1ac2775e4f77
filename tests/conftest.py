"""Tests of the editor want Qt. Where its system libraries are absent they are left out, and the run says so."""

import importlib
import os


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
