"""What each way of running a denoiser gains: one guided step of each, against the plain one, in one run.

    python benchmarks/loop_switches.py [--budget 300] [--device cpu|cuda] [--out FILE.json]

Plain is fp32, channels apart, every launch for itself, both texts in one pass. Errors are relative RMS against it after
8 steps. On a CPU times are of the process, by one thread; on a GPU they are those of a clock.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from clocks import interleaved, on_cpu
from nodeflow_diffusion.execution import Execution, lacks_bf16, lacks_compiler
from nodeflow_diffusion.guidance import Estimates, guided
from nodeflow_diffusion.levels import flow_levels
from nodeflow_diffusion.nodes import guide, load
from nodeflow_diffusion.recipes import run_as
from nodeflow_diffusion.samplers import euler, moved
from nodeflow_diffusion.unet import UNet, UNetConfig
from nodeflow_nn.weights import save_weights
from torch import Tensor

from nodeflow import Context, Denoiser, Model, TextEmbedding

Row = dict[str, Any]
PLAIN = Execution(channels_last=False, capture=False)
SWITCHES = {
    "plain": PLAIN,
    "channels_last": Execution(channels_last=True, capture=False),
    "two passes": Execution(channels_last=False, capture=False, batch_guidance=False),
    "bf16": Execution("bf16", channels_last=False, capture=False),
    "bf16 channels_last": Execution("bf16", channels_last=True, capture=False),
    "capture": Execution(channels_last=False),
    "bf16 channels_last capture": Execution("bf16", channels_last=True),
}
COMPILED = {
    "compile": Execution(channels_last=False, compile=True, capture=False),
    "compile bf16 channels_last": Execution("bf16", channels_last=True, compile=True, capture=False),
    "compile bf16 channels_last capture": Execution("bf16", channels_last=True, compile=True),
}
GROUP = "loop"
STEPS = 8
COMPILING = 120.0
"""Seconds that must be left before a network is compiled."""


class Keeping(Context):
    """Keeps what it has built, as a run does."""

    def __init__(self, device: str) -> None:
        self.device, self.kept = device, dict[Model, Any]()

    def load(self, recipe: Any) -> Any:
        if not isinstance(recipe, Model):
            return recipe.assemble(self.load)
        if recipe not in self.kept:
            self.kept[recipe] = recipe.build(self.device)
        return self.kept[recipe]


def on_gpu(run: Callable[[], Any]) -> Callable[[], float]:
    """Makes a run ready; each round gives seconds of the clock for a run, launches included."""
    for _ in range(5):
        run()

    def one_round(runs: int = 10) -> float:
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(runs):
            run()
        torch.cuda.synchronize()
        return (time.perf_counter() - begun) / runs

    return one_round


def networks(folder: Path) -> Iterator[tuple[str, Denoiser, tuple[int, ...]]]:
    """A name, the denoiser, and the shape of its latents: the shipped ones, and a larger U-Net of random weights."""
    yield "shipped U-Net", load("shapes:unet"), (1, 16, 8, 8)
    yield "shipped transformer", load("shapes:transformer"), (1, 16, 8, 8)
    torch.manual_seed(0)
    module = UNet(UNetConfig(channels=4, widths=(64, 128, 256), head_width=32))
    for weight in module.parameters():  # some begin with zeros, through which nothing is seen
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.02)
    path = folder / "middle.safetensors"
    save_weights(path, module, "unet", module.config, {"space": {"name": "bench", "channels": 4, "factor": 8}})
    yield "U-Net of 64/128/256 channels", load(str(path)), (1, 4, 32, 32)


def bound(denoiser: Denoiser, device: str) -> Denoiser:
    """With two drawn texts of 16 words and guidance."""
    config = denoiser.network.lay_out().config  # type: ignore[attr-defined]
    texts = []
    for seed in (1, 2):
        draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
        mask = torch.ones(1, 16, dtype=torch.bool)
        texts.append(TextEmbedding(draw(1, 16, config.context_width), mask, draw(1, config.pooled_width)))
    at = [TextEmbedding(*(part.to(device) for part in (t.tokens, t.mask, t.pooled))) for t in texts]  # type: ignore[union-attr]
    return guide(denoiser, *at, scale=2.0)


def applies(how: Execution, device: torch.device) -> str:
    """Why a switch cannot be measured on a device; "" if it can."""
    if how.capture and device.type == "cpu":
        return "graphs are recorded on a GPU"
    if how.precision == "bf16" and lacks_bf16(device):
        return f"{device} has no bf16"
    return lacks_compiler(device) if how.compile else ""


def measured(
    name: str, denoiser: Denoiser, shape: tuple[int, ...], switches: Mapping[str, Execution], device: str
) -> Row:
    """One network under several switches: seconds a guided step, errors, and why some are missing."""
    context, ways = Keeping(device), flow_levels(STEPS)
    start = context.noise(0, shape)
    pairs = list(pairwise(ways))
    forms: dict[str, Callable[[], Tensor]] = {}
    left_out = {switch: why for switch, how in switches.items() if (why := applies(how, torch.device(device)))}
    ends: dict[str, Tensor] = {}
    for switch, how in switches.items():
        if switch not in left_out:
            denoise = context.load(run_as(denoiser, how)).estimates
            ends[switch] = euler(denoise, start, pairs)
            forms[switch] = partial(euler, denoise, start, pairs[3:4])
    seconds, failed = interleaved(on_cpu if device == "cpu" else on_gpu, forms, rounds=15)
    plain = ends["plain"].double()
    errors = {switch: float((end.double() - plain).norm() / plain.norm()) for switch, end in ends.items()}
    row = {"group": GROUP, "name": f"{name}, {device}", "reference": "plain", "seconds": seconds, "errors": errors}
    return row | {"left_out": left_out | failed}


def fused_step(shape: tuple[int, ...], device: str) -> Row:
    """Guidance and DDPM's update, the published way, and as one step."""
    draw = Keeping(device).noise
    cond, uncond, x, noise = (draw(seed, shape) for seed in range(4))
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (0.4, 0.6), (0.5, 0.5)

    def published() -> Tensor:
        x_0 = guided(cond, uncond, 2.0)
        alpha_ts = alpha_t / alpha_s
        variance_ts = sigma_t**2 - alpha_ts**2 * sigma_s**2
        moved_on: Tensor = (alpha_ts * sigma_s**2 * x + alpha_s * variance_ts * x_0) / sigma_t**2
        return moved_on + variance_ts**0.5 * sigma_s / sigma_t * noise

    def fused() -> Tensor:
        alpha_ts = alpha_t / alpha_s
        variance_ts = sigma_t**2 - alpha_ts**2 * sigma_s**2
        c_x, c_0 = alpha_ts * sigma_s**2 / sigma_t**2, alpha_s * variance_ts / sigma_t**2
        c_noise = variance_ts**0.5 * sigma_s / sigma_t
        return moved(x, Estimates(cond, uncond, 2.0), c_x, c_0, c_noise, lambda: noise)

    seconds, _ = interleaved(on_cpu if device == "cpu" else on_gpu, {"plain": published, "fused": fused}, rounds=15)
    error = float((fused().double() - published().double()).norm() / published().double().norm())
    name = f"guidance and update of {'x'.join(map(str, shape))}, {device}"
    return {"group": GROUP, "name": name, "reference": "plain", "seconds": seconds, "errors": {"fused": error}}


