"""Another strength of a LoRA beside another seed: what a second run costs while the models stay in memory.

    PYTHONPATH=.:plugins python benchmarks/adapters.py [--out benchmarks/results]

A random U-Net of 64/128/256 channels, batch 2, 10 steps of ddim, a LoRA of rank 16 on all its transformers; CPU seconds
of whole runs of one engine, taking turns: another seed, whose model is there; another strength, whose weights are made
anew out of the mapped file.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import made
import torch
from nodeflow_diffusion.adapter_nodes import lora
from nodeflow_diffusion.checkpoint_nodes import load_unet
from nodeflow_diffusion.latent_unet import LatentUNetConfig
from nodeflow_diffusion.nodes import condition, empty
from nodeflow_diffusion.sampling_nodes import sample, schedule
from report import RESULTS, Report, goal, machine

from nodeflow import Context, Model, Recipe, TextEmbedding
from nodeflow.residency import Residency

CONFIG = LatentUNetConfig(widths=(64, 128, 256), depths=(1, 1, 0), heads=(8, 8, 8), context_width=64)
STEPS, SIDE, ROUNDS, MOST = 10, 256, 5, 1.1
GROUP = "A second run"


class Kept(Context):
    """Models stay where they are, as in a run."""

    def __init__(self) -> None:
        self.residency = Residency()

    def load(self, recipe: Recipe) -> Any:
        """Makes a recipe callable."""
        return self.residency.load(recipe, "cpu") if isinstance(recipe, Model) else super().load(recipe)


def runner() -> Callable[[float, int], float]:
    """Runs the loop with a strength and a seed; CPU seconds."""
    words = torch.randn(1, 77, CONFIG.context_width, generator=torch.Generator().manual_seed(2))
    text, kept = TextEmbedding(words, torch.ones(1, 77, dtype=torch.bool)), Kept()

    def run(strength: float, seed: int) -> float:
        began = time.process_time()
        with torch.no_grad():
            unet = load_unet("unet", "eps")
            told = condition(lora(unet, "style", strength), text)
            levels = schedule("scaled_linear")
            sample(told, empty(unet, SIDE, SIDE, 2), levels, seed=seed, steps=STEPS, ctx=kept)
        return time.process_time() - began

    return run


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON, the table and the picture")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    report = Report(given.out / "adapters.json", "Adapters", 120, machine())
    report.group(GROUP, "CPU seconds of a run, one thread.", "times as fast as another seed", 1.0)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NODEFLOW_MODELS"] = folder
        os.chdir(folder)
        made.diffusers_unet(Path("unet"), CONFIG)
        made.lora(Path("style.safetensors"), made.unet(CONFIG, "diffusers"))
        run = runner()
        run(1.0, 0)
        taken: dict[str, list[float]] = {"another seed": [], "another strength": []}
        for turn in range(1, ROUNDS + 1):
            strength = 1 - 0.1 * turn
            taken["another strength"].append(run(strength, 0))
            taken["another seed"].append(run(strength, turn))
        os.chdir("/")
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    ratio = seconds["another strength"] / seconds["another seed"]
    report.add(
        {
            "group": GROUP, "row": f"64/128/256 channels, {STEPS} steps", "seconds": seconds,
            "reference": "another seed", "goals": [goal("times another seed", ratio, "<=", MOST)],
        }
    )  # fmt: skip
    report.finish()


if __name__ == "__main__":
    main()
