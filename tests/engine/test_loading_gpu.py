"""The same on a real device: order and peak as the accounts have them, and copies that overlap computing."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from accounts import Accounts

from nodeflow.devices import TorchBackend
from nodeflow.errors import ModelError
from nodeflow.loading import Loader
from nodeflow.residency import Residency
from nodeflow.values import Model

GPU = "cuda:0"
SIZE = 256 * 2**20

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here: streams and pinned memory not run"),
]


@dataclass(frozen=True)
class Block(Model):
    name: str
    source: Any = None

    @property
    def size(self) -> int:
        return SIZE

    def __hash__(self) -> int:
        return hash(self.name)

    def build(self, device: Any) -> torch.Tensor:
        return torch.empty(SIZE, dtype=torch.uint8, device=device).copy_(self.source, non_blocking=True)


@pytest.fixture
def source() -> torch.Tensor:
    return torch.full((SIZE,), 7, dtype=torch.uint8).pin_memory()


def walked(names: str, budget: int, source: torch.Tensor, *, ahead: bool) -> tuple[Accounts, int, float]:
    """Uses models one after the other: the ledger, the peak in bytes, and the device's milliseconds."""
    ledger = Accounts({})
    residency = Residency({GPU: budget}, listen=ledger, backend=TorchBackend())
    plan = [Block(name, source) for name in names]
    loader = Loader(residency, GPU) if ahead else None
    work = torch.randn(4096, 4096, device=GPU)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for at, model in enumerate(plan):
        residency.expect([(later,) for later in plan[at:]])
        with residency.using([model], GPU) as load:
            found = load(model)
            if loader is not None:
                loader.follow(plan[at + 1 :])
            for _ in range(20):
                work @ work
            assert 7 * 4 == int(found[:4].sum())  # the copy was waited for
            if loader is not None and at + 1 < len(plan):
                ledger.await_move(f"*{plan[at + 1].name}")
            del found
    end.record()
    torch.cuda.synchronize()
    if loader is not None:
        loader.stop()
    return ledger, torch.cuda.max_memory_allocated() - before, begin.elapsed_time(end)


def test_a_chain_of_three_under_a_budget_of_two(source: torch.Tensor) -> None:
    walked("A", 2 * SIZE, source, ahead=False)  # warm
    ledger, peak, beside = walked("ABC", 2 * SIZE, source, ahead=True)
    assert "+A *B -A *C" == ledger.copies()
    assert peak <= 2 * SIZE + 2 * 4096 * 4096 * 4 + 2**22
    plain, _, after = walked("ABC", 2 * SIZE, source, ahead=False)
    assert "+A +B -A +C" == plain.copies()
    assert beside < after


def test_running_out_twice_is_an_error_with_figures() -> None:
    residency = Residency({GPU: SIZE})
    with pytest.raises(ModelError, match=r"out of memory on cuda:0.*\n.*were asked for at once"):
        residency.retrying(lambda: torch.empty(2**50, dtype=torch.uint8, device=GPU), GPU)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one CUDA device only: two lanes not run")
def test_each_of_two_devices_has_its_own_copies(source: torch.Tensor) -> None:
    residency = Residency({GPU: SIZE, "cuda:1": SIZE})
    for device in (GPU, "cuda:1"):
        assert device == str(residency.load(Block("A", source), device).device)
