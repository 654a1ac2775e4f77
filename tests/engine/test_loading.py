"""Models brought to a device beside its computing: order, peak and time, exactly, on a device that keeps accounts."""

import threading
from dataclasses import dataclass, field
from typing import Any

import model_nodes
import pytest
from accounts import PATIENCE, Accounts, Loaded, Vanishing, Weights
from graphs_for_tests import built, specs
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeflow.cache import Cache
from nodeflow.catalog import Catalog
from nodeflow.events import Ended, Failed, Finished, Started
from nodeflow.loading import Loader
from nodeflow.plan.walk import Planner
from nodeflow.residency import Residency
from nodeflow.runner import Engine
from nodeflow.session import Cancel

GPU = "cuda:0"
SAID = Vanishing.SAID.splitlines()[0]
CATALOG = Catalog.of(*specs(model_nodes, "m"))


def machine(*devices: str, room: int = 1000, rate: int = 1) -> Accounts:
    accounts = Accounts(dict.fromkeys(devices or (GPU,), room), rate)
    model_nodes.MACHINE[:] = [accounts]
    return accounts


def engine(accounts: Accounts, budget: int, *, device: str = GPU, prefetch: bool = True) -> Engine:
    residency = Residency(dict.fromkeys(accounts.capacity, budget), listen=accounts, backend=accounts)
    return Engine(residency=residency, device=device, prefetch=prefetch)


def told(made: Engine, nodes: Any, outputs: Any, **run: Any) -> list[Any]:
    return list(made.run(built(nodes, outputs, CATALOG), **run))


def chain(names: str, waits: dict[str, str], seconds: float = 10.0, **more: Any) -> tuple[Any, Any]:
    """A graph that uses the models one after the other; the use of each waits for moves that must come meanwhile."""
    nodes: dict[str, Any] = {f"w{name}": ("m.weights", {"name": name, **more.get(name, {})}) for name in names}
    for at, name in enumerate(names):
        given = {"model": f"$w{name}", "seconds": seconds, "waits": waits.get(name, "")}
        nodes[f"u{name}"] = ("m.use", given | ({"after": f"$u{names[at - 1]}"} if at else {}))
    return nodes, {"out": f"u{names[-1]}"}


@pytest.mark.parametrize(
    ("copy", "compute", "total"),
    [(10, 10.0, 10 + 3 * 10), (5, 10.0, 5 + 3 * 10), (20, 5.0, 3 * 20 + 5)],
    ids=["as long", "computing is longer", "copying is longer"],
)
def test_a_chain_takes_as_long_as_the_longer_of_copying_and_computing(copy: int, compute: float, total: float) -> None:
    accounts = machine(room=2 * copy)
    nodes, outputs = chain("ABC", {"A": "*B", "B": "-A *C"}, compute, **{name: {"size": copy} for name in "ABC"})
    events = told(engine(accounts, 2 * copy), nodes, outputs)
    assert "C after B after A after None" == events[-1].outputs["out"]
    assert "+A *B -A *C" == accounts.copies()
    assert (2 * copy, total) == (accounts.peak(GPU), accounts.seconds)


def test_without_prefetch_copying_and_computing_take_turns() -> None:
    accounts = machine(room=20)
    told(engine(accounts, 20, prefetch=False), *chain("ABC", {}))
    assert "+A +B -A +C" == accounts.told()
    assert (20, 60) == (accounts.peak(GPU), accounts.seconds)


def test_nothing_is_loaded_ahead_where_that_does_not_help(monkeypatch: Any) -> None:
    accounts = machine()
    monkeypatch.setattr(accounts, "overlaps", lambda device: False)
    told(engine(accounts, 1000), *chain("AB", {}))
    assert "+A +B" == accounts.told()


def test_a_model_behind_a_node_that_only_passes_it_on_is_seen() -> None:
    accounts = machine()
    nodes = {
        "wA": ("m.weights", {"name": "A"}),
        "wB": ("m.weights", {"name": "B"}),
        "uA": ("m.use", {"model": "$wA", "waits": "*B"}),
        "p": ("m.patched", {"model": "$wB"}),
        "uB": ("m.use", {"model": "$p", "after": "$uA"}),
    }
    nodes["both"] = ("m.use", {"model": "$wA", "after": "$uB"})
    told(engine(accounts, 1000), nodes, {"out": "both"})
    assert "+A *B =B =A" == accounts.told()


def test_what_is_needed_sooner_stays_and_no_copy_is_made_that_could_be_spared() -> None:
    accounts = machine(room=20)
    nodes, _ = chain("ABC", {"A": "*B"})
    nodes["last"] = ("m.use", {"model": "$wA", "after": "$uC"})
    told(engine(accounts, 20), nodes, {"out": "last"})
    # C waits until B has computed: to make room sooner, A would have to leave and come again
    assert accounts.told() in ("+A *B =B -B *C =C =A", "+A *B =B -B +C =A")  # who is first: the loader or the node


