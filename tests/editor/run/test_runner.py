"""Runs from the window: what is told, what the faults of nodes and workers come to, and that the window goes on."""

import os
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from graphs_for_tests import document
from nodeflow_editor.run.history import History
from nodeflow_editor.run.queue import RunQueue
from nodeflow_editor.run.thumbnails import thumbnail
from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage

from nodeflow.document import Document, parse
from nodeflow.edits import SetMode

NUMBER = {"n": ("rough.number", {"x": 4})}


class Ticks:
    """How long the window's loop was held up at the most."""

    def __init__(self):
        self.times = [time.monotonic()]
        self.timer = QTimer(interval=10)
        self.timer.timeout.connect(lambda: self.times.append(time.monotonic()))
        self.timer.start()

    @property
    def longest(self):
        return max(later - before for before, later in pairwise(self.times))


def pid_of(runner):
    return runner._work._process._process.pid


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_is_told_from_its_beginning_to_its_end(make, submit):
    runner, told = make()
    run = submit(runner, NUMBER, {"x": "n"})
    end = told.wait_for_end(run)
    assert (1, 0, 0, False) == (end["ran"], end["reused"], end["failed"], end["cancelled"])
    told.wait(lambda: runner.state == "idle")
    names = [name for name, _ in told.all if name != "printed"]
    assert ["began", "node_started", "node_finished", "delivered", "ended"] == [
        n for n in names if n != "state_changed"
    ]
    assert [("starting",), ("running",), ("idle",)] == told.of("state_changed")
    assert [(run, "x", [], 4)] == told.of("delivered")
    assert [(run, 1, {})] == told.of("began")


def test_a_second_run_finds_a_warm_worker_and_the_first_results(make, submit):
    runner, told = make()
    runs = [submit(runner, {"s": ("rough.slow", {"x": 5_000})}, {"x": "s"}) for _ in range(2)]
    told.wait_for_end(runs[0])
    pid = pid_of(runner)
    assert 1 == told.wait_for_end(runs[1])["reused"]
    assert [(runs[1], "s")] == told.of("node_reused")
    assert pid == pid_of(runner)


def test_a_worker_is_started_ahead_and_says_nothing_until_it_runs(make, submit):
    runner, told = make()
    runner.warm()
    told.wait(lambda: runner._work._process is not None)
    pid = pid_of(runner)
    runner.warm()
    assert 0 == told.wait_for_end(submit(runner, NUMBER, {"x": "n"}))["failed"]
    assert pid == pid_of(runner)
    assert [("starting",), ("running",)] == told.of("state_changed")[:2]


def test_left_out_outputs_are_told(make, place):
    runner, told = make()
    muted = SetMode("n", "muted").change(document(NUMBER, {"x": "n"}))
    told.wait_for_end(runner.submit(muted, None, place, place / "outputs"))
    assert {"x": '"n" is muted'} == told.of("began")[0][2]


def test_steps_come_at_most_twenty_times_a_second(make, submit):
    runner, told = make()
    run = submit(runner, {"l": ("rough.loops",)})
    told.wait(lambda: len(told.of("node_stepped")) > 10)
    runner.cancel(run)
    assert told.wait_for_end(run)["cancelled"]
    times = [at for at, (name, _) in zip(told.times, told.all, strict=True) if name == "node_stepped"]
    assert (times[-1] - times[0]) / (len(times) - 1) > 0.045
    _, node, step, total, left, text = told.of("node_stepped")[-1]
    assert ("l", True, None, None, "") == (node, step > 5, total, left, text)


def test_pictures_arrive_as_images(make, submit):
    runner, told = make()
    told.wait_for_end(submit(runner, {"p": ("showing.paints", {"width": 6, "height": 3, "grey": 1.0})}, {"x": "p"}))
    told.wait(lambda: told.of("previewed"))
    ((_, node, batch, whole),) = told.of("previewed")
    (image,) = batch.pictures
    assert ("p", 6, 3, 0xFFFFFFFF) == (node, image.width(), image.height(), image.pixel(5, 2))
    assert (6, 3) == whole.toTuple()


