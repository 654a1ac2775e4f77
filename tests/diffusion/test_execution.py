"""How a network is run is part of the recipe, changes results by no more than is said, or is refused."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import hypot
from typing import Any

import pytest
import torch
from nodeflow_diffusion import execution as how
from nodeflow_diffusion.execution import Execution, Unsuited, fastest_precision
from nodeflow_diffusion.guidance import Estimates, whole
from nodeflow_diffusion.levels import Level, flow_levels, schedule_levels
from nodeflow_diffusion.nodes import NODES, condition, empty, execution, guide, inpaint, load
from nodeflow_diffusion.recipes import LatentDenoiser, run_as
from nodeflow_diffusion.samplers import ddim, ddpm, euler
from nodeflow_diffusion.sampling_nodes import sample
from nodeflow_diffusion.schedules import alphas_cumprod, betas
from torch import Tensor

from nodeflow import (
    QUIET,
    Catalog,
    Denoiser,
    Document,
    Engine,
    Latent,
    LatentSpace,
    Mask,
    TextEmbedding,
    build,
)
from nodeflow.document import NodeEntry, Wire
from nodeflow.events import Failed
from nodeflow.leaves import models_in
from nodeflow.nodes import spec_of
from nodeflow.plan.walk import Planner
from nodeflow.storage import fetch, store

Text = Callable[..., TextEmbedding]
Saved = Callable[..., str]


def x(count: int = 2, seed: int = 5) -> Tensor:
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def off(found: Tensor, expected: Tensor) -> float:
    """The relative RMS error."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("architecture", ["transformer", "unet"])
def test_bf16_takes_half_the_bytes_and_no_more_is_said(saved: Saved, architecture: str) -> None:
    made = run_as(load(saved("small", architecture)), Execution("bf16"))
    (network,) = models_in(made)
    module = network.build("cpu")
    laid_out = network.lay_out()
    assert {torch.bfloat16} == {value.dtype for value in (*module.parameters(), *module.buffers())}
    assert {torch.bfloat16} == {value.dtype for value in (*laid_out.parameters(), *laid_out.buffers())}
    # weights of the file alone: tables that a module computes are not in the header
    assert network.size == sum(2 * weight.numel() for weight in module.state_dict().values())


def test_it_can_be_chosen_anywhere_behind_the_loader(denoiser: LatentDenoiser, text: Text) -> None:
    latent = Latent(x(1), denoiser.space)
    chosen = Execution("bf16", batch_guidance=False)
    around = inpaint(guide(denoiser, text(), text(seed=1), 3.0), latent, Mask(torch.ones(1, 1, 16, 16)))
    before, after = guide(run_as(denoiser, chosen), text(), text(seed=1), 3.0), run_as(around, chosen)
    assert chosen == before.execution == after.execution == after.denoiser.execution  # type: ignore[attr-defined]
    assert models_in(before) == models_in(after) != models_in(around)
    assert Execution() == denoiser.execution


def test_only_what_changes_the_network_in_memory_tells_models_apart(denoiser: LatentDenoiser) -> None:
    plain = models_in(denoiser)
    for same in (Execution(capture=False), Execution(batch_guidance=False), Execution(read_once=False)):
        assert plain == models_in(run_as(denoiser, same))
    for other in (Execution("bf16"), Execution(channels_last=False), Execution(compile=True)):
        assert plain != models_in(run_as(denoiser, other))


def test_a_recipe_keeps_how_it_is_run(denoiser: LatentDenoiser, text: Text, tmp_path: Any) -> None:
    chosen = Execution("fp16", True, True, False, False)
    store(tmp_path / "kept", [run_as(denoiser, chosen)], lambda module: module.startswith("nodeflow"))
    (again,) = fetch(tmp_path / "kept", lambda module: module.startswith("nodeflow"))
    assert repr(chosen) == repr(again.execution)


BF16 = 0.03
"""Relative RMS error over 8 steps: bf16 keeps 8 bits, a part in 256, and guidance by 3 triples what differs."""


@pytest.mark.parametrize("architecture", ["transformer", "unet"])
@pytest.mark.parametrize("trained", [{}, {"prediction": "v", "schedule": "cosine"}])
def test_bf16_is_within_its_error_and_samples_stay_fp32(
    saved: Saved, text: Text, architecture: str, trained: dict[str, str]
) -> None:
    made = load(saved("small", architecture, **trained))
    bound = guide(made, text(seed=1), text(seed=2), 3.0)
    expected = sample(bound, empty(made, 16, 16, 2), steps=8).samples
    found = sample(run_as(bound, Execution("bf16")), empty(made, 16, 16, 2), steps=8).samples
    assert torch.float32 == found.dtype
    assert 1e-5 < off(found, expected) < BF16


