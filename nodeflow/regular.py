"""Regular files, and nothing else that a path may lead to: a pipe would be waited for, a device may never end."""

from __future__ import annotations

import os
import stat
from io import BufferedReader

KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


class NotAFile(OSError):
    """A path that leads to something else: "it is a pipe, not a file". `kind` is what it leads to: "a pipe"."""

    def __init__(self, mode: int) -> None:
        self.kind = odd_kind(mode)
        super().__init__(f"it is {self.kind}, not a file")


def odd_kind(mode: int) -> str:
    """What a path that is no regular file leads to, by its mode: "a pipe"."""
    return KINDS.get(stat.S_IFMT(mode), "something else")


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """A regular file, opened to be read as bytes. It never waits, not even if a pipe takes the file's place meanwhile.

    Raises:
        NotAFile: it is no regular file.
        OSError: there is none, or it may not be read.
    """
    _judge(os.stat(path).st_mode)  # before it is opened: that alone does something to some devices
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115 # whoever asked for it closes it
    try:
        _judge(os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def _judge(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotAFile(mode)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
