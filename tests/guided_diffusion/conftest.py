"""Tiny networks of improved and guided diffusion, laid out as the published ones, with random weights."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nodeflow_diffusion import adm_families
from nodeflow_diffusion.adm_families import Family, Noise
from nodeflow_diffusion.adm_names import sources
from nodeflow_diffusion.adm_unet import AdmClassifier, AdmConfig, AdmEncoder, AdmUNet
from nodeflow_nn.placing import WithoutMemory
from safetensors.torch import save_file
from torch import Tensor

CLASSES = 5
TINY = AdmConfig(base=32, widths=(32, 64), layers=1, attends=(False, True), heads=(2, 4))
FAMILIES = (
    Family("64", "u-net", replace(TINY, mixed=False), 16, Noise("cosine")),
    Family("256", "u-net", replace(TINY, layers=2), 32),
    Family("upsampler to 256", "u-net", replace(TINY, channels_in=6), 32),
    Family("classifier of 256", "classifier", replace(TINY, channels_out=CLASSES), 32),
    Family(
        "improved", "u-net", replace(TINY, resize="convolution", film=False), 16, Noise("cosine", 4000, rescaled=True)
    ),
)
"""Stand-ins for the published ones, of the same names."""
REAL = adm_families.FAMILIES
Weights = dict[str, Tensor]
Write = Callable[..., str]


@pytest.fixture(autouse=True, scope="module")
def small(one_thread: None) -> None:
    """All products here are."""


@pytest.fixture
def here(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in a world in which the published networks are small."""
    monkeypatch.setattr(adm_families, "FAMILIES", FAMILIES)
    return bare


def made(config: AdmConfig, side: int = 0) -> AdmEncoder:
    """The network of a config; of a side, that of a classifier of such pictures."""
    return AdmClassifier(config, side >> (len(config.widths) - 1)) if side else AdmUNet(config)


def made_of(family: Family, classes: int = 0) -> AdmEncoder:
    """Likewise of a family."""
    config = replace(family.config, classes=classes)
    return made(config, family.side if family.kind == "classifier" else 0)


@torch.no_grad()
def drawn(network: AdmEncoder) -> AdmEncoder:
    generator = torch.Generator().manual_seed(0)
    for name, value in network.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        matrix = value.ndim > 1
        value.copy_(noise / math.prod(value.shape[1:]) ** 0.5 if matrix else 0.1 * noise + name.endswith("weight"))
    return network


def published(network: AdmEncoder) -> Weights:
    """Its tensors as they are published: one linear layer from the time a block, attentions as convolutions."""
    found, state = Weights(), network.state_dict(keep_vars=True)
    for ours, names in sources(network).items():
        parts = state[ours].split(network.told_widths) if ours.startswith("times.") else (state[ours],)
        for name, part in zip(names, parts, strict=True):
            along = part.ndim == 2 and name.endswith(("qkv.weight", "proj_out.weight", "_proj.weight"))
            found[name] = part[:, :, None] if along else part
    return found


@pytest.fixture
def file(here: Path) -> Write:
    """Writes the file of a family and gives its name; `without` leaves tensors out, further ones are added."""

    def write(
        family: str, called: str = "model", *, classes: int = 0, without: str = "", config: AdmConfig | None = None,
        **more: Tensor,
    ) -> str:  # fmt: skip
        known = next(one for one in FAMILIES if one.name == family)
        weights = published(drawn(made(config) if config else made_of(known, classes))) | more
        kept = {
            name: value.detach().contiguous() for name, value in weights.items() if not without or without not in name
        }
        save_file(kept, here / f"{called}.safetensors")
        return called

    return write


@pytest.fixture
def sparse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the header of a file of full size in half precision, and gives its name; its weights are a hole in it."""
    monkeypatch.chdir(tmp_path)

    def write(family: str, classes: int = 0) -> str:
        known = next(one for one in REAL if one.name == family)
        with WithoutMemory():
            weights = published(made_of(known, classes))
        header, at = {}, 0
        for name, value in weights.items():
            header[name] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [at, at + 2 * value.numel()]}
            at += 2 * value.numel()
        text = json.dumps(header).encode()
        with (tmp_path / "full.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + at)
        return "full"

    return write
