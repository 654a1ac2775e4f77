"""Recorded graphs: the same results as without, whatever changes between the calls; on a tape, and on a GPU if any."""

import gc
import logging
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.nodes import empty, guide, load
from nodeflow_diffusion.recipes import LatentDenoiser, run_as
from nodeflow_diffusion.sampling_nodes import sample, schedule
from nodeflow_nn import capture
from nodeflow_nn.capture import KEPT, WARM, Captures, CudaRecorder, captures_of
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nodeflow import Context, Denoiser, Latent, Model, TextEmbedding
from nodeflow.residency import Residency

sys.path.insert(0, str(Path(__file__).parent.parent / "plugins_for_tests"))
from tape import TapeRecorder

Text = Callable[..., TextEmbedding]
FIRST = ["warm"] * WARM + ["record", "replay"]


class Diary(CudaRecorder):
    """The real one, with a diary."""

    def __init__(self) -> None:
        super().__init__()
        self.diary: list[str] = []

    def warm(self, run: Any) -> Any:
        self.diary.append("warm")
        return super().warm(run)

    def record(self, run: Any) -> Any:
        self.diary.append("record")
        play, out = super().record(run)

        def replay() -> None:
            self.diary.append("replay")
            play()

        return replay, out


Recorder = TapeRecorder | Diary


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here: recorded graphs are tried on a tape only")
    return str(request.param)


