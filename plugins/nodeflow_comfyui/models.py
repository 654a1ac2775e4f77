"""Loaders, and what changes a model: ComfyUI's nodes of models, text encoders and autoencoders."""

from dataclasses import replace
from typing import Any, Final

from nodeflow_comfyui.turning import CannotTurnError, Turn, Turner
from nodeflow_comfyui.values import Clip, File, Model, Wire
from nodeflow_comfyui.workflow import Node

STRONGEST: Final = 10.0


def _checkpoint(turn: Turn, node: Node) -> tuple[Any, ...]:
    name = turn.file(node, "ckpt_name")
    made = turn.drawing.add(node, "checkpoint", "diffusion.load_checkpoint", model=name, tokenizer="")
    turn.drawing.offer("model", made, "model")
    turn.loaders[made.node] = set()
    denoiser, vae = Wire(made.node, "denoiser"), Wire(made.node, "autoencoder")
    return Model(denoiser, denoiser, name, vae), Clip(Wire(made.node, "encoder")), vae


def _unet(turn: Turn, node: Node) -> tuple[Any, ...]:
    name = turn.file(node, "unet_name")
    made = turn.drawing.add(node, "unet", "diffusion.load_unet", model=name)
    turn.drawing.offer("model", made, "model")
    turn.loaders[made.node] = set()
    kept = turn.text(node, "weight_dtype", "default")
    if kept != "default":
        turn.differ(node, f"weight_dtype {kept}: weights are kept as diffusion.execution says", made.node)
    return (Model(made, made, name),)


def _clip(turn: Turn, node: Node) -> tuple[Any, ...]:
    kind = turn.text(node, "type", "stable_diffusion")
    if kind != "stable_diffusion":
        raise CannotTurnError(f"a text encoder for {kind} has no denoiser here")
    name = turn.file(node, "clip_name")
    return (Clip(turn.drawing.add(node, "clip", "text.load_clip", model=name, tokenizer="")),)


def _two_clips(turn: Turn, node: Node) -> tuple[Any, ...]:
    kind = turn.text(node, "type", "sdxl")
    if kind != "sdxl":
        raise CannotTurnError(f"text encoders for {kind} have no denoiser here")
    names = [turn.file(node, "clip_name1"), turn.file(node, "clip_name2")]
    if "clip_g" in names[0].lower() and "clip_g" not in names[1].lower():
        names.reverse()  # ComfyUI tells them apart by their sizes, here the first is CLIP ViT-L
    read = {"tokenizer": "", "skip": 1, "norm": False}
    first = turn.drawing.beside(node, "clip_l", "text.load_clip", model=names[0], **read)
    second = turn.drawing.beside(node, "clip_g", "text.load_clip", model=names[1], **read)
    return (Clip(turn.drawing.add(node, "clips", "text.join_encoders", first=first, second=second)),)


def _vae(turn: Turn, node: Node) -> tuple[Any, ...]:
    name = turn.file(node, "vae_name")
    if name in ("taesd", "taesdxl", "taesd3", "taef1", "pixel_space"):
        raise CannotTurnError(f"{name} is no autoencoder that nodeflow knows")
    large = "xl" in name.lower()
    made = turn.drawing.add(node, "vae", "codebooks.load_vae", model=name, space="sdxl" if large else "auto")
    if large:
        turn.differ(node, "by its name it is for Stable Diffusion XL; if not, set its space", made.node)
    return (made,)


def _strength(turn: Turn, node: Node, name: str) -> float:
    value = turn.real(node, name, 1.0)
    if abs(value) <= STRONGEST:
        return value
    turn.differ(node, f"{name} {value:g} became {STRONGEST:g}, the most there is")
    return STRONGEST if value > 0 else -STRONGEST


def _lora(turn: Turn, node: Node) -> tuple[Any, ...]:
    name = turn.file(node, "lora_name")
    model, strength = turn.model(node), _strength(turn, node, "strength_model")
    changed = turn.drawing.add(node, "lora", "diffusion.lora", denoiser=model.wire, model=name, strength=strength)
    model = replace(model, wire=changed)
    if "clip" not in node.inputs or not turn.used(node, 1):
        return model, turn.given(node, "clip", None)
    clip, strength = turn.clip(node), _strength(turn, node, "strength_clip")
    words = turn.drawing.beside(
        node, "text_lora", "text.lora", encoder=clip.wire, model=name, strength=strength
    )  # fmt: skip
    return model, replace(clip, wire=words)


def _model_lora(turn: Turn, node: Node) -> tuple[Any, ...]:
    model, name = turn.model(node), turn.file(node, "lora_name")
    strength = _strength(turn, node, "strength_model")
    changed = turn.drawing.add(node, "lora", "diffusion.lora", denoiser=model.wire, model=name, strength=strength)
    return (replace(model, wire=changed),)


def _last_layer(turn: Turn, node: Node) -> tuple[Any, ...]:
    layer = turn.whole(node, "stop_at_clip_layer", -1)
    if layer >= 0:
        raise CannotTurnError(f"stop_at_clip_layer is {layer}; -1 to -24 are known")
    return (replace(turn.clip(node), skip=-layer - 1),)


def _control(turn: Turn, node: Node) -> tuple[Any, ...]:
    return (File(turn.file(node, "control_net_name")),)


def _discrete(turn: Turn, node: Node) -> tuple[Any, ...]:
    sampling = turn.text(node, "sampling", "eps")
    predictions = {"eps": "eps", "v_prediction": "v", "lcm": ""}
    if sampling not in predictions:
        raise CannotTurnError(f"sampling {sampling} is not known here")
    model = turn.model(node)
    if model.source is None:
        raise CannotTurnError("the model comes from a node that is not known, which cannot be told what it predicts")
    zero_snr = turn.flag(node, "zsnr", False)
    if sampling == "lcm":
        turn.differ(node, "the levels are those of LCM, evenly chosen, whatever scheduler the sampler names")
        return (replace(model, spacing="lcm", zero_snr=zero_snr),)
    return (replace(model, prediction=predictions[sampling], zero_snr=zero_snr),)


def _rescale(turn: Turn, node: Node) -> tuple[Any, ...]:
    share = turn.real(node, "multiplier", 0.7)
    if not 0 <= share <= 1:
        raise CannotTurnError(f"multiplier {share:g} is outside 0..1")
    turn.differ(
        node, "ComfyUI rescales estimates of v, nodeflow those of the picture: the same idea, not the same numbers"
    )
    return (replace(turn.model(node), rescale=share),)


MODELS: Final[dict[str, Turner]] = {
    "CheckpointLoaderSimple": _checkpoint,
    "UNETLoader": _unet,
    "CLIPLoader": _clip,
    "DualCLIPLoader": _two_clips,
    "VAELoader": _vae,
    "LoraLoader": _lora,
    "LoraLoaderModelOnly": _model_lora,
    "CLIPSetLastLayer": _last_layer,
    "ControlNetLoader": _control,
    "ModelSamplingDiscrete": _discrete,
    "RescaleCFG": _rescale,
}
