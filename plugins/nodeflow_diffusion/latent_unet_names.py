"""What published checkpoints call the tensors of the latent U-Net: tables, read along the network's own outline."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from nodeflow_diffusion.latent_unet_outline import Block, Outline, Shaped

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


def place(block: Block, layout: Layout, layers: int) -> str:
    """What a block, or a resampling convolution, of a U-Net with so many layers a level is called."""
    stage = block.level * (layers + 1) + block.place
    if layout == "diffusers":
        kind = {"residual": "resnets", "transformer": "attentions", "resize": f"{block.side}samplers"}[block.kind]
        home = "mid_block" if block.side == "middle" else f"{block.side}_blocks.{block.level}"
        return f"{home}.{kind}.{block.place}" + (".conv" if block.kind == "resize" else "")
    if block.side == "middle":
        return f"middle_block.{1 if block.kind == 'transformer' else 2 * block.place}"
    if block.kind != "resize":
        home = f"input_blocks.{1 + stage}" if block.side == "down" else f"output_blocks.{stage}"
        return f"{home}.{1 if block.kind == 'transformer' else 0}"
    if block.side == "down":
        return f"input_blocks.{1 + stage + layers}.0.op"
    return f"output_blocks.{stage + layers}.{2 if block.depth else 1}.conv"


def sources(unet: Shaped, layout: Layout, *, prefix: str = "", unclip: bool = False) -> dict[str, tuple[str, ...]]:
    """By name of our tensor: the tensors that stand one above the other in it.

    Args:
        unet: the module or its outline.
        layout: whose names.
        prefix: what stands before them.
        unclip: a diffusers folder whose vector is an image embedding.
    """
    outline = Outline.of(unet)
    shapes, found = outline.shapes, dict[str, tuple[str, ...]]()

    def note(ours: str, home: str, theirs: str) -> None:
        parts = theirs.split()
        for leaf in (".weight", ".bias"):
            if (name := ours + leaf) in shapes:
                found[name] = (*found.get(name, ()), *[home + part + leaf for part in parts])

    for row in (*NETWORK, *ENDS, *(UNCLIP if unclip else VECTOR)):
        note(row.ours, prefix, getattr(row, layout))
    for block in outline.blocks:
        ours, theirs = block.ours, prefix + place(block, layout, unet.config.layers)
        if block.kind == "resize":
            note(ours, "", theirs)
        elif block.kind == "residual":
            for row in RESIDUAL:
                note(f"{ours}.{row.ours}", f"{theirs}.", getattr(row, layout))
            note(TIMES.ours, f"{theirs}.", getattr(TIMES, layout))
        else:
            for part, name in TRANSFORMER.items():
                note(f"{ours}.{part}", f"{theirs}.", name)
            for index in range(block.depth):
                at = f"{theirs}.transformer_blocks.{index}."
                for part, name in BLOCK.items():
                    note(f"{ours}.blocks.{index}.{part}", at, name)
                note("words", at, WORDS)
    return found
