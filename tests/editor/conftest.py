"""The editor without a screen, and without anybody's settings."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("PySide6", reason="the extra `editor` is not installed")
sys.path.insert(0, str(Path(__file__).parents[2] / "editor"))


SWEEP = 25
"""Tests between two collections of everything: one takes a quarter of a second where torch is loaded."""


@pytest.fixture(autouse=True)
def _swept(request) -> Iterator[None]:
    """Widgets are let go of in this thread, as in the editor: see nodeflow_editor.sweeping."""
    gc.disable()
    yield
    request.config.swept = getattr(request.config, "swept", 0) + 1
    gc.collect(2 if request.config.swept % SWEEP == 0 else 1)
    gc.enable()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEFLOW_EDITOR_HOME", str(tmp_path / "editor-home"))


PLUGINS = Path(__file__).parents[1] / "plugins_for_tests"
INSTALLED = PLUGINS / "installed"
LEAN_WORKER = (sys.executable, "-P", str(PLUGINS / "lean_worker.py"))
sys.path.extend(map(str, (PLUGINS, INSTALLED)))


@pytest.fixture(scope="session")
def _worker_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("worker-cache")


@pytest.fixture
def run_window(qtbot, tmp_path, monkeypatch, _worker_cache):
    """Makes windows over the tests' own plugin, with real workers that are quick to start; these are ended after it."""
    import rough_plugin
    import showing_plugin
    from graphs_for_tests import specs
    from nodeflow_editor.run import client
    from nodeflow_editor.settings import Settings
    from nodeflow_editor.window import Window

    from nodeflow.catalog import Catalog
    from nodeflow.client import Worker

    catalog = Catalog.of(*specs(rough_plugin, "rough"), *specs(showing_plugin, "showing"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (INSTALLED, PLUGINS))))
    monkeypatch.setenv("NODEFLOW_CACHE", str(_worker_cache))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "start_worker", lambda said: Worker(said=said, command=LEAN_WORKER))
    made = []

    def make(**settings):
        kept = Settings(tmp_path / "settings.json")
        for name, value in {"device": "cpu", **settings}.items():
            kept.set(name, value)
        window = Window(catalog, kept)
        made.append(window)
        qtbot.addWidget(window)
        window.resize(1300, 900)
        with qtbot.waitActive(window):  # else shortcuts do nothing
            window.show()
            window.activateWindow()
        return window

    yield make
    from nodeflow_editor.run_part import RunPart

    for window in made:
        RunPart.of(window).close()
