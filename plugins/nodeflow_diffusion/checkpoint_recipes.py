"""The parts of a whole Stable Diffusion: which there are, and the recipe of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from nodeflow_codebooks.vae_recipes import PART as AUTOENCODER
from nodeflow_codebooks.vae_recipes import LatentAutoencoderModel
from nodeflow_text.clip_names import towers
from nodeflow_text.published_recipes import ClipEncoder, JoinedEncoders, part_of

from nodeflow import QUIET, Autoencoder, Checkpoint, Context, LatentSpace, ModelError, TextEncoder, find_checkpoint
from nodeflow_diffusion.latent_unet_recipes import PART

T = TypeVar("T")
OF_PARTS = (
    "model.diffusion_model.", "diffusion_model.", "first_stage_model.", "vae.", "cond_stage_model.", "conditioner.",
    "embedder.", "noise_augmentor.",
)  # fmt: skip
"""What the names of a single file's tensors begin with, by its parts."""
OF_TRAINING = (
    "model_ema.", "betas", "alphas_cumprod", "sqrt_", "log_one_minus_", "posterior_", "lvlb_weights", "logvar",
    "denoiser.", "scale_factor", "global_step", "v_pred", "ztsnr", "edm_",
)  # fmt: skip
"""Of what only training needed, or what says how it was trained."""
ALONE = "or load its parts one by one: diffusion.load_unet, text.load_clip, codebooks.load_vae"
NUMBERS = (1, 2)


def parts_of(unet: Checkpoint) -> tuple[str, ...]:
    """The subfolders beside that of the U-Net that hold the other parts; none of a single file's."""
    if not unet.path.is_dir():
        return ("",)
    names = (*map(part_of, NUMBERS), AUTOENCODER)
    return tuple(name for name in names if unet.path.name == PART and (unet.path.parent / name).is_dir())


def encoder_of(name: str, tokenizer: str, space: str, ctx: Context = QUIET) -> TextEncoder:
    """The text encoder of a whole model; of two, both joined.

    Args:
        name: of the model.
        tokenizer: the folder of the vocabulary; "" for the nearest.
        space: what its denoiser reads; "" if that is not known.
        ctx: says what may be read.

    Raises:
        ModelError: there is none, or another than the denoiser reads.
        PermissionError: `ctx` may not read it.
    """
    unet = find_checkpoint(name, ctx, PART)
    if unet.path.is_dir():
        numbers = [number for number in NUMBERS if part_of(number) in parts_of(unet)]
    else:
        numbers = list(NUMBERS[: max(1, len(towers(unet.shapes)))])
    if not numbers:
        raise ModelError(f"{unet.path.parent} has no text encoder (text_encoder) beside the U-Net\n    {ALONE}")
    parts = [_part(partial(ClipEncoder.named, name, tokenizer, number, ctx=ctx)) for number in numbers]
    spaces = [part.space for part in parts]
    found = " + ".join(spaces) if all(spaces) else ""
    if found and space and found != space:
        raise ModelError(
            f'{name}: its text encoder is "{found}", but its U-Net reads the words of "{space}"\n    {ALONE}'
        )
    return parts[0] if len(parts) == 1 else JoinedEncoders(parts[0], parts[1])


def autoencoder_of(name: str, space: LatentSpace, ctx: Context = QUIET) -> Autoencoder:
    """The autoencoder of a whole model.

    Raises:
        ModelError: there is none, or one of another space than the denoiser's.
        PermissionError: `ctx` may not read it.
    """
    found = _part(partial(LatentAutoencoderModel.named, name, ctx=ctx))
    if found.space != space:
        raise ModelError(
            f"{name}: its autoencoder makes latents of {found.space}, but its U-Net denoises those of {space}\n"
            f"    {ALONE}"
        )
    return found


def unused(checkpoint: Checkpoint) -> str:
    """Some tensors of a single file that are of none of its parts; "" if there are none."""
    if checkpoint.path.is_dir():
        return ""
    names = sorted(name for name in checkpoint.tensors if not name.startswith((*OF_PARTS, *OF_TRAINING)))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _part(make: Callable[[], T]) -> T:
    try:
        return make()
    except ModelError as error:
        raise ModelError(f"{error}\n    {ALONE}") from error