def test_nothing_is_loaded_for_a_branch_that_laziness_may_never_run() -> None:
    accounts = machine()
    nodes = {
        "wA": ("m.weights", {"name": "A"}),
        "wB": ("m.weights", {"name": "B"}),
        "uA": ("m.use", {"model": "$wA"}),
        "uB": ("m.use", {"model": "$wB"}),
        "choice": ("m.true", {"after": "$uA"}),
        "end": ("m.either", {"first": "$choice", "a": "$uA", "b": "$uB"}),
    }
    events = told(engine(accounts, 1000), nodes, {"out": "end"})
    assert ("A after None", "+A") == (events[-1].outputs["out"], accounts.told())


def test_nothing_is_loaded_for_a_result_that_is_remembered() -> None:
    accounts = machine()
    made = engine(accounts, 1000)
    nodes, _ = chain("AB", {})
    told(made, {name: nodes[name] for name in ("wB",)} | {"uB": ("m.use", {"model": "$wB"})}, {"out": "uB"})
    nodes["uB"] = ("m.use", {"model": "$wB"})
    made.residency.release()
    accounts.moves.clear()
    told(made, nodes, {"a": "uA", "b": "uB"})
    assert "+A" == accounts.told()


def test_a_prefetch_that_fails_is_told_at_its_node_and_not_before() -> None:
    accounts = machine()
    nodes, _ = chain("ABC", {"A": "!B"}, B={"broken": "no such tensor"})
    nodes["uC"] = ("m.use", {"model": "$wC"})
    events = told(engine(accounts, 1000), nodes, {"b": "uB", "c": "uC"})
    assert ["uA", "uB", "uC"] == [event.node for event in events if isinstance(event, Started) and event.node[0] == "u"]
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert ("uB", "RuntimeError: no such tensor") == (failed.node, failed.message)
    assert "+A" == accounts.copies()[:2]
    assert 980 == accounts.free(GPU)  # what the failed copies took was let go


@dataclass(frozen=True)
class Halting(Weights):
    """Its copy has two halves; between them it waits until it is stopped."""

    begun: threading.Event = field(default_factory=threading.Event, compare=False)
    go_on: threading.Event = field(default_factory=threading.Event, compare=False)

    def build(self, device: Any) -> Loaded:
        block = self.accounts.copy(5)
        try:
            self.begun.set()
            assert self.go_on.wait(PATIENCE)
            self.accounts.copy(5)
        finally:
            self.accounts.let_go(block)
        raise AssertionError("it was not stopped")


def test_a_cancel_ends_a_prefetch_at_its_next_operation_and_leaves_nothing_behind() -> None:
    accounts = machine()
    residency = Residency({GPU: 100}, listen=accounts, backend=accounts)
    halting = Halting("H", accounts)
    residency.expect([(Weights("A", accounts),), (halting,)])
    with residency.using((), GPU) as load:
        load(Weights("A", accounts))
        loader = Loader(residency, GPU)
        loader.follow([halting])
        assert halting.begun.wait(PATIENCE)
        threading.Thread(target=loader.stop).start()
        assert residency.changed(-1, lambda: loader._stopped.is_set()) is not None  # the stop is known
        assert loader._stopped.wait(PATIENCE)
        halting.go_on.set()
        loader.stop()
    assert ("+A", 10) == (accounts.told(), 1000 - accounts.free(GPU))
    assert "nodeflow-loader" not in [thread.name for thread in threading.enumerate()]


def test_a_cancelled_run_ends_with_its_loader() -> None:
    accounts, cancel = machine(), Cancel()
    nodes, outputs = chain("AB", {"A": "*B"})
    events = []
    for event in engine(accounts, 1000).run(built(nodes, outputs, CATALOG), cancel=cancel):
        events.append(event)
        if isinstance(event, Started) and event.node == "uA":
            cancel.press()
    assert isinstance(events[-1], Ended)
    assert events[-1].cancelled
    assert "nodeflow-loader" not in [thread.name for thread in threading.enumerate()]


def test_memory_that_runs_out_once_is_made_by_evicting_what_was_loaded_ahead() -> None:
    accounts = machine(room=25)
    nodes, outputs = chain("AB", {})
    nodes["uA"] = ("m.use", {"model": "$wA", "there": "*B", "room": 10})
    events = told(engine(accounts, 25), nodes, outputs)
    assert [] == [event for event in events if isinstance(event, Failed)]
    assert accounts.copies() in ("+A *B -A -B +A +B", "+A *B -A -B +A *B")
    assert accounts.peak(GPU) <= 25


