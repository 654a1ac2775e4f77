"""The loop: learns, resumes to the bit, decays, averages."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from nodeflow_train.fit import FitConfig, fit, hidden_matrices, optimisers, rate, use_average
from nodeflow_train.muon import Muon, orthogonalise
from torch import nn

CONFIG = FitConfig(
    steps=12, batch=8, warmup=3, decay_fraction=0.25, checkpoint_every=5, report_every=4, dtype=torch.float32
)


def model() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))


def batches(step: int) -> torch.Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(step))


def run(
    module: nn.Module, config: FitConfig = CONFIG, checkpoint: Path | None = None, stop: int | None = None
) -> list[float]:
    """Losses reported; stops after `stop` reports, as a killed process would."""

    def loss(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        noise = 0.1 * torch.randn(8, 2, generator=generator)
        return (module(x + 0.01) - x[:, :2] - noise).square().mean()

    losses = []
    for progress in fit({"net": module}, loss, batches, config, checkpoint=checkpoint):
        losses.append(progress.loss)
        if len(losses) == stop:
            break
    return losses


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    whole, parts = model(), model()
    losses = run(whole)
    run(parts, checkpoint=tmp_path / "c.pt", stop=2)  # stops at step 8; its checkpoint is of step 5
    resumed = model()
    assert losses[-1] == run(resumed, checkpoint=tmp_path / "c.pt")[-1]
    assert equal(whole, resumed)
    assert ["c.pt"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("free", [0, 2**50])
def test_a_full_disk_is_told_and_nothing_partial_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    run(model(), checkpoint=tmp_path / "c.pt", stop=2)
    before = (tmp_path / "c.pt").read_bytes()

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"PK")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    told = "there is no room in .* for the checkpoint .0 MB.\n    make room, or choose another output folder"
    with pytest.raises(RuntimeError if free else OSError, match="enforce fail" if free else told):
        run(model(), checkpoint=tmp_path / "c.pt")
    assert {"c.pt": before} == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_finished_run_only_loads(tmp_path: Path) -> None:
    first, again = model(), model()
    run(first, checkpoint=tmp_path / "c.pt")
    assert [] == run(again, checkpoint=tmp_path / "c.pt")
    assert equal(first, again)


def test_a_stable_run_can_be_branched_and_extended(tmp_path: Path) -> None:
    stable = dataclasses.replace(CONFIG, decay_fraction=0.0)
    run(model(), stable, tmp_path / "stable.pt")
    shutil.copy(tmp_path / "stable.pt", tmp_path / "branch.pt")
    branch = dataclasses.replace(CONFIG, steps=16, decay_fraction=0.25)
    assert 1 == len(run(model(), branch, tmp_path / "branch.pt"))
    extended, straight = model(), model()
    run(extended, dataclasses.replace(stable, steps=20), tmp_path / "stable.pt")
    run(straight, dataclasses.replace(stable, steps=20))
    assert equal(straight, extended)


def test_average_of_a_checkpoint(tmp_path: Path) -> None:
    trained, loaded = model(), model()
    run(trained, checkpoint=tmp_path / "c.pt")
    assert 12 == use_average({"net": loaded}, tmp_path / "c.pt")
    assert equal(trained, loaded)


def test_schedule_warms_up_stays_and_falls_to_zero() -> None:
    config = FitConfig(steps=100, warmup=4, decay_fraction=0.2)
    assert [0.25, 0.5, 0.75, 1, 1] == [rate(step, config) for step in range(5)]
    assert [1, 1, 0.5, 0.05] == pytest.approx([rate(step, config) for step in (79, 80, 90, 99)])
    assert 1 == rate(99, dataclasses.replace(config, decay_fraction=0.0))


def test_a_batch_can_be_learnt_by_heart() -> None:
    module, x = model(), batches(0)

    def loss(_: object, generator: torch.Generator) -> torch.Tensor:
        return (module(x) - x[:, :2]).square().mean()

    with torch.no_grad():
        before = float(loss(None, torch.Generator()))
    list(fit({"net": module}, loss, batches, FitConfig(steps=100, warmup=5, ema=0.9, dtype=torch.float32)))
    with torch.no_grad():
        assert float(loss(None, torch.Generator())) < before / 5


def test_hidden_matrices_go_to_muon_and_the_rest_to_adam() -> None:
    module = nn.ModuleDict(
        {
            "tokens_in": nn.Linear(64, 64),
            "hidden": nn.Linear(64, 64),
            "narrow": nn.Linear(64, 8),
            "norm": nn.LayerNorm(64),
        }
    )
    assert [id(module["hidden"].weight)] == [id(p) for p in hidden_matrices(module)]
    muon, adam = optimisers({"all": module}, CONFIG)
    assert 1 == sum(len(group["params"]) for group in muon.param_groups)
    assert 7 == sum(len(group["params"]) for group in adam.param_groups)


@pytest.mark.parametrize("shape", [(2, 40, 24), (1, 24, 40), (3, 16, 16)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = torch.linalg.svdvals(orthogonalise(matrices, 5))
    assert 0.6 < found[..., 0].min()
    assert found.max() < 1.3
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    overlap = ((u @ v) * orthogonalise(matrices, 5)).sum((-2, -1)) / min(shape[1:])
    assert overlap.min() > 0.7


def test_muon_steps_do_not_depend_on_the_gradients_size() -> None:
    weights = []
    for size in (1.0, 1000.0):
        parameter = nn.Parameter(torch.zeros(32, 4, 3, 3))
        parameter.grad = size * torch.randn(32, 4, 3, 3, generator=torch.Generator().manual_seed(0))
        Muon([parameter]).step()
        weights.append(parameter.detach())
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-5)
