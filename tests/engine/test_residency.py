"""Residency: who is built, reused and evicted, in which order, and never more bytes than the budget."""

import itertools
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from accounts import Accounts
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeflow import devices as module
from nodeflow.devices import amount, default_device, devices
from nodeflow.errors import ModelError, PluginError
from nodeflow.leaves import models_in
from nodeflow.residency import Moved, Residency, computing
from nodeflow.values import Composition, Image, Load, Model, Table, TextEmbedding


class Module:
    """What a fake model builds; weakly referable, so that a test sees when it is gone."""

    def __init__(self, name: str, device: str) -> None:
        self.name, self.device = name, device


@dataclass(frozen=True)
class Fake(Model):
    name: str
    bytes: int = 10

    @property
    def size(self) -> int:
        return self.bytes

    def build(self, device: Any) -> Module:
        return Module(self.name, device)


@dataclass(frozen=True)
class Acting(Fake):
    """Does something while it is built."""

    act: Callable[[], None] = print

    def build(self, device: Any) -> Module:
        self.act()
        return super().build(device)


A, B, C, D = (Fake(name) for name in "ABCD")


class Ledger:
    """The moves as "+A -B =C" (built, evicted, reused), and the most that was resident."""

    def __init__(self) -> None:
        self.moves: list[Moved] = []

    def __call__(self, move: Moved) -> None:
        self.moves.append(move)

    def __str__(self) -> str:
        signs = {"built": "+", "evicted": "-", "reused": "="}
        return " ".join(signs[move.action] + move.model.name for move in self.moves)  # type: ignore[attr-defined]

    @property
    def peak(self) -> int:
        return max(move.resident for move in self.moves)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_a_model_is_built_once_and_then_reused_by_any_equal_recipe(ledger: Ledger) -> None:
    residency = Residency({"cpu": 30}, listen=ledger)
    first = residency.load(A, "cpu")
    assert first is residency.load(Fake("A"), torch.device("cpu"))
    assert "+A =A" == str(ledger)
    assert [Moved("built", A, "cpu", 10, 10), Moved("reused", A, "cpu", 10, 10)] == ledger.moves
    assert {A: 10} == residency.resident("cpu")


def test_without_a_plan_the_least_recently_used_leaves(ledger: Ledger) -> None:
    residency = Residency({"cpu": 20}, listen=ledger)
    for model in (A, B, A, C, A, B):
        residency.load(model, "cpu")
    assert "+A +B =A -B +C =A -C +B" == str(ledger)
    assert 20 == ledger.peak


def test_the_one_whose_next_use_is_farthest_leaves(ledger: Ledger) -> None:
    residency = Residency({"cpu": 30}, listen=ledger)
    plan = [A, B, C, D, C, A, B]
    residency.expect([(model,) for model in plan])
    for step, model in enumerate(plan):
        residency.reached(step)
        residency.load(model, "cpu")
    # at D: C is needed at 4, A at 5, B at 6. Least recently used first would have rebuilt A, B and C
    assert "+A +B +C -B +D =C =A -D +B" == str(ledger)
    assert 30 == ledger.peak


def test_what_is_never_needed_again_leaves_first_the_longest_unused_before_others(ledger: Ledger) -> None:
    residency = Residency({"cpu": 30}, listen=ledger)
    residency.expect([(A, B, C), (A,), (D,), (C,), (A,)])
    for model in (B, C, A):
        residency.load(model, "cpu")
    residency.reached(2)
    residency.load(D, "cpu")
    residency.expect(())
    residency.load(B, "cpu")
    assert "+B +C +A -B +D -C +B" == str(ledger)


def test_only_as_many_leave_as_must_and_they_are_gone_before_the_next_is_built(ledger: Ledger) -> None:
    residency = Residency({"cpu": 40}, listen=ledger)
    watched = [weakref.ref(residency.load(model, "cpu")) for model in (A, B, C)]
    alive: list[bool] = []
    large = Acting("L", 25, lambda: alive.extend(ref() is not None for ref in watched))
    residency.load(large, "cpu")
    assert "+A +B +C -A -B +L" == str(ledger)
    assert [False, False, True] == alive


def test_a_model_larger_than_the_budget_is_refused_with_figures_and_nobody_leaves(ledger: Ledger) -> None:
    residency = Residency({"cpu": 6_000_000_000}, listen=ledger)
    residency.load(Fake("A", 5_000_000_000), "cpu")
    with pytest.raises(ModelError) as caught:
        residency.load(Fake("L", 12_340_000_000), "cpu")
    assert (
        'the model "L" takes 12 GB, more than the 6.0 GB that models may take on cpu\n'
        "    raise the budget (--vram), or use another device"
    ) == str(caught.value)
    with pytest.raises(ModelError, match=r'the model "Fake" takes 10 bytes, .*\n.*use a model of fewer bits'):
        Residency({"cuda:0": 1}).judge(Fake("", 10), ("cuda:0",))
    assert "+A" == str(ledger)


