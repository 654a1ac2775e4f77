"""What some published U-Nets are shown beside noise and words: a map of depth, a picture."""

from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from nodeflow import QUIET, Context, Denoiser, Image, ImageEmbedding, Seed, TextEmbedding, Ui, node
from nodeflow_diffusion.beside_recipes import Beside
from nodeflow_diffusion.latent_unet_recipes import leaf_of
from nodeflow_diffusion.picture_vectors import LEVELS, picture_vector
from nodeflow_diffusion.sampling_nodes import seeded
from nodeflow_diffusion.text_recipes import same_text_space, spread


class Shown(NamedTuple):
    """Both texts of a guidance, with what is shown beside them."""

    positive: TextEmbedding
    negative: TextEmbedding


def _shown(denoiser: Denoiser, image: Image) -> Beside:
    leaf = leaf_of(denoiser)
    if leaf is None or leaf.task != "depth":
        raise ValueError(
            "this denoiser was not trained to see depth: its U-Net does not take five channels\n"
            "    diffusion.control makes any of Stable Diffusion's see a picture, by a ControlNet"
        )
    if image.pixels.shape[1] == 4:
        raise ValueError("the map of depth has an alpha channel\n    flatten it first (image.flatten)")
    grey, factor = image.pixels.float().mean(1, keepdim=True), denoiser.space.factor
    high, wide = grey.shape[-2:]
    if high % factor or wide % factor:
        raise ValueError(
            f"the map of depth is of {wide} x {high}, which are no multiples of {factor}\n    resize it (image.resize)"
        )
    # without antialiasing, as in training
    cells = F.interpolate(grey, (high // factor, wide // factor), mode="bicubic")
    least, most = cells.amin((1, 2, 3), keepdim=True), cells.amax((1, 2, 3), keepdim=True)
    return Beside(denoiser, 2 * (cells - least) / (most - least) - 1)


@node(category="diffusion/guidance", title="Show depth", forecast=_shown)
def depth_condition(denoiser: Denoiser, image: Image) -> Denoiser:
    """Show a denoiser that was trained to see depth how near things are.

    Only what is nearer than something else counts: the map is stretched to its full range. Sample into an empty latent
    of the map's size, or change a picture with a strength below 1.

    Args:
        denoiser: of a depth model, such as Stable Diffusion 2 depth: its U-Net takes five channels.
        image: a grey picture of the size that is made; what is near is bright, as MiDaS and DPT give it.
    """
    shown = _shown(denoiser, image)
    least, most = (getattr(image.pixels.flatten(1), end)(1) for end in ("amin", "amax"))
    if bool((least == most).any()) or not bool(shown.seen.isfinite().all()):
        raise ValueError("the map of depth is the same everywhere\n    give one on which some things are nearer")
    return shown


@node(category="diffusion/guidance", title="Show a picture (unCLIP)", version=2)
def unclip_condition(
    denoiser: Denoiser,
    embedding: ImageEmbedding,
    positive: TextEmbedding,
    negative: TextEmbedding,
    noise_level: Annotated[int, Field(ge=0, lt=LEVELS), Ui("slider")] = 0,
    seed: Seed = 0,
    *,
    ctx: Context = QUIET,
) -> Shown:
    """Bind a picture to the texts of a guidance, for a denoiser that makes variations of pictures (unCLIP).

    The negative text is bound to no picture.

    Args:
        denoiser: of Stable Diffusion 2.1 unCLIP.
        embedding: the picture, by text.encode_image and the vision tower of the same model.
        positive: what the variation shall show besides; an empty text for nothing in particular.
        negative: what to move away from.
        noise_level: noise on the picture's vector: the more, the freer the variation.
        seed: of the first picture's noise; the others follow with seed + 1, seed + 2 and so on.
    """
    leaf = leaf_of(denoiser)
    if leaf is None or not leaf.vector_width or leaf.sizes:
        raise ValueError(
            "this denoiser reads no picture beside its texts; Stable Diffusion 2.1 unCLIP does\n"
            "    leave this node out, or load such a model"
        )
    if leaf.pictures is None:
        raise ValueError(
            f'"{leaf.network.name}" comes without the statistics of pictures (image_normalizer, noise_augmentor)\n'
            "    load the whole model, a folder or a file, not its U-Net alone"
        )
    for name, text in (("positive", positive), ("negative", negative)):
        same_text_space(text, leaf, name)
    vectors = embedding.vectors.to(ctx.device, torch.float32)
    if vectors.shape[-1] != leaf.pictures.width or 2 * leaf.pictures.width != leaf.vector_width:
        raise ValueError(
            f"the picture is a vector of {vectors.shape[-1]} numbers, but this denoiser reads one of "
            f"{leaf.vector_width // 2}\n    encode it by the vision tower of the denoiser's model (text.load_vision)"
        )
    mean, deviation = ctx.load(leaf.pictures)
    noise = seeded(ctx, range(seed, seed + len(vectors)), vectors.shape[1:])
    shown = picture_vector(vectors, mean, deviation, noise_level, noise)
    count = max(len(shown), len(positive.tokens))
    if len(shown) not in (1, count):
        raise ValueError(
            f"there are {len(shown)} pictures, but {count} texts\n    give as many of both, or one of either"
        )
    return Shown(_told(spread(positive, count), shown.expand(count, -1)), _told(negative, torch.zeros_like(shown[:1])))


def _told(text: TextEmbedding, vector: Tensor) -> TextEmbedding:
    return TextEmbedding(text.tokens, text.mask, vector.expand(len(text.tokens), -1), text.space)


SHOWN_NODES = (depth_condition, unclip_condition)
