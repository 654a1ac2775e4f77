"""Published checkpoints of Stable Diffusion, opened by name, and what some of them want to see or to be told."""

from typing import Annotated, NamedTuple

import torch
from nodeflow_codebooks.latent_autoencoder_families import SPACES
from nodeflow_text.vocabulary_recipes import VocabularyFiles
from pydantic import Field
from torch.nn import functional as F

from nodeflow import (
    QUIET,
    Autoencoder,
    Context,
    Denoiser,
    Image,
    Latent,
    Mask,
    ModelError,
    TextEmbedding,
    TextEncoder,
    Ui,
    checkpoint_identity,
    expecting,
    file_identity,
    find_checkpoint,
    node,
)
from nodeflow_diffusion.beside_recipes import Beside, Edited
from nodeflow_diffusion.checkpoint_recipes import autoencoder_of, encoder_of, parts_of, unused
from nodeflow_diffusion.latent_unet import size_vector
from nodeflow_diffusion.latent_unet_families import Task
from nodeflow_diffusion.latent_unet_recipes import (
    PART,
    SIZES,
    Asked,
    leaf_of,
    published_denoiser,
    said_beside,
)
from nodeflow_diffusion.picture_recipes import PART as STATISTICS
from nodeflow_diffusion.picture_recipes import statistics_beside
from nodeflow_diffusion.recipes import same_space
from nodeflow_diffusion.text_recipes import joined, repeated, same_text_space

Side = Annotated[int, Field(ge=8, le=16384)]
Edge = Annotated[int, Field(ge=0, le=16384)]


class Parts(NamedTuple):
    """What a checkpoint of a whole model holds."""

    denoiser: Denoiser
    encoder: TextEncoder
    autoencoder: Autoencoder


def _unet_content(model: str) -> str:
    checkpoint = find_checkpoint(model, part=PART)
    own = [checkpoint_identity(checkpoint), *map(file_identity, said_beside(checkpoint.path))]
    if statistics_beside(checkpoint.path, model):
        own.append(checkpoint_identity(find_checkpoint(model, part=STATISTICS)))
    return " ".join(own)


def _content(model: str, tokenizer: str) -> str:
    own = [_unet_content(model)]
    unet = find_checkpoint(model, part=PART)
    for part in parts_of(unet):
        checkpoint = find_checkpoint(model, part=part)
        own.append(checkpoint_identity(checkpoint))
        if part != "vae":
            try:
                own.append(VocabularyFiles.named("clip", tokenizer, checkpoint.path).digest)
            except ModelError:
                _whole(model, tokenizer, "eps")  # what is no Stable Diffusion at all needs no vocabulary
                raise
    index = unet.path.parent / "model_index.json"
    return " ".join([*own, file_identity(index) if unet.path.is_dir() and index.is_file() else ""])


@node(category="diffusion/model", title="Load checkpoint", identity=_content)
def load_checkpoint(
    model: Annotated[str, Ui("model")],
    tokenizer: str = "",
    prediction: Asked = "auto",
    *,
    ctx: Context = QUIET,
) -> Parts:
    """Choose a Stable Diffusion: 1, 2, XL, its refiner, and those that inpaint or edit.

    Gives its denoiser, its text encoder (of XL both, joined) and its autoencoder. Weights are read when something is
    made with them. diffusion.load_unet, text.load_clip and codebooks.load_vae open one part each, of any file.

    Args:
        model: a file of a whole model, or a diffusers folder, in a model folder.
        tokenizer: the folder of the text encoder's vocabulary; empty for the one beside the model; see text.load_clip.
        prediction: what the denoiser was trained to predict. auto takes what the files say; Stable Diffusion 2 in a
            single file does not tell: v for the models of 768 pixels, eps for those called base.
    """
    denoiser, encoder = _whole(model, tokenizer, prediction, ctx)
    if others := unused(find_checkpoint(model, ctx, PART)):
        ctx.say(f"not used: {others}")
    return Parts(denoiser, encoder, autoencoder_of(model, denoiser.space, ctx))


@node(category="diffusion/model", title="Load U-Net", identity=_unet_content)
def load_unet(model: Annotated[str, Ui("model")], prediction: Asked = "auto", *, ctx: Context = QUIET) -> Denoiser:
    """Choose the denoiser of a Stable Diffusion by itself. Its weights are read when something is sampled with it.

    Args:
        model: a file of a U-Net or of a whole model, or a diffusers folder of either, in a model folder.
        prediction: what it was trained to predict; see diffusion.load_checkpoint.
    """
    with expecting(find_checkpoint(model, ctx, PART), "u-net", "checkpoint"):
        return published_denoiser(model, prediction, ctx)


def _whole(model: str, tokenizer: str, prediction: Asked, ctx: Context = QUIET) -> tuple[Denoiser, TextEncoder]:
    """The denoiser and the text encoder of a whole model; failures as theirs, and what it is if it is none."""
    checkpoint = find_checkpoint(model, ctx, PART)
    alone = not checkpoint.path.is_dir()  # else it is the U-Net's folder, and the other parts lie beside it
    with expecting(checkpoint, "checkpoint", *([] if alone else ["u-net"])):
        denoiser = published_denoiser(model, prediction, ctx)
    return denoiser, encoder_of(model, tokenizer, denoiser.text_space, ctx)


