"""Checkpoints whose tensors are stored in other types than they are computed in, and models held in 8 bits."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nodeflow_codebooks.vae_recipes import LatentAutoencoderModel
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.latent_unet_recipes import published_denoiser
from nodeflow_diffusion.recipes import run_as
from nodeflow_text.published_recipes import ClipEncoder
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nodeflow.leaves import models_in

Write = Callable[..., str]
STORED = (torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)


def stored_as(here: Path, name: str, dtype: torch.dtype) -> str:
    """The file with its tensors of that type, and what they are then, as float32, in a second one."""
    weights = load_file(here / f"{name}.safetensors")
    stored = {key: value.to(dtype) for key, value in weights.items()}
    save_file(stored, here / "stored.safetensors")
    save_file({key: value.float() for key, value in stored.items()}, here / "widened.safetensors")
    return "stored"


def weights_of(built: object) -> dict[str, Tensor]:
    """Of a module, or of the module within what was loaded."""
    waiting = [built]
    while not isinstance(item := waiting.pop(0), nn.Module):
        waiting += vars(item).values() if hasattr(item, "__dict__") else ()
    return dict(item.state_dict())


@pytest.mark.parametrize("dtype", STORED, ids=str)
def test_each_type_is_widened_and_nothing_else(file: Write, here: Path, dtype: torch.dtype) -> None:
    name = stored_as(here, file(), dtype)
    for load in (
        lambda called: models_in(published_denoiser(called))[0],
        lambda called: models_in(LatentAutoencoderModel.named(called))[0],
        lambda called: models_in(ClipEncoder.named(called, "tokenizer", 1))[0],
    ):
        found, expected = weights_of(load(name).build("cpu")), weights_of(load("widened").build("cpu"))
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert value.dtype == found[key].dtype, key
            assert torch.equal(value, found[key]), key


@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_a_published_unet_is_held_in_8_bits(file: Write, name: str) -> None:
    made = published_denoiser(file(name))
    (plain,) = models_in(made)
    for precision, most in (("fp32", 0.30), ("bf16", 0.60)):
        (eight,) = models_in(run_as(made, Execution(precision, storage="fp8")))  # type: ignore[arg-type]
        (same,) = models_in(run_as(made, Execution(precision)))  # type: ignore[arg-type]
        module = eight.build("cpu")
        taken = sum(value.nbytes for value in module.state_dict().values())
        assert eight.size == taken == sum(value.nbytes for value in eight.lay_out().state_dict().values())
        assert eight.size < most * same.size
        for key, value in plain.build("cpu").named_parameters():
            owner, _, leaf = key.rpartition(".")
            back = getattr(module.get_submodule(owner), leaf)
            assert float((back.float() - value).norm() / value.norm()) < 0.04, key


def test_a_file_of_8_bits_held_in_8_bits_is_what_it_was(file: Write, here: Path) -> None:
    name = stored_as(here, file(), torch.float8_e4m3fn)
    (eight,) = models_in(run_as(published_denoiser(name), Execution(storage="fp8")))
    (plain,) = models_in(published_denoiser(name))
    module = eight.build("cpu")
    for key, value in plain.build("cpu").named_parameters():
        owner, _, leaf = key.rpartition(".")
        back = getattr(module.get_submodule(owner), leaf)
        # what e4m3 held without a scale, some of it with fewer bits, it holds with one
        assert torch.equal(value, back), key
