"""How a denoiser's network is run: numbers, memory layout, compiler, recorded graphs, batches. What it computes stays.

Weights and activations are of the precision asked for. The sums within norms and softmax, the schedule's arithmetic,
the sampler's state and guidance are float32 always.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

import torch
from nodeflow_nn.eightbit import Held, hold
from torch import Tensor, nn

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


Storage = Literal["same", "fp8"]
NOTHING = Held()


class Unsuited(ValueError):
    """A device that cannot run a network as asked; `port` is the input of diffusion.execution that asks for it."""

    def __init__(self, port: str, message: str) -> None:
        super().__init__(message)
        self.port = port


@dataclass(frozen=True)
class Execution:
    """How a network is run.

    precision: of its weights and activations. channels_last: convolutions with a cell's channels side by side; None
    where that is faster. compile: by torch.compile, for each shape. capture: on a GPU, as a recorded graph.
    batch_guidance: both texts of a guidance in one pass. read_once: what the network makes of a text, its keys and
    values, is computed once for all steps. These three say nothing of the network in memory, so one that differs in
    no more than these is the same. storage: of the weights of its linear layers and convolutions; fp8 holds them in
    half the bytes of bf16, and makes them of the precision's type whenever a layer computes.
    """

    precision: Precision = "fp32"
    channels_last: bool | None = None
    compile: bool = False
    capture: bool = field(default=True, compare=False)
    batch_guidance: bool = field(default=True, compare=False)
    read_once: bool = field(default=True, compare=False)
    storage: Storage = "same"

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""
        return DTYPES[self.precision]

    @property
    def eight(self) -> bool:
        """Whether layers hold their weights in 8 bits."""
        return self.storage == "fp8"

    def bytes(self, as_float32: int, held: Held = NOTHING) -> int:
        """What weights take that would take so many bytes as float32; `held`: what of them can be held in 8 bits."""
        if not self.eight:
            return as_float32 * self.dtype.itemsize // 4
        others = as_float32 // 4 - held.numbers + held.scales
        return held.numbers + others * self.dtype.itemsize

    def judge(self, device: torch.device | str) -> None:
        """Refuses what the device cannot do, or only slower than without.

        Raises:
            Unsuited: half precision that it lacks; compiling without a compiler.
        """
        device = torch.device(device)
        if self.precision == "fp16" and device.type == "cpu":
            raise Unsuited(
                "precision",
                "fp16 on a CPU is slower than fp32, where it works at all\n"
                "    choose bf16 or fp32 (diffusion.execution: precision)",
            )
        if self.precision == "bf16" and lacks_bf16(device):
            cure = "choose fp16 or fp32 (diffusion.execution: precision)"
            raise Unsuited("precision", f"{device} has no bf16\n    {cure}")
        if self.eight and device.type == "mps":
            cure = "leave storage as it is (diffusion.execution)"
            raise Unsuited("storage", f"{device} has no numbers of 8 bits\n    {cure}")
        if self.compile and (missing := lacks_compiler(device)):
            cure = "install it, or leave compile off (diffusion.execution)"
            raise Unsuited("compile", f"torch.compile needs {missing}\n    {cure}")

    def laid_out(self, module: nn.Module) -> nn.Module:
        """A module without memory, its tensors of the types that they will have."""
        module = module if self.dtype == torch.float32 else module.to(self.dtype)
        if self.eight:
            hold(module, self.dtype)
        return module

    def arranged(self, module: nn.Module, device: torch.device | str) -> nn.Module:
        """A module that was just built on the device, laid out and compiled as asked."""
        convolves = any(isinstance(layer, nn.Conv2d) for layer in module.modules())
        if convolves and self.lays_channels_last(device):
            module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compile:
            module.compile(dynamic=False)
        return module

    def lays_channels_last(self, device: torch.device | str) -> bool:
        """Whether convolutions have a cell's channels side by side there."""
        return self.channels_last_pays(device) if self.channels_last is None else self.channels_last

    def channels_last_pays(self, device: torch.device | str) -> bool:
        """On a CPU by 7 to 10 % (see benchmarks/loop_switches.py); on a GPU tensor cores of half precision want it."""
        return torch.device(device).type == "cpu" or self.precision != "fp32"


def lacks_bf16(device: torch.device) -> bool:
    """Whether a GPU is of before bf16 (Ampere, CDNA); CPUs compute in it, be it slowly."""
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return not torch.cuda.is_bf16_supported(including_emulation=False)


def lacks_compiler(device: torch.device) -> str:
    """The program that compiling for a device needs and that is not there, or ""."""
    if device.type == "cuda" and find_spec("triton") is None:
        return "Triton for a GPU"
    # the one that torch calls: no other is looked for
    compiler = os.environ.get("CXX", {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++"))
    return "" if shutil.which(compiler) else f'a C++ compiler, and there is no "{compiler}" (CXX names another)'


def fastest_precision() -> Precision:
    """bf16 if the device that is used by default is known to be faster with it, else fp32.

    That is so of GPUs from Ampere and CDNA on, and of CPUs with AMX or AVX512-bf16 (1.57 times, measured on a U-Net of
    64/128/256 channels); others widen each number first, and are several times slower.
    """
    if torch.cuda.is_available():
        return "fp32" if lacks_bf16(torch.device("cuda:0")) else "bf16"
    if torch.backends.mps.is_available():
        return "fp32"
    return "bf16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "fp32"


def levels(value: float | Tensor, x: Tensor) -> Tensor:
    """A noise level for all, or one each of a batch, as float32 [B] on the device of x."""
    if isinstance(value, Tensor):
        return value.to(x.device, torch.float32).expand(len(x))
    return torch.full((len(x),), value, dtype=torch.float32, device=x.device)
