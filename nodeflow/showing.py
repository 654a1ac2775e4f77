"""Previews on their way out of a worker: shrunk once, ten a second at most, the newest of each node."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nodeflow.events import Previewed
from nodeflow.ring import SIDE, SLOT, Ring
from nodeflow.values import Image, Mask

EVERY = 0.1
"""Seconds between two previews of a run."""
LAST = 0.25
"""Seconds at the end of a run for pictures of finished nodes that still wait; the reader frees slots as it copies."""
WAITING, ROOM = 64, 64 * 2**20
"""Pictures that wait, and their bytes, at most; beyond, the oldest are dropped. A batch takes up to 3 MB."""
MOST = 64
"""Pictures of a batch that are shown, at most: then they are 128 pixels a side."""
COARSE = 2
"""A picture more than so many times too large is thinned out before it is averaged: 16k x 16k takes 25 ms."""

Small = tuple[int, int, bytes]
"""Width, height, and RGB8 pixels: of several pictures of that size, one after another."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Pictures made small: the first `shown` of a batch of `count`, and the width and height that they had."""

    small: Small
    of: tuple[int, int]
    count: int
    shown: int


def shrunk(picture: Image | Mask, side: int = SIDE, most: int = 1) -> Small | None:
    """The first pictures of a batch as RGB8, at most `side` pixels long; what is transparent is grey. None if empty."""
    import torch  # deferred: a worker that shows nothing need not import it for this

    with torch.no_grad():
        batch = (picture.pixels if isinstance(picture, Image) else picture.coverage).detach()
        if not batch.numel():
            return None
        height, width = batch.shape[-2:]
        thin = max(1, max(height, width) // (COARSE * side))
        pixels = batch[:most, :, ::thin, ::thin].float()
        blocks = max(pixels.shape[2:]) // side
        if blocks > 1:  # then less than half is left to go, for which two by two neighbours are enough
            kernel = min(blocks, pixels.shape[2]), min(blocks, pixels.shape[3])
            pixels = torch.nn.functional.avg_pool2d(pixels, kernel, ceil_mode=True)
        pixels = pixels.nan_to_num(0.0).clamp(0, 1)
        size = _size(height, width, side)
        if pixels.shape[2:] != size:
            pixels = torch.nn.functional.interpolate(pixels, size, mode="bilinear", align_corners=False)
        if pixels.shape[1] == 4:
            pixels = pixels[:, :3] * pixels[:, 3:] + 0.5 * (1 - pixels[:, 3:])
        bytes_of = pixels.mul(255).round().clamp(0, 255).byte().expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
        return pixels.shape[3], pixels.shape[2], bytes_of.contiguous().cpu().numpy().tobytes()


def _size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of a picture that is at most `side` long."""
    scale = min(side / max(height, width), 1.0)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _side(height: int, width: int, count: int) -> int:
    """How long so many pictures of that size may be, so that they have room together."""
    side = SIDE
    while side > 1 and 3 * count * math.prod(_size(height, width, side)) > SLOT:
        side -= 1
    return side


class Showing:
    """Shows the pictures of one run, from a thread of its own. Use it as a context manager.

    A picture of unfinished work is shrunk when its turn comes, for most are overtaken before; one of a finished node
    at once, so that it does not hold the result.

    Args:
        ring: where pixels go.
        say: told the rest of each preview: {"event": "previewed", "node", "slot", "sequence", "width", "height", "of",
            "count", "shown"}, where "of" is the width and height of the picture itself. Of a batch of "count"
            pictures the first "shown" are there, one after another, each "width" x "height".
    """

    def __init__(self, ring: Ring, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._ring, self._say = ring, say
        self._waiting: dict[str, Previewed | Drawn] = {}
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._work, name="nodeflow-previews", daemon=True)

    def __enter__(self) -> Showing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()

    def offer(self, preview: Previewed) -> None:
        """Takes a picture; it replaces one of the same node that still waits."""
        picture: Previewed | Drawn | None = _drawn(preview.image) if preview.final else preview
        with self._changed:
            self._waiting.pop(preview.node, None)
            if picture is not None:
                self._waiting[preview.node] = picture
            while len(self._waiting) > WAITING or sum(map(_bytes, self._waiting.values())) > ROOM:
                del self._waiting[next(iter(self._waiting))]
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._over)
                if self._over:
                    break
                node, picture = self._waiting.popitem()
            self._show(node, picture)
            with self._changed:
                self._changed.wait_for(lambda: self._over, EVERY)
        deadline = time.monotonic() + LAST
        done = {node: picture for node, picture in self._waiting.items() if not isinstance(picture, Previewed)}
        while done and (left := deadline - time.monotonic()) > 0:
            self._show(*done.popitem(), patience=left)

    def _show(self, node: str, picture: Previewed | Drawn, patience: float = 0.0) -> None:
        drawn = _drawn(picture.image) if isinstance(picture, Previewed) else picture
        if drawn is None:
            return
        width, height, pixels = drawn.small
        place = self._ring.write(pixels, patience)
        if place is not None:
            slot, sequence = place
            told = {"slot": slot, "sequence": sequence, "width": width, "height": height, "of": drawn.of}
            self._say({"event": "previewed", "node": node, **told, "count": drawn.count, "shown": drawn.shown})


def _bytes(picture: Previewed | Drawn) -> int:
    """What it will take when it is small."""
    return len(picture.small[2]) if isinstance(picture, Drawn) else SIDE * SIDE * 3


def _drawn(picture: Image | Mask) -> Drawn | None:
    """The pictures, small; None where that fails: a node that shows something odd still runs."""
    try:
        batch = picture.pixels if isinstance(picture, Image) else picture.coverage
        count, (height, width) = len(batch), batch.shape[-2:]
        shown = min(count, MOST)
        small = shrunk(picture, _side(height, width, shown), shown)
    except Exception:
        return None
    return None if small is None else Drawn(small, (width, height), count, shown)
