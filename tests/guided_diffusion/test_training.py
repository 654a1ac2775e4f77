"""Denoisers of pixels with a learned variance (Improved DDPM): trained by a graph, opened and sampled from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.adm_families import Noise
from nodeflow_diffusion.adm_nodes import load_adm
from nodeflow_diffusion.adm_recipes import AdmDenoiser
from nodeflow_diffusion.adm_training_nodes import hybrid_loss, new_adm
from nodeflow_diffusion.levels import Schedule
from nodeflow_diffusion.nodes import empty
from nodeflow_diffusion.sampling_nodes import sample
from nodeflow_diffusion.threshold_nodes import clamp
from nodeflow_diffusion.training_nodes import new_unet
from nodeflow_nn.weights import save_weights

from nodeflow import QUIET, ModelError, build, find_checkpoint, open_catalog
from nodeflow.document import parse, with_values
from nodeflow.kinds import kind_of, opener_of
from nodeflow.runner import run

GRAPH = Path(__file__).parents[2] / "graphs" / "train" / "improved_ddpm.json"
SHORT = {"widths": [32, 32], "size": 16, "batch": 2, "pictures": 4, "name": "mine"}


def trained(here: Path, steps: int) -> Any:
    document = with_values(parse(GRAPH.read_text("utf-8"), GRAPH.name), SHORT | {"steps": steps})
    return run(build(document, open_catalog(), folder=GRAPH.parent), out=here)


def test_what_the_graph_trains_is_opened_and_sampled_from(here: Path) -> None:
    trained(here, 2)
    checkpoint = find_checkpoint("mine")
    assert "diffusion.load_adm" == opener_of(kind_of(checkpoint))
    denoiser = load_adm("mine")
    assert isinstance(denoiser, AdmDenoiser)
    assert (Noise("cosine"), True, 0) == (denoiser.noise, denoiser.learned, denoiser.classes)
    latent = empty(denoiser, 16, 16, 2)
    found = sample(clamp(denoiser), latent, Schedule("cosine", "linspace"), steps=3, method="ddpm").samples
    assert (2, 3, 16, 16) == found.shape
    assert float(found.abs().max()) <= 1.0  # the last step gives the clamped estimate
    with pytest.raises(ModelError, match="it tells how it was trained"):
        load_adm("mine", heads=2)


def test_weights_of_another_schedule_are_refused(here: Path) -> None:
    trainable = new_adm(widths=[32], layers=1)
    save_weights(
        here / "odd.safetensors", QUIET.load(trainable), "adm", trainable.config, {"schedule": "scaled_linear"}
    )
    with pytest.raises(ModelError, match="under schedule 'scaled_linear', but expected linear or cosine"):
        load_adm("odd")


def test_a_config_that_does_not_fit_its_weights_is_refused(here: Path) -> None:
    trainable = new_adm(widths=[32], layers=1)
    module = QUIET.load(trainable)
    save_weights(here / "odd.safetensors", module, "adm", new_adm(widths=[64], layers=1).config, {"schedule": "cosine"})
    with pytest.raises(ModelError, match=r"odd\.safetensors"):
        load_adm("odd")


def test_it_begins_with_no_noise_found_and_half_a_share(here: Path) -> None:
    denoiser = QUIET.load(new_adm(widths=[32, 64], layers=1))
    out = denoiser(torch.randn(1, 3, 8, 8), torch.tensor([500.0]))
    assert not out.any()


def test_training_lowers_the_loss(here: Path) -> None:
    recipe = hybrid_loss(new_adm(widths=[32], layers=1, attention_levels=0))
    torch.manual_seed(0)
    loaded = QUIET.load(recipe)
    optimiser = torch.optim.Adam(loaded.modules["denoiser"].parameters(), 3e-3)
    pictures = torch.full((16, 3, 8, 8), 0.25)
    pictures[:, 0] = 0.75
    losses = []
    for step in range(40):
        loss = loaded.loss({"pictures": pictures}, torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


BAD: tuple[tuple[Callable[[], Any], str], ...] = (
    (lambda: new_adm(widths=[48]), r"multiples of 32 and of head_channels 32, but widths has \[48\]"),
    (lambda: new_adm(widths=[32], attention_levels=2), "2 levels with attention of 1 in all"),
    (lambda: hybrid_loss(new_unet()), r"but the model is of architecture unet\n    describe one by diffusion\.new_adm"),
)


@pytest.mark.parametrize(("make", "told"), BAD, ids=[told[:20] for _, told in BAD])
def test_what_cannot_be_trained_is_refused(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


def test_pictures_that_do_not_fit_are_refused() -> None:
    loaded = QUIET.load(hybrid_loss(new_adm(widths=[32, 32], layers=1)))
    with pytest.raises(ValueError, match=r"multiples of 2, but the data set's are \[3, 9, 9\]"):
        loaded.loss({"pictures": torch.zeros(1, 3, 9, 9)}, torch.Generator())
    with pytest.raises(ValueError, match=r"has none\n    take the data set itself"):
        loaded.loss({"latents": torch.zeros(1, 3, 9, 9)}, torch.Generator())


def test_the_weights_say_what_they_learnt(here: Path) -> None:
    trained(here, 1)
    provenance = json.loads(find_checkpoint("mine").metadata["provenance"])
    assert ("eps", "cosine", "learned") == tuple(provenance[name] for name in ("prediction", "schedule", "variance"))
