"""The ledger's accounts are exact, and the same for fake tensors and real ones; ceilings are kept and judged."""

import json

import pytest
import torch
from torch import nn

from nodeflow.plan import ceilings
from nodeflow.plan.ceilings import Ceilings, ceilings_of
from nodeflow.plan.ledger import Ledger
from nodeflow.plan.sketch import Reader, Sketch, Unforeseen, quietly

FIGURES = Ceilings(1e-6, 1e11, 1e-5, 1e10, 1e-4, 1e10, 1e9)


@pytest.fixture(params=["real", "fake"])
def counted(request):
    """Books a function of tensors of given shapes."""

    def count(function, *shapes):
        ledger, sketch = Ledger(FIGURES.price), Sketch()
        tensors = [torch.zeros(shape) for shape in shapes]
        if request.param == "fake":
            tensors = [sketch.laid_out(tensor) for tensor in tensors]
        for tensor in tensors:
            ledger.memory.see(tensor)
        ledger.memory.begin()

        def booked():
            with torch.no_grad(), sketch, ledger:
                return function(*tensors)

        out = quietly(booked)
        return ledger, out

    return count


def test_flops_of_known_operators(counted):
    assert 2 * 5 * 7 * 3 == counted(torch.matmul, (5, 7), (7, 3))[0].work.flops
    assert 2 * 4 * 5 * 7 * 3 == counted(torch.bmm, (4, 5, 7), (4, 7, 3))[0].work.flops
    work = counted(lambda x, w: torch.conv2d(x, w, stride=2, padding=1), (2, 3, 8, 8), (6, 3, 3, 3))[0].work
    assert 2 * 2 * 6 * 4 * 4 * 3 * 9 == work.flops
    assert 0 == counted(torch.relu, (5, 7))[0].work.flops


def test_flops_of_attention_are_the_same_on_a_gpu_that_is_not_there():
    from nodeflow.kernels import attention

    shapes = (2, 6, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8)
    sketch, works = Sketch(), []
    for device in ("cpu", "cuda"):
        ledger = Ledger()
        q, k, v = (sketch.laid_out(torch.zeros(shape), device) for shape in shapes)

        def booked(ledger=ledger, q=q, k=k, v=v):
            with torch.no_grad(), sketch, ledger:
                return attention(q, k, v)

        assert (2, 6, 5, 8) == quietly(booked).shape
        works.append(ledger.work)
    assert 2 * 2 * (2 * 6 * 5 * 7 * 8) == works[1].flops == works[0].flops
    assert 1 == works[1].operators


def test_bytes_are_what_is_read_and_written(counted):
    assert 4 * 3 * 35 == counted(torch.add, (5, 7), (5, 7))[0].work.bytes
    assert 0 == counted(lambda x: x.view(35).unsqueeze(0), (5, 7))[0].work.bytes
    assert 4 * (7 + 35 + 35) == counted(lambda x, y: torch.add(x.expand(5, 7), y), (1, 7), (5, 7))[0].work.bytes


def test_memory_counts_storages_while_they_live(counted):
    def steps(x):
        a = x + 1  # two alive
        b = a.view(-1) + 1  # three
        del a
        return b[:2] + 1  # the whole of b, and two elements

    ledger, out = counted(steps, (4, 5))
    assert {"cpu": 3 * 80} == ledger.memory.peak
    assert 8 == ledger.memory.live["cpu"]  # what was given is gone as well
    del out
    assert 0 == ledger.memory.live["cpu"]


def test_seconds_add_up_by_the_price(counted):
    work = counted(torch.matmul, (50, 70), (70, 30))[0].work
    assert FIGURES.price("matmul", work.flops, work.bytes) == pytest.approx(work.seconds)


def test_values_that_are_not_known_cannot_be_asked_for():
    sketch = Sketch()
    fake = sketch.laid_out(torch.zeros(3))
    for read in (float, bool, torch.Tensor.tolist, torch.Tensor.numpy, torch.nonzero):
        with pytest.raises(Unforeseen), sketch, Reader(sketch):
            read(fake.sum() if read in (float, bool) else fake)
    with sketch, Reader(sketch):
        assert bool(torch.isfinite(fake).all())
        assert 3.0 == float(torch.ones(3).sum())


def test_a_known_tensor_that_is_written_to_is_known_no_more():
    sketch = Sketch()
    sheet, fake = torch.zeros(4), sketch.laid_out(torch.zeros(2))
    with sketch, Reader(sketch):
        sheet[:2] = fake
        with pytest.raises(Unforeseen):
            sheet.tolist()
        with pytest.raises(Unforeseen):
            float(sheet.sum())
        with pytest.raises(RuntimeError, match="expand"):
            sheet[:3] = fake


def test_large_tensors_are_only_laid_out():
    sketch = Sketch()
    with sketch:
        assert sketch.is_unknown(torch.ones(1, 3, 1, 1).repeat(1, 1, 8192, 8192))
        assert not sketch.is_unknown(torch.ones(1, 3, 8, 8) * 2)


def test_noise_is_as_in_a_run():
    with Sketch():
        found = torch.randn((2, 3), generator=torch.Generator().manual_seed(7))
    assert torch.equal(torch.randn((2, 3), generator=torch.Generator().manual_seed(7)), found)


def test_a_layer_norm_of_fake_weights_keeps_its_shape(counted):
    norm = nn.LayerNorm(7)
    ledger, out = counted(norm, (5, 7))
    assert (5, 7) == tuple(out.shape)
    assert 0 == ledger.work.flops


def test_ceilings_are_measured_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEFLOW_CACHE", str(tmp_path))
    measured = []
    monkeypatch.setattr(ceilings, "measure", lambda device: measured.append(device) or FIGURES)
    assert FIGURES == ceilings_of("cpu") == ceilings_of("cpu")
    assert ["cpu"] == measured
    ceilings_of("cpu", anew=True)
    (kept,) = tmp_path.rglob("*.json")
    for damage in ("", "[]", "nonsense", json.dumps({"nodeflow ceilings": 1, "figures": {"operator": "x"}})):
        kept.write_text(damage)
        assert FIGURES == ceilings_of("cpu")
    assert 6 == len(measured)


def test_measuring_gives_sound_figures(monkeypatch):
    monkeypatch.setattr(ceilings, "ROUNDS", 2)
    found = ceilings.measure("cpu")
    assert 1e-7 < found.operator < 1e-2
    assert min(found.matmul, found.convolution, found.copy, found.load) > 1e6
    assert found.price("matmul", 1e9, 0) > found.price("matmul", 1e6, 0)
