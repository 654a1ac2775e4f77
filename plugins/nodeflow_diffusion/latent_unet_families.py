"""Which latent U-Net a checkpoint holds: told from the names and shapes of its tensors, or from a folder's config."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import Any, Literal, NamedTuple

from nodeflow_diffusion.latent_unet import LatentUNetConfig
from nodeflow_diffusion.latent_unet_names import PREFIXES, Layout, Shapes

Task = Literal["text", "depth", "edit", "inpaint"]
TASKS: dict[int, Task] = {4: "text", 5: "depth", 8: "edit", 9: "inpaint"}
"""By channels in: the latents alone; beside a depth map; beside those of the picture to edit (InstructPix2Pix); beside
mask and masked picture."""


@dataclass(frozen=True)
class Family:
    """linear: its transformers' projections are linear layers, not 1x1 convolutions. texts: the encoder whose words it
    reads; "" if that is not known. predictions: of which a file does not say which. space: of its latents. pictures:
    what it reads beside the words is a picture (unCLIP).
    """

    name: str
    config: LatentUNetConfig
    linear: bool = True
    texts: str = ""
    predictions: tuple[Literal["eps", "v"], ...] = ("eps",)
    space: str = "sd15"
    pictures: bool = False


SD2 = LatentUNetConfig(context_width=1024, heads=(5, 10, 20, 20))
FAMILIES = (
    Family("sd1", LatentUNetConfig(), False, "CLIP ViT-L"),
    Family("sd2", SD2, True, "CLIP ViT-H", ("eps", "v")),
    Family("sd2_unclip_l", replace(SD2, vector_width=1536), True, "CLIP ViT-H", ("v",), pictures=True),
    Family("sd2_unclip_h", replace(SD2, vector_width=2048), True, "CLIP ViT-H", ("v",), pictures=True),
    Family(
        "sdxl",
        LatentUNetConfig(
            widths=(320, 640, 1280), depths=(0, 2, 10), middle_depth=10, heads=(5, 10, 20), context_width=2048,
            vector_width=2816,
        ),
        True, "CLIP ViT-L + CLIP ViT-bigG", space="sdxl",
    ),
    Family(
        "sdxl_refiner",
        LatentUNetConfig(
            widths=(384, 768, 1536, 1536), depths=(0, 4, 4, 0), middle_depth=4, heads=(6, 12, 24, 24),
            context_width=1280, vector_width=2560,
        ),
        True, "CLIP ViT-bigG", space="sdxl",
    ),
)  # fmt: skip


class Found(NamedTuple):
    """What a checkpoint holds. prefix: of its U-Net's names. unclip: see `latent_unet_names.sources`."""

    family: Family
    task: Task
    config: LatentUNetConfig
    layout: Layout
    prefix: str
    unclip: bool


class Measured(NamedTuple):
    """What shapes alone tell: all but the number of heads, in whose place the config has ones."""

    config: LatentUNetConfig
    linear: bool
    layout: Layout
    prefix: str
    unclip: bool


def detect(shapes: Shapes) -> Found:
    """Which published model it is.

    Raises:
        ValueError: there is no latent U-Net among these, or one that is none of `FAMILIES`; with what was found.
    """
    config, linear, layout, prefix, unclip = measure(shapes)
    task = TASKS.get(config.channels_in)
    for family in FAMILIES:
        alike = {**vars(config), "heads": family.config.heads, "channels_in": 4} == vars(family.config)
        if task and alike and linear == family.linear:
            return Found(family, task, replace(config, heads=family.config.heads), layout, prefix, unclip)
    told = ", ".join(f"{name} {value}" for name, value in vars(config).items() if name != "heads")
    known_ones = ", ".join(family.name for family in FAMILIES)
    raise ValueError(
        f"this U-Net is none of {known_ones}: it has {told}, {'linear' if linear else 'convolutional'} projections\n"
        "    shapes do not tell its number of heads: name a diffusers folder, whose config.json does"
    )