def test_all_pictures_of_a_batch_arrive(make, submit):
    runner, told = make()
    nodes = {"p": ("showing.paints", {"width": 700, "height": 350, "grey": 1.0, "count": 6})}
    told.wait_for_end(submit(runner, nodes, {"x": "p"}))
    told.wait(lambda: told.of("previewed"))
    ((_, _, batch, whole),) = told.of("previewed")
    assert (6, (700, 350)) == (batch.count, whole.toTuple())
    assert [0, 51, 102, 153, 204, 255] == [image.pixelColor(9, 9).red() for image in batch.pictures]


def test_a_wrong_graph_is_refused_with_its_problems_and_the_queue_goes_on(make, submit):
    runner, told = make()
    wrong, good = submit(runner, {"n": ("rough.number", {"x": "1"})}), submit(runner, NUMBER, {"x": "n"})
    told.wait_for_end(good)
    assert told.ends()[wrong]["refused"]
    ((run, problems),) = told.of("refused")
    assert (wrong, [("n", "x")]) == (run, [(problem["node"], problem["port"]) for problem in problems])


def test_a_graph_that_has_no_text_is_refused_as_well(make, place):
    runner, told = make()
    run = runner.submit(Document(extra={"x": float("nan")}), None, place, place / "outputs")
    assert told.wait_for_end(run)["refused"]


def test_a_node_that_raises_is_told_with_place_and_trace(make, submit):
    runner, told = make()
    run = submit(runner, {"bad": ("rough.ends", {"how": "raise"})}, {"x": "bad"})
    assert 1 == told.wait_for_end(run)["failed"]
    ((_, node, port, message, trace),) = told.of("node_failed")
    assert ("bad", None, "SystemExit: enough", True) == (node, port, message, "Traceback" in trace)


# --- faults of nodes


@pytest.mark.parametrize("how", ["segfault", "exit", "kill"])
def test_a_node_that_ends_its_process_is_named_and_the_queue_goes_on(how, make, submit):
    runner, told = make()
    bad = submit(runner, {"bad": ("rough.ends", {"how": how})}, {"x": "bad"})
    good = submit(runner, NUMBER, {"x": "n"})
    assert 0 == told.wait_for_end(good)["failed"]
    assert [(bad, "bad")] == [died[:2] for died in told.of("worker_died")]
    assert 1 == told.ends()[bad]["failed"]
    told.wait(lambda: "running" not in [state for (state,) in told.of("state_changed")][-1:])


def test_a_node_that_takes_too_much_memory_fails_and_the_worker_lives(make, submit):
    runner, told = make()
    run = submit(runner, {"h": ("rough.hungry",)}, {"x": "h"})
    assert 1 == told.wait_for_end(run)["failed"]
    ((_, node, _, message, _),) = told.of("node_failed")
    assert ("h", True) == (node, message.startswith("MemoryError"))
    assert 0 == told.wait_for_end(submit(runner, NUMBER, {"x": "n"}))["failed"]
    assert [] == told.of("worker_died")


def test_a_loop_with_steps_is_cancelled_softly_and_the_worker_stays(make, submit):
    runner, told = make()
    run = submit(runner, {"l": ("rough.loops",)})
    told.wait(lambda: told.of("node_stepped"))
    pid = pid_of(runner)
    began = time.monotonic()
    runner.cancel(run)
    end = told.wait_for_end(run)
    assert (True, False) == (end["cancelled"], "killed" in end)
    assert time.monotonic() - began < 2
    assert pid == pid_of(runner)
    assert ("cancelling",) in told.of("state_changed")


def test_a_node_that_never_ends_is_killed_after_three_seconds_and_the_queue_goes_on(make, submit):
    runner, told = make()
    stuck = submit(runner, {"l": ("rough.loops", {"steps": False})})
    good = submit(runner, NUMBER, {"x": "n"})
    told.wait(lambda: told.of("node_started"))
    pid, began, ticks = pid_of(runner), time.monotonic(), Ticks()
    runner.cancel(stuck)
    end = told.wait_for_end(stuck)
    assert 2.9 <= time.monotonic() - began < 6
    assert (True, "l") == (end["cancelled"], end["killed"])
    assert 0 == told.wait_for_end(good)["failed"]
    assert (False, []) == (alive(pid), told.of("worker_died"))
    assert ticks.longest < 0.5


def test_a_kill_ends_it_at_once(make, submit):
    runner, told = make()
    run = submit(runner, {"l": ("rough.loops", {"steps": False})})
    told.wait(lambda: told.of("node_started"))
    began = time.monotonic()
    runner.kill()
    assert "l" == told.wait_for_end(run)["killed"]
    assert time.monotonic() - began < 2  # 0.05 s on an idle machine