def rows(budget: float, device: str | None = None) -> Iterator[Row]:
    """One row after the other until the budget, in seconds of the clock, is spent; compiled networks last.

    A row: group, name, reference (the candidate that others are compared with), seconds and errors by candidate,
    left_out (why others are missing); or skipped, the reason why there is nothing.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    until = time.monotonic() + budget
    if device == "cpu":
        torch.set_num_threads(1)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        for shape in ((1, 16, 8, 8), (2, 4, 64, 64)):
            yield fused_step(shape, device)
        found = [(name, bound(denoiser, device), shape) for name, denoiser, shape in networks(Path(folder))]
        for name, denoiser, shape in found:
            yield measured(name, denoiser, shape, SWITCHES, device)
        for name, denoiser, shape in found:
            if time.monotonic() + COMPILING > until:
                yield {"group": GROUP, "name": f"{name} compiled, {device}", "skipped": "the budget is spent"}
            else:
                yield measured(f"{name} compiled", denoiser, shape, {"plain": PLAIN, **COMPILED}, device)


def told(row: Row) -> str:
    """A row as people read it."""
    if "skipped" in row:
        return f"{row['name']}: {row['skipped']}"
    plain = row["seconds"][row["reference"]]
    lines = [f"{row['name']}: plain {plain * 1e3:.3g} ms"]
    for name, seconds in row["seconds"].items():
        if name != row["reference"]:
            lines.append(f"  {name}: {seconds * 1e3:.3g} ms, {plain / seconds:.2f}x, error {row['errors'][name]:.1e}")
    return "\n".join([*lines, *(f"  {name}: {why}" for name, why in row.get("left_out", {}).items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=300.0)
    parser.add_argument("--device")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    taken: list[Row] = []
    for row in rows(asked.budget, asked.device):
        taken.append(row)
        print(told(row), flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(taken, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
