"""What adapters call the modules of CLIP's text towers, and whose their tensors are: tables."""

from collections.abc import Iterable
from typing import Final

from nodeflow_nn.adapter_settings import PEFT
from nodeflow_nn.adapters import Naming, Rows, stems_of

from nodeflow_text.clip import ClipTextConfig
from nodeflow_text.clip_names import TEXT_HOMES, Home, Tower
from nodeflow_text.outlines import text_shapes

WRAPPED: Final = TEXT_HOMES[0]
BARE: Final = TEXT_HOMES[1]
OLD: Final = (
    (r"\.([qkv])_proj$", r".to_\1"),
    (r"\.out_proj$", ".to_out"),
)
"""Modules within attention as the first of diffusers' adapters have them; their endings begin with "_lora"."""
ALONE: Final = tuple(f"{PEFT}{module}" for module in ("text_model.", "encoder.", "text_projection."))
"""What the names of PEFT's own adapters of a text encoder begin with, which do not say of which."""


def namings(number: int) -> tuple[Naming, ...]:
    """The ways of files to name the modules of the text encoder of that number."""
    folder = "text_encoder." if number == 1 else f"text_encoder_{number}."
    kohya = ("lora_te_", "lora_te1_") if number == 1 else (f"lora_te{number}_",)
    return (
        *(Naming(prefix, WRAPPED, "_") for prefix in kohya),
        Naming(folder, WRAPPED),
        Naming(folder, BARE),
        Naming(folder, WRAPPED, spelt=OLD),
        Naming(PEFT, WRAPPED),
        Naming(PEFT, BARE),
    )


def text_stems(config: ClipTextConfig, number: int) -> dict[str, Rows]:
    """All that adapters may call the modules of such a tower, which is the text encoder of that number."""
    shapes = text_shapes(config)

    def heights(ours: str, count: int) -> Iterable[int]:
        return [shapes[ours][0] // count] * count

    def sources(naming: Naming) -> dict[str, tuple[str, ...]]:
        home: Home = naming.layout
        found = Tower("text", home, config.projection is not None).sources(config.depth)
        return {ours: tuple(str(piece) for piece in pieces) for ours, pieces in found.items()}

    return stems_of(namings(number), sources, heights)


def for_text(name: str, number: int) -> bool:
    """Whether a tensor of an adapter must be that of the text encoder of that number."""
    return name.startswith((*{naming.prefix for naming in namings(number)} - {PEFT}, *ALONE))
