"""Files of the size that people have, known from their headers: 2 to 7 GB that take no room here."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nodeflow_codebooks.vae_recipes import LatentAutoencoderModel
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint
from nodeflow_diffusion.latent_unet_recipes import PublishedDenoiser
from nodeflow_text.published_recipes import ClipEncoder, JoinedEncoders

UNETS = {"sd1": 859_520_964, "sd2": 865_910_724, "sdxl": 2_567_463_684, "sdxl_refiner": 2_259_526_660}
CLIPS = {"CLIP ViT-L": 123_060_480, "CLIP ViT-H": 354_032_640, "CLIP ViT-bigG": 694_659_840}
VAE = 83_653_863
"""Parameters, as published."""


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.fixture
def no_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes a module fails."""

    def refuse(module: torch.nn.Module, *_: object, **__: object) -> None:
        raise AssertionError(f"a {type(module).__name__} is made, but nothing is computed yet")

    monkeypatch.setattr(torch.nn.Module, "__init__", refuse)


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has read is told by Linux only")
@pytest.mark.parametrize("family", UNETS)
def test_a_file_of_full_size_is_known_from_its_header(
    family: str, sparse: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    path = sparse(family)
    assert path.stat().st_size > 2e9
    request.getfixturevalue("no_modules")
    before = bytes_read()
    parts = load_checkpoint(family, prediction="v" if family == "sd2" else "auto")
    assert bytes_read() - before <= 1_000_000  # the header, and a little of the weights by which files are told apart
    assert isinstance(parts.denoiser, PublishedDenoiser)
    assert isinstance(parts.autoencoder, LatentAutoencoderModel)
    assert 4 * UNETS[family] == parts.denoiser.network.size
    assert 4 * VAE == parts.autoencoder.size
    encoders = [parts.encoder]
    if isinstance(parts.encoder, JoinedEncoders):
        encoders = [parts.encoder.first, parts.encoder.second]
    sizes = dict[str, int]()
    for encoder in encoders:
        assert isinstance(encoder, ClipEncoder)
        sizes[encoder.space] = encoder.size
    assert " + ".join(sizes) == parts.denoiser.text_space
    assert {name: 4 * CLIPS[name] for name in sizes} == sizes