def test_what_a_node_holds_stays_whatever_else_is_asked(ledger: Ledger) -> None:
    residency = Residency({"cpu": 20}, listen=ledger)
    residency.expect([(B,), (B,)])
    with residency.using((A,), "cpu") as load:
        load(A)
        load(A)
        residency.load(B, "cpu")
        residency.load(C, "cpu")
        assert {A: 10, C: 10} == residency.resident("cpu")
        load(C)
        with pytest.raises(ModelError, match=r'"D" .* no room for it on cpu\n    20 bytes of 20 bytes.*--vram\)$'):
            residency.load(D, "cpu")
        assert 0 == residency.release()
    residency.load(D, "cpu")
    assert "+A =A +B -B +C =C -A +D" == str(ledger)


def test_two_nodes_may_hold_one_model_and_a_failing_node_lets_go() -> None:
    residency = Residency({"cpu": 10})
    with residency.using((A,), "cpu") as outer:
        outer(A)
        with pytest.raises(KeyError), residency.using((A,), "cpu"):
            raise KeyError
        with pytest.raises(ModelError):
            residency.load(B, "cpu")
    assert "B" == residency.load(B, "cpu").name


def test_each_device_has_its_own_budget_and_one_name(ledger: Ledger) -> None:
    residency = Residency({"cuda": 10, "cuda:1": 20}, listen=ledger, backend=Accounts({}))
    for model, device in ((A, "cuda:0"), (A, "cuda"), (A, "cuda:1"), (B, "cuda:1"), (B, "cuda")):
        assert module.device_name(device) == residency.load(model, device).device
    assert "+A =A +A +B -A +B" == str(ledger)
    assert ({B: 10}, {A: 10, B: 10}) == (residency.resident("cuda:0"), residency.resident("cuda:1"))


def test_a_budget_that_nobody_gave_is_a_share_of_what_is_free_when_first_asked(monkeypatch: Any) -> None:
    asked: list[str] = []

    def free(device: str) -> int:
        asked.append(device)
        return 1000

    monkeypatch.setattr(module, "free_bytes", free)
    residency = Residency({"cuda:1": None, "cuda:2": 5})
    assert [] == asked
    assert [800, 600, 5, 800] == [residency.budget(device) for device in ("cuda:1", "cpu", "cuda:2", "cuda:1")]
    assert ["cuda:1", "cpu"] == asked


def failing(times: int, error: BaseException) -> Callable[[], None]:
    left = itertools.chain([error] * times, itertools.repeat(None))

    def act() -> None:
        if (raised := next(left)) is not None:
            raise raised

    return act


SHORTAGES = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried ..."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: type(error).__name__)
def test_running_out_of_memory_evicts_all_others_and_tries_again_once(ledger: Ledger, shortage: Exception) -> None:
    relieved: list[int] = []
    residency = Residency({"cpu": 100}, listen=ledger, relief=lambda: relieved.append(1))
    residency.load(A, "cpu")
    with residency.using((B,), "cpu") as load:
        load(B)
        load(Acting("L", 10, failing(1, shortage)))
        assert ("+A +B -A +L", [1]) == (str(ledger), relieved)
        act = failing(1, shortage)
        assert 7 == residency.retrying(lambda: act() or 7, "cpu")
        with pytest.raises(ModelError, match=r"on cpu, .*\n    30 bytes of 100 bytes taken by models \(B 10 bytes, "):
            load(Acting("M", 10, failing(2, shortage)))
    assert {"B", "L"} == {model.name for model in residency.resident("cpu")}  # type: ignore[attr-defined]


def test_the_tensors_of_the_failed_try_are_gone_before_the_second() -> None:
    held: list[weakref.ref[Module]] = []

    def compute() -> bool:
        if held:
            return held[0]() is None
        large = Module("activations", "cpu")
        held.append(weakref.ref(large))
        raise MemoryError

    assert Residency({"cpu": 1}).retrying(compute, "cpu")


def test_a_real_allocation_that_cannot_succeed_fails_by_name_with_figures() -> None:
    with pytest.raises(ModelError, match=r"out of memory on cpu, even with all other models evicted: .*memory"):
        Residency({"cpu": 1}).retrying(lambda: torch.empty(2**60, dtype=torch.uint8), "cpu")


def test_other_errors_are_not_tried_again(ledger: Ledger) -> None:
    residency = Residency({"cpu": 100}, listen=ledger)
    residency.load(A, "cpu")
    calls: list[int] = []
    with pytest.raises(RuntimeError, match="shapes"):
        residency.retrying(lambda: calls.append(1) or failing(1, RuntimeError("shapes differ"))(), "cpu")
    with pytest.raises(ModelError, match="no file"):
        residency.load(Acting("L", 10, failing(1, ModelError("no file"))), "cpu")
    assert ([1], "+A", {A: 10}) == (calls, str(ledger), residency.resident("cpu"))