def test_what_a_killed_node_had_started_ends_with_it(make, submit):
    runner, told = make()
    told.wait_for_end(submit(runner, {"l": ("rough.lingers",)}, {"pid": "l"}))
    child = told.of("delivered")[0][3]
    assert alive(child)
    stuck = submit(runner, {"l": ("rough.loops", {"steps": False})})
    told.wait(lambda: (stuck, "l") in told.of("node_started"))
    runner.kill()
    told.wait_for_end(stuck)
    told.wait(lambda: not alive(child))


def test_a_flood_of_previews_does_not_hold_up_the_window(make, submit):
    runner, told = make()
    run = submit(runner, {"f": ("showing.floods", {"seconds": 2.0})}, {"n": "f"})
    told.wait(lambda: told.of("node_started"))
    ticks = Ticks()
    told.wait_for_end(run)
    shown = told.of("delivered")[0][3]
    assert shown > 10_000
    assert 10 <= len(told.of("previewed")) <= 22
    assert ticks.longest < 0.5
    assert len(ticks.times) > 60


def test_a_flood_of_lines_comes_in_bundles(make, place):
    prints = (sys.executable, "-c", "import sys; print('x\\n' * 200_000, file=sys.stderr)")
    runner, told = make(start=lambda said: make.start(said, prints))
    ticks = Ticks()
    runner.submit(document(NUMBER), None, place, place / "outputs")
    told.wait(lambda: told.of("worker_died"))
    assert len(told.of("printed")) < 50
    assert all(len(lines) <= 1_000 for (lines,) in told.of("printed"))
    assert ticks.longest < 0.5


# --- faults of workers


def test_a_worker_that_is_killed_from_outside_is_told_and_another_comes(make, submit):
    runner, told = make()
    stuck, good = submit(runner, {"l": ("rough.loops",)}), submit(runner, NUMBER, {"x": "n"})
    told.wait(lambda: told.of("node_started"))
    began = time.monotonic()
    os.kill(pid_of(runner), signal.SIGKILL)
    told.wait(lambda: told.of("worker_died"))
    assert time.monotonic() - began < 2  # 0.1 s on an idle machine
    ((run, node, message),) = told.of("worker_died")
    assert (stuck, "l", True) == (run, node, "SIGKILL" in message)
    assert 0 == told.wait_for_end(good)["failed"]


@pytest.mark.parametrize("ran", [True, False])
def test_a_worker_that_died_while_idle_is_replaced_without_a_word(ran, make, submit):
    runner, told = make()
    if ran:
        told.wait_for_end(submit(runner, NUMBER, {"x": "n"}))
    else:
        runner.warm()
        told.wait(lambda: runner._work._process)
    os.kill(pid_of(runner), signal.SIGKILL)
    assert 0 == told.wait_for_end(submit(runner, NUMBER, {"x": "n"}))["failed"]
    assert [] == told.of("worker_died")


@pytest.mark.parametrize("command", [("/no/such/python",), (sys.executable, "-c", "raise SystemExit('no engine')")])
def test_runs_wait_while_no_worker_can_be_started(command, make, submit):
    broken = [command]
    runner, told = make(start=lambda said: make.start(said, *broken))
    run = submit(runner, NUMBER, {"x": "n"})
    told.wait(lambda: told.of("worker_died") and runner.state == "idle")
    ((_, node, message),) = told.of("worker_died")
    assert ("", True) == (node, "started" in message or "exit code 1" in message)
    assert {} == told.ends()
    assert [run] == [entry.id for entry in runner.queue.entries()]
    broken.clear()
    runner.restart()
    assert 0 == told.wait_for_end(run)["failed"]


def test_a_restart_ends_the_run_that_is_going_and_the_queue_goes_on(make, submit):
    runner, told = make()
    stuck, good = submit(runner, {"l": ("rough.loops", {"steps": False})}), submit(runner, NUMBER, {"x": "n"})
    told.wait(lambda: told.of("node_started"))
    pid = pid_of(runner)
    runner.restart()
    assert "l" == told.wait_for_end(stuck)["killed"]
    told.wait_for_end(good)
    assert pid != pid_of(runner)


