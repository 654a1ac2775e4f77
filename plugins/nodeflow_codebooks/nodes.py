"""Pictures to latents and back."""

from typing import Annotated

import torch
from nodeflow_shapes.shipped import AUTOENCODER
from pydantic import Field
from torch import Tensor

from nodeflow import QUIET, Autoencoder, Context, Image, Latent, Seed, Ui, node, weights_identity
from nodeflow_codebooks.recipes import PatchAutoencoder

BATCH = 64
"""Pictures that go through at once: more is no faster, and a batch of 1000 would take gigabytes."""


@node(category="codebooks", title="Load autoencoder", identity=weights_identity)
def load(model: Annotated[str, Ui("model")] = AUTOENCODER, *, ctx: Context = QUIET) -> Autoencoder:
    """Choose an autoencoder. Its weights are read when a picture is encoded or decoded with it.

    Args:
        model: "plugin:name" for weights that a plugin ships, or a safetensors file in a model folder.
    """
    return PatchAutoencoder.named(model, ctx)


@node(category="codebooks", title="Encode picture")
def encode(
    autoencoder: Autoencoder, image: Image, draw: bool = False, seed: Seed = 0, *, ctx: Context = QUIET
) -> Latent:
    """Turn pictures into latents.

    Args:
        autoencoder: says into which space.
        image: pictures of a size that the autoencoder knows; grey ones are taken as RGB.
        draw: draw each latent from the Gaussian that a variational autoencoder gives for it; else its mean is taken.
        seed: of what is drawn.
    """
    pixels = image.pixels.to(ctx.device, torch.float32)
    if pixels.shape[1] == 4:
        raise ValueError(
            "the picture has an alpha channel, which latents have not\n    flatten it first (image.flatten)"
        )
    loaded, space = ctx.load(autoencoder), autoencoder.space
    parts = torch.split(pixels.expand(-1, 3, -1, -1), BATCH)
    if not draw:
        return Latent(_joined([loaded.encode(part) for part in parts]), space)
    shape = (len(pixels), space.channels, pixels.shape[2] // space.factor, pixels.shape[3] // space.factor)
    noise = torch.split(ctx.noise(seed, shape), BATCH)
    return Latent(_joined([loaded.encode(part, drawn) for part, drawn in zip(parts, noise, strict=True)]), space)


@node(category="codebooks", title="Decode picture")
def decode(autoencoder: Autoencoder, latent: Latent, *, ctx: Context = QUIET) -> Image:
    """Turn latents into pictures.

    Args:
        autoencoder: of the space that the latents live in.
        latent: what a sampler or an encoder gave.
    """
    if latent.space != autoencoder.space:
        raise ValueError(
            f"expected Latent[{autoencoder.space}] but got Latent[{latent.space}]\n"
            f"    load an autoencoder of {latent.space}, or sample with a denoiser of {autoencoder.space}"
        )
    loaded = ctx.load(autoencoder)
    parts = torch.split(latent.samples.to(ctx.device, torch.float32), BATCH)
    return Image(_joined([loaded.decode(part) for part in parts]))


def _joined(parts: list[Tensor]) -> Tensor:
    """The batch that was cut up, in float32; of one part no copy, which of a picture of 16k would take 3 GB."""
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).float()


@node(category="codebooks", title="Mix latents")
def mix(first: Latent, second: Latent, amount: Annotated[float, Field(ge=0, le=1), Ui("slider")] = 0.5) -> Latent:
    """Make the latents between those of two pictures; decoded, one picture fades into the other through shapes.

    Args:
        first: one latent, or a batch.
        second: as many as the first.
        amount: how much of the second: 0 gives the first, 1 the second.
    """
    if first.space != second.space or first.samples.shape != second.samples.shape:
        found = [f"{list(part.samples.shape)} in {part.space}" for part in (first, second)]
        raise ValueError(f"the latents do not go together: {' and '.join(found)}\n    encode both the same way")
    return Latent(torch.lerp(first.samples, second.samples.to(first.samples), amount), first.space)


NODES = (load, encode, decode, mix)