def test_a_model_being_built_is_awaited_by_who_asks_for_it_never_evicted_and_keeps_nobody_else(ledger: Ledger) -> None:
    residency = Residency({"cpu": 20}, listen=ledger)
    building, go_on = threading.Event(), threading.Event()
    slow = Acting("S", 10, lambda: building.set() or go_on.wait(5))  # type: ignore[arg-type,return-value]
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(residency.load(slow, "cpu"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert building.wait(5)
    residency.load(A, "cpu")
    residency.load(B, "cpu")
    go_on.set()
    for thread in threads:
        thread.join()
    assert "+A -A +B +S =S =S =S" == str(ledger)
    assert (1, 20) == (len({id(built) for built in found}), ledger.peak)


def test_who_waits_for_a_model_that_fails_tries_for_itself() -> None:
    residency, started, go_on = Residency({"cpu": 10}), threading.Event(), threading.Event()
    fail = failing(1, ModelError("first"))

    def act() -> None:
        started.set()
        go_on.wait(5)
        fail()

    model, errors = Acting("S", 10, act), []

    def first() -> None:
        try:
            residency.load(model, "cpu")
        except ModelError as error:
            errors.append(str(error))

    thread = threading.Thread(target=first)
    thread.start()
    started.wait(5)
    threading.Timer(0.05, go_on.set).start()
    assert "S" == residency.load(model, "cpu").name
    thread.join()
    assert ["first"] == errors


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=15), st.integers(25, 60))
def test_no_plan_exceeds_the_budget_or_evicts_what_its_step_needs(steps: list[list[int]], budget: int) -> None:
    models = [Fake(f"m{number}", 3 + number) for number in range(6)]
    plan, ledger = [tuple(models[number] for number in step) for step in steps], Ledger()
    residency = Residency({"cpu": budget}, listen=ledger)
    residency.expect(plan)
    for step, needed in enumerate(plan):
        residency.reached(step)
        with residency.using(needed, "cpu") as load:
            for model in needed:
                load(model)
            assert set(needed) <= residency.resident("cpu").keys()
    assert all(move.resident <= budget for move in ledger.moves)
    built = [move.model for move in ledger.moves if move.action == "built"]
    assert sum(model.bytes for model in models) > budget or len(set(built)) == len(built)


@dataclass(frozen=True)
class Pair(Composition):
    left: Any
    right: Any

    def assemble(self, load: Load) -> Any:
        return load(self.left), load(self.right)


@dataclass(frozen=True)
class Unhashable(Fake):
    patches: Any = ()


def test_the_models_of_a_value_are_its_leaves_each_once_in_order() -> None:
    image = Image(torch.zeros(1, 3, 2, 2))
    assert (A, B, C) == models_in(Pair(Pair(A, [B, "x"]), {"k": (A, C, image), "l": 1.5}))
    assert (D,) == models_in(D)
    for value in (image, Table("t", (), ()), TextEmbedding(torch.zeros(1, 1, 1), torch.ones(1, 1)), 1, "x", None, int):
        assert () == models_in(value)


def test_models_are_found_in_shared_and_circular_values_in_no_time() -> None:
    bush: Any = A
    for _ in range(60):
        bush = Pair(bush, bush)
    loop: list[Any] = [B]
    loop.append(loop)
    assert (A, B) == models_in([bush, loop])


def test_a_model_that_cannot_be_told_from_others_is_the_plugins_fault() -> None:
    with pytest.raises(PluginError, match="Unhashable cannot be told from other models: unhashable type: 'list'"):
        Residency({"cpu": 100}).load(Unhashable("A", 10, []), "cpu")
    with pytest.raises(PluginError, match="tuples instead of lists"):
        models_in([Unhashable("A", 10, [])])


def test_computing_keeps_no_gradients_but_a_node_may() -> None:
    weight = torch.ones(2, requires_grad=True)
    with computing():
        assert not (weight * 2).requires_grad
        with torch.enable_grad():
            assert (weight * 2).requires_grad


def test_the_devices_are_named_described_and_measured() -> None:
    found = {device.name: device for device in devices()}
    assert default_device() == next(iter(found))
    assert found["cpu"].description.endswith("threads")
    assert 10**6 < found["cpu"].free < 10**14
    assert 0 < Residency().budget("cpu") < found["cpu"].free


@pytest.mark.parametrize(
    ("limit", "used", "free"), [("max", "5", 4096_000), ("1000000", "400000", 600_000), ("1", "9", 0)]
)
def test_a_container_has_no_more_memory_than_its_limit(monkeypatch: Any, limit: str, used: str, free: int) -> None:
    texts = {"memory.max": limit, "memory.current": used, "meminfo": "MemTotal: 9 kB\nMemAvailable:    4000 kB\n"}
    monkeypatch.setattr(module, "_text", lambda path: texts[Path(path).name])
    assert free == module.free_bytes("cpu")


def test_amounts_are_written_as_people_read_them() -> None:
    assert ["0 bytes", "999 bytes", "1.5 kB", "35 MB", "6.9 GB", "139 GB"] == [
        amount(size) for size in (0, 999, 1500, 35_000_000, 6_940_000_000, 139 * 10**9)
    ]


def test_importing_residency_does_not_import_torch() -> None:
    script = "import sys, nodeflow.residency; print('torch' in sys.modules)"
    paths = {"PYTHONPATH": str(Path(module.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], env=paths, capture_output=True, text=True)
    assert ("False\n", "") == (done.stdout, done.stderr)
