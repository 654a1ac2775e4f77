"""ControlNets beside published U-Nets: when they act, how they add up, and what is told where they do not fit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nodeflow_diffusion.adapter_nodes import control
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint
from nodeflow_diffusion.control import ControlNet
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.nodes import condition, empty, guide, load
from nodeflow_diffusion.recipes import run_as
from nodeflow_diffusion.sampling_nodes import sample, schedule
from nodeflow_text.nodes import encode
from torch import Tensor

from nodeflow import QUIET, Image, ModelError
from nodeflow.leaves import models_in

Write = Callable[..., str]


def picture(count: int = 1, channels: int = 3, side: int = 64) -> Image:
    return Image(torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def parts(file: Write, control_file: Write) -> Any:
    control_file()
    return load_checkpoint(file())


def denoised(parts: Any, denoiser: Any, count: int = 1, level: float = 0.5) -> Tensor:
    x = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    bound = condition(denoiser, encode(parts.encoder, "a cab"))
    with torch.inference_mode():
        found: Tensor = QUIET.load(bound)(x, 1 - level, level)
    return found


def test_strength_0_is_the_very_same_recipe(parts: Any) -> None:
    assert control(parts.denoiser, picture(), "edges", 0.0) is parts.denoiser


def test_a_new_controlnet_begins_as_nothing(parts: Any) -> None:
    torch.manual_seed(0)
    net = ControlNet(parts.denoiser.network.outline().config)
    x, words = torch.randn(1, 4, 8, 8), torch.randn(1, 7, 64)
    added = net(x, torch.tensor([5]), words, None, net.see(picture().pixels))
    assert all(not part.any() for part in added)


def test_it_is_a_model_of_its_own_beside_the_shared_one(parts: Any) -> None:
    (base,) = models_in(parts.denoiser)
    found = models_in(control(parts.denoiser, picture(), "edges"))
    assert 2 == len(found)
    assert base in found
    assert all(model.size > 0 for model in found)


def test_two_of_half_strength_are_one(parts: Any) -> None:
    one = control(parts.denoiser, picture(), "edges", 1.0)
    halves = control(control(parts.denoiser, picture(), "edges", 0.5), picture(), "edges", 0.5)
    assert not torch.equal(denoised(parts, parts.denoiser), denoised(parts, one))
    torch.testing.assert_close(denoised(parts, one), denoised(parts, halves), rtol=1e-4, atol=1e-4)


def test_it_acts_between_start_and_stop(parts: Any) -> None:
    plain = denoised(parts, parts.denoiser)
    late: Any = control(parts.denoiser, picture(), "edges", start=0.4)
    early: Any = control(parts.denoiser, picture(), "edges", stop=0.6)
    assert torch.equal(plain, denoised(parts, late))
    assert torch.equal(plain, denoised(parts, early))
    assert not torch.equal(denoised(parts, parts.denoiser, level=0.7), denoised(parts, early, level=0.7))


def test_pictures_of_a_batch_have_their_own_and_grey_ones_are_taken(parts: Any) -> None:
    both = denoised(parts, control(parts.denoiser, picture(2), "edges"), 2)
    first = denoised(parts, control(parts.denoiser, Image(picture(2).pixels[:1]), "edges"), 2)
    torch.testing.assert_close(both[0], first[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(both[1], first[1])
    assert denoised(parts, control(parts.denoiser, picture(channels=1), "edges")).isfinite().all()


def test_it_is_sampled_with_under_guidance_and_run_in_another_way(parts: Any) -> None:
    text, nothing = encode(parts.encoder, "a cab"), encode(parts.encoder, "")
    guided = control(guide(parts.denoiser, text, nothing, scale=2), picture(), "edges", 0.8)
    times = schedule("scaled_linear", "trailing")
    with torch.no_grad():
        at_once = sample(guided, empty(guided, 64, 64), times, steps=2, seed=1).samples
        in_two: Any = run_as(guided, Execution(batch_guidance=False, read_once=False))
        apart = sample(in_two, empty(guided, 64, 64), times, steps=2, seed=1).samples
    assert all(model.execution == in_two.execution for model in models_in(in_two))  # type: ignore[attr-defined]
    torch.testing.assert_close(at_once, apart, rtol=1e-4, atol=1e-4)


def test_pictures_of_another_number_are_refused_under_guidance_too(parts: Any) -> None:
    text, nothing = encode(parts.encoder, "a cab"), encode(parts.encoder, "")
    guided = control(guide(parts.denoiser, text, nothing), picture(2), "edges")
    # three pictures are six under guidance, of which each text's would see the two in another order
    with torch.no_grad(), pytest.raises(ValueError, match='2 pictures are bound to "edges", but the latent has 3'):
        sample(guided, empty(guided, 64, 64, count=3), steps=1)


def test_what_does_not_fit_is_told(parts: Any, control_file: Write) -> None:
    denoiser = parts.denoiser
    control_file("wide", context_width=96)
    with pytest.raises(ModelError, match=r"context_width is 96, not 64\n.*for the kind of model"):
        control(denoiser, picture(), "wide")
    control_file("grey", channels=1)
    with pytest.raises(ModelError, match="pictures of 1 channels in cells of 8 pixels, but expected 3 in cells of 8"):
        control(denoiser, picture(), "grey")
    control_file("fine", hint_widths=(16, 32, 96))
    with pytest.raises(ModelError, match="pictures of 3 channels in cells of 4 pixels, but expected 3 in cells of 8"):
        control(denoiser, picture(), "fine")
    with pytest.raises(ModelError, match='is of the kind "sd15 checkpoint", but expected controlnet'):
        control(denoiser, picture(), "model")
    with pytest.raises(ValueError, match="alpha channel"):
        control(denoiser, picture(channels=4), "edges")
    with pytest.raises(ValueError, match="before it starts"):
        control(denoiser, picture(), "edges", start=0.2, stop=0.5)
    with pytest.raises(ValueError, match=r"is 32 x 32, but the latent is of 64 x 64"):
        denoised(parts, control(denoiser, picture(side=32), "edges"))
    with pytest.raises(ValueError, match="3 pictures are bound"):
        denoised(parts, control(denoiser, picture(3), "edges"), 2)
    with pytest.raises(ValueError, match="changes U-Nets of Stable Diffusion"):
        control(load(), picture(), "edges")