def test_memory_that_runs_out_twice_is_an_error_with_figures() -> None:
    accounts = machine(room=25)
    nodes, outputs = chain("AB", {})
    nodes["uA"] = ("m.use", {"model": "$wA", "room": 16})
    events = told(engine(accounts, 25), nodes, outputs)
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert "uA" == failed.node
    assert "out of memory on cuda:0, even with all other models evicted" in failed.message
    assert "10 bytes of 25 bytes taken by models (A 10 bytes), 15 bytes free; 16 bytes were asked for at once" in (
        failed.message
    )
    assert "B" not in [move.model.name for move in accounts.moves if move.action == "built"]


def test_a_model_larger_than_the_budget_is_refused_before_anything_is_loaded() -> None:
    accounts = machine()
    nodes, outputs = chain("ABC", {}, C={"size": 500})
    events = told(engine(accounts, 100), nodes, outputs)
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert "uC" == failed.node
    assert "takes 500 bytes, more than the 100 bytes that models may take on cuda:0" in failed.message
    assert "" == accounts.told()
    assert [] == [event.node for event in events if isinstance(event, Finished) and event.node[0] == "u"]


def test_outputs_that_do_not_need_the_refused_model_are_computed() -> None:
    accounts = machine()
    nodes, _ = chain("AB", {}, B={"size": 500})
    nodes["uB"] = ("m.use", {"model": "$wB"})
    events = told(engine(accounts, 100), nodes, {"a": "uA", "b": "uB"})
    assert ({"a": "A after None"}, 1) == (events[-1].outputs, events[-1].failed)


def test_a_device_that_is_lost_ends_the_run_with_a_clear_error() -> None:
    accounts = machine()
    nodes, _ = chain("ABC", {"A": "*C"})
    nodes["uA"][1]["fails"] = "CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later"
    nodes["uC"] = ("m.use", {"model": "$wC"})
    events = told(engine(accounts, 1000), nodes, {"b": "uB", "c": "uC"})
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.message.startswith(
        "the device was lost: CUDA error: unspecified launch failure\n    nothing more can"
    )
    assert (1, {}, False) == (events[-1].failed, events[-1].outputs, events[-1].cancelled)
    assert "uC" not in [event.node for event in events if isinstance(event, Started)]


@pytest.mark.parametrize("device", [GPU, "cuda:0,cuda:1"])
def test_a_device_that_vanishes_at_any_moment_ends_the_run_and_leaves_nothing_waiting(device: str) -> None:
    nodes, outputs = chain("ABC", {})
    nodes["beside"] = ("m.use", {"model": "$wA"})
    for calls in range(100):
        accounts = Vanishing(dict.fromkeys(device.split(","), 20), calls)
        model_nodes.MACHINE[:] = [accounts]
        ended = list[Any]()
        running = engine(accounts, 20, device=device)
        thread = threading.Thread(
            target=lambda made=running, ended=ended: ended.append(told(made, nodes, outputs | {"beside": "beside"})),
            daemon=True,
        )
        thread.start()
        thread.join(PATIENCE)
        assert ended, f"it hangs if the device is lost after {calls} calls"
        (events,) = ended
        failed = [event.message for event in events if isinstance(event, Failed)]
        if accounts.calls >= 0:
            assert [] == failed
            break
        lost = f"the device was lost: {SAID}\n    nothing more"
        assert {True} == {message.startswith(lost) for message in failed}  # two lanes may both meet it
        assert isinstance(events[-1], Ended)
        for left in threading.enumerate():
            if left.name.startswith("nodeflow-"):
                left.join(PATIENCE)
                assert not left.is_alive(), (calls, left.name)
    assert 10 < calls < 99


def test_a_device_that_is_lost_while_room_is_made_keeps_nobody_waiting() -> None:
    """Whoever asks for the model next is told as well: its place is not taken by a building that never ends."""
    for ahead in (False, True):
        accounts = Vanishing({GPU: 20}, 10**6)
        residency = Residency({GPU: 10}, listen=accounts, backend=accounts)
        first, second = Weights("A", accounts), Weights("B", accounts)
        residency.expect([(first,), (second,)])
        with accounts.computing_on(GPU), residency.using([first], GPU) as load:
            load(first)
        if ahead:
            residency.expect([(), (second,)])
        accounts.calls = 0
        for _ in range(2):
            with pytest.raises(RuntimeError, match="unspecified launch failure"):
                residency.ahead(second, GPU, lambda: False) if ahead else residency.load(second, GPU)
        assert {} == residency.resident(GPU)