def known(shapes: Shapes, told: Mapping[str, Any]) -> Found:
    """Which model it is: from a folder's config.json if that says anything, else as `detect` from shapes alone.

    Raises:
        ValueError: there is no latent U-Net among these, or one that ours is not; with what was found.
    """
    if "block_out_channels" not in told:
        return detect(shapes)
    measured, config = measure(shapes), from_diffusers(told)
    task = TASKS.get(config.channels_in)
    if task is None:
        raise ValueError(f"it takes {config.channels_in} channels, but expected one of {', '.join(map(str, TASKS))}")
    plain = replace(config, channels_in=4)
    family = next((family for family in FAMILIES if family.config == plain), None)
    if family is None:  # of sizes of its own: what its kin of those parts have
        space = "sdxl" if told.get("addition_embed_type") else "sd15"
        family = Family("of its own sizes", plain, measured.linear, predictions=("eps", "v"), space=space)
    return Found(family, task, config, measured.layout, measured.prefix, measured.unclip)


def measure(shapes: Shapes) -> Measured:
    """What the shapes tell of a latent U-Net, its heads aside.

    Raises:
        ValueError: there is none, or stages of a level differ, which ours cannot.
    """
    layout, prefix = _layout(shapes)
    ldm = layout == "ldm"
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    levels = list(_ldm_levels(own) if ldm else _diffusers_levels(own))
    kinds = [set(level) for level in levels]
    if not levels:
        raise ValueError(
            f"the first stage of this U-Net is incomplete: {prefix}"
            f"{'input_blocks.1.0.in_layers.2' if ldm else 'down_blocks.0.resnets.0.conv1'}.weight is missing\n"
            "    fetch it again, or name another file"
        )
    if any(len(kind) != 1 for kind in kinds) or len({len(level) for level in levels}) != 1:
        raise ValueError(
            "the stages of this U-Net differ within a level, which no supported model's do: by level, as (channels, "
            f"transformer blocks): {levels}\n    name a checkpoint that was not pruned"
        )
    middle = _depth(own, "middle_block.1" if ldm else "mid_block.attentions.0")
    words = next((shape for name, shape in own.items() if name.endswith(".attn2.to_k.weight")), (0, 0))
    projection = next((shape for name, shape in own.items() if name.endswith(".proj_in.weight")), (0, 0))
    unclip = "class_embedding.linear_1.weight" in own
    vector = "label_emb.0.0" if ldm else "class_embedding.linear_1" if unclip else "add_embedding.linear_1"
    config = LatentUNetConfig(
        channels_in=own["input_blocks.0.0.weight" if ldm else "conv_in.weight"][1],
        channels_out=own.get("out.2.weight" if ldm else "conv_out.weight", (4,))[0],
        widths=tuple(level[0][0] for level in levels),
        layers=len(levels[0]),
        depths=tuple(level[0][1] for level in levels),
        middle_depth=middle,
        heads=(1,) * len(levels),
        context_width=words[1],
        vector_width=own.get(f"{vector}.weight", (0, 0))[1],
    )
    return Measured(config, len(projection) == 2, layout, prefix, unclip)


def _layout(shapes: Shapes) -> tuple[Layout, str]:
    firsts: dict[Layout, str] = {"ldm": "input_blocks.0.0.weight", "diffusers": "conv_in.weight"}
    for prefix in PREFIXES:
        for layout, first in firsts.items():
            if len(shapes.get(prefix + first, ())) == 4 and (
                layout == "ldm" or f"{prefix}conv_norm_out.weight" in shapes
            ):
                return layout, prefix
    some = ", ".join(sorted(shapes)[:4])
    raise ValueError(
        f"there is no latent U-Net among its {len(shapes)} tensors ({some}, ...)\n"
        '    expected names as "model.diffusion_model.input_blocks.0.0.weight", or "conv_in.weight" of a folder'
    )


def _ldm_levels(shapes: Shapes) -> Iterator[list[tuple[int, int]]]:
    """By level: of each stage its channels and its transformer's depth."""
    level: list[tuple[int, int]] = []
    for step in count(1):
        convolution = shapes.get(f"input_blocks.{step}.0.in_layers.2.weight")
        if convolution is not None:
            level.append((convolution[0], _depth(shapes, f"input_blocks.{step}.1")))
            continue
        if level:
            yield level
        if f"input_blocks.{step}.0.op.weight" not in shapes:
            return
        level = []


