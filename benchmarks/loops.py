"""The whole guided loop beside diffusers' pipeline, on a CPU: the same weights, noise, words and steps.

    PYTHONPATH=.:plugins python benchmarks/loops.py [--budget 120] [--out benchmarks/results]

StableDiffusionPipeline is given the words and the noise, and gives latents, so nothing but its denoising loop is
measured; ours is the node diffusion.sample. DDIM, float32, eager, one thread; CPU seconds of interleaved rounds, and
the latents agree. Needs diffusers (`pip install "nodeflow-engine[parity]"`).
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from adapters import Kept
from cpu_unet import CASES, WORDS, Case, theirs
from nodeflow_diffusion.checkpoint_nodes import load_unet
from nodeflow_diffusion.nodes import empty, guide
from nodeflow_diffusion.sampling_nodes import sample, schedule
from report import RESULTS, Report, goal, machine
from torch import Tensor

from nodeflow import Latent, TextEmbedding

GROUP, STEPS, SCALE = "The guided loop beside diffusers'", 10, 7.5
LEAST, MOST = 3, 25
"""Rounds."""


def pipeline(unet: Any) -> Any:
    """Diffusers' pipeline of a U-Net; its other parts are not asked for anything but their sizes."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline

    made = StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(32,) * 4, down_block_types=("DownEncoderBlock2D",) * 4,
                          up_block_types=("UpDecoderBlock2D",) * 4),
        text_encoder=None, tokenizer=None, unet=unet, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            timestep_spacing="trailing", set_alpha_to_one=True, steps_offset=1,
        ),
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


def loops(case: Case, folder: Path) -> dict[str, Callable[[], Tensor]]:
    """Both loops for one picture, made ready."""
    unet = theirs(case)
    unet.save_pretrained(folder / "unet")  # type: ignore[operator]
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 4, case.side, case.side, generator=draw)
    words = torch.randn(2, 1, WORDS, case.cross, generator=draw)
    made, side = pipeline(unet), 8 * case.side

    def diffusers() -> Tensor:
        found: Tensor = made(
            prompt_embeds=words[0], negative_prompt_embeds=words[1], latents=noise, num_inference_steps=STEPS,
            guidance_scale=SCALE, height=side, width=side, output_type="latent",
        ).images  # fmt: skip
        return found

    there = torch.ones(1, WORDS, dtype=torch.bool)
    denoiser = load_unet(str(folder / "unet"), "eps")
    guided = guide(denoiser, *(TextEmbedding(part, there) for part in words), scale=SCALE)
    latent, levels, kept = empty(denoiser, side, side), schedule("scaled_linear"), Kept()

    def ours() -> Tensor:
        return sample(guided, latent, levels, Latent(noise, latent.space), steps=STEPS, ctx=kept).samples

    return {"diffusers": diffusers, "ours": ours}


def measured(name: str, case: Case, seconds: float, folder: Path) -> dict[str, Any]:
    """A row: CPU seconds a picture, the median of as many interleaved rounds as about so many seconds have room for."""
    with torch.no_grad():
        forms = loops(case, folder)
        expected, found = (run() for run in forms.values())
        error = float((found - expected).abs().max() / expected.abs().max())
        assert error < 1e-3, f"the latents differ by {error:.1e}"
        taken: dict[str, list[float]] = {form: [] for form in forms}
        until = time.monotonic() + seconds
        while len(taken["ours"]) < LEAST or (len(taken["ours"]) < MOST and time.monotonic() < until):
            for form, run in forms.items():
                began = time.process_time()
                run()
                taken[form].append(time.process_time() - began)
    median = {form: statistics.median(times) for form, times in taken.items()}
    goals = [goal("ours", median["diffusers"] / median["ours"], ">=", 1.0)]
    note = f"{STEPS} guided steps of a picture of {8 * case.side} x {8 * case.side}; the latents differ by {error:.1g}"
    return {"group": GROUP, "row": name, "seconds": median, "reference": "diffusers", "goals": goals, "note": note}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=120.0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON, the table and the picture")
    given = parser.parse_args(argv)
    if find_spec("diffusers") is None:
        sys.exit('diffusers is not installed: pip install "nodeflow-engine[parity]"')
    torch.set_num_threads(1)
    report = Report(given.out / "loops.json", "Whole loops on a CPU", given.budget, machine())
    report.group(GROUP, "CPU seconds a picture, one thread.", "times as fast as diffusers")
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            report.add(measured(name, case, given.budget / len(CASES), Path(folder)))
    report.finish()


if __name__ == "__main__":
    main()
