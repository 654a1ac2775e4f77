"""What adapters call the modules of the latent U-Net, and whose their tensors are: tables."""

from collections.abc import Iterable
from typing import Final

from nodeflow_nn.adapters import Naming, Rows, stems_of

from nodeflow_diffusion.latent_unet import LatentUNet
from nodeflow_diffusion.latent_unet_names import sources

OLD: Final = (
    (r"\.to_([qkv])$", r".processor.to_\1"),
    (r"\.to_out\.0$", ".processor.to_out"),
)
"""Modules within attention as diffusers named them before 0.22; their endings begin with "_lora"."""
NAMINGS: Final = (
    Naming("lora_unet_", "diffusers", "_"),  # kohya: Stable Diffusion 1 and 2
    Naming("lora_unet_", "ldm", "_"),  # kohya: XL
    Naming("unet.", "diffusers"),  # diffusers and PEFT
    Naming("", "diffusers"),  # of the U-Net alone
    Naming("unet.", "diffusers", spelt=OLD),
    Naming("", "diffusers", spelt=OLD),
    Naming("diffusion_model.", "ldm"),  # ComfyUI
)
TEXTS: Final = ("lora_te_", "lora_te1_", "lora_te2_", "text_encoder.", "text_encoder_2.")
"""What the names of the tensors for text encoders begin with."""


def unet_stems(unet: LatentUNet) -> dict[str, Rows]:
    """All that adapters may call its modules; it may be without memory."""

    def heights(ours: str, count: int) -> Iterable[int]:
        if ours == "times.weight":
            return unet.shift_widths
        if ours == "words.weight":
            return [width for width, _ in unet.readers for _ in range(2)]
        module = unet.get_submodule(ours.removesuffix(".weight"))
        return [len(module.weight) // count] * count  # type: ignore[arg-type]

    return stems_of(NAMINGS, lambda naming: dict(sources(unet, naming.layout)), heights)


def for_unet(name: str) -> bool:
    """Whether a tensor of an adapter must be the U-Net's."""
    return not name.startswith(TEXTS)
