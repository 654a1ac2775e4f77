"""Pictures as vectors, and what CLIP says of them."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodeflow import (
    QUIET,
    Context,
    Image,
    ImageEmbedding,
    ImageEncoder,
    Table,
    TextEncoder,
    Ui,
    checkpoint_identity,
    expecting,
    file_identity,
    find_checkpoint,
    node,
)
from nodeflow_text.published_recipes import Precision
from nodeflow_text.vision_recipes import PART, ClipVisionModel, said_of_pictures

AT_ONCE = 32
"""Pictures, or texts, that go through together: more are no faster once a device is busy."""
Text = Annotated[str, Field(max_length=10_000)]


def _identity(model: str) -> str:
    checkpoint = find_checkpoint(model, part=PART)
    return " ".join([checkpoint_identity(checkpoint), *map(file_identity, said_of_pictures(checkpoint.path))])


@node(category="text", title="Load CLIP vision", identity=_identity)
def load_vision(
    model: Annotated[str, Ui("model")],
    activation: Literal["auto", "quick_gelu", "gelu"] = "auto",
    precision: Precision = "fp32",
    *,
    ctx: Context = QUIET,
) -> ImageEncoder:
    """Choose the vision tower of a CLIP, a transformer or a ResNet: OpenAI's or open_clip's, by itself or in a model.

    Its weights are read when a picture is encoded with it.

    Args:
        model: a folder of transformers or diffusers, or a file, in a model folder.
        activation: of a transformer. auto takes what the folder's config.json says, or else what is known of the size.
            Files of open_clip do not tell: its own models of OpenAI's sizes need gelu.
        precision: of its weights.
    """
    with expecting(find_checkpoint(model, ctx, PART), "clip", "vision encoder", "checkpoint"):
        return ClipVisionModel.named(model, None if activation == "auto" else activation, precision, ctx)


@node(category="text", title="Encode picture as vector", version=2)
def encode_image(encoder: ImageEncoder, image: Image, *, ctx: Context = QUIET) -> ImageEmbedding:
    """Turn pictures into vectors that say what is to be seen on them.

    Each is resized by its shorter side, and its middle is looked at.

    Args:
        encoder: the vision tower of a CLIP.
        image: of any size; grey ones are taken as RGB.
    """
    pixels = image.pixels.to(ctx.device, torch.float32)
    if pixels.shape[1] == 4:
        raise ValueError("the picture has an alpha channel, which CLIP does not see\n    flatten it (image.flatten)")
    loaded = ctx.load(encoder)
    parts = [loaded(part) for part in torch.split(pixels.expand(-1, 3, -1, -1), AT_ONCE)]
    return ImageEmbedding(torch.cat([part.vectors for part in parts]), parts[0].space)


@node(category="text", title="Compare with texts")
def compare(
    encoder: TextEncoder,
    embedding: ImageEmbedding,
    texts: Annotated[list[Text], Field(min_length=1, max_length=1024)],
    template: Text = "{}",
    *,
    ctx: Context = QUIET,
) -> Table:
    """Say how well texts fit pictures: which of some names a picture deserves, or how well it follows its prompt.

    Of each picture the texts stand in the order in which they fit. "similarity" is the cosine of the angle between
    picture and text; times 100 it is known as CLIP score. "share" is how probable CLIP finds the text if it is one of
    these. Vectors of two different CLIPs cannot be compared, and are refused; where a tower comes without the other
    nobody can tell, and a remark says so.

    Args:
        encoder: the text tower of the same CLIP, with its projection (text.load_clip).
        embedding: the pictures (text.encode_image).
        texts: names or sentences.
        template: what is said of a name, which takes the place of {}: "a photo of a {}".
    """
    if "{}" not in template:
        raise ValueError(f'the template "{template}" has no place for a text\n    write {{}} where it shall stand')
    loaded = ctx.load(encoder)
    if not hasattr(loaded, "vectors"):
        raise ValueError(
            "this text encoder knows nothing of pictures\n    load the text tower of a CLIP (text.load_clip)"
        )
    said = [template.replace("{}", text) for text in texts]
    parts = [loaded.vectors(said[start : start + AT_ONCE]) for start in range(0, len(said), AT_ONCE)]
    words = torch.cat(parts)
    pictures = embedding.vectors.to(words)
    if pictures.shape[-1] != words.shape[-1]:
        raise ValueError(
            f"the pictures are vectors of {pictures.shape[-1]} numbers, but the texts of {words.shape[-1]}\n"
            "    load both towers of one CLIP"
        )
    _judge(embedding, getattr(loaded, "pictures", ""), ctx)
    cosines = torch.nn.functional.normalize(pictures, dim=-1) @ torch.nn.functional.normalize(words, dim=-1).T
    shares = (loaded.scale * cosines).softmax(-1)
    best = cosines.argsort(dim=-1, descending=True, stable=True)
    rows = [
        (picture, texts[text], float(cosines[picture, text]), float(shares[picture, text]))
        for picture in range(len(pictures))
        for text in best[picture].tolist()
    ]
    return Table("How well texts fit", ("picture", "text", "similarity", "share"), tuple(rows))


def _judge(embedding: ImageEmbedding, space: str, ctx: Context) -> None:
    """Refuses pictures of another CLIP than that of the texts, whose vectors may be as long and mean something else."""
    if not space or not embedding.space:
        ctx.say(
            "nobody can tell whether the texts and the pictures were encoded by one CLIP, as a tower comes without the "
            "other; if not, the figures mean nothing"
        )
    elif space != embedding.space:
        raise ValueError(
            "the pictures were encoded by another CLIP than the texts, so that their vectors cannot be compared\n"
            "    load both towers from one file or folder (text.load_clip, text.load_vision)"
        )


VISION_NODES = (load_vision, encode_image, compare)