def test_a_restart_of_an_idle_worker_makes_another(make, submit):
    runner, told = make()
    told.wait_for_end(submit(runner, NUMBER))
    pid = pid_of(runner)
    runner.restart()
    told.wait(lambda: runner._work._process is not None and pid_of(runner) != pid)
    assert not alive(pid)
    assert 0 == told.wait_for_end(submit(runner, NUMBER, {"x": "n"}))["failed"]


# --- the queue


def test_a_run_that_waits_is_taken_out(make, submit):
    runner, told = make()
    first, second, third = (submit(runner, {"l": ("rough.loops",)}) for _ in range(3))
    told.wait(lambda: told.of("node_started"))
    runner.cancel(second)
    assert told.wait_for_end(second)["cancelled"]
    runner.cancel_all()
    assert told.wait_for_end(first)["cancelled"]
    assert told.wait_for_end(third)["cancelled"]
    assert {first} == {run for run, *_ in told.of("began")}
    assert () == runner.queue.entries()


def test_the_order_of_runs_that_wait_can_be_changed(make, submit):
    runner, told = make()
    first = submit(runner, {"l": ("rough.loops",)})
    others = [submit(runner, {"n": ("rough.number", {"x": at})}, {"x": "n"}) for at in range(3)]
    told.wait(lambda: len(runner.queue.entries()) == 4 and told.of("node_started"))
    runner.move(others[2], 0)
    told.wait(lambda: runner.queue.entries()[1].id == others[2])
    runner.cancel(first)
    for run in others:
        told.wait_for_end(run)
    assert [others[2], others[0], others[1]] == [run for run, *_ in told.of("began")][1:]


def test_runs_that_wait_when_the_window_closes_are_offered_by_the_next(make, submit, place):
    runner, told = make(waiting=RunQueue(place / "kept"))
    submit(runner, {"l": ("rough.loops",)})
    submit(runner, NUMBER, {"x": "n"}, until="n")
    told.wait(lambda: told.of("node_stepped") and len(runner.queue.entries()) == 2)
    pid = pid_of(runner)
    assert runner.close()
    assert not alive(pid)
    again, told = make(waiting=RunQueue(place / "kept"))
    assert [(None, False), ("n", False)] == [(entry.until, entry.begun) for entry in again.queue.left_over()]
    again.take_up([1])
    told.wait(lambda: told.of("delivered"))
    assert 4 == told.of("delivered")[0][3]


def test_closing_ends_a_worker_that_does_not_listen(make, submit):
    runner, told = make()
    submit(runner, {"l": ("rough.loops", {"steps": False})})
    told.wait(lambda: told.of("node_started"))
    pid, began = pid_of(runner), time.monotonic()
    assert runner.close(0.5)
    assert time.monotonic() - began < 3
    assert not alive(pid)


def test_requests_return_at_once_even_if_the_worker_reads_nothing(make, place):
    deaf = (sys.executable, "-c", "import time; time.sleep(60)")
    runner, told = make(start=lambda said: make.start(said, deaf), patience=0.3)
    huge = document({f"n{at}": ("rough.number", {"x": at}) for at in range(20_000)})  # more than the pipe holds
    began = time.monotonic()
    run = runner.submit(huge, None, place, place / "outputs")
    told.wait(lambda: runner.state == "starting")
    asked = time.monotonic()
    runner.cancel(run)
    runner.queue.entries()
    assert time.monotonic() - asked < 0.1
    assert told.wait_for_end(run)["cancelled"]
    assert time.monotonic() - began < 15


# --- history


def test_delivered_pictures_come_into_the_history_with_the_graph_that_made_them(make, submit, place, qtbot):
    nodes = {"p": ("showing.paints", {"width": 20, "height": 10, "grey": 0.9}), "n": ("rough.number",)}
    history = History(place / "history", thumbnail=thumbnail)
    runner, _ = make(history=history)
    with qtbot.waitSignal(runner.history_changed, timeout=30_000):
        submit(runner, nodes, {"image": "p", "number": "n"})
    (found,) = history.pictures()
    assert ("graph", "image", True) == (found.title, found.output, found.path.is_file())
    assert document(nodes, {"image": "p", "number": "n"}) == parse(history.graph_of(found))
    assert (20, 10) == (lambda image: (image.width(), image.height()))(QImage.fromData(history.thumbnail(found)))