@pytest.fixture
def recorder(device: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """What all captures record with."""
    made: Recorder = TapeRecorder() if device == "cpu" else Diary()
    monkeypatch.setattr(capture, "CudaRecorder", lambda: made)
    with torch.no_grad():
        yield made


def drawn(device: str, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def affine(x: Tensor, scale: Tensor, shift: Any) -> Tensor:
    return x * scale + shift


def test_it_runs_twice_as_ever_records_once_and_replays_from_then_on(recorder: Recorder, device: str) -> None:
    captures = Captures(recorder)
    scale, shift = drawn(device, 1, seed=1), drawn(device, 1, seed=2)
    for call in range(WARM + 3):
        x = drawn(device, 4, seed=call)
        assert torch.equal(affine(x, scale, shift), captures.run(affine, x, scale, shift))
    assert [*FIRST, "replay", "replay"] == recorder.diary


def test_whatever_changes_between_calls_is_seen(recorder: Recorder, device: str) -> None:
    captures = Captures(recorder)
    x, scale, shift = (drawn(device, 4, seed=seed) for seed in range(3))
    for call in range(WARM + 6):
        if call % 3 == 0:
            x = drawn(device, 4, seed=call)
        elif call % 3 == 1:
            scale.mul_(1.5)  # in place, so that it is the same object
        else:
            shift = shift + 1
        assert torch.equal(affine(x, scale, shift), captures.run(affine, x, scale, shift))
    assert recorder.diary[-1] == "replay"


def test_a_result_stays_when_the_next_is_computed(recorder: Recorder, device: str) -> None:
    captures = Captures(recorder)
    one, two = drawn(device, 1), drawn(device, 1, seed=1)
    results = [captures.run(affine, drawn(device, 4, seed=call), one, two) for call in range(WARM + 3)]
    assert len({result.data_ptr() for result in results}) == len(results)
    assert all(torch.equal(affine(drawn(device, 4, seed=i), one, two), y) for i, y in enumerate(results))


def test_every_kind_of_arguments_is_recorded_once(recorder: Recorder, device: str) -> None:
    captures = Captures(recorder)
    one = torch.ones(1, device=device)
    for key in ("eps", "v"):
        for size in (2, 3):
            for call in range(WARM + 2):
                x = drawn(device, size, seed=call)
                assert torch.equal(x + 1, captures.run(affine, x, one, one, key=key))
    assert 4 == recorder.diary.count("record")


def test_the_records_kept_are_bounded(recorder: Recorder, device: str) -> None:
    captures = Captures(recorder)
    one = torch.ones(1, device=device)
    for size in (*range(1, KEPT + 2), 1):
        for _ in range(WARM + 1):
            captures.run(affine, drawn(device, size), one, one)
    assert KEPT + 2 == recorder.diary.count("record")  # the first gave way, and was made again


def test_what_is_the_same_tensor_is_not_copied_again(recorder: Recorder, device: str) -> None:
    captures, one = Captures(recorder), torch.ones(1, device=device)
    for call in range(WARM + 1):
        captures.run(affine, drawn(device, 4, seed=call), one, one)
    captures._known[next(iter(captures._known))].replay = lambda: None  # type: ignore[union-attr]
    copies: list[Any] = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            copies.extend([func] if func is torch.ops.aten.copy_.default else [])
            return func(*args, **(kwargs or {}))

    x = drawn(device, 4, seed=9)
    if device == "cpu":  # the real one leaves alone what something traces
        with Counting():
            captures.run(affine, x, one, one)
        assert 1 == len(copies)


class Words(NamedTuple):
    keys: Tensor
    mask: Tensor | None


def test_arguments_may_be_nested(recorder: Recorder, device: str) -> None:
    def read(x: Tensor, words: Words, layers: list[dict[str, Tensor]], last: bool) -> Tensor:
        return x + words.keys + layers[0]["k"] * (2 if last else 1)

    captures = Captures(recorder)
    for call in range(WARM + 2):
        a, b, c = (drawn(device, 4, seed=call + i) for i in range(3))
        assert torch.equal(a + b + c * 2, captures.run(read, a, Words(b, None), [{"k": c}], True))
    assert recorder.diary[-1] == "replay"


def test_a_bare_number_is_refused_since_it_would_stay(recorder: Recorder, device: str) -> None:
    with pytest.raises(TypeError, match=r"0.5 would be recorded for good\n    pass torch.tensor\(0.5\)"):
        Captures(recorder).run(affine, drawn(device, 4), 0.5, 1)


def test_what_cannot_be_recorded_runs_as_ever_and_says_why(
    recorder: Recorder, device: str, caplog: pytest.LogCaptureFixture
) -> None:
    def waiting(x: Tensor) -> Tensor:
        return x * float(x.sum())

    captures = Captures(recorder)
    with caplog.at_level(logging.WARNING, "nodeflow.capture"):
        for call in range(WARM + 3):
            x = drawn(device, 4, seed=call)
            assert torch.equal(waiting(x), captures.run(waiting, x))
    assert 1 == recorder.diary.count("record") == len(captures.notes) == len(caplog.messages)
    assert captures.notes[0].startswith("not recorded as a graph, so run as ever: ")
    assert "capturing" in captures.notes[0]
    one = torch.ones(1, device=device)
    for call in range(WARM + 2):  # and nothing is left in disorder
        x = drawn(device, 3, seed=call)
        assert torch.equal(x + 1, captures.run(affine, x, one, one))
    assert recorder.diary[-1] == "replay"


def test_gradients_are_never_recorded(recorder: Recorder, device: str) -> None:
    captures, one = Captures(recorder), torch.ones(1, device=device)
    with torch.enable_grad():
        for _ in range(WARM + 2):
            assert captures.run(affine, drawn(device, 4).requires_grad_(), one, one).requires_grad
    assert [] == recorder.diary


def test_threads_do_not_get_each_others_inputs(recorder: Recorder, device: str) -> None:
    captures = Captures(recorder)
    weight = drawn(device, 64, 64)

    def one(seed: int) -> bool:
        with torch.no_grad():
            x = drawn(device, 64, 64, seed=seed)
            return torch.equal(torch.mm(x, weight), captures.run(torch.mm, x, weight))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(40)))


WAYS = [
    ("transformer", "flow", None, "flow", "ddim", 0.0),
    ("transformer", "eps", "linear", "cosine", "ddpm", 0.0),
    ("unet", "flow", None, "linear", "euler", 0.0),
    ("unet", "eps", "linear", "flow", "ddim", 1.0),
]


