"""Which latent autoencoder a checkpoint holds, and which space its latents live in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any, Literal, NamedTuple

from nodeflow_codebooks.latent_autoencoder import LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_names import PREFIXES, Layout, Shapes

SpaceName = Literal["sd15", "sdxl", "sd3", "flux"]


@dataclass(frozen=True)
class Scaling:
    """How latents become of unit variance: (latent - shift) * factor."""

    factor: float = 1.0
    shift: float = 0.0


class Space(NamedTuple):
    """A space that published models share. whole_model: a tensor of single files that hold a whole such model; ""
    where their shapes do not tell.
    """

    channels: int
    scaling: Scaling
    whole_model: str = ""


SPACES: dict[SpaceName, Space] = {
    "sd15": Space(4, Scaling(0.18215), "cond_stage_model."),
    "sdxl": Space(4, Scaling(0.13025), "conditioner.embedders."),
    "sd3": Space(16, Scaling(1.5305, 0.0609), "text_encoders."),
    "flux": Space(16, Scaling(0.3611, 0.1159)),
}
"""Stable Diffusion 1 and 2 share one. Of cells of 8 pixels all four."""
FACTOR = 8
OVERFLOWS: frozenset[str] = frozenset({"sdxl"})
"""Spaces whose published decoder reaches beyond the numbers that float16 has."""


class Found(NamedTuple):
    """What a checkpoint holds. prefix: of its names. scaling: None where neither config nor other tensors tell it."""

    config: LatentAutoencoderConfig
    layout: Layout
    prefix: str
    scaling: Scaling | None


def detect(shapes: Shapes, told: Mapping[str, Any]) -> Found:
    """Which autoencoder it is, from its shapes, and from its config.json if that says anything.

    Raises:
        ValueError: there is none among these, or one of another kind; with what was found.
    """
    layout, prefix = _layout(shapes)
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    config = measure(own, layout, told.get("norm_num_groups", 32))
    if "_class_name" not in told:
        return Found(config, layout, prefix, _scaling_of_whole(shapes, config))
    if wrong := _contradictions(config, told):
        raise ValueError(f"its config.json does not fit its tensors: {'; '.join(wrong)}\n    fetch both again")
    fallback = 0.18215
    return Found(
        config,
        layout,
        prefix,
        Scaling(float(told.get("scaling_factor") or fallback), float(told.get("shift_factor") or 0)),
    )


def _layout(shapes: Shapes) -> tuple[Layout, str]:
    """The layout of the names, and what stands before them."""
    firsts: dict[Layout, str] = {
        "ldm": "decoder.up.0.block.0.conv1.weight",
        "diffusers": "decoder.up_blocks.0.resnets.0.conv1.weight",
    }
    for prefix in PREFIXES:
        for layout, first in firsts.items():
            if len(shapes.get(prefix + first, ())) == 4:
                old = f"{prefix}encoder.mid_block.attentions.0.query.weight" in shapes
                return ("diffusers_old" if old else layout), prefix
    some = ", ".join(sorted(shapes)[:4]) or "none"
    raise ValueError(
        f"there is no latent autoencoder among its {len(shapes)} tensors ({some}, ...)\n"
        '    expected names as "first_stage_model.decoder.conv_in.weight", or "decoder.conv_in.weight" of a folder'
    )


def measure(shapes: Shapes, layout: Layout, groups: int = 32) -> LatentAutoencoderConfig:
    """What the shapes tell of an autoencoder: all but the groups of its norms.

    Args:
        shapes: of its tensors, their prefix taken off.
        layout: of their names.
        groups: 32 in all that was published.
    """
    level, block, attention, middle = (
        ("encoder.down", "block", "attn", "mid.attn_1")
        if layout == "ldm"
        else ("encoder.down_blocks", "resnets", "attentions", "mid_block.attentions.0")
    )
    blocks = [
        list(_shapes_of(shapes, f"{level}.{at}.{block}.{{}}.conv1.weight"))
        for at in takewhile(lambda at: f"{level}.{at}.{block}.0.conv1.weight" in shapes, count())
    ]
    if not blocks or len({len(found) for found in blocks}) != 1 or not all(found[0] for found in blocks):
        raise ValueError(
            f"the levels of its encoder have {[len(found) for found in blocks]} residual blocks, but expected as many "
            "in each\n    name a checkpoint of encoder and decoder that was not pruned"
        )
    gumbel = "quantize.embed.weight" in shapes
    codes = shapes.get("quantize.embed.weight" if gumbel else "quantize.embedding.weight", (0, 4))
    ends = "encoder.conv_in.weight", "decoder.conv_in.weight"
    if missing := [name for name in ends if name not in shapes]:
        raise ValueError(f"it lacks {' and '.join(missing)}\n    fetch it again")
    sides = {
        "channels": shapes[ends[0]][1], "latent_channels": shapes[ends[1]][1],
        "codes": codes[0], "code_width": codes[1],
    }  # fmt: skip
    try:
        return LatentAutoencoderConfig(
            **sides,
            widths=tuple(found[0][0] for found in blocks),
            layers=len(blocks[0]),
            attended=tuple(
                any(name.startswith(f"{level}.{at}.{attention}.") for name in shapes) for at in range(len(blocks))
            ),
            middle=any(name.startswith(f"encoder.{middle}.") for name in shapes),
            groups=groups,
            gumbel=gumbel,
            quant="quant_conv.weight" in shapes,
            post_quant="post_quant_conv.weight" in shapes,
        )
    except ValueError as error:
        raise ValueError(
            f"{error}\n    shapes do not tell the groups of norms: name a folder with config.json"
        ) from error


def _shapes_of(shapes: Shapes, name: str) -> Iterator[tuple[int, ...]]:
    return (shapes[name.format(at)] for at in takewhile(lambda at: name.format(at) in shapes, count()))


def _scaling_of_whole(shapes: Shapes, config: LatentAutoencoderConfig) -> Scaling | None:
    """That of the model whose other parts stand in the same file; a VQ autoencoder's latents are not scaled."""
    if config.codes:
        return Scaling()
    for space in SPACES.values():
        if space.whole_model and any(name.startswith(space.whole_model) for name in shapes):
            return space.scaling if space.channels == config.latent_channels else None
    return None