def test_channels_last_and_two_passes_change_no_more_than_the_order_of_sums(saved: Saved, text: Text) -> None:
    made = load(saved("small", "unet"))
    bound = guide(made, text(2, seed=1), text(length=3, seed=2), 3.0, rescale=0.3)
    expected = sample(run_as(bound, Execution(channels_last=False)), empty(made, 16, 16, 2), steps=8).samples
    for chosen in (Execution(channels_last=True), Execution(channels_last=False, batch_guidance=False)):
        assert off(sample(run_as(bound, chosen), empty(made, 16, 16, 2), steps=8).samples, expected) < 2e-6
    network = run_as(made, Execution(channels_last=True)).network  # type: ignore[attr-defined]
    weight = network.build("cpu").latents_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_two_passes_ask_for_one_text_each(denoiser: LatentDenoiser, text: Text) -> None:
    seen: list[int] = []

    def load(recipe: Any) -> Any:
        return lambda x, alpha, sigma, condition: seen.append(len(x)) or x

    recipe = guide(denoiser, text(), text(seed=1), 3.0)
    recipe.assemble(load)(x(), 0.5, 0.5)  # type: ignore[attr-defined]
    run_as(recipe, Execution(batch_guidance=False)).assemble(load)(x(), 0.5, 0.5)  # type: ignore[attr-defined]
    assert [4, 2, 2] == seen


def test_levels_on_a_device_are_not_waited_for(denoiser: LatentDenoiser, text: Text) -> None:
    levels = torch.empty((), device="meta")  # who asks for its value, fails
    recipe = guide(denoiser, text(), text(seed=1), 3.0)
    recipe.assemble(lambda _: lambda x, *_: x)(x(), levels, levels)  # type: ignore[attr-defined]


class TestErrors:
    def test_fp16_on_a_cpu(self, denoiser: LatentDenoiser, text: Text) -> None:
        bound = condition(run_as(denoiser, Execution("fp16")), text())
        with pytest.raises(ValueError, match=r"fp16 on a CPU is slower than fp32.*\n    choose bf16 or fp32"):
            sample(bound, empty(bound, 16, 16))

    def test_bf16_on_a_gpu_before_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(how, "lacks_bf16", lambda device: True)
        with pytest.raises(ValueError, match="cuda:0 has no bf16\n    choose fp16 or fp32"):
            Execution("bf16").judge("cuda:0")

    @pytest.mark.parametrize(
        ("device", "missing"),
        [("cpu", r'a C\+\+ compiler, and there is no "g\+\+" \(CXX names another\)'), ("cuda", "Triton for a GPU")],
    )
    def test_compiling_without_a_compiler(self, monkeypatch: pytest.MonkeyPatch, device: str, missing: str) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
        monkeypatch.setattr(how, "find_spec", lambda name: None)
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.delenv("CXX", raising=False)
        with pytest.raises(Unsuited, match=rf"torch\.compile needs {missing}\n    install it, or leave compile off"):
            Execution(compile=True).judge(device)

    def test_the_compiler_that_is_named_is_the_one_that_must_be_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: None if name == "absent" else f"/bin/{name}")
        Execution(compile=True).judge("cpu")
        monkeypatch.setenv("CXX", "absent")
        with pytest.raises(Unsuited, match='there is no "absent"'):
            Execution(compile=True).judge("cpu")

    @pytest.mark.parametrize(("chosen", "port"), [({"precision": "fp16"}, "precision"), ({"compile": True}, "compile")])
    def test_a_plan_and_a_run_refuse_it_at_the_node_and_its_input(
        self, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any], port: str
    ) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
        nodes = {
            "model": NodeEntry("diffusion.load"),
            "how": NodeEntry("diffusion.execution", inputs={"denoiser": Wire("model"), **chosen}),
            "empty": NodeEntry("diffusion.empty", inputs={"denoiser": Wire("how")}),
        }
        graph = build(
            Document(nodes=nodes, outputs={"out": "empty"}), Catalog.of(*(spec_of(one, "diffusion") for one in NODES))
        )
        (problem,) = Planner(graph, "cpu").run().problems
        assert ("how", port) == (problem.node, problem.port)
        failed = [event for event in Engine(device="cpu").run(graph) if isinstance(event, Failed)]
        assert [("how", port)] == [(event.node, event.port) for event in failed]
        assert f"{problem.message}\n    {problem.cure}" == failed[0].message

    def test_a_denoiser_of_another_kind(self) -> None:
        class Strange(Denoiser):
            space = LatentSpace("tiny", 3, 4)

        with pytest.raises(ValueError, match="how this denoiser, Strange, is run cannot be chosen"):
            run_as(Strange(), Execution())


@pytest.mark.parametrize(("amx", "avx", "expected"), [(0, 0, "fp32"), (1, 0, "bf16"), (0, 1, "bf16")])
def test_auto_is_bf16_only_where_it_is_known_to_be_faster(
    monkeypatch: pytest.MonkeyPatch, amx: int, avx: int, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx))
    assert expected == fastest_precision()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for lacks, precision in ((True, "fp32"), (False, "bf16")):
        monkeypatch.setattr(how, "lacks_bf16", lambda device, lacks=lacks: lacks)
        assert precision == fastest_precision()


def test_the_node_gives_what_was_asked_for(denoiser: LatentDenoiser) -> None:
    made = execution(denoiser, "bf16", "off", True, False, False, False)
    assert repr(Execution("bf16", False, True, False, False, False)) == repr(made.execution)  # type: ignore[attr-defined]
    assert Execution(fastest_precision()) == execution(denoiser).execution  # type: ignore[attr-defined]


