"""Tiny Stable Diffusions of random weights, laid out as the real ones: single files, and folders as of diffusers."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoder, LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_names import sources as autoencoder_sources
from nodeflow_diffusion import latent_unet_families
from nodeflow_diffusion.control import HINT_WIDTHS, ControlNet
from nodeflow_diffusion.control_names import control_sources
from nodeflow_diffusion.latent_unet import Encoder, LatentUNet, LatentUNetConfig
from nodeflow_diffusion.latent_unet_families import Family
from nodeflow_diffusion.latent_unet_names import Layout
from nodeflow_diffusion.latent_unet_names import sources as unet_sources
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.published import Transposed, name_of
from nodeflow_text import clip_names
from nodeflow_text.clip import ClipTextConfig, ClipTextTower, ClipVisionConfig, ClipVisionTower
from safetensors.torch import save_file
from torch import Tensor, nn

VAE = LatentAutoencoderConfig(widths=(32,) * 4, layers=1)
CLIPS = {
    "CLIP ViT-L": ClipTextConfig(vocabulary=40, width=64, depth=2, heads=1, hidden=96, end=39),
    "CLIP ViT-H": ClipTextConfig(
        vocabulary=40, width=96, depth=2, heads=1, hidden=96, end=39, activation="gelu", projection=96
    ),
    "CLIP ViT-bigG": ClipTextConfig(
        vocabulary=40, width=128, depth=2, heads=2, hidden=96, end=39, activation="gelu", projection=24
    ),
}
KNOWN = tuple(
    clip_names.Known(name.removeprefix("CLIP "), config.width, config.activation) for name, config in CLIPS.items()
)
SD1 = LatentUNetConfig(widths=(32, 64), layers=1, depths=(1, 0), heads=(8, 8), context_width=64)
SD2 = replace(SD1, heads=(2, 4), context_width=96)
XL = replace(SD1, depths=(0, 2), middle_depth=2, heads=(2, 4), context_width=192, vector_width=24 + 6 * 256)
REFINER = replace(XL, widths=(64, 64), heads=(1, 1), context_width=128, vector_width=24 + 5 * 256)
VISION = ClipVisionConfig(side=28, patch=14, width=48, depth=2, heads=1, hidden=64, activation="gelu", projection=32)
UNCLIP = replace(SD2, vector_width=2 * 32)
TINY = {"sd1": SD1, "sd2": SD2, "sdxl": XL, "sdxl_refiner": REFINER, "sd2_unclip_h": UNCLIP}
FAMILIES = tuple(
    replace(family, config=TINY[family.name]) for family in latent_unet_families.FAMILIES if family.name in TINY
)
HOMES = {
    "sd1": ("cond_stage_model.transformer.text_model.",),
    "sd2": ("cond_stage_model.model.",),
    "sd2_unclip_h": ("cond_stage_model.model.",),
    "sdxl": ("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."),
    "sdxl_refiner": ("conditioner.embedders.0.model.",),
}
"""Where a single file keeps its text encoders."""
LETTERS = "abcdefghijklmnopqr!"
Weights = dict[str, Tensor]


class Parts(NamedTuple):
    """Tensors by part, as a folder has them; those of a single file together are its own."""

    unet: Weights
    texts: dict[str, Weights]
    vae: Weights


@pytest.fixture(autouse=True, scope="module")
def small(one_thread: None) -> None:
    """All products here are."""


@pytest.fixture
def here(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and a world in which the published models are small: the tables have tiny sizes."""
    monkeypatch.setattr(latent_unet_families, "FAMILIES", FAMILIES)
    monkeypatch.setattr(clip_names, "KNOWN", KNOWN)
    monkeypatch.setattr(clip_names, "KNOWN_VISION", {VISION.width: (VISION.heads, VISION.activation)})
    return bare


