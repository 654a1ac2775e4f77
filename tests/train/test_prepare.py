"""Latents computed once."""

from pathlib import Path

import torch
from nodeflow_train.prepare import load_prepared, prepare


def make(path: Path, start: int = 0) -> list[int]:
    def pictures(index: int) -> torch.Tensor:
        return (torch.arange(4.0) + 4 * index + start).reshape(4, 1, 1, 1)

    def numbers(index: int) -> torch.Tensor:
        of_each = pictures(index).reshape(4, 1, 1).long()
        return torch.cat([of_each, of_each + 100], 1)  # two phrasings

    return list(prepare(path, lambda x: x / 2, pictures, numbers, 3))


def test_written_and_read(tmp_path: Path) -> None:
    assert [1, 2, 3] == make(tmp_path / "a.safetensors")
    assert ["a.safetensors"] == [path.name for path in tmp_path.iterdir()]
    prepared = load_prepared(tmp_path / "a.safetensors")
    assert torch.equal(torch.arange(12) / 2, prepared.latents.flatten().float())
    assert (12, 2, 1) == prepared.ids.shape


def test_each_time_round_shows_everything_once_and_in_its_own_order(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors")
    prepared = load_prepared(tmp_path / "a.safetensors")
    rounds = [torch.cat([prepared.batch(step, 4)[0].flatten() for step in range(first, first + 3)]) for first in (0, 3)]
    assert rounds[0].sort().values.tolist() == rounds[1].sort().values.tolist() == [i / 2 for i in range(12)]
    assert not torch.equal(*rounds)


def test_batches_are_decided_by_seed_and_step_and_captions_stay_with_their_pictures(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors")
    make(tmp_path / "b.safetensors", start=12)
    prepared = load_prepared(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    for step in range(9):
        latents, ids = prepared.batch(step, 5, seed=1)
        assert (torch.float32, torch.int64) == (latents.dtype, ids.dtype)
        assert torch.equal(ids[:, 0] % 100, (latents.flatten() * 2).long())
        assert torch.equal(latents, prepared.batch(step, 5, seed=1)[0])
    assert not torch.equal(prepared.batch(0, 24, seed=1)[0], prepared.batch(0, 24, seed=2)[0])
