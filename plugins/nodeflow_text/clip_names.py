"""What published checkpoints call the tensors of CLIP, and which CLIP a checkpoint holds: tables."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any, Final, Literal, NamedTuple

from nodeflow_nn.published import Piece, Shape, Sources, Transposed

from nodeflow_text.clip import ACTIVATIONS, END, Activation, ClipTextConfig, ClipVisionConfig

Layout = Literal["hf", "openai"]
"""hf: of transformers. openai: of OpenAI's archives and of open_clip, with fused projections and `resblocks`."""
Shapes = Mapping[str, Shape]


class Row(NamedTuple):
    """A part of ours and what it is called. Several names stand one above the other in our tensor; "~" before a name:
    its matrix is [in, out].
    """

    ours: str
    hf: str
    openai: str


TEXT: Final = (
    Row("tokens.weight", "embeddings.token_embedding.weight", "token_embedding.weight"),
    Row("positions", "embeddings.position_embedding.weight", "positional_embedding"),
    Row("norm.weight", "final_layer_norm.weight", "ln_final.weight"),
    Row("norm.bias", "final_layer_norm.bias", "ln_final.bias"),
)
VISION: Final = (
    Row("first", "embeddings.class_embedding", "class_embedding"),
    Row("patches.weight", "embeddings.patch_embedding.weight", "conv1.weight"),
    Row("positions", "embeddings.position_embedding.weight", "positional_embedding"),
    Row("norm_in.weight", "pre_layrnorm.weight", "ln_pre.weight"),  # misspelt as published
    Row("norm_in.bias", "pre_layrnorm.bias", "ln_pre.bias"),
    Row("norm.weight", "post_layernorm.weight", "ln_post.weight"),
    Row("norm.bias", "post_layernorm.bias", "ln_post.bias"),
)
LAYERS: Final = Row("layers", "encoder.layers", "transformer.resblocks")
LAYER: Final = (
    Row("norm1.{}", "layer_norm1.{}", "ln_1.{}"),
    Row("qkv.{}", "self_attn.q_proj.{} self_attn.k_proj.{} self_attn.v_proj.{}", "attn.in_proj_{}"),
    Row("out.{}", "self_attn.out_proj.{}", "attn.out_proj.{}"),
    Row("norm2.{}", "layer_norm2.{}", "ln_2.{}"),
    Row("up.{}", "mlp.fc1.{}", "mlp.c_fc.{}"),
    Row("down.{}", "mlp.fc2.{}", "mlp.c_proj.{}"),
)
"""Of each layer, with weight and bias."""


class Home(NamedTuple):
    """Where a tower stands in a checkpoint. prefix: what its names begin with; N is any number. projection: its
    projection's name, with that prefix or, where it stands beside the tower, with `beside`. skip, norm: how the model
    that such a file is of reads the words; see `ClipTextTower.forward`.
    """

    prefix: str
    layout: Layout
    projection: str
    beside: str | None = None
    skip: int = 0
    norm: bool = True


TEXT_HOMES: Final = (
    Home("text_model.", "hf", "text_projection.weight", ""),
    Home("", "hf", "text_projection.weight", ""),
    Home("", "openai", "~text_projection"),
    Home("text.", "openai", "~text_projection"),
    # single files of Stable Diffusion 1
    Home("cond_stage_model.transformer.text_model.", "hf", "text_projection.weight", "cond_stage_model.transformer."),
    Home("cond_stage_model.transformer.", "hf", "text_projection.weight", "cond_stage_model.transformer."),
    # of Stable Diffusion 2
    Home("cond_stage_model.model.", "openai", "~text_projection", skip=1),
    # of Stable Diffusion XL and its refiner
    Home(
        "conditioner.embedders.N.transformer.text_model.", "hf", "text_projection.weight",
        "conditioner.embedders.N.transformer.", 1, False,
    ),
    Home("conditioner.embedders.N.model.", "openai", "~text_projection", None, 1, False),
)  # fmt: skip
VISION_HOMES: Final = (
    Home("vision_model.", "hf", "visual_projection.weight", ""),
    Home("", "hf", "visual_projection.weight", ""),
    Home("visual.", "openai", "~proj"),
    Home("embedder.model.visual.", "openai", "~proj"),  # single files of Stable Diffusion 2 unCLIP
    Home("conditioner.embedders.N.model.visual.", "openai", "~proj"),
)


class Reading(NamedTuple):
    """How a model reads a tower's words: see `ClipTextTower.forward`."""

    skip: int
    norm: bool


