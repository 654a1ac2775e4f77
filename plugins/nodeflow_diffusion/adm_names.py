"""What improved and guided diffusion call the tensors of their networks: read along the network's own structure."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from nodeflow_diffusion.adm_unet import (
    AdmAttention,
    AdmClassifier,
    AdmEncoder,
    AdmLevel,
    AdmResidual,
    AdmStage,
    AdmUNet,
)
from nodeflow_diffusion.latent_unet_names import RESIDUAL, TIMES

NETWORK = {"time.0": "time_embed.0", "time.2": "time_embed.2", "labels": "label_emb", "first": "input_blocks.0.0"}
ENDS = {"norm": "out.0", "last": "out.2", "pool.qkv": "out.2.qkv_proj", "pool.out": "out.2.c_proj"}
"""Of the U-Net the first two, of the classifier all but the second."""
POSITIONS = ("pool.positions", "out.2.positional_embedding")
ATTENTION = {"norm": "norm", "qkv": "qkv", "out": "proj_out"}


class Place(NamedTuple):
    """Where a block or a convolution stands, in ours and in theirs."""

    module: nn.Module
    ours: str
    theirs: str


def places(network: AdmEncoder) -> Iterator[Place]:
    """All blocks, and convolutions between levels, in the order in which they run."""
    step = 1
    for at, level in enumerate(network.down):
        assert isinstance(level, AdmLevel)
        for index, stage in enumerate(level.stages):
            yield from _stage(stage, f"down.{at}.stages.{index}", f"input_blocks.{step}")
            step += 1
        if level.resize is not None:
            inner = "" if isinstance(level.resize, AdmResidual) else ".op"
            yield Place(level.resize, f"down.{at}.resize", f"input_blocks.{step}.0{inner}")
            step += 1
    for index, part in enumerate(network.middle):
        yield Place(part, f"middle.{index}", f"middle_block.{index}")
    step = 0
    for at, level in enumerate(network.up if isinstance(network, AdmUNet) else nn.ModuleList()):
        assert isinstance(level, AdmLevel)
        for index, stage in enumerate(level.stages):
            yield from _stage(stage, f"up.{at}.stages.{index}", f"output_blocks.{step}")
            step += 1
        if level.resize is not None:
            inner = "" if isinstance(level.resize, AdmResidual) else ".conv"
            behind = 2 if network.config.attends[-1 - at] else 1
            yield Place(level.resize, f"up.{at}.resize", f"output_blocks.{step - 1}.{behind}{inner}")


def _stage(stage: nn.Module, ours: str, theirs: str) -> Iterator[Place]:
    assert isinstance(stage, AdmStage)
    yield Place(stage.residual, f"{ours}.residual", f"{theirs}.0")
    if stage.attention is not None:
        yield Place(stage.attention, f"{ours}.attention", f"{theirs}.1")


def sources(network: AdmEncoder) -> dict[str, tuple[str, ...]]:
    """By name of our tensor: the tensors that stand one above the other in it. The network may be without memory."""
    found: dict[str, list[str]] = {}

    def note(part: nn.Module | None, ours: str, theirs: str) -> None:
        for leaf in ("weight", "bias"):
            if getattr(part, leaf, None) is not None:
                found.setdefault(f"{ours}.{leaf}", []).append(f"{theirs}.{leaf}")

    parts = dict(network.named_modules())
    for ours, theirs in (NETWORK | ENDS).items():
        note(parts.get(ours), ours, theirs)
    if isinstance(network, AdmClassifier):
        found[POSITIONS[0]] = [POSITIONS[1]]
    for module, ours, theirs in places(network):
        if isinstance(module, AdmResidual):
            for row in RESIDUAL:
                note(getattr(module, row.ours), f"{ours}.{row.ours}", f"{theirs}.{row.ldm}")
            note(network.times, TIMES.ours, f"{theirs}.{TIMES.ldm}")
        elif isinstance(module, AdmAttention):
            for part, name in ATTENTION.items():
                note(getattr(module, part), f"{ours}.{part}", f"{theirs}.{name}")
        else:
            note(module, ours, theirs)
    return {ours: tuple(names) for ours, names in found.items()}
