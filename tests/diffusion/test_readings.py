"""What a network reads of a text: computed once for all steps of a run, to the same bit, and gone with the run."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.nodes import condition, empty, guide, load
from nodeflow_diffusion.readings import MOST, Readings
from nodeflow_diffusion.recipes import Network, run_as
from nodeflow_diffusion.sampling_nodes import sample

from nodeflow import QUIET, Denoiser, TextEmbedding

Text = Callable[..., TextEmbedding]


@pytest.fixture(params=["transformer", "unet"])
def plain(request: pytest.FixtureRequest, saved: Callable[..., str]) -> Denoiser:
    return load(saved(architecture=request.param))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was read of texts, in order."""
    made: list[Any] = []
    build = Network.build

    def built(self: Network, device: Any) -> Any:
        module: Any = build(self, device)
        original = module.read

        def told(*args: Any) -> Any:
            made.append(original(*args))
            return made[-1]

        module.read = told
        return module

    monkeypatch.setattr(Network, "build", built)
    return made


def sampled(denoiser: Denoiser, count: int = 2) -> torch.Tensor:
    with torch.no_grad():  # as in a run
        return sample(denoiser, empty(denoiser, 16, 16, count), steps=20, seed=3).samples


def test_twenty_steps_read_a_prompt_once(plain: Denoiser, text: Text, read: list[Any]) -> None:
    sampled(condition(plain, text()))
    assert 1 == len(read)
    sampled(guide(plain, text(seed=1), text(length=3, seed=2)))
    assert 2 == len(read)  # both texts in one pass


def test_guidance_that_sets_in_later_or_takes_two_passes_reads_each_text_once(
    plain: Denoiser, text: Text, read: list[Any]
) -> None:
    sampled(guide(plain, text(seed=1), text(seed=2), start=0.8, stop=0.3))
    assert 2 == len(read)  # the wanted one alone, and both
    apart = run_as(guide(plain, text(seed=1), text(seed=2)), Execution(batch_guidance=False))
    sampled(apart)
    assert 4 == len(read)


def test_reading_once_changes_no_bit(plain: Denoiser, text: Text, read: list[Any]) -> None:
    for denoiser in (condition(plain, text()), guide(plain, text(2, seed=1), text(length=3, seed=2), start=0.7)):
        once = sampled(denoiser)
        before = len(read)
        each = sampled(run_as(denoiser, Execution(read_once=False)))
        assert torch.equal(once, each)
        assert before + 20 == len(read)


def test_what_was_read_is_gone_with_the_run(plain: Denoiser, text: Text, read: list[Any]) -> None:
    denoiser = condition(plain, text())
    sampled(denoiser)
    watched = weakref.ref(read.pop().layers[0].keys)
    assert None is watched()


def test_with_gradients_every_call_reads_anew(plain: Denoiser, text: Text, read: list[Any]) -> None:
    wish = text()
    wish = replace(wish, tokens=wish.tokens.requires_grad_())
    denoise = QUIET.load(condition(plain, wish))
    for _ in range(2):
        denoise(torch.zeros(1, 3, 4, 4), 0.6, 0.4).sum().backward()
    assert 2 == len(read)
    assert wish.tokens.grad is not None


def test_readings_are_kept_by_identity_and_so_many() -> None:
    calls: list[tuple[str, int]] = []
    readings = Readings[list[str], str](lambda text, place: calls.append((text[0], place)) or text[0].upper())
    same, equal = ["a"], ["a"]
    with torch.no_grad():
        assert ["A"] * 4 == [readings(same, 0), readings(same, 0), readings(equal, 0), readings(same, 1)]
        assert 3 == len(calls)
        for other in range(2 * MOST):
            readings([str(other)], 0)
        readings(same, 0)
    assert 3 + 2 * MOST + 1 == len(calls)
