"""Pictures to latents and back."""

from typing import Annotated

import torch
from nodeflow_shapes.shipped import AUTOENCODER
from pydantic import Field

from nodeflow import QUIET, Autoencoder, Context, Image, Latent, Ui, node, weights_identity
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
def encode(autoencoder: Autoencoder, image: Image, *, ctx: Context = QUIET) -> Latent:
    """Turn pictures into latents.

    Args:
        autoencoder: says into which space.
        image: pictures of the size that the autoencoder knows; grey ones are taken as RGB.
    """
    pixels = image.pixels.to(ctx.device, torch.float32)
    if pixels.shape[1] == 4:
        raise ValueError(
            "the picture has an alpha channel, which latents have not\n    flatten it first (image.flatten)"
        )
    loaded = ctx.load(autoencoder)
    parts = torch.split(pixels.expand(-1, 3, -1, -1), BATCH)
    return Latent(torch.cat([loaded.encode(part) for part in parts]).float(), autoencoder.space)


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
    return Image(torch.cat([loaded.decode(part) for part in parts]).float())


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
