"""Runs and windows that end at an awkward moment: a worker that does as it is told waits for it."""

import threading
import time

from nodeflow_editor.run.queue import RunQueue

SOON = 30
LONG = 6
"""Seconds that a run takes by itself."""
NUMBER = {"n": ("rough.number", {"x": 4})}


class Obedient:
    """A worker whose runs end when they are asked to; a request to end that comes before the run is not heard."""

    def __init__(self, hold=None):
        self.hold, self.asked, self.runs = hold, threading.Event(), 0

    def run(self, *_, **__):
        self.runs += 1
        if self.hold is not None:
            self.hold(self)
        self.asked.clear()
        yield {"event": "began", "nodes": 1, "left_out": {}}
        cancelled = self.asked.wait(LONG)
        end = {"seconds": 0.1, "ran": 0, "reused": 0, "failed": 0, "names": {}}
        yield {"event": "ended", **end, "cancelled": cancelled}

    def warm(self):
        pass

    def cancel(self):
        self.asked.set()

    kill = cancel

    def close(self, patience=1.0):
        self.asked.set()


def test_a_run_that_is_cancelled_before_its_worker_has_it_is_not_begun(make, submit):
    begun, held = threading.Event(), threading.Event()

    def start(_):
        begun.set()
        held.wait(SOON)
        return worker

    worker = Obedient()
    runner, told = make(start=start)
    run = submit(runner, NUMBER)
    begun.wait(SOON)
    runner.cancel(run)
    told.wait(lambda: runner.state == "cancelling")
    held.set()
    assert told.wait_for_end(run)["cancelled"]
    assert 0 == worker.runs


def test_a_cancel_that_overtakes_its_run_is_said_again(make, submit):
    def hold(worker):
        runner.cancel(run)
        assert worker.asked.wait(SOON)  # now, when nobody listens yet

    worker = Obedient(hold)
    runner, told = make(start=lambda _: worker, patience=SOON)
    run = runner.queue.number() + 1
    assert run == submit(runner, NUMBER)
    assert told.wait_for_end(run)["cancelled"]


def test_a_run_that_was_cancelled_is_not_offered_again_because_the_window_closed_meanwhile(make, submit, place):
    worker = Obedient()
    worker.cancel = lambda: None
    runner, told = make(start=lambda _: worker, waiting=RunQueue(place / "kept"), patience=SOON)
    run = submit(runner, NUMBER)
    told.wait(lambda: told.of("began"))
    runner.cancel(run)
    told.wait(lambda: runner.state == "cancelling")
    runner.close(0.3)
    assert () == RunQueue(place / "kept").left_over()


def test_what_is_submitted_while_the_window_closes_is_offered_by_the_next(make, submit, place, monkeypatch):
    waiting = RunQueue(place / "kept")
    runner, told = make(start=lambda _: Obedient(), waiting=waiting)
    submit(runner, NUMBER)
    told.wait(lambda: told.of("began"))
    add = waiting.add
    monkeypatch.setattr(waiting, "add", lambda entry: (time.sleep(0.3), add(entry)))  # a slow disk
    submit(runner, NUMBER)
    assert runner.close()
    assert 2 == len(RunQueue(place / "kept").left_over())
