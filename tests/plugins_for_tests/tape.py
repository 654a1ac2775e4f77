"""Recorded graphs without a GPU: operators are put on a tape as they are, numbers and all, and played again."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
"""What would have to wait for the device, which no recording can."""


class Tape(TorchDispatchMode):
    """The operators of one run, and where they read and wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in WAITS:
            raise RuntimeError("operation not permitted when stream is capturing\nmore lines")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def play(self) -> None:
        for func, args, kwargs, out in self.calls:
            for old, new in zip(tensors(out), tensors(func(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():  # else a view, or written in place
                    old.copy_(new)


class TapeRecorder:
    """`nodeflow_nn.capture.Recorder` on a CPU, with a diary; what was recorded holds nothing until it is replayed."""

    def __init__(self) -> None:
        self.diary: list[str] = []

    def takes(self, x: Tensor) -> bool:
        return not torch.is_grad_enabled()

    def warm(self, run: Callable[[], Any]) -> Any:
        self.diary.append("warm")
        return run()

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        self.diary.append("record")
        tape = Tape()
        with tape:
            out = run()
        out.fill_(torch.nan)

        def replay() -> None:
            self.diary.append("replay")
            tape.play()

        return replay, out


def tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [item for item in value if isinstance(item, Tensor)]
