"""What only a process of its own shows: start-up, closed pipes, encodings, Ctrl+C."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., "subprocess.Popen[str]"]

NEVER = ("torch", "pydantic", "networkx", "rich", "jsonschema")
WATCH = """
import sys, time
from nodeflow.cli import call
code = call(sys.argv[2:])
print(code, time.process_time(), *[name for name in sys.argv[1].split(",") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["run", "--help"], ["check", "tiny.json"], ["nodes"], ["nodes", "image.blur"],
     ["schema"], ["plugins"], ["diff", "tiny.json", "tiny.json"]],
    ids=" ".join,
)  # fmt: skip
def test_looking_imports_nothing_heavy(arguments: list[str], surroundings: Path, nodeflow: Callable[..., Any]) -> None:
    nodeflow("plugins")
    command = [sys.executable, "-P", "-c", WATCH, ",".join(NEVER), *arguments]
    child = subprocess.run(command, capture_output=True, text=True, check=True)

    code, seconds, *heavy = child.stderr.splitlines()[-1].split()
    assert ("0", []) == (code, heavy)
    assert 2.0 > float(seconds)  # 0.4 is promised where the machine is idle; tests run where it is not


def test_a_closed_pipe_is_no_error(start: Start) -> None:
    child = start("docs")
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    said = child.stderr.read()
    child.stderr.close()

    assert (141, "") == (child.wait(), said)


@pytest.mark.skipif(sys.platform == "win32", reason="closing standard streams is a shell's trick on POSIX")
def test_closed_streams_do_no_harm(surroundings: Path) -> None:
    program = f"{sys.executable} -P -m nodeflow.cli"

    assert 0 == subprocess.run(["sh", "-c", f"{program} check tiny.json >&- <&-"], check=False).returncode
    assert 2 == subprocess.run(["sh", "-c", f"{program} check absent.json >&- 2>&-"], check=False).returncode


def test_an_encoding_without_our_letters_is_no_error(start: Start, tmp_path: Path) -> None:
    graph = {"nodeflow": 1, "nodes": {"a": {"type": "image.größe"}}}
    (tmp_path / "ä.json").write_text(json.dumps(graph), "utf-8")
    out, err = start("check", "ä.json", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}).communicate()

    assert "" == out
    assert r"\xe4.json" in err
    assert r"image.gr\xf6\xdfe" in err
    told = start("check", "--json", "ä.json", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}).communicate()[0]
    assert "ä.json" == json.loads(told)[0]["file"]


def napping(tmp_path: Path, **inputs: object) -> str:
    graph = {"nodeflow": 1, "nodes": {"nap": {"type": "ill.nap", "inputs": {"seconds": 30.0, "steps": 300, **inputs}}}}
    (tmp_path / "nap.json").write_text(json.dumps(graph))
    return "nap.json"


def children(process: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_stops_at_the_next_step_and_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    child = start("run", napping(tmp_path), "--json", "--no-cache", "--device", "cpu")
    assert child.stdout is not None
    while json.loads(child.stdout.readline())["event"] != "stepped":
        pass
    workers = children(child.pid)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)

    assert 130 == child.returncode
    assert json.loads(out.splitlines()[-1])["cancelled"]
    assert err.startswith("stopping after this step")
    assert workers
    assert [] == [worker for worker in workers if Path(f"/proc/{worker}").exists()]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_second_ctrl_c_ends_a_node_that_does_not_listen(start: Start, tmp_path: Path) -> None:
    child = start("run", napping(tmp_path, steps=1), "--json", "--no-cache", "--device", "cpu")
    assert child.stdout is not None
    while json.loads(child.stdout.readline())["event"] != "stepped":
        pass
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)

    assert 130 == child.returncode
    assert 3 > time.monotonic() - began
    assert "Traceback" not in err


def state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the states of processes are read in /proc")
def test_ctrl_z_halts_the_worker_as_well_and_it_goes_on(start: Start, tmp_path: Path) -> None:
    child = start("run", napping(tmp_path), "--json", "--no-cache", "--device", "cpu")
    assert child.stdout is not None
    while json.loads(child.stdout.readline())["event"] != "stepped":
        pass
    (worker,) = children(child.pid)
    for number, halted in ((signal.SIGTSTP, True), (signal.SIGCONT, False)):
        child.send_signal(number)
        deadline = time.monotonic() + 20
        while (state(child.pid) == "T", state(worker) == "T") != (halted, halted):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    assert 130 == child.returncode


LOG_IN = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
COLUMNS = 80


def on_a_terminal(*arguments: str, interrupt_at: str = "") -> tuple[int, str]:
    """Runs the command line on a terminal, presses Ctrl+C when it shows that text; its code, and all that it wrote."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-P", "-c", LOG_IN, "-P", "-m", "nodeflow.cli", *arguments]
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm"}
    child = subprocess.Popen(command, stdin=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += (piece := os.read(ours, 4096))
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        if interrupt_at and interrupt_at.encode() in seen:
            os.write(ours, b"\x03")
            interrupt_at = ""
    os.close(ours)
    return child.wait(), seen.decode()


def screen(written: str) -> list[str]:
    """What a terminal shows in the end: it knows line ends, the cursor up and erased lines, and wraps at its edge."""
    rows, y, x = [[" "] * COLUMNS], 0, 0
    for found in re.finditer(r"\x1b\[([?\d;]*)([A-Za-z])|(.)", written, re.DOTALL):
        number, command, letter = found.groups()
        if command == "A":
            y -= int(number)
        elif command == "K":
            rows[y] = [" "] * COLUMNS
        elif letter == "\r":
            x = 0
        elif letter:
            if letter == "\n" or x == COLUMNS:
                y, x = y + 1, 0
                rows += [[" "] * COLUMNS] * (y == len(rows))
            if letter != "\n":
                rows[y] = [*rows[y][:x], letter, *rows[y][x + 1 :]]
                x += 1
    return ["".join(row).rstrip() for row in rows]


@pytest.mark.skipif(not hasattr(os, "login_tty"), reason="no terminals here")
def test_a_terminal_gets_bars(surroundings: Path, tmp_path: Path) -> None:
    one = {"type": "ill.echo"}
    (tmp_path / "one.json").write_text(json.dumps({"nodeflow": 1, "outputs": {"number": "a"}, "nodes": {"a": one}}))
    code, written = on_a_terminal("run", "one.json")

    assert 0 == code
    assert "the run" in written
    assert "/1 nodes" in written
    assert "number = 3" in screen(written)


@pytest.mark.skipif(not hasattr(os, "login_tty"), reason="no terminals here")
def test_the_bars_are_gone_after_ctrl_c_though_the_terminal_prints_it_too(surroundings: Path, tmp_path: Path) -> None:
    arguments = ("run", napping(tmp_path), "--no-cache", "--device", "cpu")
    code, written = on_a_terminal(*arguments, interrupt_at="/300")
    shown = [line for line in screen(written) if line]

    assert 130 == code
    assert "^C" in written
    assert "stopping; ^C ends it now" in written
    assert 1 == len(shown)
    assert shown[0].startswith("stopped after")
