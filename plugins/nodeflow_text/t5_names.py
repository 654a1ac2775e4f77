"""What published checkpoints call the tensors of T5's encoder, and which T5 a checkpoint holds."""

import re
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any, Final

from nodeflow_nn.published import Piece, Shape, Sources

from nodeflow_text.t5 import EPS, T5Config

Shapes = Mapping[str, Shape]
PREFIXES: Final = ("", "transformer.", "text_encoders.t5xxl.transformer.")
"""What may stand before the names: of a folder or a file of the encoder alone, and of single files of whole models."""
TOKENS: Final = ("shared.weight", "encoder.embed_tokens.weight")
"""The token table has two names; a file has either, or both with the same numbers."""
POSITIONS: Final = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
NORM: Final = "encoder.final_layer_norm.weight"
LAYER: Final = {
    "norm1": "layer.0.layer_norm",
    "qkv": "layer.0.SelfAttention.q layer.0.SelfAttention.k layer.0.SelfAttention.v",
    "out": "layer.0.SelfAttention.o",
    "norm2": "layer.1.layer_norm",
    "up": "layer.1.DenseReluDense.wi",
    "down": "layer.1.DenseReluDense.wo",
}
GATED: Final = "layer.1.DenseReluDense.wi_0 layer.1.DenseReluDense.wi_1"
"""In the place of `up`; each name has one weight and no bias."""
UNUSED: Final = re.compile(r"decoder\..*|lm_head\.weight|shared\.weight|encoder\.embed_tokens\.weight")
"""Tensors, after the prefix, of a whole T5 that its encoder does without; of the token table's names one is used."""
KINDS: Final = {"relu": False, "gated-gelu": True}
"""`feed_forward_proj` of a config."""


def prefix_of(shapes: Shapes) -> str | None:
    """What stands before the names of a T5 encoder; None: the checkpoint holds none."""
    return next((prefix for prefix in PREFIXES if {prefix + POSITIONS, prefix + NORM} <= shapes.keys()), None)


def owns(prefix: str, name: str) -> bool:
    """Whether a tensor is the encoder's, so that it must be used."""
    return name.startswith(prefix) and not UNUSED.fullmatch(name.removeprefix(prefix))


def sources(config: T5Config, prefix: str, shapes: Shapes) -> Sources:
    """For each tensor of ours those of the checkpoint."""
    tokens = next((name for name in TOKENS if prefix + name in shapes), TOKENS[0])
    found: dict[str, tuple[Piece, ...]] = {
        "tokens.weight": (prefix + tokens,),
        "positions.weight": (prefix + POSITIONS,),
        "norm.weight": (prefix + NORM,),
    }
    for index in range(config.depth):
        for ours, names in (LAYER | {"up": GATED} if config.gated else LAYER).items():
            place = f"{prefix}encoder.block.{index}."
            found[f"layers.{index}.{ours}.weight"] = tuple(f"{place}{name}.weight" for name in names.split())
    return found


def detect(shapes: Shapes, prefix: str, config: Mapping[str, Any] | None) -> T5Config:
    """Which T5 it is: all but the furthest distance is told by shapes; a config.json must not say otherwise.

    Raises:
        ValueError: a tensor is absent, or the config asks for what this encoder is not.
    """
    block = f"{prefix}encoder.block."
    gated = f"{block}0.layer.1.DenseReluDense.wi_0.weight" in shapes
    up = "wi_0" if gated else "wi"
    table = next((prefix + name for name in TOKENS if prefix + name in shapes), prefix + TOKENS[0])
    vocabulary, width = _matrix(shapes, table)
    number, heads = _matrix(shapes, prefix + POSITIONS)
    inner, _ = _matrix(shapes, f"{block}0.layer.0.SelfAttention.q.weight")
    hidden, _ = _matrix(shapes, f"{block}0.layer.1.DenseReluDense.{up}.weight")
    depth = sum(1 for _ in takewhile(lambda index: f"{block}{index}.layer.0.layer_norm.weight" in shapes, count()))
    told = config or {}
    distance = told.get("relative_attention_max_distance", 128)
    odd = []
    kind = told.get("feed_forward_proj", "gated-gelu" if gated else "relu")
    if KINDS.get(kind) is not gated:
        odd.append(f"feed_forward_proj {kind!r}")
    if told.get("layer_norm_epsilon", EPS) != EPS:
        odd.append(f"layer_norm_epsilon {told['layer_norm_epsilon']}")
    if not isinstance(distance, int) or distance <= number // 4 or number < 4:
        odd.append(f"relative_attention_max_distance {distance!r} with {number} buckets")
    if inner % heads:
        odd.append(f"{heads} heads in {inner} channels")
    if odd:
        raise ValueError(
            f"this T5 has {', '.join(odd)}, which ours cannot be\n    name a checkpoint of T5 v1.0 or v1.1"
        )
    return T5Config(vocabulary, width, heads, inner // heads, hidden, depth, gated, number, distance)


def _matrix(shapes: Shapes, name: str) -> tuple[int, int]:
    shape = shapes.get(name, ())
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{name} is {list(shape) or 'absent'}, but expected a matrix")
    return shape[0], shape[1]
