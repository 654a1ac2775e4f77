"""One denoising step of the U-Nets of Stable Diffusion: as nodeflow runs it, eagerly in plain torch, and compiled.

The numbers in the networks are random: time does not depend on them. What stands for everybody's eager step is
diffusers' own network where that is installed, else nodeflow's with torch's plain functions in place of the kernels.
"""

import copy
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from functools import cached_property, partial
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import torch
from clocks import Prepare, interleaved, on_cpu
from nodeflow_nn.capture import captures_of
from report import ROOT, Report, Row, goal
from torch import Tensor, nn
from torch.nn import functional as F

STEP = "One step of a U-Net"
COMPILED = "One step of a U-Net, torch.compile"


class Setup(NamedTuple):
    """A network and a step of it, and how many times as fast as eager and as compiled it is to be.

    config: of a LatentUNet. theirs: the same for diffusers' UNet2DConditionModel. side: of the latents. compiling:
    seconds that torch.compile takes, at a guess.
    """

    name: str
    config: dict[str, Any]
    theirs: dict[str, Any]
    side: int
    eager: float
    compiled: float
    compiling: float


XL = {
    "block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
SETUPS = (
    Setup("SD 1.5, 64x64, batch 2", {}, {"cross_attention_dim": 768}, 64, 2.0, 1.1, 90),
    Setup(
        "SDXL, 128x128, batch 2",
        {
            "widths": (320, 640, 1280), "depths": (0, 2, 10), "middle_depth": 10, "heads": (5, 10, 20),
            "context_width": 2048, "vector_width": 2816,
        },
        XL, 128, 1.45, 1.05, 180,
    ),
)  # fmt: skip
TINY = Setup(
    "tiny, 16x16, batch 2",
    {"widths": (32, 64), "depths": (1, 1), "heads": (2, 2), "layers": 1, "context_width": 64, "groups": 8},
    {
        "block_out_channels": (32, 64), "cross_attention_dim": 64, "attention_head_dim": 2, "layers_per_block": 1,
        "norm_num_groups": 8, "down_block_types": ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2,
    },
    16, 0, 0, 0,
)  # fmt: skip


def network_file(name: str) -> ModuleType:
    """The file of the U-Net as a module of its own: its package would import the engine, which may not be there."""
    path = ROOT / "plugins" / "nodeflow_diffusion" / "latent_unet.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v)


def plain_geglu(x: Tensor) -> Tensor:
    x, gate = x.chunk(2, -1)
    return x * F.gelu(gate)


def plain_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, *, eps: float, act: str) -> Tensor:
    y = F.group_norm(x, groups, weight, bias, eps)
    return F.silu(y) if act == "silu" else y


class Eager(NamedTuple):
    """A step as everybody runs it."""

    name: str
    module: nn.Module
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def by(self, module: nn.Module) -> Callable[[], Any]:
        """The step by the module itself, or by what has been made of it."""
        return partial(module, *self.arguments, **self.options)


class Step:
    """The arguments of a step, and the ways to run it."""

    def __init__(self, setup: Setup, device: str, dtype: torch.dtype) -> None:
        torch.manual_seed(7)
        ours, plain = network_file("bench_unet"), network_file("bench_plain_unet")
        plain.attention, plain.geglu, plain.group_norm_act = plain_attention, plain_geglu, plain_norm  # type: ignore[attr-defined]
        config = ours.LatentUNetConfig(**setup.config)
        with torch.device(device):
            network = ours.LatentUNet(config).to(dtype).eval().requires_grad_(False)
        self.setup, self.device, self.dtype = setup, device, dtype
        self.plain: nn.Module = plain.LatentUNet(config).to(device, dtype).eval().requires_grad_(False)
        self.plain.load_state_dict(network.state_dict())
        self.ours: Any = network.to(memory_format=torch.channels_last)
        self.x = self.drawn(2, config.channels_in, setup.side, setup.side)
        self.t = torch.tensor([500.0, 500.0], device=device)
        self.context = self.drawn(2, 77, config.context_width)
        self.vector = (self.drawn(2, config.vector_width),) if config.vector_width else ()
        self.words = self.ours.read(self.context)

    def drawn(self, *shape: int) -> Tensor:
        return torch.randn(*shape, device=self.device, dtype=self.dtype)

    def run(self, words: Any, key: str, **environment: str) -> Tensor:
        """nodeflow's step, on a GPU recorded and replayed."""
        with mock.patch.dict(os.environ, environment):
            y: Tensor = captures_of(self.ours).run(self.ours, self.x, self.t, words, *self.vector, key=key)
            return y

    @cached_property
    def everybodys(self) -> Eager:
        """What everybody runs."""
        try:
            from diffusers import UNet2DConditionModel
        except ImportError:
            return Eager("eager, plain torch", self.plain, (self.x, self.t, self.context, *self.vector), {})
        theirs = UNet2DConditionModel(sample_size=self.setup.side, **self.setup.theirs)
        theirs = theirs.to(self.device, self.dtype).eval().requires_grad_(False)
        added = {"text_embeds": self.drawn(2, 1280), "time_ids": self.drawn(2, 6)} if self.vector else None
        options = {"added_cond_kwargs": added, "return_dict": False}
        return Eager("eager, diffusers", theirs, (self.x, self.t, self.context), options)

    def far(self) -> float:
        """How far nodeflow's step is from the plain one, relative to its size."""
        exact = self.plain(self.x, self.t, self.context, *self.vector).float()
        return float((self.run(self.words, "check").float() - exact).norm() / exact.norm())


