"""The queue on disk: order, and what is left after a crash."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from nodeflow_editor.run import queue as queue_module
from nodeflow_editor.run.queue import KNOWN, Entry, RunQueue

EDITOR = Path(__file__).parents[3] / "editor"


def entry(queue, title, **more):
    return Entry(queue.number(), f"graph of {title}", title, added=1.0, **more)


def titles(entries):
    return [found.title for found in entries]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "queue"


@pytest.fixture
def queue(root):
    made = RunQueue(root)
    for title in "abc":
        made.add(entry(made, title))
    yield made
    made.close()


def crash(root, *titles, begun=0):
    """An editor that puts runs into its queue, begins some of them, and is gone at once."""
    code = (
        "import os, sys, pathlib; from nodeflow_editor.run.queue import Entry, RunQueue\n"
        "queue = RunQueue(pathlib.Path(sys.argv[1]))\n"
        "for title in sys.argv[3:]:\n"
        "    queue.add(Entry(queue.number(), 'g' + title, title, until='x', how={'device': 'cpu'}))\n"
        "queue.move(len(sys.argv) - 3, 0)\n"
        "for _ in range(int(sys.argv[2])): queue.begin()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(root), str(begun), *titles]
    subprocess.run(command, env={"PYTHONPATH": str(EDITOR)}, check=False)


def test_runs_begin_in_their_order_and_go_when_they_are_done(queue):
    assert "a" == queue.begin().title
    assert ["a", "b", "c"] == titles(queue.entries())
    queue.done(1)
    assert ["b", "c"] == titles(queue.entries())
    assert ["b", "c", None] == [found and found.title for found in (queue.begin(), queue.begin(), queue.begin())]


def test_runs_that_wait_are_moved_removed_and_cleared(queue):
    queue.begin()
    assert queue.move(3, 0)
    assert ["a", "c", "b"] == titles(queue.entries())
    assert queue.move(3, 99)
    assert ["a", "b", "c"] == titles(queue.entries())
    assert (False, False, False) == (queue.move(1, 0), queue.remove(1), queue.remove(77))
    assert queue.remove(2)
    assert (3,) == queue.clear()
    assert ["a"] == titles(queue.entries())


def test_a_run_that_is_put_back_is_the_next(queue):
    queue.begin()
    queue.begin()
    queue.put_back(2)
    assert "b" == queue.begin().title


def test_the_next_editor_is_offered_what_a_crash_left_in_its_order(root):
    crash(root, "one", "two", "three", begun=1)
    queue = RunQueue(root)
    left = queue.left_over()
    assert [("three", True), ("one", False), ("two", False)] == [(found.title, found.begun) for found in left]
    assert ("gthree", "x", {"device": "cpu"}) == (left[0].graph, left[0].until, left[0].how)
    assert () == queue.entries()
    taken = queue.take_up([1, 0])
    assert (["one", "three"], [False, False]) == (titles(taken), [found.begun for found in taken])
    assert ["one", "three"] == titles(queue.entries())
    assert () == queue.left_over()
    queue.close()
    assert ["one", "three"] == titles(RunQueue(root).left_over())


def test_what_nobody_answered_for_is_offered_again(root):
    crash(root, "one")
    RunQueue(root).close()
    queue = RunQueue(root)
    assert ["one"] == titles(queue.left_over())
    queue.give_up()
    queue.close()
    assert () == RunQueue(root).left_over()


def test_an_editor_that_lives_keeps_its_own(root, queue):
    other = RunQueue(root)
    assert () == other.left_over()
    other.close()
    assert ["a", "b", "c"] == titles(queue.entries())


def test_nothing_is_left_of_an_editor_whose_queue_is_empty(root):
    queue = RunQueue(root)
    queue.add(entry(queue, "a"))
    queue.begin()
    queue.done(1)
    queue.close()
    assert [] == list(root.iterdir())


DAMAGED = (
    "", "{", "[]", '{"id": 1}', '{"id": 1, "graph": "g", "more": 2}', "\x00", '{"id": "2", "graph": "g"}',
    '{"id": 2, "graph": 5}', '{"id": 2, "graph": "g", "how": [1]}', '{"id": 2, "graph": "g", "title": null}',
    "[" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_costs_itself_alone(root, text):
    crash(root, "one", "two")
    (folder,) = [path for path in root.iterdir() if path.is_dir()]
    (folder / "00000002.json").write_text(text)
    (folder / "order").write_text("[2, " if text == "{" else json.dumps([2, 1, 7, {"a": 1}, []]))
    assert ["one"] == titles(RunQueue(root).left_over())


def test_where_nothing_can_be_written_it_is_kept_in_memory_and_said(tmp_path):
    (tmp_path / "taken").write_text("a file")
    queue = RunQueue(tmp_path / "taken" / "queue")
    queue.add(entry(queue, "a"))
    assert ("a", True) == (queue.begin().title, bool(queue.trouble))
    queue.close()


def test_a_change_does_not_wait_for_the_disk_which_takes_the_files_one_by_one(root, monkeypatch):
    synced = []
    monkeypatch.setattr(queue_module.os, "fsync", synced.append)
    queue = RunQueue(root)
    for title in "ab":
        queue.add(entry(queue, title))
    queue.begin()
    assert [] == synced
    assert (True, 1) == (queue.sync(), len(synced))
    queue.done(1)
    while queue.sync():
        pass
    assert 2 <= len(synced) <= 3  # the order, and two runs, of which one may be gone by then
    queue.close()


def test_a_run_that_is_over_is_known_for_a_while(queue):
    queue.begin()
    queue.done(1)
    queue.remove(2)
    assert ["a", "b", "c", None] == [found and found.title for found in map(queue.entry, (1, 2, 3, 4))]
    for _ in range(KNOWN):
        queue.add(entry(queue, "x"))
    queue.clear()
    assert queue.entry(1) is None


def test_what_cannot_be_written_anew_is_offered_again_rather_than_lost(root, monkeypatch):
    crash(root, "one")
    queue = RunQueue(root)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(queue_module, "write_whole", full)
    assert ["one"] == titles(queue.take_up())
    assert ("No space left on device", ()) == (queue.trouble, queue.left_over())
    monkeypatch.undo()
    queue.add(entry(queue, "two"))
    assert "" == queue.trouble
    queue.close()
    assert ["one"] == [found.title for found in RunQueue(root).left_over() if found.title == "one"]


def test_threads_do_not_lose_runs(root):
    queue = RunQueue(root)

    def fill():
        for _ in range(20):
            queue.add(replace(entry(queue, "x")))

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(range(1, 81)) == sorted(found.id for found in queue.entries())
    queue.close()
    assert 80 == len(RunQueue(root).left_over())
