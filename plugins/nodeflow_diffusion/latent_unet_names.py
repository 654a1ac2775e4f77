"""What published checkpoints call the tensors of the latent U-Net: tables, read along the network's own structure."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from torch import nn

from nodeflow_diffusion.latent_unet import Encoder, LatentUNet, Middle, Residual, Stage, Transformer

Layout = Literal["ldm", "diffusers"]
Shapes = Mapping[str, tuple[int, ...]]
PREFIXES = ("model.diffusion_model.", "diffusion_model.", "")
"""What may stand before the U-Net's names: a file of a whole model, of a U-Net with its wrapper, of the U-Net alone."""


class Row(NamedTuple):
    """A part of ours, and what it is called. Several names of one layout stand one above the other in our tensor."""

    ours: str
    ldm: str
    diffusers: str


NETWORK = (
    Row("time.0", "time_embed.0", "time_embedding.linear_1"),
    Row("time.2", "time_embed.2", "time_embedding.linear_2"),
    Row("first", "input_blocks.0.0", "conv_in"),
)
ENDS = (
    Row("norm", "out.0", "conv_norm_out"),
    Row("last", "out.2", "conv_out"),
)
"""Of a whole U-Net; a ControlNet has none of these."""
VECTOR = (
    Row("vector.0", "label_emb.0.0", "add_embedding.linear_1"),
    Row("vector.2", "label_emb.0.2", "add_embedding.linear_2"),
)
UNCLIP = tuple(row._replace(diffusers=row.diffusers.replace("add", "class")) for row in VECTOR)
"""The same in a diffusers folder of a model that reads an image embedding."""
RESIDUAL = (
    Row("norm1", "in_layers.0", "norm1"),
    Row("conv1", "in_layers.2", "conv1"),
    Row("norm2", "out_layers.0", "norm2"),
    Row("conv2", "out_layers.3", "conv2"),
    Row("skip", "skip_connection", "conv_shortcut"),
)
TIMES = Row("times", "emb_layers.1", "time_emb_proj")
"""Of each residual block, in order."""
TRANSFORMER = {"norm": "norm", "proj_in": "proj_in", "proj_out": "proj_out"}
"""From here on both layouts use the same names."""
BLOCK = {
    "norm1": "norm1",
    "qkv": "attn1.to_q attn1.to_k attn1.to_v",
    "out": "attn1.to_out.0",
    "norm2": "norm2",
    "words_q": "attn2.to_q",
    "words_out": "attn2.to_out.0",
    "norm3": "norm3",
    "mlp_in": "ff.net.0.proj",
    "mlp_out": "ff.net.2",
}
WORDS = "attn2.to_k attn2.to_v"
"""Of each transformer block, in order."""


class Place(NamedTuple):
    """Where a block or a resampling convolution stands, in ours and in theirs."""

    module: nn.Module
    ours: str
    theirs: str


def places(unet: Encoder, layout: Layout) -> Iterator[Place]:
    """All blocks and resampling convolutions, in the order in which they run."""
    ldm = layout == "ldm"
    yield from _way(unet.down, "down", "input_blocks" if ldm else "down_blocks", ldm, first=1)
    middle = unet.middle
    assert isinstance(middle, Middle)
    names = (
        ("middle_block.0", "middle_block.1", "middle_block.2")
        if ldm
        else ("mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1")
    )
    for part, theirs in zip(("residual1", "transformer", "residual2"), names, strict=True):
        yield Place(getattr(middle, part), f"middle.{part}", theirs)
    if isinstance(unet, LatentUNet):
        yield from _way(unet.up, "up", "output_blocks" if ldm else "up_blocks", ldm, first=0)


def _way(way: nn.ModuleList, ours: str, theirs: str, ldm: bool, first: int) -> Iterator[Place]:
    """One side of the U: ldm counts its steps from `first`, diffusers its levels and in each of them its stages."""
    step = first
    for at, level in enumerate(way):
        parts = 0
        for index, stage in enumerate(level.stages):  # type: ignore[arg-type]
            assert isinstance(stage, Stage)
            here = f"{ours}.{at}.stages.{index}"
            parts = 1
            yield Place(
                stage.residual, f"{here}.residual", f"{theirs}.{step}.0" if ldm else _at(theirs, at, "resnets", index)
            )
            if stage.transformer is not None:
                parts = 2
                name = f"{theirs}.{step}.1" if ldm else _at(theirs, at, "attentions", index)
                yield Place(stage.transformer, f"{here}.transformer", name)
            step += 1
        if level.resize is not None:
            assert isinstance(level.resize, nn.Conv2d)
            if ours == "down":
                name, step = f"{theirs}.{step}.0.op", step + 1
            else:
                name = f"{theirs}.{step - 1}.{parts}.conv"
            if not ldm:
                name = _at(theirs, at, "downsamplers" if ours == "down" else "upsamplers", 0) + ".conv"
            yield Place(level.resize, f"{ours}.{at}.resize", name)


def _at(theirs: str, level: int, kind: str, index: int) -> str:
    return f"{theirs}.{level}.{kind}.{index}"


def sources(unet: Encoder, layout: Layout, *, prefix: str = "", unclip: bool = False) -> dict[str, tuple[str, ...]]:
    """By name of our tensor: the tensors that stand one above the other in it.

    Args:
        unet: may be without memory.
        layout: whose names.
        prefix: what stands before them.
        unclip: a diffusers folder whose vector is an image embedding.
    """
    found: dict[str, list[str]] = {}

    def note(part: nn.Module | None, ours: str, theirs: str) -> None:
        for leaf in ("weight", "bias"):
            if getattr(part, leaf, None) is not None:
                names = [f"{prefix}{name}.{leaf}" for name in theirs.split()]
                found.setdefault(f"{ours}.{leaf}", []).extend(names)

    vector = (UNCLIP if unclip else VECTOR) if unet.vector is not None else ()
    for row in (*NETWORK, *(ENDS if isinstance(unet, LatentUNet) else ()), *vector):
        note(unet.get_submodule(row.ours), row.ours, getattr(row, layout))
    for module, ours, theirs in places(unet, layout):
        if isinstance(module, Residual):
            for row in RESIDUAL:
                note(getattr(module, row.ours), f"{ours}.{row.ours}", f"{theirs}.{getattr(row, layout)}")
            note(unet.times, TIMES.ours, f"{theirs}.{getattr(TIMES, layout)}")
        elif isinstance(module, Transformer):
            for part, name in TRANSFORMER.items():
                note(getattr(module, part), f"{ours}.{part}", f"{theirs}.{name}")
            for index, block in enumerate(module.blocks):
                at = f"{theirs}.transformer_blocks.{index}."
                for part, name in BLOCK.items():
                    note(getattr(block, part), f"{ours}.blocks.{index}.{part}", _each(at, name))
                note(unet.words, "words", _each(at, WORDS))
        else:
            note(module, ours, theirs)
    return {ours: tuple(names) for ours, names in found.items()}


def _each(prefix: str, names: str) -> str:
    return " ".join(prefix + name for name in names.split())
