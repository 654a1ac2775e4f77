"""What published ControlNets call their tensors, and which a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count, takewhile
from typing import Any, Final, NamedTuple

from nodeflow_diffusion.control import HINT_WIDTHS, ControlNet, hint_shapes, skip_widths
from nodeflow_diffusion.latent_unet import LatentUNetConfig
from nodeflow_diffusion.latent_unet_families import FAMILIES, from_diffusers, measure
from nodeflow_diffusion.latent_unet_names import Layout, Row, Shapes, sources
from nodeflow_diffusion.latent_unet_outline import Outline, Shape

PREFIXES: Final = ("control_model.", "")
"""What may stand before a ControlNet's names: of a file of the original code, of a ControlNet alone."""
MARKS: Final[dict[str, Layout]] = {
    "input_hint_block.0.weight": "ldm",
    "controlnet_cond_embedding.conv_in.weight": "diffusers",
}
"""By what only a ControlNet has: the layout."""
ZERO: Final = Row("zeros.{}", "zero_convs.{}.0", "controlnet_down_blocks.{}")
ZERO_MIDDLE: Final = Row("zero_middle", "middle_block_out.0", "controlnet_mid_block")
HINT: Final = Row("hint.{}", "input_hint_block.{}", "controlnet_cond_embedding.{}")
"""The convolutions that read the picture: in ldm's layout activations stand between them and count."""
COLOURS: Final = 3
"""Channels of the pictures that are shown."""
OTHERS: Final = (
    ("controlnet_mode_embedder.", "a union of several for Flux"),
    ("control_add_embedding.", "a union of several (ControlNet++), which is not read"),
    ("task_embedding", "a union of several (ControlNet++), which is not read"),
    ("lora_controlnet", "a Control-LoRA, which is not read"),
    ("transformer_blocks.0.attn.", "one for a transformer (Flux, Stable Diffusion 3)"),
    ("adapter.body.", "a T2I-Adapter, which is not read"),
)
"""Tensors of what is something else."""


class Control(NamedTuple):
    """A ControlNet in a checkpoint. config: of the U-Net that it is for. told: whether that is known, or heads and
    groups are those of the U-Net that it is put beside. flip: it takes blue before red.
    """

    config: LatentUNetConfig
    told: bool
    hint_channels: int
    hint_widths: tuple[int, ...]
    layout: Layout
    prefix: str
    flip: bool = False

    def beside(self, unet: LatentUNetConfig) -> LatentUNetConfig:
        """Its config, when it is beside such a U-Net."""
        return self.config if self.told else replace(self.config, heads=unet.heads, groups=unet.groups)

    def make(self, unet: LatentUNetConfig) -> ControlNet:
        """The module, to be beside such a U-Net."""
        return ControlNet(self.beside(unet), self.hint_channels, self.hint_widths)

    def sources(self, unet: LatentUNetConfig) -> dict[str, tuple[str, ...]]:
        """For each of the module's tensors those of the checkpoint."""
        return control_sources(self.beside(unet), self.layout, self.prefix, halvings=len(self.hint_widths) - 1)

    def shapes(self, unet: LatentUNetConfig) -> dict[str, Shape]:
        """Of the module's tensors, without the module.

        Raises:
            ValueError: no such module can be made.
        """
        config = self.beside(unet)
        hints = hint_shapes(config, self.hint_channels, self.hint_widths)
        layers = {HINT.ours.format(at): shape for at, shape in enumerate(hints)}
        layers |= {ZERO.ours.format(at): (width, width, 1, 1) for at, width in enumerate(skip_widths(config))}
        layers[ZERO_MIDDLE.ours] = (config.widths[-1], config.widths[-1], 1, 1)
        found = dict(Outline(config, whole=False).shapes)
        for name, shape in layers.items():
            found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return found


