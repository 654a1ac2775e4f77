"""In which order the nodes of ComfyUI keep the values of their widgets: files of its editor name none of them."""

from typing import Any, Final

CONTROL: Final = "control_after_generate"
"""Of the browser alone: what becomes of a seed after a run."""
CONTROLS: Final = frozenset(("fixed", "increment", "decrement", "randomize"))
UPLOAD: Final = "upload"
"""Of the browser alone: a button."""
_SEED: Final = ("seed", CONTROL)
_NOISE_SEED: Final = ("noise_seed", CONTROL)

ORDER: Final[dict[str, tuple[str, ...]]] = {
    "CheckpointLoaderSimple": ("ckpt_name",),
    "unCLIPCheckpointLoader": ("ckpt_name",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "CLIPLoader": ("clip_name", "type", "device"),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type", "device"),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "ControlNetLoader": ("control_net_name",),
    "DiffControlNetLoader": ("control_net_name",),
    "UpscaleModelLoader": ("model_name",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeSDXL": (
        "width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l",
    ),
    "CLIPTextEncodeSDXLRefiner": ("ascore", "width", "height", "text"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "ConditioningAverage": ("conditioning_to_strength",),
    "ConditioningSetArea": ("width", "height", "x", "y", "strength"),
    "ConditioningSetTimestepRange": ("start", "end"),
    "ControlNetApply": ("strength",),
    "ControlNetApplyAdvanced": ("strength", "start_percent", "end_percent"),
    "ControlNetApplySD3": ("strength", "start_percent", "end_percent"),
    "InpaintModelConditioning": ("noise_mask",),
    "ModelSamplingDiscrete": ("sampling", "zsnr"),
    "RescaleCFG": ("multiplier",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "LatentFromBatch": ("batch_index", "length"),
    "RepeatLatentBatch": ("amount",),
    "KSampler": (*_SEED, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise", *_NOISE_SEED, "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step",
        "return_with_leftover_noise",
    ),
    "SamplerCustom": ("add_noise", *_NOISE_SEED, "cfg"),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "KarrasScheduler": ("steps", "sigma_max", "sigma_min", "rho"),
    "ExponentialScheduler": ("steps", "sigma_max", "sigma_min"),
    "PolyexponentialScheduler": ("steps", "sigma_max", "sigma_min", "rho"),
    "SDTurboScheduler": ("steps", "denoise"),
    "RandomNoise": _NOISE_SEED,
    "CFGGuider": ("cfg",),
    "VAEDecodeTiled": ("tile_size", "overlap", "temporal_size", "temporal_overlap"),
    "VAEEncodeTiled": ("tile_size", "overlap", "temporal_size", "temporal_overlap"),
    "VAEEncodeForInpaint": ("grow_mask_by",),
    "LoadImage": ("image", UPLOAD),
    "LoadImageMask": ("image", "channel", UPLOAD),
    "SaveImage": ("filename_prefix",),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "ImageScaleBy": ("upscale_method", "scale_by"),
    "ImagePadForOutpaint": ("left", "top", "right", "bottom", "feathering"),
    "ImageBlend": ("blend_factor", "blend_mode"),
    "ImageBlur": ("blur_radius", "sigma"),
    "ImageCompositeMasked": ("x", "y", "resize_source"),
    "ImageCrop": ("width", "height", "x", "y"),
    "ImageFromBatch": ("batch_index", "length"),
    "ImageToMask": ("channel",),
    "MaskComposite": ("x", "y", "operation"),
    "EmptyImage": ("width", "height", "batch_size", "color"),
    "FreeU": ("b1", "b2", "s1", "s2"),
    "FreeU_V2": ("b1", "b2", "s1", "s2"),
    "PrimitiveInt": ("value", CONTROL),
    "PrimitiveFloat": ("value",),
    "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",),
    "PrimitiveBoolean": ("value",),
}  # fmt: skip


def named(kind: str, values: Any, shown: list[str]) -> tuple[dict[str, Any], list[Any]]:
    """The values of a node's widgets by name, and those that have none.

    Args:
        kind: of the node.
        values: as the file has them: a list by position, or an object by name.
        shown: names of the widgets that the file lists among the inputs. Newer files list all, in order.
    """
    if isinstance(values, dict):
        return dict(values), []
    left = list(values) if isinstance(values, list) else []
    found: dict[str, Any] = {}
    known = kind in ORDER
    for name in ORDER.get(kind) or _with_controls(shown):
        if not left:
            break
        if name in (CONTROL, UPLOAD):
            if name == UPLOAD or _is_control(left[0]):
                left.pop(0)
            continue
        found[name] = left.pop(0)
    if known:
        return found, []
    return (found, []) if not left else ({}, list(values))


def _is_control(value: Any) -> bool:
    return isinstance(value, str) and value in CONTROLS


def _with_controls(shown: list[str]) -> list[str]:
    """Widgets of a node that is not known: seeds are followed by what becomes of them."""
    return [name for own in shown for name in ((own, CONTROL) if own in ("seed", "noise_seed") else (own,))]
