"""One step of the latent U-Net on a CPU beside diffusers' of the same shape and weights, float32, eager, one thread.

    PYTHONPATH=.:plugins python benchmarks/cpu_unet.py [--budget 120] [--only tiny]

Process CPU time of interleaved rounds. "ours" reads the words in every step, as diffusers does; "ours, words read once"
takes what `LatentUNet.read` gave for the prompt, which in a loop of 25 steps is done once: the output is the same.
Needs diffusers (`pip install "nodeflow-engine[parity]"`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from nodeflow_diffusion.latent_unet import LatentUNet
from nodeflow_diffusion.latent_unet_families import from_diffusers
from nodeflow_diffusion.latent_unet_names import sources
from nodeflow_nn.published import faults, shapes_of, told
from report import goal, line


@dataclass(frozen=True)
class Case:
    """cross: width of the words. heads: of the attentions, by level. attends: which levels do. side: of the latents.
    goal: how many times as fast as diffusers we want to be.
    """

    widths: tuple[int, ...]
    layers: int
    cross: int
    heads: tuple[int, ...]
    attends: tuple[bool, ...]
    side: int
    goal: float


CASES = {
    "tiny, 32/64 channels, 4 heads": Case((32, 64), 1, 32, (4, 4), (True, True), 16, 1.15),
    "64/128/256 channels, 8 heads": Case((64, 128, 256), 2, 64, (8, 8, 8), (True, True, False), 32, 1.05),
    "64/128/256 channels, heads of 64": Case((64, 128, 256), 2, 64, (1, 2, 4), (True, True, False), 32, 1.05),
}
ONCE = "ours, words read once"
LEAST, MOST = 7, 61
"""Rounds."""
BATCH, WORDS = 2, 77


def theirs(case: Case) -> torch.nn.Module:
    """Diffusers' U-Net of a case, with torch's own first weights."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    kinds = case.attends
    return UNet2DConditionModel(
        block_out_channels=case.widths,
        layers_per_block=case.layers,
        cross_attention_dim=case.cross,
        attention_head_dim=case.heads,
        down_block_types=tuple("CrossAttnDownBlock2D" if kind else "DownBlock2D" for kind in kinds),
        up_block_types=tuple("CrossAttnUpBlock2D" if kind else "UpBlock2D" for kind in reversed(kinds)),
    ).eval()


def ours(model: torch.nn.Module) -> LatentUNet:
    """The same network with the same weights."""
    config = from_diffusers(model.config)  # type: ignore[arg-type]
    unet = LatentUNet(config).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    weights = model.state_dict()
    wanted, shapes = sources(unet, "diffusers"), {name: tuple(value.shape) for name, value in weights.items()}
    assert not (found := faults(shapes_of(unet), wanted, shapes, lambda _: True)), told(found)
    for ours_name, value in unet.state_dict().items():
        value.copy_(torch.cat([weights[name] for name in wanted[ours_name]]).reshape(value.shape))
    return unet


def measured(name: str, case: Case, seconds: float) -> dict[str, Any]:
    """A row: CPU seconds a step, the median of as many interleaved rounds as about so many seconds have room for."""
    reference = theirs(case)
    unet = ours(reference)
    torch.manual_seed(0)
    x, context = torch.randn(BATCH, 4, case.side, case.side), torch.randn(BATCH, WORDS, case.cross)
    t = torch.full((BATCH,), 500)
    with torch.inference_mode():
        reading = unet.read(context)
        forms: dict[str, Callable[[], torch.Tensor]] = {
            "diffusers": lambda: reference(x, t, context, return_dict=False)[0],
            "ours": lambda: unet(x, t, context),
            ONCE: lambda: unet(x, t, reading),
        }
        expected = forms["diffusers"]()
        for form in forms.values():
            error = float((form() - expected).abs().max() / expected.abs().max().clamp(min=1))
            assert error < 2e-5, f"the outputs differ by {error:.1e}"
        taken: dict[str, list[float]] = {form: [] for form in forms}
        until = time.monotonic() + seconds
        while len(taken[ONCE]) < LEAST or (len(taken[ONCE]) < MOST and time.monotonic() < until):
            for form, run in forms.items():
                began = time.process_time()
                run()
                taken[form].append(time.process_time() - began)
    median = {form: statistics.median(times) for form, times in taken.items()}
    goals = [goal(form, median["diffusers"] / median[form], ">=", case.goal) for form in ("ours", ONCE)]
    return {"name": name, "reference": "diffusers", "seconds": median, "goals": goals}


def rows(budget: float) -> Iterator[dict[str, Any]]:
    """One row after the other, in about as many seconds of the clock."""
    torch.set_num_threads(1)
    for name, case in CASES.items():
        yield measured(name, case, budget / len(CASES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=120.0)
    parser.add_argument("--only", choices=CASES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = (measured(given.only, CASES[given.only], given.budget),) if given.only else rows(given.budget)
    for row in found:
        print(line(row | {"row": row["name"]}), flush=True)


if __name__ == "__main__":
    main()