def detect(shapes: Shapes, told: Mapping[str, Any]) -> Control:
    """Which ControlNet it is, from shapes and, if there is one, a folder's config.json.

    Raises:
        ValueError: there is none among these, or one that ours is not.
    """
    found = [(prefix, MARKS[mark]) for prefix in PREFIXES for mark in MARKS if prefix + mark in shapes]
    other = next((what for part, what in OTHERS if any(part in name for name in shapes)), "")
    if other or not found:
        some = other or f"its {len(shapes)} tensors are {', '.join(sorted(shapes)[:4])}, ..."
        raise ValueError(
            f"this is no ControlNet for Stable Diffusion: {some}\n"
            '    expected names as "control_model.input_hint_block.0.weight", or '
            '"controlnet_cond_embedding.conv_in.weight" of a folder'
        )
    prefix, layout = found[0]
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    hint = [own[f"{name}.weight"] for name in hint_names(own, layout)]
    widths = (hint[0][0], *(shape[0] for shape in hint[2:-1:2]))
    if hint[0][1] != COLOURS or len(widths) != len(HINT_WIDTHS):
        raise ValueError(
            f"it takes pictures of {hint[0][1]} channels in cells of {2 ** (len(widths) - 1)} pixels, but expected "
            f"{COLOURS} in cells of {2 ** (len(HINT_WIDTHS) - 1)}\n    name a ControlNet for Stable Diffusion"
        )
    if "block_out_channels" in told:
        config, known = _from_config(told), True
    else:
        # the mark of a whole U-Net in that layout, which a ControlNet lacks
        measured = measure(own | {"conv_norm_out.weight": (0,)})
        # what a U-Net gives is not in a ControlNet's shapes
        config = replace(measured.config, channels_out=4)
        seen = {**vars(config), "heads": ()}
        alike = [family.config for family in FAMILIES if {**vars(family.config), "heads": ()} == seen]
        config, known = (alike[0], True) if alike else (config, False)
    order = told.get("controlnet_conditioning_channel_order", "rgb")
    if order not in ("rgb", "bgr"):
        raise ValueError(f"its controlnet_conditioning_channel_order is {order!r}, but expected rgb or bgr")
    return Control(config, known, hint[0][1], widths, layout, prefix, order == "bgr")


def _from_config(told: Mapping[str, Any]) -> LatentUNetConfig:
    """As a U-Net's config.json, whose way up mirrors its way down."""
    odd = {name: told[name] for name in ("global_pool_conditions",) if told.get(name)}
    if odd:
        raise ValueError(f"its global_pool_conditions is {odd['global_pool_conditions']!r}, but expected false")
    kinds = told["down_block_types"]
    mirrored = {
        "_class_name": "UNet2DConditionModel",
        "up_block_types": [kind.replace("Down", "Up") for kind in reversed(kinds)],
        "attention_head_dim": told.get("num_attention_heads") or told.get("attention_head_dim", 8),
    }
    return replace(from_diffusers({**told, **mirrored}), channels_out=4)


def hint_names(shapes: Shapes, layout: Layout) -> list[str]:
    """What the convolutions that read the picture are called, in order."""
    if layout == "ldm":
        numbers = takewhile(lambda number: f"input_hint_block.{number}.weight" in shapes, count(0, 2))
        return [HINT.ldm.format(number) for number in numbers]
    numbers = takewhile(lambda number: f"controlnet_cond_embedding.blocks.{number}.weight" in shapes, count())
    between = [HINT.diffusers.format(f"blocks.{number}") for number in numbers]
    return [HINT.diffusers.format("conv_in"), *between, HINT.diffusers.format("conv_out")]


def control_sources(
    config: LatentUNetConfig, layout: Layout, prefix: str = "", *, halvings: int = len(HINT_WIDTHS) - 1
) -> dict[str, tuple[str, ...]]:
    """By name of our tensor: the tensors that stand one above the other in it (see `latent_unet_names.sources`).

    Args:
        config: of the U-Net.
        layout: whose names.
        prefix: what stands before them.
        halvings: how often what reads the picture halves it.
    """
    found = sources(Outline(config, whole=False), layout, prefix=prefix)
    inner = 2 * halvings
    hints = (
        [HINT.ldm.format(2 * at) for at in range(inner + 2)]
        if layout == "ldm"
        else [HINT.diffusers.format(part) for part in ("conv_in", *(f"blocks.{at}" for at in range(inner)), "conv_out")]
    )
    rows = [(HINT.ours.format(at), name) for at, name in enumerate(hints)]
    rows += [(ZERO.ours.format(at), getattr(ZERO, layout).format(at)) for at in range(len(skip_widths(config)))]
    rows.append((ZERO_MIDDLE.ours, getattr(ZERO_MIDDLE, layout)))
    for ours, name in rows:
        for leaf in ("weight", "bias"):
            found[f"{ours}.{leaf}"] = (f"{prefix}{name}.{leaf}",)
    return found
