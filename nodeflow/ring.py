"""Memory that two processes share, for pictures that are shown during a run: one writes, the other copies in time.

It has no name that could be left behind: a file without a place on the disk, given to the child process as it starts,
or on Windows a section that goes with its last user. Whichever process is killed, nothing of it remains.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

SIDE = 512
"""Pixels of the longest side of a picture in it."""
SLOTS = 8
"""So many pictures may come while the reader is busy before the oldest is lost."""
SLOT = 4 * SIDE * SIDE * 3
"""Room for a batch of four such, or of more that are smaller. What is not written to takes no memory."""
HEAD = SLOTS * 2 * 8
SIZE = HEAD + SLOTS * SLOT


class Ring:
    """A few slots of RGB8 pixels, filled in turn. For each, two numbers: the picture it holds, and the last one copied.

    Pictures are counted from 1. While a slot is written its number is 0, so that a reader that came too late sees it.
    """

    def __init__(self, memory: mmap.mmap, handle: Mapping[str, Any], descriptor: int | None = None) -> None:
        self.handle = handle
        """What the other process calls it by; JSON-able."""
        self._memory, self._descriptor = memory, descriptor
        self._view = memoryview(memory)
        self._heads = self._view[:HEAD].cast("Q")  # eight aligned bytes at once, never a half-written number
        self._sequence = 0

    @classmethod
    def make(cls) -> Ring:
        """New memory. `inherited` are the file descriptors that a child process needs to open it.

        Raises:
            OSError: there is none to be had.
        """
        if sys.platform == "win32":
            tag = f"nodeflow-{uuid.uuid4().hex}"
            return cls(mmap.mmap(-1, SIZE, tagname=tag), {"tag": tag})
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("nodeflow-previews")
        else:
            with tempfile.TemporaryFile() as file:  # has lost its name already
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, SIZE)
        return cls(mmap.mmap(descriptor, SIZE), {"descriptor": descriptor}, descriptor)

    @classmethod
    def open(cls, handle: Mapping[str, Any]) -> Ring:
        """The memory that a parent process made.

        Raises:
            OSError, ValueError, KeyError: there is none of that handle, or it is of another size.
        """
        if sys.platform == "win32":
            return cls(mmap.mmap(-1, SIZE, tagname=handle["tag"]), handle)
        return cls(mmap.mmap(handle["descriptor"], SIZE), handle)

    @property
    def inherited(self) -> tuple[int, ...]:
        return () if self._descriptor is None else (self._descriptor,)

    def write(self, pixels: bytes, patience: float = 0.0) -> tuple[int, int] | None:
        """Puts a picture into the next slot, and returns (slot, number).

        Args:
            pixels: RGB8, rows from the top.
            patience: seconds to wait until the picture in that slot was copied; it is overwritten at once if 0, and
                kept, with None returned, if nobody copied it by then.
        """
        slot = (self._sequence + 1) % SLOTS
        deadline = time.monotonic() + patience
        while patience and self._heads[2 * slot] > self._heads[2 * slot + 1]:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.001)
        self._sequence += 1
        self._heads[2 * slot] = 0
        self._view[HEAD + slot * SLOT : HEAD + slot * SLOT + len(pixels)] = pixels
        self._heads[2 * slot] = self._sequence
        return slot, self._sequence

    def read(self, slot: int, sequence: int, size: int, *, meanwhile: Callable[[], None] | None = None) -> bytes | None:
        """A copy of a picture of so many bytes, or None: it was overwritten, or there is no such slot.

        `meanwhile` is called between the copy and the second look at the slot's number; tests write there.
        """
        if not (0 <= slot < SLOTS and 0 < size <= SLOT) or self._heads[2 * slot] != sequence:
            return None
        pixels = bytes(self._view[HEAD + slot * SLOT : HEAD + slot * SLOT + size])
        if meanwhile is not None:
            meanwhile()
        if self._heads[2 * slot] != sequence:
            return None
        self._heads[2 * slot + 1] = sequence
        return pixels

    def close(self) -> None:
        """Gives this process' part of it back."""
        self._heads.release()
        self._view.release()
        self._memory.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
