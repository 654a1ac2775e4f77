"""Pictures to the codes of a codebook and back."""

import torch

from nodeflow import QUIET, Autoencoder, Codes, Context, Image, node
from nodeflow_codebooks.nodes import BATCH


@node(category="codebooks", title="Picture to codes")
def encode_codes(autoencoder: Autoencoder, image: Image, *, ctx: Context = QUIET) -> Codes:
    """Turn pictures into codes: each cell of a picture becomes the number of an entry of the codebook.

    Args:
        autoencoder: one with a codebook, such as a VQGAN.
        image: pictures of a size that the autoencoder knows; grey ones are taken as RGB.
    """
    _count(autoencoder)
    pixels = image.pixels.to(ctx.device, torch.float32)
    if pixels.shape[1] == 4:
        raise ValueError("the picture has an alpha channel, which codes have not\n    flatten it first (image.flatten)")
    loaded = ctx.load(autoencoder)
    parts = torch.split(pixels.expand(-1, 3, -1, -1), BATCH)
    return Codes(torch.cat([loaded.codes(part) for part in parts]), autoencoder.space.name)


def _pictures(autoencoder: Autoencoder, codes: Codes) -> Image:
    """Of which size they will be."""
    _count(autoencoder)
    if codes.codebook != autoencoder.space.name:
        raise ValueError(
            f"expected codes of {autoencoder.space} but got codes of {codes.codebook}\n"
            f"    load the autoencoder {codes.codebook}, or make codes of {autoencoder.space}"
        )
    count, high, wide = codes.indices.shape
    return Image(torch.empty(count, 3, high * autoencoder.space.factor, wide * autoencoder.space.factor))


@node(category="codebooks", title="Codes to picture", forecast=_pictures)
def decode_codes(autoencoder: Autoencoder, codes: Codes, *, ctx: Context = QUIET) -> Image:
    """Turn codes into pictures.

    Args:
        autoencoder: with the codebook that the codes are of.
        codes: what codebooks.encode_codes or a prior gave.
    """
    _pictures(autoencoder, codes)
    indices, count = codes.indices.to(ctx.device), _count(autoencoder)
    if bool(((indices < 0) | (indices >= count)).any()):
        found = f"{int(indices.min())} to {int(indices.max())}"
        raise ValueError(f"the codes are {found}, but the codebook has {count}, from 0 on\n    make them for this one")
    loaded = ctx.load(autoencoder)
    return Image(torch.cat([loaded.decode_codes(part) for part in torch.split(indices, BATCH)]).float())


def _count(autoencoder: Autoencoder) -> int:
    """Entries of its codebook."""
    count: int = getattr(autoencoder, "codes", 0)
    if not count:
        raise ValueError("this autoencoder has no codebook\n    load a VQGAN, or use codebooks.encode and .decode")
    return count


CODE_NODES = (encode_codes, decode_codes)