@pytest.mark.parametrize(("architecture", "prediction", "trained", "kind", "method", "eta"), WAYS)
def test_samples_are_the_same_to_the_bit(
    saved: Callable[..., str], text: Text, recorder: Recorder, device: str, architecture: str, prediction: str,
    trained: str | None, kind: str, method: str, eta: float,
) -> None:  # fmt: skip
    context = Context()
    context.device = device
    made = load(saved("small", architecture, prediction=prediction, schedule=trained))
    plain = guide(run_as(made, Execution(capture=False)), text(seed=1), text(length=3, seed=2), 3.0, stop=0.2)
    taken = guide(made, text(seed=1), text(length=3, seed=2), 3.0, stop=0.2)
    how: dict[str, Any] = {"schedule": schedule(kind), "steps": 12, "method": method, "eta": eta, "seed": 4}
    kept = keeping(context)
    for count in (1, 2, 1):
        expected = sample(plain, empty(made, 16, 16, count), **how, ctx=context).samples
        found = sample(taken, empty(made, 16, 16, count), **how, ctx=kept).samples
        assert torch.equal(expected, found)
    assert "replay" in recorder.diary
    assert 2 <= recorder.diary.count("record") <= 4  # with guidance and without, of one picture and of two


def keeping(context: Context) -> Context:
    """A context that keeps what it has built, as a run's does."""
    kept: dict[Any, Any] = {}

    class Keeping(Context):
        device = context.device

        def load(self, recipe: Any) -> Any:
            if not isinstance(recipe, Model):
                return recipe.assemble(self.load)
            if recipe not in kept:
                kept[recipe] = recipe.build(self.device)
            return kept[recipe]

    return Keeping()


def test_records_go_with_their_model_when_it_is_evicted(
    denoiser: LatentDenoiser, text: Text, recorder: Recorder, device: str
) -> None:
    residency = Residency({device: denoiser.network.size})
    bound = guide(denoiser, text(seed=1), text(seed=2), 3.0)

    def run(recipe: Denoiser) -> weakref.ref[Any]:
        with residency.using((denoiser.network,), device) as loader:

            def load(recipe: Any) -> Any:
                return recipe.assemble(load) if hasattr(recipe, "assemble") else loader(recipe)

            denoise, module = load(recipe), loader(denoiser.network)
            for level in (0.9, 0.8, 0.7, 0.6):
                denoise(drawn(device, 1, 3, 4, 4), 1 - level, level)
            return weakref.ref(captures_of(module))

    records = run(bound)
    again = run(bound)
    assert records() is again() is not None  # one recording serves the next run with the same model
    assert 1 == recorder.diary.count("record")
    residency.release(device)
    assert records() is None
    assert not residency.resident(device)


def test_nothing_holds_a_model_in_a_circle(
    denoiser: LatentDenoiser, text: Text, recorder: Recorder, device: str
) -> None:
    context = Context()
    context.device = device
    built: list[weakref.ref[Any]] = []

    def load(recipe: Any) -> Any:
        if hasattr(recipe, "assemble"):
            return recipe.assemble(load)
        module = recipe.build(device)
        built.append(weakref.ref(module))
        return module

    gc.disable()
    try:
        denoise = load(guide(denoiser, text(seed=1), text(seed=2), 3.0))
        for level in (0.9, 0.8, 0.7, 0.6):
            denoise(drawn(device, 1, 3, 4, 4), 1 - level, level)
        del denoise
        assert built[0]() is None
    finally:
        gc.enable()


def test_latents_of_every_size_are_recorded_apart(
    saved: Callable[..., str], text: Text, recorder: Recorder, device: str
) -> None:
    context = Context()
    context.device = device
    made = load(saved("small", "unet"))
    kept = keeping(context)
    bound = guide(made, text(seed=1), text(seed=2), 3.0)
    for side in (16, 24):
        latent = Latent(torch.zeros(1, 3, side // 4, side // 4), made.space)
        sample(bound, latent, steps=5, ctx=kept)
    assert 2 == recorder.diary.count("record")
