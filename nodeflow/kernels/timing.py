"""How long an implementation takes on the device: a captured graph is replayed, so that no launch overhead counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

WARM = 3
"""Runs before the capture: the first compiles, the next let libraries choose their algorithms."""
SPAN = 2e-3
"""Seconds that a round should take: far above an event's resolution of half a microsecond."""
MOST_RUNS = 200


class Accelerator:
    """The CUDA or ROCm device that arguments are on."""

    def arch(self, arguments: Sequence[Any]) -> str | None:
        """Architecture and name of the first tensor's device, or None for one without fused kernels."""
        for value in arguments:
            if isinstance(value, Tensor):
                return _arch(value.device.index or 0) if value.device.type == "cuda" else None
        return None

    def capturing(self) -> bool:
        """Whether the current stream is being captured."""
        return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()

    def on(self, arguments: Sequence[Any]) -> AbstractContextManager[Any]:
        """Makes the device of the first tensor the current one, which Triton launches on."""
        index = next((value.device.index for value in arguments if isinstance(value, Tensor)), None)
        return nullcontext() if index in (None, torch.cuda.current_device()) else torch.cuda.device(index)

    def prepare(self, run: Callable[[], Any]) -> Callable[[], float]:
        """Captures enough runs for a round; each call of what it gives replays them: seconds a run."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(WARM):
                run()
            once = _span(run)
            runs = max(1, min(MOST_RUNS, int(SPAN / max(once, 1e-7))))
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            for _ in range(runs):
                run()
        graph.replay()
        torch.cuda.synchronize()
        return lambda: _span(graph.replay) / runs


def _span(work: Callable[[], Any]) -> float:
    """Seconds on the device from the work's begin to its end."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1e-3


@cache
def _arch(index: int) -> str:
    told = torch.cuda.get_device_properties(index)
    name = told.gcnArchName.split(":")[0] if torch.version.hip else f"sm_{told.major}{told.minor}"
    return f"{name} {told.name}"
