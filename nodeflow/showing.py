"""Previews on their way out of a worker: shrunk once, ten a second at most, the newest of each node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from nodeflow.events import Previewed
from nodeflow.ring import SIDE, Ring
from nodeflow.values import Image, Mask

EVERY = 0.1
"""Seconds between two previews of a run."""
LAST = 0.25
"""Seconds at the end of a run for pictures of finished nodes that still wait; the reader frees slots as it copies."""
WAITING = 64
"""Pictures that wait, at most; beyond, the oldest are dropped. Shrunk they are 0.8 MB each."""
COARSE = 2
"""A picture more than so many times too large is thinned out before it is averaged: 16k x 16k takes 25 ms."""

Small = tuple[int, int, bytes]
"""Width, height, and RGB8 pixels."""


def shrunk(picture: Image | Mask, side: int = SIDE) -> Small | None:
    """The first picture of a batch as RGB8, at most `side` pixels long; what is transparent is grey. None if empty."""
    import torch  # deferred: a worker that shows nothing need not import it for this

    with torch.no_grad():
        batch = (picture.pixels if isinstance(picture, Image) else picture.coverage).detach()
        if not batch.numel():
            return None
        height, width = batch.shape[-2:]
        thin = max(1, max(height, width) // (COARSE * side))
        pixels = batch[0, :, ::thin, ::thin].float()
        blocks = max(pixels.shape[1:]) // side
        if blocks > 1:  # then less than half is left to go, for which two by two neighbours are enough
            kernel = min(blocks, pixels.shape[1]), min(blocks, pixels.shape[2])
            pixels = torch.nn.functional.avg_pool2d(pixels, kernel, ceil_mode=True)
        pixels = pixels.nan_to_num(0.0).clamp(0, 1)
        if max(pixels.shape[1:]) > side:
            scale = side / max(height, width)
            size = max(1, round(height * scale)), max(1, round(width * scale))
            pixels = torch.nn.functional.interpolate(pixels[None], size, mode="bilinear", align_corners=False)[0]
        if len(pixels) == 4:
            pixels = pixels[:3] * pixels[3:] + 0.5 * (1 - pixels[3:])
        bytes_of = pixels.mul(255).round().clamp(0, 255).byte().expand(3, -1, -1).permute(1, 2, 0)
        return pixels.shape[2], pixels.shape[1], bytes_of.contiguous().cpu().numpy().tobytes()


class Showing:
    """Shows the pictures of one run, from a thread of its own. Use it as a context manager.

    A picture of unfinished work is shrunk when its turn comes, for most are overtaken before; one of a finished node
    at once, so that it does not hold the result.

    Args:
        ring: where pixels go.
        say: told the rest of each preview: {"event": "previewed", "node", "slot", "sequence", "width", "height"}.
    """

    def __init__(self, ring: Ring, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._ring, self._say = ring, say
        self._waiting: dict[str, Previewed | Small] = {}
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
        picture: Previewed | Small | None = _shrunk(preview.image) if preview.final else preview
        with self._changed:
            self._waiting.pop(preview.node, None)
            if picture is not None:
                self._waiting[preview.node] = picture
            if len(self._waiting) > WAITING:
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

    def _show(self, node: str, picture: Previewed | Small, patience: float = 0.0) -> None:
        small = _shrunk(picture.image) if isinstance(picture, Previewed) else picture
        if small is None:
            return
        width, height, pixels = small
        place = self._ring.write(pixels, patience)
        if place is not None:
            slot, sequence = place
            told = {"slot": slot, "sequence": sequence, "width": width, "height": height}
            self._say({"event": "previewed", "node": node, **told})


def _shrunk(picture: Image | Mask) -> Small | None:
    """The picture, small; None where that fails: a node that shows something odd still runs."""
    try:
        return shrunk(picture)
    except Exception:
        return None
