"""What adapters call the modules of the latent U-Net, and whose their tensors are: tables."""

from collections.abc import Iterable
from typing import Final

from nodeflow_nn.adapter_settings import PEFT
from nodeflow_nn.adapters import Naming, Rows, stems_of

from nodeflow_diffusion.latent_unet_names import sources
from nodeflow_diffusion.latent_unet_outline import Outline, Shaped

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
    Naming("lycoris_", "diffusers", "_"),  # LyCORIS without kohya
    Naming(PEFT, "diffusers"),
)
TEXTS: Final = (
    "lora_te_", "lora_te1_", "lora_te2_", "text_encoder.", "text_encoder_2.",
    *(f"{PEFT}{module}" for module in ("text_model.", "encoder.", "text_projection.")),
)  # fmt: skip
"""What the names of the tensors for text encoders begin with."""


def unet_stems(unet: Shaped) -> dict[str, Rows]:
    """All that adapters may call the modules of a U-Net, of which an outline is enough."""
    outline = Outline.of(unet)

    def heights(ours: str, count: int) -> Iterable[int]:
        if ours == "times.weight":
            return outline.shift_widths
        if ours == "words.weight":
            return [width for width in outline.reader_widths for _ in range(2)]
        return [outline.shapes[ours][0] // count] * count

    return stems_of(NAMINGS, lambda naming: dict(sources(outline, naming.layout)), heights)


def for_unet(name: str) -> bool:
    """Whether a tensor of an adapter must be the U-Net's."""
    return not name.startswith(TEXTS)