def on_gpu(run: Callable[[], Any]) -> Callable[[], float]:
    """As `on_cpu`, in seconds on the wall: what a CPU takes to launch counts as well."""

    def timed(count: int) -> float:
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            run()
        torch.cuda.synchronize()
        return (time.perf_counter() - began) / count

    timed(4)  # tunes, settles, records
    count = max(1, min(50, int(0.1 / timed(2))))
    return lambda: timed(count)


def beside_eager(setup: Setup, device: str, dtype: torch.dtype, prepare: Prepare) -> tuple[Row, Step]:
    """nodeflow's step and the same without each of its parts, beside everybody's eager one."""
    step = Step(setup, device, dtype)
    eager = step.everybodys
    name = eager.name
    forms = {name: eager.by(eager.module), "nodeflow": partial(step.run, step.words, "")}
    forms["words read in every step"] = partial(step.run, step.context, "")
    if device == "cuda":
        forms["not recorded"] = partial(step.ours, step.x, step.t, step.words, *step.vector)
        forms["torch's kernels"] = partial(step.run, step.words, "torch", NODEFLOW_KERNELS="torch")
    if eager.module is step.plain:
        note = "eager is nodeflow's own network in torch's plain functions, since diffusers is not installed"
    else:
        note = "eager is diffusers' network of the same shape, without cached keys and values"
        forms["eager, plain torch"] = partial(step.plain, step.x, step.t, step.context, *step.vector)
    seconds, failed = interleaved(prepare, forms)
    row: Row = {"group": STEP, "row": f"{setup.name}, {str(dtype).removeprefix('torch.')}", "seconds": seconds}
    told = [
        note,
        f"nodeflow is {step.far():.1g} off the plain step",
        *(f"{one} failed: {why}" for one, why in failed.items()),
    ]
    if setup.eager and {name, "nodeflow"} <= set(seconds):
        row["goals"] = [goal("eager / nodeflow", seconds[name] / seconds["nodeflow"], ">=", setup.eager)]
    return row | {"reference": name, "note": "; ".join(told)}, step


def beside_compiled(step: Step, mode: str) -> Row:
    """nodeflow's step beside everybody's step after torch.compile in a mode."""
    began = time.monotonic()
    compiled = copy.copy(step.everybodys.module)
    compiled.compile(mode=mode, dynamic=False)
    form = step.everybodys.by(compiled)
    form()
    took = time.monotonic() - began
    label = f"torch.compile, {mode}"
    seconds, failed = interleaved(on_gpu, {label: form, "nodeflow": partial(step.run, step.words, "")})
    row: Row = {"group": COMPILED, "row": f"{step.setup.name}, {mode}", "seconds": seconds, "reference": label}
    if len(seconds) == 2:
        row["goals"] = [goal("compiled / nodeflow", seconds[label] / seconds["nodeflow"], ">=", step.setup.compiled)]
    told = [f"{step.everybodys.name.partition(', ')[2]}; compiling took {took:.0f} s", *failed.values()]
    return row | {"note": "; ".join(told)}


def gpu(report: Report) -> None:
    """All steps beside eager first, then compiled ones as long as there is time: those take minutes."""
    report.group(STEP, "bfloat16, words of 77 tokens; wall seconds, launches included.", "times as fast as eager")
    steps: list[Step] = []
    for setup in SETUPS:
        if report.room(STEP, setup.name, 40):
            row, step = beside_eager(setup, "cuda", torch.bfloat16, on_gpu)
            report.add(row)
            steps.append(step)
    report.group(COMPILED, "The same beside torch.compile, in the same rounds.", "times as fast as compiled")
    for mode in ("default", "reduce-overhead"):
        for step in steps:
            name = f"{step.setup.name}, {mode}"
            if report.room(COMPILED, name, step.setup.compiling):
                try:
                    report.add(beside_compiled(step, mode))
                except Exception as error:  # a compiler that fails leaves the rest of the table
                    report.skip(COMPILED, name, f"{type(error).__name__}: {str(error).splitlines()[0][:160]}")


def cpu(report: Report) -> None:
    """The same code, tiny: what a CPU can tell of it."""
    report.group(STEP, "One thread, CPU seconds; nothing is recorded or compiled.", "times as fast as eager")
    for dtype in (torch.float32, torch.bfloat16):
        if report.room(STEP, f"{TINY.name}, {str(dtype).removeprefix('torch.')}"):
            report.add(beside_eager(TINY, "cpu", dtype, on_cpu)[0])
