"""What published checkpoints call the tensors of the latent autoencoder: tables, read along its own outline."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

from nodeflow_codebooks.latent_autoencoder import LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_outline import outline

Layout = Literal["ldm", "diffusers", "diffusers_old"]
"""diffusers_old: as diffusers, the attentions named as before its version 0.15."""
Shapes = Mapping[str, tuple[int, ...]]
PREFIXES = ("first_stage_model.", "vae.", "")
"""What may stand before the names: in a file of a whole model, in one that keeps its parts apart, in one of its own."""
OF_TRAINING = ("loss.", "model_ema.")
"""Begins the names of what only its training needed."""


class Row(NamedTuple):
    """A part of ours, and what it is called. Several names of one layout stand one above the other in our tensor."""

    ours: str
    ldm: str
    diffusers: str
    diffusers_old: str = ""

    def theirs(self, layout: Layout) -> str:
        """Its name."""
        return self.diffusers_old or self.diffusers if layout == "diffusers_old" else getattr(self, layout)


BETWEEN = (
    Row("quant", "quant_conv", "quant_conv"),
    Row("post_quant", "post_quant_conv", "post_quant_conv"),
    Row("codebook", "quantize.embedding", "quantize.embedding"),
)
GUMBEL = (
    *BETWEEN[:2],
    Row("codebook", "quantize.embed", "quantize.embed"),
    Row("rate", "quantize.proj", "quantize.proj"),
)
"""The same where codes were trained by Gumbel-softmax."""
ENDS = (
    Row("first", "conv_in", "conv_in"),
    Row("norm", "norm_out", "conv_norm_out"),
    Row("last", "conv_out", "conv_out"),
)
"""Of encoder and decoder."""
MIDDLE = (
    Row("residual1", "mid.block_1", "mid_block.resnets.0"),
    Row("attention", "mid.attn_1", "mid_block.attentions.0"),
    Row("residual2", "mid.block_2", "mid_block.resnets.1"),
)
RESIDUAL = (
    Row("norm1", "norm1", "norm1"),
    Row("conv1", "conv1", "conv1"),
    Row("norm2", "norm2", "norm2"),
    Row("conv2", "conv2", "conv2"),
    Row("skip", "nin_shortcut", "conv_shortcut"),
)
ATTENTION = (
    Row("norm", "norm", "group_norm"),
    Row("qkv", "q k v", "to_q to_k to_v", "query key value"),
    Row("out", "proj_out", "to_out.0", "proj_attn"),
)
WAYS = {
    "encoder": Row("levels", "down.{at}", "down_blocks.{at}"),
    "decoder": Row("levels", "up.{mirrored}", "up_blocks.{at}"),
}
"""A level; of the decoder's the deepest runs first, which ldm counts last."""
PARTS = (
    Row("residuals", "block.{index}", "resnets.{index}"),
    Row("attentions", "attn.{index}", "attentions.{index}"),
)
RESIZE = {
    "encoder": Row("resize", "downsample.conv", "downsamplers.0.conv"),
    "decoder": Row("resize", "upsample.conv", "upsamplers.0.conv"),
}


class Shaped(Protocol):
    """A latent autoencoder: the module, or what was found in a checkpoint."""

    @property
    def config(self) -> LatentAutoencoderConfig:
        """Its sizes."""


def sources(model: Shaped, layout: Layout, prefix: str = "") -> dict[str, tuple[str, ...]]:
    """By name of our tensor: the tensors that stand one above the other in it.

    Args:
        model: only its config is looked at.
        layout: whose names.
        prefix: what stands before them.
    """
    shapes = outline(model.config)
    found: dict[str, tuple[str, ...]] = {}
    for ours, theirs in _places(model.config, layout):
        home, _, names = theirs.rpartition("/")
        for leaf in ("weight", "bias"):
            if f"{ours}.{leaf}" in shapes:
                found[f"{ours}.{leaf}"] = tuple(f"{prefix}{home}{name}.{leaf}" for name in names.split())
    return found


def _places(config: LatentAutoencoderConfig, layout: Layout) -> Iterator[tuple[str, str]]:
    """Each layer that there may be, and its name in theirs: what several of one layer share stands before a stroke."""
    yield from ((row.ours, row.theirs(layout)) for row in (GUMBEL if config.gumbel else BETWEEN))
    last = len(config.widths) - 1
    for side, blocks in (("encoder", config.layers), ("decoder", config.layers + 1)):
        yield from ((f"{side}.{row.ours}", f"{side}.{row.theirs(layout)}") for row in ENDS)
        rows: tuple[Row, ...]
        for row in MIDDLE:
            rows = ATTENTION if row.ours == "attention" else RESIDUAL
            yield from _layers(rows, f"{side}.middle.{row.ours}", f"{side}.{row.theirs(layout)}", layout)
        for at in range(last + 1):
            ours = f"{side}.levels.{at}"
            home = f"{side}.{WAYS[side].theirs(layout)}".format(at=at, mirrored=last - at)
            for row, rows in zip(PARTS, (RESIDUAL, ATTENTION), strict=True):
                for index in range(blocks):
                    name = row.theirs(layout).format(index=index)
                    yield from _layers(rows, f"{ours}.{row.ours}.{index}", f"{home}.{name}", layout)
            yield f"{ours}.resize", f"{home}.{RESIZE[side].theirs(layout)}"


def _layers(rows: tuple[Row, ...], ours: str, theirs: str, layout: Layout) -> Iterator[tuple[str, str]]:
    yield from ((f"{ours}.{row.ours}", f"{theirs}./{row.theirs(layout)}") for row in rows)


def is_own(name: str, prefix: str) -> bool:
    """Whether a tensor is one that the autoencoder must use: it is below the prefix, and not left from its training."""
    return name.startswith(prefix) and not name.removeprefix(prefix).startswith(OF_TRAINING)
