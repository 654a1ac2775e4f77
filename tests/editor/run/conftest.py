"""A runner over the tests' own plugin, its worker quick to start."""

import os
import sys
import time
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins_for_tests"
INSTALLED = PLUGINS / "installed"
COMMAND = (sys.executable, "-P", str(PLUGINS / "lean_worker.py"))
SOON = 60
sys.path.append(str(PLUGINS))


@pytest.fixture(scope="session")
def _cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def place(tmp_path, monkeypatch, _cache):
    """The working directory, with the tests' plugin installed for workers."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(INSTALLED), str(PLUGINS)]))
    monkeypatch.setenv("NODEFLOW_CACHE", str(_cache))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Told:
    """The runner's signals in their order, as (name, arguments)."""

    NAMES = (
        "began", "node_started", "node_stepped", "node_finished", "node_reused", "node_failed", "previewed",
        "delivered", "undelivered", "refused", "ended", "worker_died", "printed", "state_changed",
    )  # fmt: skip

    def __init__(self, runner, qtbot):
        self.all, self.times, self.qtbot = [], [], qtbot
        for name in self.NAMES:
            getattr(runner, name).connect(self.keep(name))

    def keep(self, name):
        def told(*arguments):
            self.all.append((name, arguments))
            self.times.append(time.monotonic())

        return told

    def of(self, name):
        return [arguments for known, arguments in self.all if known == name]

    def ends(self):
        return dict(self.of("ended"))

    def wait(self, holds, seconds=SOON):
        self.qtbot.waitUntil(lambda: bool(holds()), timeout=int(seconds * 1000))

    def wait_for_end(self, run):
        self.wait(lambda: run in self.ends())
        return self.ends()[run]


@pytest.fixture
def make(place, qtbot):
    """Makes runners, and closes them."""
    from nodeflow_editor.run.client import Runner
    from nodeflow_editor.run.queue import RunQueue

    from nodeflow.client import Worker

    made = []

    def start(said, command=COMMAND):
        return Worker(said=said, command=command)

    def make(start=start, waiting=None, **more):
        waiting = waiting if waiting is not None else RunQueue(place / f"queue{len(made)}")
        runner = Runner(waiting, start=start, **more)
        made.append(runner)
        return runner, Told(runner, qtbot)

    make.start = start
    yield make
    assert [True] * len(made) == [runner.close() for runner in made]


@pytest.fixture
def submit(place):
    """Puts a graph of test nodes into a runner's queue."""
    from graphs_for_tests import document

    def submit(runner, nodes, outputs=None, **more):
        return runner.submit(document(nodes, outputs), None, place, place / "outputs", device="cpu", **more)

    return submit