@torch.no_grad()
def drawn(module: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.named_parameters():
        if value.is_meta:  # only its shape is wanted
            continue
        noise = torch.randn(value.shape, generator=generator)
        matrix = value.ndim > 1
        value.copy_(noise / math.prod(value.shape[1:]) ** 0.5 if matrix else 0.1 * noise + name.endswith("weight"))
    return module


def unet_of(
    config: LatentUNetConfig, layout: Layout, prefix: str = "", *, linear: bool = True, unclip: bool = False
) -> Weights:
    unet = drawn(LatentUNet(config), 1)
    assert isinstance(unet, LatentUNet)
    return {
        name: part[:, :, None, None] if not linear and name.endswith(("proj_in.weight", "proj_out.weight")) else part
        for name, part in taken_apart(unet, unet_sources(unet, layout, prefix=prefix, unclip=unclip)).items()
    }


def taken_apart(module: Encoder, sources: Mapping[str, tuple[str, ...]]) -> Weights:
    """Our tensors as the published ones that stand one above the other in them."""
    found: Weights = {}
    state = module.state_dict()
    for ours, names in sources.items():
        rows = [len(state[ours]) // len(names)] * len(names)
        if ours.startswith("times."):
            rows = list(module.shift_widths)
        elif ours == "words.weight":
            rows = [width for width, _ in module.readers for _ in range(2)]
        found |= dict(zip(names, state[ours].split(rows), strict=True))
    return found


def text_of(config: ClipTextConfig, prefix: str, *, projected: bool) -> Weights:
    config = config if projected else replace(config, projection=None)
    number = "".join(filter(str.isdigit, prefix.partition(".embedders.")[2][:1]))
    pattern = prefix.replace(f"embedders.{number}", "embedders.N") if number else prefix
    home = next(home for home in clip_names.TEXT_HOMES if home.prefix == pattern)
    tower = clip_names.Tower("text", home._replace(prefix=prefix), projected)
    module, found = drawn(ClipTextTower(config), 2), Weights()
    for ours, value in module.state_dict().items():
        pieces = tower.sources(config.depth)[ours]
        for piece, part in zip(pieces, value.chunk(len(pieces)), strict=True):
            found[name_of(piece)] = part.T if isinstance(piece, Transposed) else part
    return found


def vision_of(home: clip_names.Home) -> Weights:
    module, found = drawn(ClipVisionTower(VISION), 4), Weights()
    for ours, pieces in clip_names.Tower("vision", home, True).sources(VISION.depth).items():
        value = module.state_dict()[ours]
        for piece, part in zip(pieces, value.chunk(len(pieces)), strict=True):
            found[name_of(piece)] = part.T if isinstance(piece, Transposed) else part
    return found


def statistics(*names: str) -> Weights:
    generator = torch.Generator().manual_seed(6)
    return {name: 1 + 0.1 * torch.randn(1, 32, generator=generator) for name in names}


def vae_of(layout: Layout, prefix: str = "", config: LatentAutoencoderConfig = VAE) -> Weights:
    module, found = drawn(LatentAutoencoder(config), 3), Weights()
    assert isinstance(module, LatentAutoencoder)
    for ours, names in autoencoder_sources(module, layout, prefix).items():
        parts = module.state_dict()[ours].chunk(len(names))
        found |= dict(zip(names, parts, strict=True))
    return found


def family_of(name: str) -> Family:
    return next(family for family in FAMILIES if family.name == name)


def single(
    family: Family,
    channels: int = 4,
    clips: Mapping[str, ClipTextConfig] = CLIPS,
    vae: LatentAutoencoderConfig = VAE,
) -> Weights:
    """All tensors of a single file."""
    config = replace(family.config, channels_in=channels)
    found = unet_of(config, "ldm", "model.diffusion_model.", linear=family.linear)
    for prefix, text in zip(HOMES[family.name], family.texts.split(" + "), strict=True):
        found |= text_of(clips[text], prefix, projected=prefix.endswith(".model."))
    if family.pictures:
        (home,) = (home for home in clip_names.VISION_HOMES if home.prefix == "embedder.model.visual.")
        found |= vision_of(home) | statistics("noise_augmentor.data_mean", "noise_augmentor.data_std")
    return found | vae_of("ldm", "first_stage_model.", vae) | {"betas": torch.zeros(1)}


def parts(name: str, channels: int = 4) -> Parts:
    """The same tensors as those of the single file, as a folder has them."""
    family = family_of(name)
    config = replace(family.config, channels_in=channels)
    texts = family.texts.split(" + ")
    folders = ["text_encoder_2"] if name == "sdxl_refiner" else ["text_encoder", "text_encoder_2"][: len(texts)]
    return Parts(
        unet_of(config, "diffusers", linear=family.linear, unclip=family.pictures),
        {
            folder: {
                key: value
                for key, value in text_of(
                    CLIPS[text], "text_model.", projected=CLIPS[text].projection is not None
                ).items()
                if not name.startswith("sd2") or ".layers.1." not in key  # its folders lack the layer that nobody reads
            }
            for folder, text in zip(folders, texts, strict=True)
        },
        vae_of("diffusers"),
    )


def write_vocabulary(folder: Path, pad: str = "<|endoftext|>") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": pad}))


def unet_config(family: Family, channels: int) -> dict[str, Any]:
    config = family.config
    kinds = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in config.depths]
    told: dict[str, Any] = {
        "_class_name": "UNet2DConditionModel",
        "in_channels": channels,
        "block_out_channels": config.widths,
        "layers_per_block": config.layers,
        "down_block_types": kinds,
        "up_block_types": [kind.replace("Down", "Up") for kind in reversed(kinds)],
        "transformer_layers_per_block": [*(depth or 1 for depth in config.depths[:-1]), config.middle_depth],
        "attention_head_dim": config.heads,
        "cross_attention_dim": config.context_width,
        "use_linear_projection": family.linear,
    }
    if family.pictures:
        told |= {"class_embed_type": "projection", "projection_class_embeddings_input_dim": config.vector_width}
    elif config.vector_width:
        told |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": config.vector_width,
        }
    return told


