"""Improved and guided diffusion: denoisers of pixels, classes, classifiers that guide, upsamplers."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodeflow import (
    QUIET,
    Context,
    Denoiser,
    Image,
    Labels,
    Ui,
    checkpoint_identity,
    expecting,
    find_checkpoint,
    node,
)
from nodeflow_diffusion.adm_families import Settings
from nodeflow_diffusion.adm_recipes import AdmDenoiser, adm_denoiser
from nodeflow_diffusion.beside_recipes import Enlarged
from nodeflow_diffusion.classifier_recipes import AdmNoisyClassifier, Classifier, ClassifierGuided
from nodeflow_diffusion.label_recipes import Labelled, classes_of, in_range
from nodeflow_diffusion.recipes import Around

Heads = Annotated[int, Field(ge=0, le=256)]
Steps = Annotated[int, Field(ge=0, le=100000)]
Order = Literal["auto", "legacy", "new"]
Trained = Literal["auto", "linear", "cosine"]
Times = Literal["auto", "steps", "thousand"]


def _content(model: str) -> str:
    return checkpoint_identity(find_checkpoint(model))


@node(category="diffusion/model", title="Load ADM", identity=_content)
def load_adm(
    model: Annotated[str, Ui("model")],
    heads: Heads = 0,
    head_channels: Heads = 0,
    order: Order = "auto",
    schedule: Trained = "auto",
    steps: Steps = 0,
    times: Times = "auto",
    *,
    ctx: Context = QUIET,
) -> Denoiser:
    """Choose a U-Net of improved or guided diffusion (ADM): a denoiser of pixels, by class or not, or an upsampler.

    Its weights are read when something is sampled with it. What is published is known by its shapes; of others choose
    what shapes do not tell, by the flags of their training.

    Args:
        model: a file with tensors called as "input_blocks.0.0.weight", or one trained from diffusion.new_adm, in a
            model folder.
        heads: of each attention (num_heads); 0 for what is known.
        head_channels: channels of a head (num_head_channels), in the place of heads.
        order: of queries, keys and values; "new" for use_new_attention_order.
        schedule: the noise that it was trained with (noise_schedule).
        steps: of that schedule (diffusion_steps); 0 for what is known, or else 1000.
        times: the network is told the number of the step, or that scaled to a thousand (rescale_timesteps).
    """
    with expecting(find_checkpoint(model, ctx), "guided-diffusion u-net", "upsampler", "nodeflow adm"):
        return adm_denoiser(model, _settings(heads, head_channels, order, schedule, steps, times), ctx)


@node(category="diffusion/model", title="Load classifier", identity=_content)
def load_classifier(
    model: Annotated[str, Ui("model")],
    heads: Heads = 0,
    head_channels: Heads = 0,
    order: Order = "auto",
    schedule: Trained = "auto",
    steps: Steps = 0,
    times: Times = "auto",
    *,
    ctx: Context = QUIET,
) -> Classifier:
    """Choose a classifier of noisy pictures, as guided diffusion trained them, to guide a denoiser.

    Args:
        model: a file with tensors called as "out.2.positional_embedding", in a model folder.
        heads: see diffusion.load_adm, as all that follows.
        head_channels: likewise.
        order: likewise; of all but the last attention, which has the new order always.
        schedule: likewise.
        steps: likewise.
        times: likewise.
    """
    with expecting(find_checkpoint(model, ctx), "guided-diffusion classifier"):
        settings = _settings(heads, head_channels, order, schedule, steps, times)
        return AdmNoisyClassifier.named(model, settings, ctx)


def _settings(heads: int, head_channels: int, order: Order, schedule: Trained, steps: int, times: Times) -> Settings:
    if heads and head_channels:
        raise ValueError(
            f"{heads} heads, and heads of {head_channels} channels: one of the two counts\n    leave the other at 0"
        )
    return Settings(
        heads or None,
        head_channels or None,
        None if order == "auto" else order == "legacy",
        None if schedule == "auto" else schedule,
        steps or None,
        None if times == "auto" else times == "thousand",
    )


@node(category="diffusion/guidance", title="Classes")
def labels(
    numbers: Annotated[list[Annotated[int, Field(ge=0, le=1_000_000)]], Field(min_length=1, max_length=1024)],
) -> Labels:
    """Say of which classes pictures shall be.

    Args:
        numbers: one for all pictures of a batch, or one for each; those of ImageNet are 0 to 999 (207 is a golden
            retriever), in the order of its synset identifiers.
    """
    return Labels(tuple(numbers))


@node(category="diffusion/guidance", title="Bind classes")
def label(denoiser: Denoiser, labels: Labels) -> Denoiser:
    """Bind classes to a denoiser that was trained on them: what it makes will be of these.

    Args:
        denoiser: one that is told a class.
        labels: one for all pictures of a batch, or one for each.
    """
    classes = classes_of(denoiser)
    if not classes:
        raise ValueError(
            "this denoiser is told no class\n"
            "    leave this node out; diffusion.guide_by_classifier leads a denoiser without to one"
        )
    in_range(labels, classes, "the denoiser")
    return Labelled(denoiser, labels)


@node(category="diffusion/guidance", title="Guide by a classifier")
def guide_by_classifier(
    denoiser: Denoiser,
    classifier: Classifier,
    labels: Labels,
    scale: Annotated[float, Field(ge=0, le=1000), Ui("slider")] = 1.0,
) -> Denoiser:
    """Lead a denoiser to pictures that a classifier takes for a class: fewer kinds of them, each more like itself.

    Each step asks the classifier by which change of the noisy picture it would be surer. It stacks with other guidance.

    Args:
        denoiser: trained on classes or not; clamped before (diffusion.clamp), as it was published.
        classifier: trained for noisy pictures of that size.
        labels: one for all pictures of a batch, or one for each; the same as are bound to the denoiser, if some are.
        scale: how far; published models have 0.5 to 4, and 10 for one without classes.
    """
    if classifier.space != denoiser.space:
        raise ValueError(
            f"the classifier knows {classifier.space}, but the denoiser makes {denoiser.space}\n"
            "    load a denoiser of the same (diffusion.load_adm)"
        )
    in_range(labels, classifier.classes, "the classifier")
    return ClassifierGuided(denoiser, classifier, labels, scale)


@node(category="diffusion/guidance", title="Enlarge by an upsampler")
def enlarge(denoiser: Denoiser, image: Image) -> Denoiser:
    """Show an upsampler the small picture that it shall draw large. Sample into an empty latent of the large size.

    Args:
        denoiser: an upsampler; those published go from 64 to 256, and from 128 to 512 pixels.
        image: the small picture, of the size that it was trained with: one for all of a batch, or one for each.
    """
    inner = denoiser
    while isinstance(inner, Around):
        inner = inner.denoiser
    if not (isinstance(inner, AdmDenoiser) and inner.enlarges):
        raise ValueError(
            "this denoiser was not trained to enlarge pictures\n    load an upsampler, as 64_256_upsampler "
            "(diffusion.load_adm); or enlarge by image.resize and sample with a strength below 1"
        )
    pixels = image.pixels
    if pixels.shape[1] == 4:
        raise ValueError("the picture has an alpha channel\n    flatten it first (image.flatten)")
    return Enlarged(denoiser, pixels.to(torch.float32).expand(-1, 3, -1, -1) * 2 - 1)


ADM_NODES = (load_adm, load_classifier, labels, label, guide_by_classifier, enlarge)
