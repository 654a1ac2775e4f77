"""The engine in a process of its own: its events, its death, and what must not be left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from graphs_for_tests import document, graph_text

from nodeflow.client import Worker
from nodeflow.errors import GraphError, WorkerDied

INSTALLED = Path(__file__).parent.parent / "plugins_for_tests" / "installed"
PATIENCE = 60
COMMAND = (sys.executable, "-P", str(INSTALLED.parent / "lean_worker.py"))


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(INSTALLED), str(INSTALLED.parent)]))
        patch.setenv("NODEFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def worker(environment):
    """One for all tests that leave it alive: that it still serves the next is part of what they test."""
    with Worker(command=COMMAND) as started:
        yield started


@pytest.fixture
def victim():
    with Worker(command=COMMAND) as started:
        yield started


def run(worker, nodes, outputs=None, **how):
    return list(worker.run(document(nodes, outputs), device="cpu", **how))


def named(told, kind):
    return [event for event in told if event["event"] == kind]


def delivered(told):
    return {event["output"]: event["value"] for event in named(told, "delivered")}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_events_come_over_the_pipe_and_a_second_run_is_reused(worker):
    nodes = {"n": ("rough.number", {"x": 4})}
    told = run(worker, nodes, {"x": "n"})
    assert ["began", "started", "finished", "delivered", "ended"] == [event["event"] for event in told]
    assert {"x": 4} == delivered(told)
    again = run(worker, nodes, {"x": "n"})
    assert ["began", "reused", "delivered", "ended"] == [event["event"] for event in again]
    assert named(told, "ended")[0]["names"] == named(again, "ended")[0]["names"]


def test_what_a_node_prints_is_no_event_and_it_reads_nothing_of_ours():
    heard = []
    text = '{"event": "ended", "run": 1} grün 猫 😀'
    with Worker(said=heard.append, command=COMMAND) as worker:
        told = run(worker, {"p": ("rough.prints", {"text": text})}, {"t": "p"})
        assert {"t": text} == delivered(told)
        assert {"x": 1} == delivered(run(worker, {"n": ("rough.number", {"x": 1})}, {"x": "n"}))
    assert {text, "raw", "child"} <= set(heard)


@pytest.mark.parametrize(
    ("how", "ending"), [("exit", "exit code 3"), ("segfault", "signal SIGSEGV"), ("kill", "signal SIGKILL")]
)
def test_a_node_that_ends_the_process_is_named(how, ending, victim):
    with pytest.raises(WorkerDied) as caught:
        run(victim, {"n": ("rough.number",), "bad": ("rough.ends", {"how": how})})
    assert ("bad", True) == (caught.value.node, ending in str(caught.value))
    with pytest.raises(WorkerDied):
        run(victim, {"n": ("rough.number",)})


def test_a_node_that_ends_the_process_is_named_where_nothing_can_be_killed_by_a_signal(victim, monkeypatch):
    with monkeypatch.context() as windows:
        for place, name in ((signal, "SIGKILL"), (os, "killpg"), (os, "waitid")):
            windows.delattr(place, name)
        windows.setattr("nodeflow.client.GROUPS", False)
        with pytest.raises(WorkerDied, match="exit code 3"):
            run(victim, {"bad": ("rough.ends", {"how": "exit"})})


def test_a_node_that_raises_fails_and_the_worker_goes_on(worker):
    told = run(worker, {"bad": ("rough.ends", {"how": "raise"})}, {"x": "bad"})
    assert [("bad", "SystemExit: enough")] == [(event["node"], event["message"]) for event in named(told, "failed")]
    assert {"x": 1} == delivered(run(worker, {"n": ("rough.number", {"x": 1})}, {"x": "n"}))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_node_that_wants_too_much_memory_fails_and_the_worker_goes_on(worker):
    told = run(worker, {"bad": ("rough.hungry",)}, {"x": "bad"})
    assert ["MemoryError"] == [event["message"] for event in named(told, "failed")]
    assert {"x": 1} == delivered(run(worker, {"n": ("rough.number", {"x": 1})}, {"x": "n"}))


def test_a_loop_with_steps_is_cancelled_and_the_worker_goes_on(worker):
    told = []
    for event in worker.run(document({"l": ("rough.loops",)}, {"x": "l"}), device="cpu"):
        told.append(event)
        if event["event"] == "stepped":
            worker.cancel()
    assert told[-1]["cancelled"]
    assert {"x": 1} == delivered(run(worker, {"n": ("rough.number", {"x": 1})}, {"x": "n"}))


def test_a_cancel_that_comes_before_the_run_has_begun_counts(worker):
    events = worker.run(document({"l": ("rough.loops",)}, {"x": "l"}), device="cpu")
    threading.Timer(0, worker.cancel).start()
    first = []
    for event in events:
        first.append(event["event"])
        worker.cancel()
    assert "ended" == first[-1]


def test_a_run_that_nobody_reads_any_more_is_cancelled(worker):
    events = worker.run(document({"l": ("rough.loops",)}, {"x": "l"}), device="cpu")
    next(events)
    events.close()
    assert {"x": 1} == delivered(run(worker, {"n": ("rough.number", {"x": 1})}, {"x": "n"}))


def test_a_loop_without_steps_is_killed(victim):
    with pytest.raises(WorkerDied) as caught:  # noqa: PT012 # killed from within the loop
        for event in victim.run(document({"l": ("rough.loops", {"steps": False})}, {"x": "l"}), device="cpu"):
            if event["event"] == "started":
                victim.kill()
    assert "l" == caught.value.node


def test_a_wrong_graph_is_refused_with_its_problems_and_the_worker_goes_on(worker):
    with pytest.raises(GraphError) as caught:
        run(worker, {"a": ("rough.number", {"x": "1"}), "b": ("rough.nothing",)}, file="cat.json")
    assert [("cat.json", "a", "x"), ("cat.json", "b", None)] == [
        (p.file, p.node, p.port) for p in caught.value.problems
    ]
    with pytest.raises(GraphError, match='no node "z"'):
        run(worker, {"a": ("rough.number",)}, until="z")
    assert {"x": 1} == delivered(run(worker, {"n": ("rough.number", {"x": 1})}, {"x": "n"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unwritable", "RuntimeError: no room for it"),
        ("full", "No space left on device\n    make room on the disk"),
        ("half \ud800", "the text holds U+D800, which no file can hold\n    take it out of the text"),
    ],
)
def test_an_output_that_cannot_be_written_is_told_and_the_others_are_delivered(text, message, worker, place):
    nodes = {"p": ("rough.says", {"text": text}), "n": ("rough.number", {"x": 1})}
    told = run(worker, nodes, {"t": "p", "x": "n"}, name="cat")
    ((name, path, reason),) = [(e["output"], Path(e["path"]), e["message"]) for e in named(told, "undelivered")]
    assert ("t", place / "outputs", True, message) == (name, path.parent, path.name.startswith("cat-t-"), reason)
    assert ({"x": 1}, 0) == (delivered(told), told[-1]["failed"])


def test_a_file_is_named_after_the_outputs_there_are_not_those_that_came_out(worker, place):
    nodes = {"s": ("rough.says", {"text": "kept"}), "bad": ("rough.ends", {"how": "raise"})}
    (good,) = named(run(worker, nodes, {"x": "s", "y": "bad"}, name="cat"), "delivered")
    assert ["cat-x-"] == [Path(path).name[:6] for path in good["paths"]]


def test_outputs_that_were_made_before_the_process_ended_are_delivered(victim):
    nodes = {"n": ("rough.number", {"x": 7}), "bad": ("rough.ends", {"how": "segfault"})}
    told = []
    with pytest.raises(WorkerDied, match="a fault in compiled code") as caught:  # noqa: PT012 # what came before counts
        for event in victim.run(document(nodes, {"x": "n", "y": "bad"}), device="cpu"):
            told.append(event)
    assert ({"x": 7}, "bad") == (delivered(told), caught.value.node)


def test_an_output_folder_that_cannot_be_made_is_told_before_anything_runs(worker, place):
    (place / "taken").write_text("a file")
    told = []
    with pytest.raises(GraphError, match="cannot write to"):
        told += worker.run(document({"n": ("rough.number", {"x": 9})}, {"x": "n"}), out=place / "taken" / "out")
    assert [] == told


def test_a_device_that_is_not_there_is_told_with_those_that_are(worker):
    with pytest.raises(GraphError, match=r'no device "cuda:99"[\s\S]*cpu'):
        list(worker.run(document({"n": ("rough.number", {"x": 9})}, {"x": "n"}), device="cuda:99"))


def test_a_long_value_comes_whole_and_a_longer_one_not_at_all(worker):
    nodes = {"a": ("rough.long", {"length": 10_000}), "b": ("rough.long", {"length": 5_000_000})}
    assert {"a": "ä" * 10_000, "b": None} == delivered(run(worker, nodes, {"a": "a", "b": "b"}))


def test_results_are_found_on_disk_by_the_next_process():
    for kinds in (["began", "started", "finished", "delivered", "ended"], ["began", "reused", "delivered", "ended"]):
        with Worker(command=COMMAND) as worker:
            assert kinds == [event["event"] for event in run(worker, {"s": ("rough.slow", {"x": 77})}, {"x": "s"})]


def test_without_the_cache_nothing_is_reused(worker):
    for _ in range(2):
        told = run(worker, {"s": ("rough.slow", {"x": 78})}, {"x": "s"}, cache=False)
        assert [] == named(told, "reused")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list open files")
def test_a_worker_that_cannot_be_started_leaves_no_file_open(place):
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        with pytest.raises(OSError, match="nothing_there"):
            Worker(command=[str(place / "nothing_there")])
    assert before == len(list(descriptors.iterdir()))


def test_files_go_where_the_client_says_even_after_it_went_elsewhere(worker, place, monkeypatch):
    (place / "other").mkdir()
    monkeypatch.chdir(place / "other")
    run(worker, {"s": ("rough.save", {"x": 5})}, out=Path("here"))
    assert "5" == (place / "other" / "here" / "saved.txt").read_text()


def test_a_module_in_the_working_directory_is_not_imported(place):
    for name in ("torch", "json", "rough_plugin"):
        (place / f"{name}.py").write_text("import os; os._exit(9)")
    with Worker(command=COMMAND) as worker:
        assert {"x": 1} == delivered(run(worker, {"n": ("rough.number", {"x": 1})}, {"x": "n"}))


def test_closing_does_not_wait_for_what_a_node_left_behind():
    with Worker(command=COMMAND) as worker:
        (pid,) = delivered(run(worker, {"l": ("rough.lingers",)}, {"x": "l"})).values()
        began = time.monotonic()
    assert time.monotonic() - began < 4
    os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups")
@pytest.mark.parametrize("end", ["kill", "close"])
def test_what_a_node_had_started_ends_with_a_worker_that_is_killed(end):
    nodes = {"a": ("rough.lingers",), "b": ("rough.loops", {"steps": False})}
    with Worker(command=COMMAND) as worker:
        for event in worker.run(document(nodes, {"pid": "a", "x": "b"}), device="cpu"):
            if event["event"] == "delivered":
                pid = event["value"]
            if event["event"] == "started" and event["node"] == "b":
                break
        assert alive(pid)
        worker.close(0.2) if end == "close" else worker.kill()
        wait_until(lambda: not alive(pid))


def process(**more):
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **more,
    )  # fmt: skip


def asked(nodes, outputs=None, run=1):
    request = {"do": "run", "id": run, "graph": graph_text(nodes, outputs), "device": "cpu"}
    return json.dumps(request).encode() + b"\n"


def test_a_worker_that_was_warmed_answers_as_ever():
    with process() as worker:
        worker.stdin.write(b'{"do": "warm"}\n' + asked({"n": ("rough.number", {"x": 6})}, {"x": "n"}))
        worker.stdin.flush()
        kinds = []
        while "ended" not in kinds:
            kinds.append(json.loads(worker.stdout.readline())["event"])
        worker.communicate(timeout=PATIENCE)
    assert ["began", "started", "finished", "delivered", "ended"] == kinds


def test_garbage_on_the_line_is_refused_and_the_next_request_is_served():
    garbage = [b"{", b"[]", b"1", b"null", b"\xff\xfe", b"[" * 100_000, b"",
               b'{"do": "run"}',
               b'{"do": "run", "graph": 3}', b'{"do": "run", "id": [], "graph": "[]"}',
               b'{"do": "cancel"}']  # fmt: skip
    with process() as worker:
        worker.stdin.write(b"\n".join(garbage) + b"\n" + asked({"n": ("rough.number", {"x": 6})}, {"x": "n"}))
        worker.stdin.flush()
        told = []
        while not named(told, "ended"):
            told.append(json.loads(worker.stdout.readline()))
        worker.communicate(timeout=PATIENCE)
    assert 10 == len(named(told, "refused"))
    assert {"x": 6} == delivered(told)
    assert 0 == worker.returncode


def test_quitting_while_a_run_goes_on_ends_the_process():
    with process() as worker:
        worker.stdin.write(asked({"l": ("rough.loops",)}, {"x": "l"}))
        worker.stdin.flush()
        while b"stepped" not in worker.stdout.readline():
            pass
        out, _ = worker.communicate(b'{"do": "quit"}\n', timeout=PATIENCE)
    assert json.loads(out.splitlines()[-1])["cancelled"]


def test_a_worker_whose_client_is_killed_ends():
    code = (
        "import sys; from nodeflow.client import Worker; from graphs_for_tests import document\n"
        "worker = Worker(command=sys.argv[1:]); print(worker._process.pid, flush=True)\n"
        "for event in worker.run(document({'l': ('rough.loops', {'steps': False})}, {'x': 'l'}), device='cpu'):\n"
        "    print(event['event'], flush=True)\n"
    )
    client = subprocess.Popen([sys.executable, "-c", code, *COMMAND], stdout=subprocess.PIPE)
    pid = int(client.stdout.readline())
    while b"started" not in client.stdout.readline():
        pass
    assert alive(pid)
    client.kill()
    client.wait()
    client.stdout.close()
    wait_until(lambda: not alive(pid))
