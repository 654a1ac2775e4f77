"""What a machine can do, measured once: products, convolutions, copies, and what each operator costs by itself."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nodeflow.folders import cache_folder
from nodeflow.regular import open_file
from nodeflow.residency import computing

FORMAT = 1
LONGEST = 64 * 1024
"""Bytes of a file of figures that are read; one takes five hundred."""
ROUNDS = 25
"""Each figure is the best of so many rounds: what else runs on the machine only ever makes one slower."""
ROUND = 0.002
"""Seconds that a round lasts at least: short enough that others seldom come between."""


@dataclass(frozen=True)
class Ceilings:
    """Figures of one device, in seconds, FLOP/s and bytes/s.

    operator: what any operator costs. matmul, convolution: FLOP/s of large ones. small_matmul, small_convolution: what
    a small one costs besides. copy: bytes read and written a second. load: bytes of weights a second, from a file that
    the system has in memory.
    """

    operator: float
    matmul: float
    small_matmul: float
    convolution: float
    small_convolution: float
    copy: float
    load: float

    def price(self, kind: str, flops: float, size: float) -> float:
        """Seconds of one operator: what it costs by itself, its arithmetic, and its bytes, one after the other."""
        if kind == "view":
            return self.operator / 2
        seconds = self.operator + size / self.copy
        if kind == "matmul":
            return seconds + self.small_matmul + flops / self.matmul
        if kind == "convolution":
            return seconds + self.small_convolution + flops / self.convolution
        return seconds

    def loading(self, size: float) -> float:
        """Seconds until a model of so many bytes has been read."""
        return size / self.load


def ceilings_of(device: str, *, anew: bool = False) -> Ceilings:
    """The figures of a device of this machine: remembered, or measured now, which takes a second or so."""
    path = _path(device)
    if not anew and (found := _read(path)) is not None:
        return found
    measured = measure(device)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    text = json.dumps({"nodeflow ceilings": FORMAT, "key": _key(device), "figures": asdict(measured)}, indent=1)
    with contextlib.suppress(OSError):  # where nothing can be kept it is measured each time
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, "utf-8")
        os.replace(partial, path)
    return measured


def _key(device: str) -> dict[str, Any]:
    about = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    return {"machine": platform.node(), "device": device, "about": about, "torch": torch.__version__,
            "threads": torch.get_num_threads()}  # fmt: skip


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _path(device: str) -> Path:
    digest = hashlib.blake2b(json.dumps(_key(device), sort_keys=True).encode(), digest_size=16).hexdigest()
    return cache_folder() / "ceilings" / f"{digest}.json"


def _read(path: Path) -> Ceilings | None:
    """What a file says; None where it is absent, damaged, or of another version."""
    try:
        with open_file(path) as file:
            told = json.loads(file.read(LONGEST))
        figures: Mapping[str, float] = told["figures"] if told["nodeflow ceilings"] == FORMAT else {}
        found = Ceilings(**{item.name: float(figures[item.name]) for item in fields(Ceilings)})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if all(math.isfinite(value) and value >= 0 for value in asdict(found).values()) else None


def measure(device: str) -> Ceilings:
    """Measures a device."""

    def filled(*shape: int) -> torch.Tensor:
        return torch.full(shape, 0.1, device=device)

    with computing():
        tiny, layers = filled(1, 8), _small_layers(device)
        operator = _seconds(lambda: layers(tiny), device) / 5
        block = filled(2**22)
        copy = 2 * 4 * 2**22 / _seconds(lambda: block.add(1.0), device)
        matmul, small_matmul = _line(
            lambda x, w: x @ w, (filled(64, 128), filled(128, 384)), (filled(512, 768), filled(768, 1024)),
            lambda x, w: 2.0 * x.shape[0] * w.numel(), operator, device,
        )  # fmt: skip
        convolution, small_convolution = _line(
            lambda x, w: torch.conv2d(x, w, padding=1),
            (filled(2, 64, 8, 8), filled(64, 64, 3, 3)), (filled(2, 192, 16, 16), filled(192, 192, 3, 3)),
            lambda x, w: 2.0 * x.shape[0] * x.shape[2] * x.shape[3] * w.numel(), operator, device,
        )  # fmt: skip
    return Ceilings(operator, matmul, small_matmul, convolution, small_convolution, copy, _loading())


def _small_layers(device: str) -> nn.Module:
    """Five operators in four layers: what stands around an operator in a network costs as well."""
    with torch.random.fork_rng(devices=[]):
        layers = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8, bias=False))
    return layers.to(device).requires_grad_(False)


def _line(
    run: Callable[..., Any], small: tuple[Any, Any], large: tuple[Any, Any], flops: Callable[..., float],
    operator: float, device: str,
) -> tuple[float, float]:  # fmt: skip
    """FLOP/s of the large case, and what the small one takes beyond that and an operator's own cost."""
    rate = flops(*large) / _seconds(lambda: run(*large), device)
    rest = _seconds(lambda: run(*small), device) - flops(*small) / rate - operator
    return rate, max(rest, 0.0)


def _loading() -> float:
    """Bytes a second that are hashed and copied: what reading weights that the system has in memory comes down to."""
    data = bytearray(2**20)

    def load() -> torch.Tensor:
        hashlib.blake2b(data, digest_size=16)
        return torch.frombuffer(data, dtype=torch.float16).float()

    return 2 * len(data) / _seconds(load, "cpu")


def _seconds(run: Callable[[], Any], device: str) -> float:
    """Seconds of one call, the best of a few rounds."""
    wait: Callable[[], object] = torch.cuda.synchronize if device.startswith("cuda") else int
    # where one thread computes, its CPU time is the same without the pauses that other programs make
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    run()
    times, best = 1, math.inf
    for _ in range(ROUNDS):
        while True:
            wait()
            began = clock()
            for _ in range(times):
                run()
            wait()
            took = clock() - began
            if took >= ROUND:
                break
            times = max(2 * times, math.ceil(times * ROUND / max(took, 1e-9)))
        best = min(best, took / times)
    return best