def _diffusers_levels(shapes: Shapes) -> Iterator[list[tuple[int, int]]]:
    for at in takewhile(lambda at: f"down_blocks.{at}.resnets.0.conv1.weight" in shapes, count()):
        here = f"down_blocks.{at}"
        stages = takewhile(lambda stage: f"{here}.resnets.{stage}.conv1.weight" in shapes, count())  # noqa: B023
        yield [
            (shapes[f"{here}.resnets.{stage}.conv1.weight"][0], _depth(shapes, f"{here}.attentions.{stage}"))
            for stage in stages
        ]


def _depth(shapes: Shapes, place: str) -> int:
    blocks = takewhile(lambda index: f"{place}.transformer_blocks.{index}.norm1.weight" in shapes, count())
    return sum(1 for _ in blocks)


PLAIN: dict[str, tuple[object, ...]] = {
    "_class_name": ("UNet2DConditionModel",),
    "act_fn": ("silu", "swish"),
    "addition_embed_type": (None, "text_time"),
    "attention_type": ("default",),
    "center_input_sample": (False,),
    "class_embed_type": (None, "projection"),
    "class_embeddings_concat": (False,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "norm_eps": (1e-5,),
    "num_class_embeds": (None,),
    "only_cross_attention": (False,),
    "resnet_out_scale_factor": (1.0,),
    "resnet_skip_time_act": (False,),
    "resnet_time_scale_shift": ("default",),
    "time_cond_proj_dim": (None,),
    "time_embedding_act_fn": (None,),
    "time_embedding_dim": (None,),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
}
"""What a folder's config.json may say of what ours has one form of only."""


def from_diffusers(values: Mapping[str, Any]) -> LatentUNetConfig:
    """The config.json of a diffusers folder; its `attention_head_dim` is the number of heads.

    Raises:
        ValueError: it asks for what this U-Net is not.
    """
    odd = [
        f"{name} is {values[name]!r}" for name, known in PLAIN.items() if name in values and values[name] not in known
    ]
    widths = tuple(values["block_out_channels"])
    kinds = [kind == "CrossAttnDownBlock2D" for kind in values["down_block_types"]]
    down, up = ["DownBlock2D", "CrossAttnDownBlock2D"], ["UpBlock2D", "CrossAttnUpBlock2D"]
    if [down[kind] for kind in kinds] != list(values["down_block_types"]):
        odd.append(f"down_block_types is {values['down_block_types']}")
    if [up[kind] for kind in reversed(kinds)] != list(values["up_block_types"]):
        odd.append(f"up_block_types is {values['up_block_types']}")
    spread = {}
    for name, fallback in (("transformer_layers_per_block", 1), ("attention_head_dim", 8)):
        given = values.get(name, fallback)
        spread[name] = [given] * len(widths) if isinstance(given, int) else list(given)
    numbers = [
        *spread["transformer_layers_per_block"],
        values.get("layers_per_block", 2),
        values["cross_attention_dim"],
    ]
    odd += [f"{number} stands where one number is expected" for number in numbers if not isinstance(number, int)]
    if odd:
        raise ValueError(f"this is no U-Net of Stable Diffusion 1, 2 or XL: {'; '.join(odd)}")
    depths = spread["transformer_layers_per_block"]
    told = values.get("class_embed_type") or values.get("addition_embed_type")
    return LatentUNetConfig(
        channels_in=values.get("in_channels", 4),
        channels_out=values.get("out_channels", 4),
        widths=widths,
        layers=values.get("layers_per_block", 2),
        depths=tuple(depth if attends else 0 for depth, attends in zip(depths, kinds, strict=True)),
        middle_depth=depths[-1],
        heads=tuple(spread["attention_head_dim"]),
        context_width=values["cross_attention_dim"],
        vector_width=values["projection_class_embeddings_input_dim"] if told else 0,
        groups=values.get("norm_num_groups", 32),
    )
