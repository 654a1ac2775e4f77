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
    rounds = [
        torch.cat([prepared.batch(step, 4)["latents"].flatten() for step in range(first, first + 3)])
        for first in (0, 3)
    ]
    assert rounds[0].sort().values.tolist() == rounds[1].sort().values.tolist() == [i / 2 for i in range(12)]
    assert not torch.equal(*rounds)


def test_batches_are_decided_by_seed_and_step_and_captions_stay_with_their_pictures(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors")
    make(tmp_path / "b.safetensors", start=12)
    prepared = load_prepared(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    for step in range(9):
        latents, ids = prepared.batch(step, 5, seed=1).values()
        assert (torch.float32, torch.int64) == (latents.dtype, ids.dtype)
        assert torch.equal(ids[:, 0] % 100, (latents.flatten() * 2).long())
        assert torch.equal(latents, prepared.batch(step, 5, seed=1)["latents"])
    assert not torch.equal(prepared.batch(0, 24, seed=1)["latents"], prepared.batch(0, 24, seed=2)["latents"])


def test_full_captions_come_as_often_as_asked(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors")
    prepared = load_prepared(tmp_path / "a.safetensors")
    short = [
        (prepared.batch(step, 500, full=full)["ids"] >= 100).float().mean() for step, full in enumerate((0, 0.5, 1))
    ]
    torch.testing.assert_close(torch.tensor([0.5, 0.25, 0]), torch.stack(short), rtol=0, atol=0.06)


def test_regions_stay_with_their_pictures(tmp_path: Path) -> None:
    def maps(index: int) -> torch.Tensor:
        return (torch.arange(4.0) + 4 * index).reshape(4, 1, 1, 1) / 255

    path = tmp_path / "a.safetensors"
    list(prepare(path, lambda x: x, lambda i: maps(i) * 255, lambda i: maps(i)[..., 0].long().repeat(1, 2, 1), 3, maps))
    found = load_prepared(path).batch(2, 8)
    torch.testing.assert_close(found["latents"] / 255, found["regions"])
    make(tmp_path / "b.safetensors")
    assert "regions" not in load_prepared(path, tmp_path / "b.safetensors").batch(0, 8)
