"""A plugin whose nodes treat their process badly."""

import ctypes
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from nodeflow import QUIET, Context, SavedFile, hook, node

print('{"event": "ended", "from": "import"}')


@node(category="rough")
def number(x: int = 0) -> int:
    """A number."""
    return x


@node(category="rough")
def slow(x: int = 0) -> int:
    """Slow enough to be kept on disk."""
    time.sleep(0.06)
    return x


@node(category="rough")
def ends(how: str = "exit", *, ctx: Context = QUIET) -> int:
    """Ends the process."""
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raise":
        raise SystemExit("enough")
    return 0


@node(category="rough")
def prints(text: str = '{"event": "ended", "run": 1}') -> str:
    """Prints on both streams, straight to the file descriptors as well, and reads the standard input."""
    print(text)
    print(text, file=sys.stderr)
    os.write(1, b"raw\n")
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    return sys.stdin.read() + text


@node(category="rough")
def says(text: str) -> str:
    """A text."""
    return text


@node(category="rough")
def loops(steps: bool = True, *, ctx: Context = QUIET) -> int:
    """Does not end."""
    for _ in ctx.steps(iter(int, 1)) if steps else iter(int, 1):
        time.sleep(0.002)
    return 0


@node(category="rough")
def hungry() -> int:
    """Takes more memory than it may."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, before[1]))
    try:
        return len(bytearray(2**33))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@node(category="rough")
def lingers() -> int:
    """Leaves a thread and a process behind."""
    threading.Thread(target=time.sleep, args=(60,)).start()
    return subprocess.Popen(["sleep", "20"]).pid


@node(category="rough")
def long(length: int = 1) -> str:
    """A long text."""
    return "ä" * length


@node(category="rough", effect=True)
def save(x: int, *, ctx: Context = QUIET) -> SavedFile:
    """Writes a number."""
    path = ctx.write("saved.txt")
    path.write_text(str(x))
    return SavedFile.at(path)


NODES = (number, slow, ends, prints, says, loops, hungry, lingers, long, save)


@hook
def register_nodes():
    """All of them."""
    return list(NODES)


@hook
def save_value(value, stem, about):
    """Fails for some texts, and writes one."""
    if value == "unwritable":
        raise RuntimeError("no room for it")
    if value == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if value == "kept" or str(value).startswith("half"):
        stem.with_suffix(".txt").write_text(value, "utf-8")
        return [stem.with_suffix(".txt")]
    return None
