"""Networks whose weights are held in 8 bits: half the memory of bf16, within the error that docs/execution.md gives."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nodeflow_diffusion.execution import Execution, Unsuited
from nodeflow_diffusion.nodes import empty, execution, guide, load
from nodeflow_diffusion.recipes import run_as
from nodeflow_diffusion.sampling_nodes import sample
from torch import Tensor

from nodeflow import Denoiser, TextEmbedding
from nodeflow.leaves import models_in
from nodeflow.residency import Residency

Text = Callable[..., TextEmbedding]
Saved = Callable[..., str]
FP8 = 0.1
"""Relative RMS error over 8 steps under guidance 3: each weight is off by up to a part in 16, by 2.5 % on the mean, and
small networks of random weights have few of them over which that evens out; the shipped U-Net is off by 2.9 %."""


def off(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def taken(module: torch.nn.Module) -> int:
    return sum(value.nbytes for value in module.state_dict().values())


@pytest.mark.parametrize("architecture", ["transformer", "unet"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_takes_what_is_said_and_little_more_than_a_byte_a_weight(
    saved: Saved, architecture: str, precision: Any
) -> None:
    made = load(saved("small", architecture))
    (network,) = models_in(run_as(made, Execution(precision, storage="fp8")))
    (bf16,) = models_in(run_as(made, Execution("bf16")))
    assert network.size == taken(network.build("cpu")) == taken(network.lay_out())
    assert network.size < bf16.size
    assert network.size < 0.6 * models_in(run_as(made, Execution(precision)))[0].size


def test_the_shipped_unet_takes_half_of_bf16() -> None:
    made = load("shapes:unet")
    eight, half = (models_in(run_as(made, Execution("bf16", storage=kind)))[0].size for kind in ("fp8", "same"))
    assert 0.50 < eight / half < 0.51


def test_residency_counts_what_is_held(saved: Saved) -> None:
    (network,) = models_in(run_as(load(saved("small", "unet")), Execution(storage="fp8")))
    residency = Residency({"cpu": network.size})
    residency.load(network, "cpu")
    assert {network: network.size} == residency.resident("cpu")


@pytest.mark.parametrize("architecture", ["transformer", "unet"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_pictures_are_within_its_error_and_samples_stay_fp32(
    saved: Saved, text: Text, architecture: str, precision: Any
) -> None:
    made = load(saved("small", architecture))
    bound = guide(made, text(seed=1), text(seed=2), 3.0)
    expected = sample(bound, empty(made, 16, 16, 2), steps=8).samples
    chosen = run_as(bound, Execution(precision, storage="fp8"))
    found = sample(chosen, empty(made, 16, 16, 2), steps=8).samples
    assert torch.float32 == found.dtype
    assert 1e-3 < off(found, expected) < FP8


def test_all_switches_go_with_it(saved: Saved, text: Text) -> None:
    made = load(saved("small", "unet"))
    bound = guide(made, text(seed=1), text(seed=2), 3.0)
    plain = sample(
        run_as(bound, Execution(channels_last=False, storage="fp8")), empty(made, 16, 16, 2), steps=8
    ).samples
    for chosen in (
        Execution(channels_last=True, storage="fp8"), Execution(batch_guidance=False, storage="fp8"),
        Execution(read_once=False, storage="fp8"), Execution(capture=False, storage="fp8"),
    ):  # fmt: skip
        assert off(sample(run_as(bound, chosen), empty(made, 16, 16, 2), steps=8).samples, plain) < 2e-6


def test_the_node_chooses_it_and_another_storage_is_another_model(denoiser: Denoiser) -> None:
    chosen = execution(denoiser, "fp32", storage="fp8")
    assert Execution("fp32", storage="fp8") == chosen.execution  # type: ignore[attr-defined]
    assert models_in(chosen) != models_in(execution(denoiser, "fp32"))


def test_a_device_without_such_numbers_refuses_it() -> None:
    with pytest.raises(Unsuited, match="mps has no numbers of 8 bits\n    leave storage as it is") as caught:
        Execution(storage="fp8").judge("mps")
    assert "storage" == caught.value.port
