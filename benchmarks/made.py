"""Checkpoints for benches: headers of published models over a hole in the file, and small models of random weights."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_names import sources as autoencoder_sources
from nodeflow_codebooks.latent_autoencoder_outline import outline
from nodeflow_diffusion.latent_unet import LatentUNetConfig
from nodeflow_diffusion.latent_unet_families import FAMILIES
from nodeflow_diffusion.latent_unet_names import Layout
from nodeflow_diffusion.latent_unet_names import sources as unet_sources
from nodeflow_diffusion.latent_unet_outline import Outline
from nodeflow_nn.published import Sources, Transposed, name_of
from nodeflow_text import clip_names, t5_names
from nodeflow_text.clip import ClipTextConfig
from nodeflow_text.outlines import t5_shapes, text_shapes
from nodeflow_text.t5 import T5Config
from safetensors.torch import save_file

Shape = tuple[int, ...]
CLIPS = {
    "CLIP ViT-L": ClipTextConfig(),
    "CLIP ViT-H": ClipTextConfig(width=1024, heads=16, depth=24, hidden=4096, activation="gelu", projection=1024),
    "CLIP ViT-bigG": ClipTextConfig(width=1280, heads=20, depth=32, hidden=5120, activation="gelu", projection=1280),
}
HOMES = {
    "sd1": ("cond_stage_model.transformer.text_model.",),
    "sd2": ("cond_stage_model.model.",),
    "sdxl": ("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."),
    "sdxl_refiner": ("conditioner.embedders.0.model.",),
}
"""Where a single file of each family keeps its text encoders."""


def parted(
    shapes: Mapping[str, Shape], sources: Sources, rows: Mapping[str, list[int]] | None = None
) -> dict[str, Shape]:
    """The published tensors of which ours are made; rows: where those of one of ours differ in height."""
    found: dict[str, Shape] = {}
    for ours, pieces in sources.items():
        first, *rest = shapes[ours]
        heights = (rows or {}).get(ours) or [first // len(pieces)] * len(pieces)
        for piece, height in zip(pieces, heights, strict=True):
            shape = (height, *rest)
            found[name_of(piece)] = shape[::-1] if isinstance(piece, Transposed) else shape
    return found


def unet(config: LatentUNetConfig, layout: Layout, prefix: str = "") -> dict[str, Shape]:
    """Names and shapes of a published latent U-Net."""
    told = Outline(config)
    heights = {
        "times.weight": told.shift_widths,
        "times.bias": told.shift_widths,
        "words.weight": [width for width in told.reader_widths for _ in range(2)],
    }
    return parted(told.shapes, unet_sources(told, layout, prefix=prefix), heights)


def clip(config: ClipTextConfig, prefix: str) -> dict[str, Shape]:
    """Those of a text tower of CLIP that stands there."""
    number = next((number for number in "01" if f"embedders.{number}." in prefix), "N")
    homes = clip_names.TEXT_HOMES
    home = next(home for home in homes if home.prefix == prefix.replace(f"embedders.{number}", "embedders.N"))
    tower = clip_names.Tower("text", home._replace(prefix=prefix), config.projection is not None)
    return parted(text_shapes(config), tower.sources(config.depth))


class _Config:
    config = LatentAutoencoderConfig()


def autoencoder(prefix: str = "") -> dict[str, Shape]:
    """Those of the autoencoder of Stable Diffusion, attentions as convolutions."""
    found = parted(outline(_Config.config), autoencoder_sources(_Config, "ldm", prefix))
    return {name: (*shape, 1, 1) if ".attn_1." in name and len(shape) == 2 else shape for name, shape in found.items()}


def single_file(name: str) -> dict[str, Shape]:
    """Those of a file of a whole Stable Diffusion of that family."""
    family = next(family for family in FAMILIES if family.name == name)
    found = unet(family.config, "ldm", "model.diffusion_model.")
    if not family.linear:
        ends = ("proj_in.weight", "proj_out.weight")
        found = {name: (*shape, 1, 1) if name.endswith(ends) else shape for name, shape in found.items()}
    for prefix, text in zip(HOMES[name], family.texts.split(" + "), strict=True):
        found |= clip(CLIPS[text], prefix)
    return found | autoencoder("first_stage_model.")


def t5() -> dict[str, Shape]:
    """Those of the encoder of T5-XXL."""
    config = T5Config()
    return parted(t5_shapes(config), t5_names.sources(config, "", {"shared.weight": (1, 1)}))


def hollow(path: Path, shapes: Mapping[str, Shape]) -> None:
    """A safetensors file in half precision whose weights are a hole, so that it takes no room."""
    header, at = {}, 0
    for name, shape in sorted(shapes.items()):
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)


def vocabularies(folder: Path) -> None:
    """A small vocabulary of CLIP, and a file in the place of one of T5, which nobody opens to look at a header."""
    folder.mkdir()
    pieces = [*"ab", *(letter + "</w>" for letter in "ab"), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<|endoftext|>"}))
    (folder / "tokenizer.json").write_text("{}")


def drawn(path: Path, shapes: Mapping[str, Shape], dtype: torch.dtype = torch.float32) -> None:
    """A file of such random weights that numbers neither die nor grow on their way through."""
    draw = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(shape, generator=draw) / math.prod(shape[1:]) ** 0.5
        if len(shape) > 1
        else torch.full(shape, float(name.endswith("weight")))
        for name, shape in shapes.items()
    }
    save_file({name: value.to(dtype) for name, value in weights.items()}, path)


def diffusers_unet(folder: Path, config: LatentUNetConfig, dtype: torch.dtype = torch.float32) -> None:
    """A folder of diffusers with such a U-Net."""
    folder.mkdir()
    kinds = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in config.depths]
    told = {
        "_class_name": "UNet2DConditionModel", "block_out_channels": config.widths, "layers_per_block": config.layers,
        "down_block_types": kinds, "up_block_types": [kind.replace("Down", "Up") for kind in reversed(kinds)],
        "attention_head_dim": config.heads, "cross_attention_dim": config.context_width, "use_linear_projection": True,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(told))
    drawn(folder / "diffusion_pytorch_model.safetensors", unet(config, "diffusers"), dtype)


def lora(path: Path, shapes: Mapping[str, Shape], rank: int = 16) -> None:
    """A LoRA, as diffusers writes it, for all matrices of the transformers."""
    draw = torch.Generator().manual_seed(1)
    found = {}
    for name, shape in shapes.items():
        if len(shape) == 2 and "transformer_blocks" in name:
            stem = f"unet.{name.removesuffix('.weight')}"
            found[f"{stem}.lora_A.weight"] = 0.05 * torch.randn(rank, shape[1], generator=draw)
            found[f"{stem}.lora_B.weight"] = 0.05 * torch.randn(shape[0], rank, generator=draw)
    save_file(found, path)
