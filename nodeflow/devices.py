"""Devices: which there are, how much they can give, a stream beside computing for copies, and how they fail."""

from __future__ import annotations

import os
import platform
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from nodeflow.errors import Cancelled, GraphError, Problem

if TYPE_CHECKING:
    import torch

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")
LOST = (
    "gpu is lost", "device lost", "driver shutting down", "unspecified launch failure", "illegal memory access",
    "uncorrectable ecc error", "device-side assert", "launch timed out", "no cuda-capable device", "device unavailable",
    "hardware stack error", "cuda error: unknown error", "context is destroyed", "system not yet initialized",
)  # fmt: skip
"""What CUDA says once a process can no longer use a device: every later call fails as well."""
ASKED = re.compile(r"(?:tried to allocate|you tried to allocate) ([\d.]+) ?(bytes|[KMGT]iB)", re.IGNORECASE)
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
LEAST = 2**20
"""Bytes below which a bare number is of no use to any model, so that it must be of another unit than bytes."""
SHARE = 0.8
"""The part of a device's free memory that models may take unless told otherwise; activations need the rest."""
CPU_SHARE = 0.6
"""The same for main memory, which the cache, the system and other programs use as well."""
POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class Device(NamedTuple):
    """A place to compute: "cpu", "cuda:0", "mps", ..."""

    name: str
    description: str
    free: int


class Arrival(Protocol):
    """A moment in a device's work: a copy is done, or a node's computing."""


class Backend(Protocol):
    """What residency and the loader need of devices. Tests have one that keeps accounts of every byte and second."""

    def free(self, device: str) -> int:
        """The bytes that a device could give now."""

    def overlaps(self, device: str) -> bool:
        """Whether models may be copied there while it computes."""

    def computing_on(self, device: str) -> AbstractContextManager[Any]:
        """This thread computes there until the end of the block."""

    def copying(self, device: str, stopped: Callable[[], bool] | None) -> AbstractContextManager[Arrival | None]:
        """What this thread copies in the block goes beside the computing; the arrival is the end of it.

        Args:
            device: where to.
            stopped: asked before each operation; once it says so, Cancelled is raised there.
        """

    def mark(self, device: str) -> Arrival | None:
        """The end of what this thread has asked the device to compute until now."""

    def follow(self, arrival: Arrival | None, device: str) -> None:
        """What this thread computes from now on waits for it, in the device's own time."""

    def wait(self, arrival: Arrival | None) -> None:
        """Waits for it here."""

    def give_back(self) -> None:
        """Hands freed blocks back: in pieces of the old models' shapes they would not fit the new one."""


class TorchBackend:
    """The devices of torch. On CUDA models are copied on a stream of their own; elsewhere in the order of the calls.

    Their memory belongs to that stream. It may be taken again as soon as it is let go, since residency waits for the
    end of its last use before: with `record_stream` it would wait for all that was asked of the device meanwhile.
    """

    def __init__(self) -> None:
        self._streams: dict[str, Any] = {}
        self._lock = threading.Lock()

    def free(self, device: str) -> int:
        return free_bytes(device)

    def overlaps(self, device: str) -> bool:
        return device.startswith("cuda")

    def computing_on(self, device: str) -> AbstractContextManager[Any]:
        if not device.startswith("cuda"):
            return nullcontext()
        import torch

        return torch.cuda.device(device)

    @contextmanager
    def copying(self, device: str, stopped: Callable[[], bool] | None) -> Iterator[Arrival | None]:
        with _stopping(stopped):
            if not device.startswith("cuda"):
                yield None
                return
            import torch

            with self._lock:
                stream = self._streams.setdefault(device, None) or torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
                self._streams[device] = stream
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            with torch.cuda.stream(stream):
                yield copied
                copied.record(stream)

    def mark(self, device: str) -> Arrival | None:
        if not device.startswith("cuda"):
            return None
        import torch

        event: Arrival = torch.cuda.current_stream(device).record_event()
        return event

    def follow(self, arrival: Arrival | None, device: str) -> None:
        if arrival is not None:
            import torch

            torch.cuda.current_stream(device).wait_event(cast("torch.cuda.Event", arrival))

    def wait(self, arrival: Arrival | None) -> None:
        if arrival is not None:
            cast("torch.cuda.Event", arrival).synchronize()

    def give_back(self) -> None:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()