PIPELINES: Final = {"StableDiffusionXL": Reading(1, False), "StableDiffusion3": Reading(1, False)}
"""By what the class of a diffusers pipeline begins with. Stable Diffusion 2's folders lack the skipped layer."""
SCALE: Final = 100.0
"""By which all published models multiply cosines; training holds it at 100 at most, and they went there."""
UNUSED: Final = re.compile(
    r"""(.*\.)?(
        embeddings\.position_ids               # 0, 1, 2, ..., which early transformers saved
        | attn_mask                            # the causal mask, which open_clip saved
        | logit_scale | logit_bias             # of the comparison of texts with pictures
        | input_resolution | context_length | vocab_size  # of OpenAI's archives
    )""",
    re.VERBOSE,
)
"""Tensors that a tower may have and that nobody needs."""


OTHERS: Final = {
    "text": ("visual.", "vision_model.", "visual_projection."),
    "vision": ("text_model.", "text_projection."),
}
"""By kind of a tower what the names of the other begin with."""


class Known(NamedTuple):
    """A published text tower. activation: of files that have no config beside them."""

    name: str
    width: int
    activation: Activation


KNOWN: Final = (
    Known("ViT-B", 512, "quick_gelu"),
    Known("ResNet-50x4", 640, "quick_gelu"),
    Known("ViT-L", 768, "quick_gelu"),
    Known("ViT-H", 1024, "gelu"),
    Known("ViT-bigG", 1280, "gelu"),
)
"""By width of the text tower: shapes do not tell the activation. Those of width 512 and 768 that open_clip trained with
gelu have no other shapes than OpenAI's; whoever loads one says so. The name is that of the space of their words."""
RESNET: Final = "visual.layer1.0.conv1.weight"
"""What a tensor of those whose vision tower is a ResNet is called."""
KNOWN_VISION: Final[dict[int, tuple[int, Activation]]] = {
    768: (12, "quick_gelu"),
    1024: (16, "quick_gelu"),
    1280: (16, "gelu"),
    1664: (16, "gelu"),
}
"""Heads and activation by width of the vision tower: B, L, H, bigG. The last two have heads of 80 and 104."""


@dataclass(frozen=True)
class Tower:
    """A tower in a checkpoint: where, and which of that kind."""

    kind: Literal["text", "vision"]
    home: Home
    projected: bool

    def sources(self, depth: int) -> Sources:
        """For each tensor of ours those of the checkpoint."""
        home, layout = self.home, self.home.layout
        found: dict[str, tuple[Piece, ...]] = {}
        for row in TEXT if self.kind == "text" else VISION:
            found[row.ours] = (home.prefix + getattr(row, layout),)
        for index in range(depth):
            place = f"{home.prefix}{getattr(LAYERS, layout)}.{index}."
            for row in LAYER:
                for leaf in ("weight", "bias"):
                    names = getattr(row, layout).format(*[leaf] * 3).split()
                    found[f"{LAYERS.ours}.{index}.{row.ours.format(leaf)}"] = tuple(place + name for name in names)
        if self.projected:
            name = projection_name(home)
            found["projection.weight"] = (Transposed(name) if home.projection.startswith("~") else name,)
        return found

    def owns(self, name: str) -> bool:
        """Whether a tensor is this tower's, so that one of that name must be used."""
        # what stands by itself is alone there but for the other tower; within a whole model there is all else
        alone = self.home.prefix == "" or self.home.beside == ""
        own = not name.startswith(OTHERS[self.kind]) if alone else name.startswith(self.home.prefix)
        return own and not UNUSED.fullmatch(name)


def scale_name(home: Home) -> str:
    """The name of the logarithm of the scale by which the model compares texts with pictures."""
    return (home.prefix if home.beside is None else home.beside) + "logit_scale"


def projection_name(home: Home) -> str:
    """The name of a tower's projection."""
    return (home.prefix if home.beside is None else home.beside) + home.projection.removeprefix("~")


def towers(shapes: Shapes, kind: Literal["text", "vision"] = "text") -> list[Tower]:
    """All towers of a kind that a checkpoint holds, in the order of their names."""
    found = list[Tower]()
    rows = TEXT if kind == "text" else VISION
    for home in TEXT_HOMES if kind == "text" else VISION_HOMES:
        for number in range(3) if "N" in home.prefix else [0]:
            here = home._replace(
                prefix=home.prefix.replace("N", str(number)),
                beside=None if home.beside is None else home.beside.replace("N", str(number)),
            )
            place = f"{here.prefix}{getattr(LAYERS, here.layout)}.0."
            marks = {here.prefix + getattr(rows[0], here.layout), place + getattr(LAYER[0], here.layout).format("bias")}
            if marks <= shapes.keys():
                found.append(Tower(kind, here, projection_name(here) in shapes))
    return sorted(found, key=lambda tower: tower.home.prefix)


