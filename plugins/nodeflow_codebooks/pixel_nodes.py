"""Denoisers of pixels stand behind the same nodes as those of latents."""

from nodeflow import Autoencoder, node
from nodeflow_codebooks.pixel_recipes import Pixels


@node(category="codebooks", title="Pixels")
def pixels() -> Autoencoder:
    """Take pictures as they are for denoisers that work on pixels, not on latents.

    It has no weights. It encodes what such a denoiser shall begin with, decodes what it made, and shows previews.
    """
    return Pixels()


PIXEL_NODES = (pixels,)