@contextmanager
def _stopping(stopped: Callable[[], bool] | None) -> Iterator[None]:
    """Lets a build that nobody waits for end at its next operation: a model of gigabytes is seconds of copying."""
    if stopped is None:
        yield
        return
    asked = stopped
    from torch.overrides import TorchFunctionMode

    class Stopping(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if asked():
                raise Cancelled
            return func(*args, **(kwargs or {}))

    with Stopping():
        yield


def tensors_in(built: Any) -> list[torch.Tensor]:
    """The tensors that a built model holds, in modules, attributes and collections."""
    import torch

    found: list[torch.Tensor] = []
    seen: set[int] = set()
    stack = [built]
    while stack:
        item = stack.pop()
        if item is None or isinstance(item, (str, bytes, int, float, type)) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, (list, tuple, set, frozenset)):
            stack += item
        else:
            stack.append(getattr(item, "__dict__", None))
    return found


def device_name(device: torch.device | str) -> str:
    """One name for one device: "cuda" is "cuda:0"."""
    name = str(device)
    return "cuda:0" if name == "cuda" else name


def device_names(devices: str) -> tuple[str, ...]:
    """The names in a list such as "cuda:0,cuda:1", each once."""
    return tuple(dict.fromkeys(device_name(name) for part in devices.split(",") if (name := part.strip())))


def default_device() -> str:
    """The fastest device there is."""
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def devices() -> list[Device]:
    """All devices there are, the default one first."""
    import torch

    found = [Device("cpu", f"{platform.machine()}, {torch.get_num_threads()} threads", free_bytes("cpu"))]
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU", free_bytes("mps")))
    for index in range(torch.cuda.device_count()):
        name = f"cuda:{index}"
        told = torch.cuda.get_device_properties(index)
        found.append(Device(name, f"{told.name}, {amount(told.total_memory)}", free_bytes(name)))
    first = default_device()
    return sorted(found, key=lambda device: device.name != first)


def free_bytes(device: str) -> int:
    """The memory that a device could give now."""
    if device.startswith("cuda"):
        import torch

        if torch.cuda.is_available():
            return int(torch.cuda.mem_get_info(device)[0])
    if device == "mps":
        import torch

        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return _free_ram()


def _free_ram() -> int:
    lines = _text("/proc/meminfo").splitlines()
    told = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    # elsewhere than on Linux: half of what is built in, or a guess
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else 4 * 2**30
    free = told[0] if told else half
    limit, used = _text("/sys/fs/cgroup/memory.max").strip(), _text("/sys/fs/cgroup/memory.current").strip()
    # a container sees the host's memory in /proc, and is killed at its own limit
    return min(free, max(int(limit) - int(used), 0)) if limit.isdecimal() and used.isdecimal() else free


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text()
    return ""


def amount(size: float) -> str:
    """Bytes as people read them: "6.9 GB", "35 MB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}" if size < 10 * scale else f"{size / scale:.0f} {unit}"
    return f"{size:.0f} bytes"


def size_of(text: str, option: str = "--vram") -> int:
    """The bytes that a person means by "6GB", "6.5G", "800 MB" or "6GiB"; a bare number, from LEAST on, is of bytes.

    Raises:
        GraphError: it is no size, less than a byte, or a small number without a unit.
    """
    found = SIZE.fullmatch(text.strip())
    size = float(found[1]) * (1024 if found[3] else 1000) ** POWERS[found[2].lower()] if found else 0.0
    if not 1 <= size < 2**63:
        raise GraphError(Problem(f'{option} {text}: expected a size, such as "6GB", "800MB" or "6.5GiB"'))
    if size < LEAST and text.strip()[-1].isdigit():
        meant = f"{text.strip()}{'GB' if size < 1000 else 'MB'}"
        raise GraphError(Problem(f"{option} {text}: {size:g} of which unit?", f'did you mean "{meant}"?'))
    return int(size)


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return any(sign in str(error).lower() for sign in OUT_OF_MEMORY)


def asked_for(error: BaseException) -> int | None:
    """The bytes whose allocation failed, where the error says so."""
    found = ASKED.search(str(error))
    if found is None:
        return None
    unit = found[2].lower()
    return int(float(found[1]) * (1 if unit == "bytes" else 1024 ** POWERS[unit[0]]))


def gone(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that a device is gone for this process."""
    while error is not None:
        text = str(error).lower() if isinstance(error, RuntimeError) else ""
        if ("cuda" in text or "hip" in text or "device" in text or "gpu" in text) and any(s in text for s in LOST):
            return True
        error = error.__cause__ or error.__context__
    return False


def farewell(error: BaseException) -> str:
    """What is told of a device that is gone, and what may be done."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    cure = "nothing more can be computed there: start again, and see what the driver says (nvidia-smi, dmesg)"
    return f"the device was lost: {said}\n    {cure}"
