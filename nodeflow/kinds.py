"""What a file of weights is, told from the names and shapes of its tensors: one table, read from top to bottom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from nodeflow.checkpoints import Checkpoint
from nodeflow.errors import ModelError
from nodeflow.headers import short

OWN = frozenset({"architecture", "config", "provenance"})
"""What the metadata of weights that nodeflow trained hold."""
SDXL_TEXT = "conditioner.embedders.1.model.ln_final.weight"
REFINER_TEXT = "conditioner.embedders.0.model.ln_final.weight"
SD2_TEXT = "cond_stage_model.model.ln_final.weight"
SD1_TEXT = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
LDM_FIRST = "model.diffusion_model.input_blocks.0.0.weight"
LDM_WORDS = "*input_blocks.*.attn2.to_k.weight"
WORDS = "*down_blocks.*.attn2.to_k.weight"
TOKENS = "*text_model.embeddings.token_embedding.weight"


class Row(NamedTuple):
    """A kind. keys: tensors of which each must be there; "*" stands for anything. width: what the last dimension of the
    last of them must be; 0 for any.
    """

    kind: str
    keys: tuple[str, ...]
    width: int = 0


KINDS = (
    Row("sdxl checkpoint", (LDM_FIRST, SDXL_TEXT)),
    Row("sdxl refiner checkpoint", (LDM_FIRST, REFINER_TEXT)),
    Row("sd2 checkpoint", (LDM_FIRST, SD2_TEXT)),
    Row("sd15 checkpoint", (LDM_FIRST, SD1_TEXT)),
    Row("controlnet", ("*input_hint_block.0.weight",)),
    Row("controlnet", ("controlnet_cond_embedding.conv_in.weight",)),
    Row("sdxl lora", ("lora_te2_*",)),
    Row("sdxl lora", ("*attn2*to_k*lora_down.weight",), 2048),
    Row("sdxl lora", ("*attn2*to_k*lora_A.weight",), 2048),
    Row("sd2 lora", ("*attn2*to_k*lora_down.weight",), 1024),
    Row("sd2 lora", ("*attn2*to_k*lora_A.weight",), 1024),
    Row("sd15 lora", ("*attn2*to_k*lora_down.weight",), 768),
    Row("sd15 lora", ("*attn2*to_k*lora_A.weight",), 768),
    Row("lora", ("*lora_down.weight",)),
    Row("lora", ("*lora_A.weight",)),
    Row("lora", ("*lora.down.weight",)),
    Row("lora", ("*hada_w1_a",)),
    Row("lora", ("*lokr_w1*",)),
    Row("sdxl embedding", ("clip_g", "clip_l")),
    Row("sd15 embedding", ("emb_params",), 768),
    Row("sd2 embedding", ("emb_params",), 1024),
    Row("sd3 transformer", ("*joint_blocks.0.context_block.attn.qkv.weight",)),
    Row("flux transformer", ("*double_blocks.0.img_attn.qkv.weight",)),
    Row("sd15 u-net", (LDM_WORDS,), 768),
    Row("sd2 u-net", (LDM_WORDS,), 1024),
    Row("sdxl u-net", (LDM_WORDS,), 2048),
    Row("sdxl refiner u-net", (LDM_WORDS,), 1280),
    Row("sd15 u-net", (WORDS,), 768),
    Row("sd2 u-net", (WORDS,), 1024),
    Row("sdxl u-net", (WORDS,), 2048),
    Row("sdxl refiner u-net", (WORDS,), 1280),
    Row("guided-diffusion classifier", ("input_blocks.0.0.weight", "time_embed.0.weight", "out.2.c_proj.weight")),
    Row("guided-diffusion upsampler", ("time_embed.0.weight", "out.2.weight", "input_blocks.0.0.weight"), 6),
    Row("guided-diffusion u-net", ("input_blocks.0.0.weight", "time_embed.0.weight", "out.2.weight")),
    Row("vqgan", ("quantize.embedding.weight", "decoder.conv_in.weight", "encoder.conv_in.weight")),
    Row("vqgan", ("quantize.embed.weight", "decoder.conv_in.weight", "encoder.conv_in.weight")),
    Row("vae", ("*encoder.conv_in.weight", "*decoder.conv_in.weight")),
    Row("vae decoder", ("*decoder.conv_in.weight",)),
    Row("clip", (TOKENS, "vision_model.embeddings.patch_embedding.weight")),
    Row("clip", ("token_embedding.weight", "visual.conv1.weight")),
    Row("clip", ("token_embedding.weight", "visual.layer1.0.conv1.weight")),
    Row("vision encoder", ("*vision_model.embeddings.patch_embedding.weight",)),
    Row("vision encoder", ("visual.class_embedding", "visual.conv1.weight")),
    Row("vision encoder", ("visual.attnpool.k_proj.weight", "visual.conv1.weight")),
    Row("clip-l text encoder", (TOKENS,), 768),
    Row("clip-h text encoder", (TOKENS,), 1024),
    Row("clip-g text encoder", (TOKENS,), 1280),
    Row("clip text encoder", (TOKENS,)),
    Row("t5 text encoder", ("encoder.block.0.layer.0.SelfAttention.q.weight",)),
    Row("esrgan upscaler", ("*model.0.weight", "*model.1.sub.0.RDB1.conv1.0.weight")),
    Row("esrgan upscaler", ("*conv_first.weight", "*RRDB_trunk.0.RDB1.conv1.weight")),
    Row("esrgan upscaler", ("*conv_first.weight", "*body.0.rdb1.conv1.weight")),
)
"""The first row that fits is the kind; a whole model stands before its parts, as it holds these too."""
OPENERS = (
    ("checkpoint", "diffusion.load_checkpoint"),
    ("pipeline", "diffusion.load_checkpoint"),
    ("controlnet", "diffusion.control"),
    ("lora", "diffusion.lora, and its part for the text encoder by text.lora"),
    ("embedding", "text.textual_inversion"),
    ("guided-diffusion classifier", "diffusion.load_classifier"),
    ("guided-diffusion", "diffusion.load_adm"),
    ("u-net", "diffusion.load_unet"),
    ("vae decoder", ""),
    ("vae", "codebooks.load_vae"),
    ("vqgan", "codebooks.load_vae"),
    ("t5 text encoder", "text.load_t5"),
    ("text encoder", "text.load_clip"),
    ("vision encoder", "text.load_vision"),
    ("clip", "text.load_clip, and text.load_vision for its vision tower"),
    ("esrgan", "image.load_upscaler"),
    ("nodeflow text_encoder", "text.load_encoder"),
    ("nodeflow autoencoder", "codebooks.load"),
    ("nodeflow adm", "diffusion.load_adm"),
    ("nodeflow", "diffusion.load"),
)
"""By words of a kind, the first that fit: the node of the built-in plugins that opens such a file; "" if none does."""
VARIANTS = {5: " (depth)", 8: " (edit)", 9: " (inpaint)"}
"""By the channels that a U-Net takes."""


def kind_of(checkpoint: Checkpoint) -> str:
    """What a checkpoint is, such as "sdxl checkpoint"; "unknown", with a name of it, if the table does not say."""
    if checkpoint.metadata.keys() >= OWN:
        return f"nodeflow {checkpoint.metadata['architecture']}"
    tensors = checkpoint.tensors
    for row in KINDS:
        if _fits(row, checkpoint):
            first = tensors.get(LDM_FIRST) or tensors.get("conv_in.weight")
            variant = VARIANTS.get(first.shape[1], "") if first and len(first.shape) == 4 else ""
            return row.kind + (variant if "net" in row.kind or "checkpoint" in row.kind else "")
    architectures = checkpoint.config.get("architectures")
    named = architectures[0] if isinstance(architectures, list) and architectures else ""
    if told := checkpoint.config.get("_class_name") or named:
        return f"unknown ({told if isinstance(told, str) else short(told)})"
    return f"unknown ({min(tensors)}, ...)" if tensors else "unknown (no tensors)"


def opener_of(kind: str) -> str:
    """The node that opens a file of that kind; "" if there is none."""
    return next((node for words, node in OPENERS if words in kind), "")


@contextmanager
def expecting(checkpoint: Checkpoint, *kinds: str) -> Iterator[None]:
    """What fails within the block because the checkpoint is of another kind says so, instead of what was missed first.

    Args:
        checkpoint: what is opened.
        kinds: words of kinds that may be opened, such as "checkpoint" or "u-net"; those of one kind alone say which.

    Raises:
        ModelError: something within raised one. If the checkpoint is of a known kind and of none of these, it tells
            that kind, and which node opens such a file.
    """
    try:
        yield
    except ModelError as error:
        kind = kind_of(checkpoint)
        if kind.startswith("unknown") or any(fit in kind for fit in kinds):
            raise
        opener = opener_of(kind)
        cure = f"open it by {opener}" if opener else "no node opens such a file"
        raise ModelError(
            f'{checkpoint.path} is of the kind "{kind}", but expected {" or ".join(kinds)}\n'
            f"    {cure}; or name another file"
        ) from error


def _fits(row: Row, checkpoint: Checkpoint) -> bool:
    found = ""
    for key in row.keys:
        found = key if key in checkpoint.tensors else _like(key, checkpoint.tensors) if "*" in key else ""
        if not found:
            return False
    shape = checkpoint.tensors[found].shape
    return not row.width or (bool(shape) and shape[1 if len(shape) == 4 else -1] == row.width)


def _like(pattern: str, names: Iterable[str]) -> str:
    """The first name that the pattern means, or ""; its pieces are sought one behind the other."""
    first, *inner, last = pattern.split("*")
    for name in names:
        if not name.startswith(first) or not name.endswith(last):
            continue
        at, end = len(first), len(name) - len(last)
        for piece in inner:
            at = name.find(piece, at, end)
            if at < 0:
                break
            at += len(piece)
        else:
            if at <= end:
                return name
    return ""


def as_pipeline(parts: Mapping[str, Checkpoint]) -> str:
    """The kind of a folder of parts: that of its denoiser, as "sdxl pipeline"."""
    for name in ("unet", "transformer", "prior", "decoder"):
        if name in parts:
            family = kind_of(parts[name])
            return family.replace("u-net", "pipeline").replace("transformer", "pipeline")
    return "pipeline"
