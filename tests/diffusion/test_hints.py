"""The lesson of what stands where."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.hints import RegionHead, region_loss
from nodeflow_diffusion.training_nodes import CaptionedLoss, flow_loss, new_transformer, new_unet, schedule_loss
from nodeflow_shapes.nodes import dataset
from nodeflow_text.training_nodes import new_encoder
from nodeflow_train.fit import FitConfig, fit

from nodeflow import Dataset, Trainable

SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"grid": 4, "patch": 2, "width": 32, "depth": 1, "heads": 2, "channels": 2},
    "unet": {"widths": [32, 64], "head_width": 32, "channels": 2},
}


def small(name: str, times: Any = "flow") -> Trainable:
    new = new_transformer if name == "transformer" else new_unet
    return new(**SMALL[name], context_width=32, pooled_width=32, times=times)


def words(data: Dataset) -> Trainable:
    return new_encoder(data, length=1, width=32, heads=2, depth=1, pooled_width=32)


def load(recipe: Any) -> Any:
    return recipe.assemble(load)


def batch() -> dict[str, torch.Tensor]:
    """Half of each picture shows the answer that its only word names."""
    ids = torch.tensor([2, 3] * 8)[:, None]
    regions = torch.zeros(16, 20, 4, 4)
    regions[:, 0, :2] = 1
    regions[torch.arange(16), ids[:, 0] - 1, 2:] = 1
    regions[torch.arange(16), ids[:, 0] + 2, 2:] = 1
    return {"latents": torch.zeros(16, 2, 4, 4), "ids": ids, "regions": regions}


def test_sure_and_right_costs_nothing_and_knowing_nothing_costs_the_logarithm() -> None:
    regions = torch.rand(2, 5, 4, 4)
    regions[:, :2] /= regions[:, :2].sum(1, keepdim=True)
    found = region_loss(torch.zeros(2, 5, 4, 4), regions, (2, 3))
    torch.testing.assert_close(torch.tensor(math.log(2) + math.log(3)), found)
    sharp = torch.eye(5)[torch.tensor([[0, 2], [1, 4]])].sum(1).reshape(2, 5, 1, 1).expand(-1, -1, 8, 8)
    assert region_loss(100 * sharp[..., :4, :4], sharp, (2, 3)) < 1e-6


def test_a_question_without_an_answer_anywhere_is_not_asked() -> None:
    regions = torch.zeros(1, 5, 2, 2)
    regions[:, 0] = 1
    found = region_loss(torch.randn(1, 5, 2, 2).requires_grad_(), regions, (2, 3))
    assert torch.isfinite(found)


@pytest.mark.parametrize("name", SMALL)
def test_features_have_the_grid_of_the_latents_or_tokens(name: str) -> None:
    model = load(small(name))
    side, width = (2, 32) if name == "transformer" else (4, 32)
    prediction, features = model.with_features(
        torch.randn(3, 2, 4, 4), torch.rand(3), torch.randn(3, 5, 32), None, torch.randn(3, 32)
    )
    assert ((3, 2, 4, 4), (3, width, side, side)) == (prediction.shape, features.shape)
    assert (3, 7, side, side) == RegionHead(width, 7)(features).shape


@pytest.mark.parametrize("name", SMALL)
def test_places_are_learnt_from_words(name: str) -> None:
    torch.manual_seed(0)
    data = dataset(8)
    loss = load(flow_loss(small(name), words(data), 0, data))
    assert {"denoiser", "text", "hints"} == loss.modules.keys()
    first = last = 0.0
    for progress in fit(loss.modules, loss.loss, lambda _: batch(), FitConfig(60, 16, warmup=5, report_every=1)):
        first, last = first or progress.loss, progress.loss
    plain = CaptionedLoss(small(name), words(data), 0)
    assert plain.notes.keys() < loss._recipe.notes.keys()
    assert first - last > 0.2 * first


def test_a_schedule_takes_hints_too() -> None:
    torch.manual_seed(0)
    data = dataset(8)
    text = words(data)
    plain, hinted = (
        load(schedule_loss(small("unet", "steps"), text, regions=regions, hints=2)) for regions in (None, data)
    )
    generator = torch.Generator()
    values = [of.loss(batch(), generator.manual_seed(1)).item() for of in (plain, hinted)]
    assert values[0] + 2 < values[1]


def test_data_without_regions_is_refused(tmp_path: Path) -> None:
    data = dataset(8)
    loss = load(flow_loss(small("unet"), words(data), regions=data))
    found = batch()
    del found["regions"]
    with pytest.raises(ValueError, match="does not tell what stands where\n    train on the data set"):
        loss.loss(found, torch.Generator())