def saved(
    folder: Path, stem: str, weights: Weights, config: dict[str, Any], *, shards: int = 1, half: bool = False
) -> None:
    """A part of a folder: its weights, in one file or in shards, and what config.json says."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    variant = ".fp16" if half else ""
    weights = {name: (value.half() if half else value).contiguous() for name, value in weights.items()}
    if shards == 1:
        save_file(weights, folder / f"{stem}{variant}.safetensors")
        return
    names = sorted(weights)
    files = {name: f"{stem}{variant}-{1 + i % shards:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: weights[name] for name in names if files[name] == file}, folder / file)
    (folder / f"{stem}.safetensors.index{variant}.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


Write = Callable[..., str]


@pytest.fixture
def file(here: Path) -> Write:
    """Writes a single file, with its vocabulary beside it, and gives its name."""

    def write(
        name: str = "sd1", called: str = "model", *, channels: int = 4, about: dict[str, str] | None = None,
        without: str = "", **more: Tensor,
    ) -> str:  # fmt: skip
        weights = {key: value.contiguous() for key, value in (single(family_of(name), channels) | more).items()}
        kept = {key: value for key, value in weights.items() if not without or without not in key}
        save_file(kept, here / f"{called}.safetensors", about)
        write_vocabulary(here / "tokenizer")
        return called

    return write


@pytest.fixture
def folder(here: Path) -> Write:
    """Writes a diffusers folder and gives its name."""

    def write(
        name: str = "sd1", called: str = "folder", *, channels: int = 4, shards: int = 1, half: bool = False,
        **scheduler: Any,
    ) -> str:  # fmt: skip
        family, made, home = family_of(name), parts(name, channels), here / called
        saved(
            home / "unet", "diffusion_pytorch_model", made.unet, unet_config(family, channels), shards=shards, half=half
        )
        for (place, weights), text in zip(made.texts.items(), family.texts.split(" + "), strict=True):
            config = CLIPS[text]
            told = {"hidden_act": config.activation, "num_attention_heads": config.heads, "eos_token_id": config.end}
            saved(home / place, "model", weights, told, shards=shards, half=half)
            # OpenAI's is filled up with its end, open_clip's with the first of all pieces
            pad = "<|endoftext|>" if text == "CLIP ViT-L" else LETTERS[0]
            write_vocabulary(home / place.replace("text_encoder", "tokenizer"), pad)
        if family.pictures:
            told = {"hidden_act": VISION.activation, "num_attention_heads": VISION.heads}
            saved(home / "image_encoder", "model", vision_of(clip_names.VISION_HOMES[0]), told)
            saved(home / "image_normalizer", "diffusion_pytorch_model", statistics("mean", "std"), {})
        scale = 0.13025 if family.space == "sdxl" else 0.18215
        vae = {"_class_name": "AutoencoderKL", "scaling_factor": scale}
        saved(home / "vae", "diffusion_pytorch_model", made.vae, vae, shards=shards, half=half)
        (home / "scheduler").mkdir()
        known = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
        (home / "scheduler" / "scheduler_config.json").write_text(json.dumps(known | scheduler))
        pipeline = "StableDiffusionXLPipeline" if family.space == "sdxl" else "StableDiffusionPipeline"
        (home / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
        return called

    return write


FULL_CLIPS = {
    "CLIP ViT-L": ClipTextConfig(),
    "CLIP ViT-H": ClipTextConfig(width=1024, heads=16, depth=24, hidden=4096, activation="gelu", projection=1024),
    "CLIP ViT-bigG": ClipTextConfig(width=1280, heads=20, depth=32, hidden=5120, activation="gelu", projection=1280),
}
REAL = latent_unet_families.FAMILIES


@pytest.fixture
def sparse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the header of a single file of full size in half precision; its weights are a hole in the file."""
    monkeypatch.chdir(tmp_path)

    def write(name: str) -> Path:
        with WithoutMemory():
            found = single(
                next(family for family in REAL if family.name == name), 4, FULL_CLIPS, LatentAutoencoderConfig()
            )
        header, at = {}, 0
        for key, value in found.items():
            header[key] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [at, at + 2 * value.numel()]}
            at += 2 * value.numel()
        text = json.dumps(header).encode()
        path = tmp_path / f"{name}.safetensors"
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + at)
        write_vocabulary(tmp_path / "tokenizer")
        return path

    return write


