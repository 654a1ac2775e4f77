"""The tensors of a latent autoencoder, told from its config alone: to judge a checkpoint no module is made."""

from collections.abc import Iterator, Sequence

from nodeflow_codebooks.latent_autoencoder import LatentAutoencoderConfig

Shape = tuple[int, ...]
Layer = tuple[str, Shape]


def outline(config: LatentAutoencoderConfig) -> dict[str, Shape]:
    """Of a `LatentAutoencoder`, by name."""
    cell, inner = config.latent_channels, config.space_channels
    out = cell * (1 if config.codes else 2)
    layers = [*_encoder(config, out), *_decoder(config)]
    if config.quant:
        layers.append(("quant", (inner if config.codes else 2 * inner, out, 1, 1)))
    if config.gumbel:
        layers.append(("rate", (config.codes, config.code_width, 1, 1)))
    if config.post_quant:
        layers.append(("post_quant", (cell, inner, 1, 1)))
    found: dict[str, Shape] = {}
    for name, shape in layers:
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found | ({"codebook.weight": (config.codes, config.code_width)} if config.codes else {})


def _encoder(config: LatentAutoencoderConfig, out: int) -> Iterator[Layer]:
    widths = config.widths
    yield "encoder.first", (widths[0], config.channels, 3, 3)
    for at, width in enumerate(widths):
        given = [widths[max(at - 1, 0)], *[width] * (config.layers - 1)]
        yield from _level(f"encoder.levels.{at}", given, width, config.attended[at], at < len(widths) - 1)
    yield from _middle("encoder", widths[-1], config.middle)
    yield "encoder.norm", (widths[-1],)
    yield "encoder.last", (out, widths[-1], 3, 3)


def _decoder(config: LatentAutoencoderConfig) -> Iterator[Layer]:
    widths = config.widths[::-1]
    yield "decoder.first", (widths[0], config.latent_channels, 3, 3)
    yield from _middle("decoder", widths[0], config.middle)
    for at, width in enumerate(widths):
        given = [widths[max(at - 1, 0)], *[width] * config.layers]
        yield from _level(f"decoder.levels.{at}", given, width, config.attended[-1 - at], at < len(widths) - 1)
    yield "decoder.norm", (widths[-1],)
    yield "decoder.last", (config.channels, widths[-1], 3, 3)


def _level(name: str, given: Sequence[int], width: int, attended: bool, resized: bool) -> Iterator[Layer]:
    for index, channels in enumerate(given):
        yield from _residual(f"{name}.residuals.{index}", channels, width)
        if attended:
            yield from _attention(f"{name}.attentions.{index}", width)
    if resized:
        yield f"{name}.resize", (width, width, 3, 3)


def _middle(side: str, width: int, attended: bool) -> Iterator[Layer]:
    yield from _residual(f"{side}.middle.residual1", width, width)
    if attended:
        yield from _attention(f"{side}.middle.attention", width)
    yield from _residual(f"{side}.middle.residual2", width, width)


def _residual(name: str, channels: int, width: int) -> Iterator[Layer]:
    yield f"{name}.norm1", (channels,)
    yield f"{name}.norm2", (width,)
    yield f"{name}.conv1", (width, channels, 3, 3)
    yield f"{name}.conv2", (width, width, 3, 3)
    if channels != width:
        yield f"{name}.skip", (width, channels, 1, 1)


def _attention(name: str, width: int) -> Iterator[Layer]:
    yield f"{name}.norm", (width,)
    yield f"{name}.qkv", (3 * width, width)
    yield f"{name}.out", (width, width)