def test_what_a_lost_node_held_is_held_no_more() -> None:
    accounts = Vanishing({GPU: 20}, 10**6)
    residency = Residency({GPU: 10}, listen=accounts, backend=accounts)
    using = residency.using([], GPU)
    using.__enter__()(Weights("A", accounts))
    accounts.calls = 0
    with pytest.raises(RuntimeError, match="unspecified"):
        using.__exit__(None, None, None)
    accounts.calls = 10**6
    assert 10 == residency.release(GPU)


def walked(plan: list[tuple[Any, ...]], budget: int, *, told_of_it: bool, ahead: bool) -> Accounts:
    """A plan gone through step by step; before each one, the loader looks as often as it likes."""
    accounts = Accounts({GPU: 10**6})
    residency = Residency({GPU: budget}, listen=accounts, backend=accounts)
    loader = Loader(residency, GPU)
    models = [[Weights(name, accounts, size) for name, size in step] for step in plan]
    for at, needed in enumerate(models):
        if told_of_it:
            residency.expect([tuple(step) for step in models[at:]])
        with residency.using(needed, GPU) as load, accounts.computing_on(GPU):
            for model in needed:
                assert model.name == load(model).name
            blocks = [load(model).block for model in needed]
            if ahead:
                loader._plan = tuple(model for step in models[at + 1 :] for model in step)
                loader.look()
            assert set(needed) <= residency.resident(GPU).keys()
            accounts.compute(1, *blocks)
            del blocks
    return accounts


def loads(accounts: Accounts) -> int:
    return sum(move.action in ("built", "prefetched") for move in accounts.moves)


SIZES = dict(zip("ABCDEF", (3, 4, 5, 6, 7, 8), strict=True))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.sampled_from("ABCDEF"), max_size=3, unique=True), max_size=12), st.integers(21, 40))
def test_no_plan_exceeds_the_budget_and_every_node_finds_its_models(steps: list[list[str]], budget: int) -> None:
    plan = [tuple((name, SIZES[name]) for name in step) for step in steps]
    accounts = walked(plan, budget, told_of_it=True, ahead=True)
    assert all(move.resident <= budget for move in accounts.moves)
    assert accounts.peak(GPU) <= budget


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from("ABCDEF"), max_size=25), st.integers(1, 5))
def test_next_use_never_loads_more_often_than_least_recently_used_nor_does_loading_ahead(uses: str, room: int) -> None:
    # for models of one size: with several sizes, to find the fewest loads is a knapsack, and no order is best
    plan = [((name, 10),) for name in uses]
    recent = walked(plan, 10 * room, told_of_it=False, ahead=False)
    known = walked(plan, 10 * room, told_of_it=True, ahead=False)
    early = walked(plan, 10 * room, told_of_it=True, ahead=True)
    assert loads(early) == loads(known) <= loads(recent)
    assert early.seconds <= known.seconds


PICKY = {"p": ("m.picky",), "t": ("m.taken", {"model": "$p"})}


def refused(made: Engine) -> list[tuple[str, str | None, str]]:
    events = told(made, PICKY, {"out": "t"})
    return [(event.node, event.port, event.message) for event in events if isinstance(event, Failed)]


def test_a_model_that_the_device_cannot_run_is_refused_where_it_is_made() -> None:
    assert [("p", "only", "cpu lacks what cuda:0 has\n    take cuda:0")] == refused(Engine(device="cpu"))
    assert [] == refused(engine(machine(), 100))


def test_of_several_devices_one_must_be_able_to_run_a_model() -> None:
    assert [] == refused(engine(machine(GPU, "cuda:1"), 100, device="cuda:1,cuda:0"))
    (found,) = refused(engine(machine("cuda:1", "cuda:2"), 100, device="cuda:1,cuda:2"))
    assert ("p", "cuda:1 lacks what cuda:0 has") == (found[0], found[2].split("\n")[0])


def test_a_remembered_recipe_is_judged_as_well() -> None:
    shared = Cache(None, 2**20, 0)
    accounts = machine()
    there = Engine(cache=shared, residency=Residency({GPU: 100}, backend=accounts), device=GPU)
    (*_, ended) = told(there, {"p": PICKY["p"]}, {"out": "p"})
    assert ended.outputs["out"].only == GPU
    assert "p" == refused(Engine(cache=shared, device="cpu"))[0][0]


def test_a_plan_refuses_it_at_the_same_place() -> None:
    (problem,) = Planner(built(PICKY, {"out": "t"}, CATALOG), "cpu").run().problems
    assert ("p", "only", "cpu lacks what cuda:0 has", "take cuda:0") == (
        problem.node, problem.port, problem.message, problem.cure
    )  # fmt: skip
    at_home = PICKY | {"p": ("m.picky", {"only": "cpu"})}
    assert [] == Planner(built(at_home, {"out": "t"}, CATALOG), "cpu").run().problems