def space_of(width: int) -> str:
    """What denoisers call the words of a published text tower of that width; "" of any other."""
    return next((f"CLIP {known.name}" for known in KNOWN if known.width == width), "")


def reading_of(tower: Tower, pipeline: str) -> Reading:
    """How the words of a tower are read by the model that it is part of, as far as its place and its pipeline tell."""
    known = next((reading for start, reading in PIPELINES.items() if pipeline.startswith(start)), None)
    return known or Reading(tower.home.skip, tower.home.norm)


def pipeline_class(text: bytes) -> str:
    """The class that a model_index.json names; "" if it names none."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    name = said.get("_class_name") if isinstance(said, dict) else None
    return name if isinstance(name, str) else ""


def text_config(tower: Tower, shapes: Shapes, config: Mapping[str, Any] | None) -> ClipTextConfig:
    """Which text tower it is, from the config.json beside it, or else from shapes and the table of what is known.

    Raises:
        ValueError: neither tells.
    """
    vocabulary, width = _shape(shapes, tower, TEXT[0])
    told = _settings(config, "text_config")
    guess = next((known.activation for known in KNOWN if known.width == width), None)
    if any(name.endswith(RESNET) for name in shapes):  # all of these, that of width 1024 as well
        guess = "quick_gelu"
    end = told.get("eos_token_id", 2)
    return ClipTextConfig(
        vocabulary=vocabulary,
        length=_shape(shapes, tower, TEXT[1])[0],
        width=width,
        heads=_number(told, "num_attention_heads", max(1, width // 64)),
        # transformers' first configs said 2, and meant the last of the vocabulary
        end=min(END, vocabulary - 1) if end == 2 or not isinstance(end, int) else end,
        **_common(tower, shapes, told, guess, width),
    )


def vision_config(tower: Tower, shapes: Shapes, config: Mapping[str, Any] | None) -> ClipVisionConfig:
    """Which vision tower it is; as `text_config`."""
    width, _, patch, _ = _shape(shapes, tower, VISION[1])
    told = _settings(config, "vision_config")
    heads, activation = KNOWN_VISION.get(width, (max(1, width // 64), None))
    grid = round((_shape(shapes, tower, VISION[2])[0] - 1) ** 0.5)
    return ClipVisionConfig(
        side=grid * patch,
        patch=patch,
        width=width,
        heads=_number(told, "num_attention_heads", heads),
        **_common(tower, shapes, told, activation, width),
    )


def _common(
    tower: Tower, shapes: Shapes, told: Mapping[str, Any], guess: Activation | None, width: int
) -> dict[str, Any]:
    """Depth, hidden width, activation and projection."""
    activation = told.get("hidden_act", guess)
    if activation not in ACTIVATIONS:
        known = ", ".join(f"{known.name} {known.width}" for known in KNOWN)
        said = "shapes do not tell its activation" if activation is None else f"its activation is {activation!r}"
        raise ValueError(
            f"this CLIP {tower.kind} tower of width {width} is none of {known}, and {said}\n"
            f"    expected {' or '.join(ACTIVATIONS)}: name the activation, or put its config.json beside it"
        )
    if told.get("layer_norm_eps", 1e-5) != 1e-5:
        raise ValueError(f"its layer_norm_eps is {told['layer_norm_eps']}, but expected 1e-05")
    place = f"{tower.home.prefix}{getattr(LAYERS, tower.home.layout)}."
    first = getattr(LAYER[0], tower.home.layout).format("bias")
    depth = sum(1 for _ in takewhile(lambda index: f"{place}{index}.{first}" in shapes, count()))
    up = shapes.get(f"{place}0.{getattr(LAYER[4], tower.home.layout).format('weight')}", (0,))
    side = 1 if tower.home.projection.startswith("~") else 0
    projection = shapes[projection_name(tower.home)][side] if tower.projected else None
    return {"depth": depth, "hidden": up[0], "activation": activation, "projection": projection}


def _settings(config: Mapping[str, Any] | None, part: str) -> Mapping[str, Any]:
    """A tower's settings: of its own config, or of that of both towers."""
    inner = (config or {}).get(part)
    return inner if isinstance(inner, Mapping) else config or {}


def _number(told: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = told.get(name, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"its {name} is {value!r}, but expected a whole number from 1")
    return value


def _shape(shapes: Shapes, tower: Tower, row: Row) -> Shape:
    name = tower.home.prefix + getattr(row, tower.home.layout)
    dimensions = 4 if row.ours == "patches.weight" else 2
    shape = shapes.get(name, ())
    if len(shape) != dimensions or 0 in shape:
        raise ValueError(f"{name} is {list(shape) or 'absent'}, but expected a tensor of {dimensions} dimensions")
    return shape
