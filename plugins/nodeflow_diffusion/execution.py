"""How a denoiser's network is run: numbers, memory layout, compiler, recorded graphs, batches. What it computes stays.

Weights and activations are of the precision asked for. The sums within norms and softmax, the schedule's arithmetic,
the sampler's state and guidance are float32 always.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Execution:
    """How a network is run.

    precision: of its weights and activations. channels_last: convolutions with a cell's channels side by side; None
    where that is faster. compile: by torch.compile, for each shape. capture: on a GPU, as a recorded graph.
    batch_guidance: both texts of a guidance in one pass. read_once: what the network makes of a text, its keys and
    values, is computed once for all steps. The last three say nothing of the network in memory, so one that differs in
    no more than these is the same.
    """

    precision: Precision = "fp32"
    channels_last: bool | None = None
    compile: bool = False
    capture: bool = field(default=True, compare=False)
    batch_guidance: bool = field(default=True, compare=False)
    read_once: bool = field(default=True, compare=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""
        return DTYPES[self.precision]

    def bytes(self, as_float32: int) -> int:
        """What weights take that would take so many bytes as float32."""
        return as_float32 * self.dtype.itemsize // 4

    def judge(self, device: torch.device | str) -> None:
        """Refuses what the device cannot do, or only slower than without.

        Raises:
            ValueError: half precision that it lacks; compiling without a compiler.
        """
        device = torch.device(device)
        if self.precision == "fp16" and device.type == "cpu":
            raise ValueError(
                "fp16 on a CPU is slower than fp32, where it works at all\n"
                "    choose bf16 or fp32 (diffusion.execution: precision)"
            )
        if self.precision == "bf16" and lacks_bf16(device):
            raise ValueError(f"{device} has no bf16\n    choose fp16 or fp32 (diffusion.execution: precision)")
        if self.compile and (missing := lacks_compiler(device)):
            cure = "install it, or leave compile off (diffusion.execution)"
            raise ValueError(f"torch.compile needs {missing}\n    {cure}")

    def arranged(self, module: nn.Module, device: torch.device | str) -> nn.Module:
        """A module that was just built on the device, laid out and compiled as asked."""
        convolves = any(isinstance(layer, nn.Conv2d) for layer in module.modules())
        if convolves and (self.channels_last_pays(device) if self.channels_last is None else self.channels_last):
            module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compile:
            module.compile(dynamic=False)
        return module

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
    compilers = [os.environ.get("CXX", ""), os.environ.get("CC", ""), "c++", "g++", "clang++", "gcc", "clang", "cl"]
    return "" if any(name and shutil.which(name) for name in compilers) else "a C++ compiler"


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