@pytest.fixture
def control_file(here: Path) -> Write:
    """Writes a ControlNet for Stable Diffusion 1 as the original code names it, and gives its name."""

    def write(
        called: str = "edges", *, channels: int = 3, hint_widths: tuple[int, ...] = HINT_WIDTHS, **changed: Any
    ) -> str:
        net = drawn(ControlNet(replace(SD1, **changed), channels, hint_widths), 5)
        assert isinstance(net, ControlNet)
        sources = control_sources(net.config, "ldm", "control_model.", halvings=len(hint_widths) - 1)
        weights = taken_apart(net, sources)
        save_file({name: value.contiguous() for name, value in weights.items()}, here / f"{called}.safetensors")
        return called

    return write


@pytest.fixture
def adapter_files(here: Path, control_file: Write) -> None:
    """Writes the LoRA and the ControlNet that graphs ask for."""
    control_file("control_v11p_sd15_canny")
    places = {"lora_unet_mid_block_attentions_0_proj_in": 64, "lora_te_text_model_encoder_layers_0_mlp_fc1": 96}
    weights = Weights()
    for stem, rows in places.items():
        weights |= {f"{stem}.lora_down.weight": torch.ones(2, 64) / 8, f"{stem}.lora_up.weight": torch.ones(rows, 2)}
    save_file(weights, here / "style.safetensors")
