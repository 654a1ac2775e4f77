"""The tensors of CLIP's towers and of T5, told from their configs alone: to judge a checkpoint no module is made."""

from nodeflow_text.clip import ClipTextConfig, ClipVisionConfig
from nodeflow_text.t5 import T5Config

Shape = tuple[int, ...]


def text_shapes(config: ClipTextConfig) -> dict[str, Shape]:
    """Of a `ClipTextTower`, by name.

    Raises:
        ValueError: no such module can be made.
    """
    found: dict[str, Shape] = {
        "tokens.weight": (config.vocabulary, config.width),
        "positions": (config.length, config.width),
    }
    return found | _layers(config) | _norm("norm", config.width) | _projection(config)


def vision_shapes(config: ClipVisionConfig) -> dict[str, Shape]:
    """Of a `ClipVisionTower`, by name; failures as `text_shapes`."""
    if config.side % config.patch:
        raise ValueError(f"patches of {config.patch} pixels do not divide a side of {config.side}")
    found: dict[str, Shape] = {
        "first": (config.width,),
        "positions": (1 + (config.side // config.patch) ** 2, config.width),
        "patches.weight": (config.width, 3, config.patch, config.patch),
    }
    norms = _norm("norm_in", config.width) | _norm("norm", config.width)
    return found | norms | _layers(config) | _projection(config)


def t5_shapes(config: T5Config) -> dict[str, Shape]:
    """Of a `T5Encoder`, by name."""
    width, inner = config.width, config.heads * config.head_width
    found: dict[str, Shape] = {
        "tokens.weight": (config.vocabulary, width),
        "positions.weight": (config.buckets, config.heads),
        "norm.weight": (width,),
    }
    layer: dict[str, Shape] = {
        "norm1": (width,),
        "norm2": (width,),
        "qkv": (3 * inner, width),
        "out": (width, inner),
        "up": ((2 if config.gated else 1) * config.hidden, width),
        "down": (width, config.hidden),
    }
    for index in range(config.depth):
        found |= {f"layers.{index}.{part}.weight": shape for part, shape in layer.items()}
    return found


def _layers(config: ClipTextConfig | ClipVisionConfig) -> dict[str, Shape]:
    width, hidden = config.width, config.hidden
    if width % config.heads:
        raise ValueError(f"{config.heads} heads do not divide width {width}")
    layer = _norm("norm1", width) | _norm("norm2", width)
    linear = {"qkv": (3 * width, width), "out": (width, width), "up": (hidden, width), "down": (width, hidden)}
    for part, shape in linear.items():
        layer |= {f"{part}.weight": shape, f"{part}.bias": shape[:1]}
    return {f"layers.{index}.{part}": shape for index in range(config.depth) for part, shape in layer.items()}


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _projection(config: ClipTextConfig | ClipVisionConfig) -> dict[str, Shape]:
    return {"projection.weight": (config.projection, config.width)} if config.projection else {}
