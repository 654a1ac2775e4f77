"""A network's run recorded as a CUDA graph: its thousand launches become one.

A U-Net of Stable Diffusion's size asks for about a thousand kernels a step, which take a CPU longer to launch than an
H100 to compute (published: 18 ms against 2). The first runs with arguments of some shapes go as ever, and tune what
tunes; then one is recorded, and from there on replayed with its inputs written into the recorded ones' places. The same
kernels run in the same order, so results are the same to the bit. What cannot be recorded runs as ever, and says why.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

T = TypeVar("T")
WARM = 2
"""Runs before one is recorded: the first tunes and compiles, in the next libraries settle on their algorithms."""
KEPT = 4
"""Records of one module, for so many kinds of arguments; the one not used for longest gives way."""
LOG = logging.getLogger("nodeflow.capture")


class Recorder(Protocol):
    """What recording asks of a device. Tests bring one that records on a CPU and keeps a diary."""

    def takes(self, x: Tensor) -> bool:
        """Whether a run on such a tensor can be recorded now."""

    def warm(self, run: Callable[[], T]) -> T:
        """The result of an ordinary run, where records are made later."""

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Records a run: what replays it, and its result, which each replay writes anew and nothing before the first.

        Raises whatever the run does that cannot be recorded.
        """


class Captures:
    """The recorded runs of one module. It holds neither the module nor its weights: they go when it goes.

    notes: why something was not recorded.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.notes: list[str] = []
        self._known: OrderedDict[Hashable, _Record | int] = OrderedDict()
        self._refused: set[Hashable] = set()
        self._lock = threading.Lock()

    def run(self, function: Callable[..., Tensor], *arguments: Any, key: Hashable = ()) -> Tensor:
        """`function(*arguments)`, replayed where that is possible; the caller owns the result.

        Args:
            function: computes with its arguments and the module's weights, and nothing that changes from call to call.
            *arguments: a tensor, then tensors and nested tuples, lists and dictionaries of them. A number is recorded
                as it is, so what differs from call to call has to come as a tensor.
            key: what else the function depends on.

        Raises:
            TypeError: a float is among the arguments.
        """
        if not self.recorder.takes(arguments[0]):
            return function(*arguments)
        tensors: list[Tensor] = []
        kind = (key, _kind(arguments, tensors))
        if kind in self._refused:
            return function(*arguments)
        with self._lock:  # buffers are filled and replayed in one go
            known = self._known.get(kind, 0)
            self._known[kind] = known
            self._known.move_to_end(kind)
            if isinstance(known, int) and known < WARM:
                self._known[kind] = known + 1
                self._bound()
                return self.recorder.warm(partial(function, *arguments))
            if isinstance(known, int):
                made = self._recorded(function, arguments, tensors)
                if made is None:
                    self._refused.add(kind)
                    del self._known[kind]
                    return function(*arguments)
                known = self._known[kind] = made
            return known(tensors)

    def _bound(self) -> None:
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def _recorded(
        self, function: Callable[..., Tensor], arguments: tuple[Any, ...], tensors: Sequence[Tensor]
    ) -> _Record | None:
        try:
            buffers = [torch.empty_like(tensor).copy_(tensor) for tensor in tensors]
            places = _with(arguments, iter(buffers))
            return _Record(buffers, tensors, *self.recorder.record(partial(function, *places)))
        except Exception as error:
            first: BaseException = error
            while first.__context__ is not None:  # the end of a capture that failed fails as well
                first = first.__context__
            line = (str(first).strip() or type(first).__name__).splitlines()[0]
            self.notes.append(f"not recorded as a graph, so run as ever: {line}")
            LOG.warning("%s", self.notes[-1])
            return None


class _Record:
    def __init__(
        self, buffers: list[Tensor], given: Sequence[Tensor], replay: Callable[[], object], out: Tensor
    ) -> None:
        self.buffers, self.replay, self.out = buffers, replay, out
        self.held = [_state(tensor) for tensor in given]

    def __call__(self, tensors: Sequence[Tensor]) -> Tensor:
        for index, (buffer, tensor) in enumerate(zip(self.buffers, tensors, strict=True)):
            state = _state(tensor)
            # a text's keys and values are the same tensors in every step: those are not copied again
            if state is None or self.held[index] is None or self.held[index] != state:
                buffer.copy_(tensor)
                self.held[index] = state
        self.replay()
        return self.out.clone()


class _State:
    """A tensor as it is now: the same object, and not written to since."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.writes = tensor, tensor._version

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _State) and self.tensor is other.tensor and self.writes == other.writes

    __hash__ = None  # type: ignore[assignment]


def _state(tensor: Tensor) -> _State | None:
    return None if tensor.is_inference() else _State(tensor)  # of those nobody counts the writes


def _kind(value: Any, found: list[Tensor]) -> Hashable:
    """What must be alike for a record to serve; the tensors are appended to `found`, in order."""
    if isinstance(value, Tensor):
        found.append(value)
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, tuple | list):
        return type(value), *(_kind(item, found) for item in value)
    if isinstance(value, dict):
        return dict, *((name, _kind(item, found)) for name, item in value.items())
    if isinstance(value, float):
        raise TypeError(f"{value} would be recorded for good\n    pass torch.tensor({value})")
    kind: Hashable = value
    return kind


def _with(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same with other tensors in the places of its own."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_with(item, tensors) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(_with(item, tensors) for item in value)
    if isinstance(value, dict):
        return {name: _with(item, tensors) for name, item in value.items()}
    return value


class CudaRecorder:
    """CUDA graphs, and HIP's under the same names: recorded on a stream of their own, in one pool of memory.

    One pool serves all records of a module, since each result is copied before the next replay.
    """

    def __init__(self) -> None:
        self._stream: Any = None
        self._pool: Any = None

    def takes(self, x: Tensor) -> bool:
        """A plain tensor on an accelerator, no gradients wanted, and nobody else recording or tracing."""
        if type(x) is not Tensor or x.device.type != "cuda" or torch.is_grad_enabled():
            return False
        traced = torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0
        return not traced and not torch.cuda.is_current_stream_capturing()

    def warm(self, run: Callable[[], T]) -> T:
        """An ordinary run on the stream on which records are made, where libraries get their workspaces."""
        if self._stream is None:
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        present = torch.cuda.current_stream()
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            out = run()
        present.wait_stream(self._stream)
        if isinstance(out, Tensor):
            out.record_stream(present)
        return out

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Records without running. Other threads may copy meanwhile, as the loader of the next model does."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                out = run()
        except BaseException:
            self._pool = None  # what failed may have left it half used
            raise
        return graph.replay, out


_CAPTURES: WeakKeyDictionary[nn.Module, Captures] = WeakKeyDictionary()


def captures_of(module: nn.Module) -> Captures:
    """The recorded runs of a module, which are forgotten with it: when it is evicted."""
    found = _CAPTURES.get(module)
    if found is None:
        found = _CAPTURES[module] = Captures(CudaRecorder())
    return found