@node(category="diffusion/guidance", title="Tell sizes")
def size_condition(
    denoiser: Denoiser,
    embedding: TextEmbedding,
    width: Side = 1024,
    height: Side = 1024,
    left: Edge = 0,
    top: Edge = 0,
    target_width: Side = 1024,
    target_height: Side = 1024,
    score: Annotated[float, Field(ge=0, le=10), Ui("slider")] = 6.0,
) -> TextEmbedding:
    """Tell Stable Diffusion XL of what size the picture was that it shall imagine, and how it was cut.

    Without this node it is told the size of the picture that is made, not cut, and the refiner a score of 6.

    Args:
        denoiser: of Stable Diffusion XL, or its refiner.
        embedding: the text; of a guidance both texts are told, or none.
        width: of the picture before it was cut, in pixels; small ones look blurred.
        height: likewise.
        left: how much was cut off at the left; more than 0 puts things off centre.
        top: how much was cut off at the top.
        target_width: of what it was cut to. Not read by the refiner.
        target_height: likewise.
        score: how beautiful people found the picture, of 10; 2.5 for a negative text. Read by the refiner only.
    """
    leaf = leaf_of(denoiser)
    if leaf is None or not leaf.sizes:
        raise ValueError(
            "this denoiser reads no sizes; Stable Diffusion XL and its refiner do\n    leave this node out"
        )
    same_text_space(embedding, leaf)
    given = 0 if embedding.pooled is None else embedding.pooled.shape[-1]
    count = (leaf.vector_width - given) // leaf.sizes
    if embedding.pooled is None or count not in SIZES or (leaf.vector_width - given) % leaf.sizes:
        raise ValueError(
            f"the text's pooled vector of width {given} is none that this denoiser reads, or has sizes already\n"
            "    encode the text with the encoder that was trained with it, and tell sizes once"
        )
    numbers = [height, width, top, left, *([target_height, target_width] if count == 6 else [score])]
    sizes = torch.tensor([numbers], dtype=torch.float32, device=embedding.pooled.device)
    pooled = size_vector(embedding.pooled, sizes.expand(len(embedding.pooled), -1), leaf.sizes)
    return TextEmbedding(embedding.tokens, embedding.mask, pooled, embedding.space)


@node(category="diffusion/guidance", title="Inpaint by an inpainting model")
def inpaint_condition(
    denoiser: Denoiser, autoencoder: Autoencoder, image: Image, mask: Mask, *, ctx: Context = QUIET
) -> Denoiser:
    """Show a denoiser that was trained to inpaint where to paint, and what surrounds that.

    It paints all of the picture anew, but knows the rest; blend the result with the picture by the same mask. Any other
    denoiser paints into pictures by diffusion.inpaint.

    Args:
        denoiser: of an inpainting model: its U-Net takes nine channels.
        autoencoder: the model's.
        image: the picture to paint into.
        mask: where to paint, in pixels of the picture.
    """
    _trained_for(denoiser, "inpaint", "diffusion.inpaint paints with any denoiser")
    same_space(Latent(torch.zeros(1, autoencoder.space.channels, 1, 1), autoencoder.space), denoiser)
    pixels, coverage = image.pixels.to(ctx.device, torch.float32), mask.coverage.to(ctx.device, torch.float32)
    if pixels.shape[-2:] != coverage.shape[-2:] or len({len(pixels), len(coverage)} - {1}) > 1:
        raise ValueError(
            f"the mask is {list(coverage.shape)}, but the picture {list(pixels.shape)}\n"
            "    make a mask of the picture's size, one for all or one each"
        )
    if pixels.shape[1] == 4:
        raise ValueError("the picture has an alpha channel\n    flatten it first (image.flatten)")
    painted = (coverage >= 0.5).to(pixels)
    # what is painted over is mid-grey, as it was in training
    kept = ctx.load(autoencoder).encode(torch.lerp(pixels.expand(-1, 3, -1, -1), torch.full_like(pixels, 0.5), painted))
    cells = F.interpolate(painted, kept.shape[-2:], mode="nearest").expand(len(kept), -1, -1, -1)
    return Beside(denoiser, torch.cat([cells, kept.float()], 1))


@node(category="diffusion/guidance", title="Edit by words")
def edit(
    denoiser: Denoiser,
    latent: Latent,
    positive: TextEmbedding,
    negative: TextEmbedding,
    text_scale: Annotated[float, Field(ge=0, le=100), Ui("slider")] = 7.5,
    picture_scale: Annotated[float, Field(ge=0, le=100), Ui("slider")] = 1.5,
) -> Denoiser:
    """Let a denoiser that was trained to edit pictures (InstructPix2Pix) follow an instruction.

    It takes the place of diffusion.guide. Sample into an empty latent of the picture's size.

    Args:
        denoiser: of an editing model: its U-Net takes eight channels.
        latent: the picture to edit, encoded.
        positive: what to do, as "make it winter".
        negative: what to move away from; an empty text for nothing in particular.
        text_scale: how closely the instruction is followed.
        picture_scale: how closely the picture is kept.
    """
    _trained_for(denoiser, "edit", "diffusion.sample with a strength below 1 changes pictures with any denoiser")
    same_space(latent, denoiser)
    for name, text in (("positive", positive), ("negative", negative)):
        same_text_space(text, denoiser, name)
    joined(*repeated(positive, negative))
    # the network was trained on latents as the autoencoder gives them, not on those of unit variance
    scaling = SPACES[latent.space.name].scaling  # type: ignore[index] # a published denoiser's space is one of them
    return Edited(
        denoiser, latent.samples / scaling.factor + scaling.shift, positive, negative, text_scale, picture_scale
    )


def _trained_for(denoiser: Denoiser, task: Task, cure: str) -> None:
    leaf = leaf_of(denoiser)
    if leaf is None or leaf.task != task:
        raise ValueError(f"this denoiser was not trained to {task}: its U-Net sees other things\n    {cure}")


CHECKPOINT_NODES = (load_checkpoint, load_unet, size_condition, inpaint_condition, edit)