PLAIN: dict[str, tuple[object, ...]] = {
    "_class_name": ("AutoencoderKL", "VQModel"),
    "act_fn": ("silu", "swish"),
    "latents_mean": (None,),
    "latents_std": (None,),
    "norm_type": ("group",),
    "lookup_from_codebook": (False,),
}
"""What a config.json may say of what ours has one form of only."""


def _contradictions(config: LatentAutoencoderConfig, told: Mapping[str, Any]) -> list[str]:
    odd = [f"{name} is {told[name]!r}" for name, known in PLAIN.items() if name in told and told[name] not in known]
    kinds = ["AttnDownEncoderBlock2D" if attended else "DownEncoderBlock2D" for attended in config.attended]
    expected = {
        "in_channels": config.channels,
        "out_channels": config.channels,
        "latent_channels": config.latent_channels,
        "block_out_channels": list(config.widths),
        "layers_per_block": config.layers,
        "down_block_types": kinds,
        "num_vq_embeddings": config.codes or told.get("num_vq_embeddings"),
    }
    odd += [
        f"{name} is {told[name]!r}, but its tensors have {value!r}"
        for name, value in expected.items()
        if name in told and told[name] != value
    ]
    if not isinstance(told.get("scaling_factor") or 1.0, int | float) or not isinstance(
        told.get("shift_factor") or 0, int | float
    ):
        odd.append("scaling_factor or shift_factor is no number")
    return odd


def space_of(found: Found, asked: SpaceName | Literal["auto"], name: str) -> tuple[str, Scaling]:
    """The name of the space that its latents live in, and their scaling.

    What config.json says counts, then what else is in a file of a whole model. Without either, four channels are taken
    for Stable Diffusion 1: its autoencoder and that of XL are the same in all shapes.

    Args:
        found: the autoencoder.
        asked: which space it is, where somebody knows; "auto" where not.
        name: of the space if it is none of `SPACES`.

    Raises:
        ValueError: it cannot be of the space that was asked for, or nothing tells which it is.
    """
    config = found.config
    fits = {
        key: space
        for key, space in SPACES.items()
        if not config.codes and (config.latent_channels, config.factor, config.channels) == (space.channels, FACTOR, 3)
    }
    if asked != "auto":
        if asked not in fits:
            told = f"{config.latent_channels} channels in cells of {config.factor} pixels" + (
                ", and codes" if config.codes else ""
            )
            raise ValueError(
                f"it has {told}, so it is not of {asked}\n    choose auto, or {' or '.join(fits) or 'another file'}"
            )
        if found.scaling is not None and found.scaling != SPACES[asked].scaling:
            told = next(
                (f"of {key}" for key, space in fits.items() if space.scaling == found.scaling),
                f"scaled by {found.scaling.factor:g}",
            )
            raise ValueError(f"its own files say that its latents are {told}, not of {asked}\n    choose auto")
        return asked, SPACES[asked].scaling
    if found.scaling is not None:
        return next((str(key) for key, space in fits.items() if space.scaling == found.scaling), name), found.scaling
    if "sd15" in fits:
        return "sd15", SPACES["sd15"].scaling
    if fits:
        raise ValueError(
            f"its shapes are those of {' and of '.join(fits)}\n    choose the space, or name a folder with config.json"
        )
    raise ValueError(
        f"nothing tells how its latents of {config.latent_channels} channels, in cells of {config.factor} pixels, are "
        "scaled\n    name a folder with config.json"
    )