@pytest.mark.parametrize("architecture", ["transformer", "unet"])
def test_the_compiler_sees_the_network_whole(saved: Saved, text: Text, architecture: str) -> None:
    module = QUIET.load(load(saved("small", architecture)).network)  # type: ignore[attr-defined]
    said = text(2)
    given = (x(), torch.full((2,), 0.5), module.read(said.tokens, said.mask), None, said.pooled)
    torch._dynamo.reset()
    whole = torch.compile(module, fullgraph=True, dynamic=False, backend="eager")  # a break would be an error
    with torch.no_grad():
        assert off(whole(*given), module(*given)) < 1e-6
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's compiler imports what torch deprecates
@pytest.mark.parametrize("architecture", ["transformer", "unet"])
def test_compiled_it_samples_the_same(saved: Saved, text: Text, architecture: str) -> None:
    # each kernel of its own is a run of the C++ compiler
    bound = guide(load(saved("small", architecture, least=True)), text(seed=1), text(seed=2), 3.0)
    expected = sample(bound, empty(bound, 16, 16), steps=8).samples
    with torch.no_grad():
        found = sample(run_as(bound, Execution(compile=True)), empty(bound, 16, 16), steps=8).samples
    assert off(found, expected) < 1e-5


def as_published(method: str, denoise: Any, x: Tensor, steps: Any, eta: float, noise: Any) -> Tensor:
    """Each sampler in its paper's own steps, guidance before it: what the fused step must not differ from."""
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x_0 = whole(denoise(x, alpha_t, sigma_t))
        if method == "ddpm":
            alpha_ts = alpha_t / alpha_s
            variance_ts = sigma_t**2 - alpha_ts**2 * sigma_s**2
            x = (alpha_ts * sigma_s**2 * x + alpha_s * variance_ts * x_0) / sigma_t**2
            x = x + variance_ts**0.5 * sigma_s / sigma_t * noise() if sigma_s > 0 else x
        elif method == "ddim":
            eps = (x - alpha_t * x_0) / sigma_t
            fresh = eta * sigma_s / sigma_t * (sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2) ** 0.5
            x = alpha_s * x_0 + max(0.0, sigma_s**2 - fresh**2) ** 0.5 * eps
            x = x + fresh * noise() if fresh > 0 else x
        else:
            t, s = sigma_t / (alpha_t + sigma_t), sigma_s / (alpha_s + sigma_s)
            z = x / (alpha_t + sigma_t)
            x = (z + (s - t) * (z - x_0) / t) * (alpha_s + sigma_s)
    return x


def levels(name: str) -> list[Level]:
    return flow_levels(25) if name == "flow" else schedule_levels(alphas_cumprod(betas("linear")), 25)


@pytest.mark.parametrize(
    ("method", "eta"), [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 0.7), ("ddim", 1.0), ("euler", 0.0)]
)
@pytest.mark.parametrize("name", ["flow", "linear"])
def test_guidance_and_update_in_one_step_are_the_published_ones(method: str, eta: float, name: str) -> None:
    def drawing() -> Callable[[], Tensor]:
        generator = torch.Generator().manual_seed(1)
        return lambda: torch.randn(2, 4, 8, 8, generator=generator)

    def denoise(x: Tensor, alpha: float, sigma: float) -> Estimates:
        return Estimates(0.3 * x.sin(), 0.1 * x.cos(), 3.0)

    ways = levels(name)
    start, steps = hypot(*ways[0]) * drawing()(), list(pairwise(ways))
    sampler: Any = {"ddpm": ddpm, "ddim": ddim, "euler": euler}[method]
    options = {} if method == "euler" else {"noise": drawing()} | ({"eta": eta} if method == "ddim" else {})
    found = sampler(denoise, start, steps, **options)
    expected = as_published(method, denoise, start.double(), steps, eta, lambda d=drawing(): d().double())  # noqa: B008
    assert off(found, expected) < 1e-6


def test_noise_is_drawn_only_where_it_is_added(denoiser: Denoiser) -> None:
    drawn: list[int] = []

    def noise() -> Tensor:
        drawn.append(1)
        return x()

    steps = list(pairwise(flow_levels(4)))
    ddpm(lambda x, alpha, sigma: x, x(), steps, noise=noise)
    assert 3 == len(drawn)  # the last step ends at the picture
    ddim(lambda x, alpha, sigma: x, x(), steps, noise=noise)
    assert 3 == len(drawn)


def test_another_batch_through_the_same_guidance(denoiser: LatentDenoiser, text: Text) -> None:
    # texts are spread over the batch once for each size of it
    denoise = QUIET.load(guide(denoiser, text(seed=1), text(length=3, seed=2), 3.0))
    alone = [denoise(x(4)[i : i + 1], 0.4, 0.6) for i in range(4)]
    torch.testing.assert_close(torch.cat(alone), denoise(x(4), 0.4, 0.6), rtol=1e-4, atol=1e-5)
    assert replace(denoiser, side=None).space == denoiser.space
