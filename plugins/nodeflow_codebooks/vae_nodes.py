"""Published autoencoders, and how they take large pictures."""

from typing import Annotated, Literal

from pydantic import Field

from nodeflow import QUIET, Autoencoder, Context, Ui, checkpoint_identity, expecting, find_checkpoint, node
from nodeflow_codebooks.vae_recipes import PART, LatentAutoencoderModel, Precision, Tiled


def _identity(model: str) -> str:
    return checkpoint_identity(find_checkpoint(model, part=PART))


@node(category="codebooks", title="Load VAE", identity=_identity)
def load_vae(
    model: Annotated[str, Ui("model")],
    space: Literal["auto", "sd15", "sdxl", "sd3", "flux"] = "auto",
    precision: Precision = "fp32",
    *,
    ctx: Context = QUIET,
) -> Autoencoder:
    """Choose the autoencoder of a published model: Stable Diffusion's, or another KL or VQ one of latent diffusion.

    Its weights are read when a picture is encoded or decoded with it.

    Args:
        model: a checkpoint of a whole model, a file of the autoencoder alone, or a diffusers folder, in a model folder.
        space: of its latents. auto takes what config.json says, or else what the file of a whole model holds beside it;
            a file of the autoencoder alone does not tell sd15 from sdxl and is taken for sd15.
        precision: of its weights and activations. SDXL's goes beyond what fp16 can hold: use bf16 or fp32.
    """
    with expecting(find_checkpoint(model, ctx, PART), "vae", "vqgan", "checkpoint"):
        return LatentAutoencoderModel.named(model, space, precision, ctx)


@node(category="codebooks")
def tile(
    autoencoder: Autoencoder,
    side: Annotated[int, Field(ge=64, le=8192, multiple_of=64), Ui("slider")] = 512,
    overlap: Annotated[int, Field(ge=0, le=4096, multiple_of=64)] = 64,
) -> Autoencoder:
    """Encode and decode large pictures in tiles, in the memory that one tile takes.

    What a tile shows differs a little from what the whole picture would, as each tile has its own contrast; larger
    tiles and more overlap differ less. Pictures beyond 2048 x 2048 go in tiles of 1024 without this node.

    Args:
        autoencoder: one that `codebooks.load_vae` gave.
        side: of a tile, in pixels.
        overlap: pixels that neighbours share at least, where one fades into the other.
    """
    if overlap >= side:
        raise ValueError(f"tiles of {side} cannot share {overlap} pixels\n    choose an overlap smaller than the side")
    if isinstance(autoencoder, Tiled):
        autoencoder = autoencoder.autoencoder
    if not isinstance(autoencoder, LatentAutoencoderModel):
        kind = type(autoencoder).__name__
        raise ValueError(f"how this autoencoder, {kind}, takes pictures cannot be chosen\n    leave codebooks.tile out")
    return Tiled(autoencoder, side, overlap)


VAE_NODES = (load_vae, tile)
