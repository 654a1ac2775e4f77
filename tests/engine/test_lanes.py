"""Independent nodes on several devices at once: same results, events in each node's order, ends that leave nothing."""

import threading
from collections import defaultdict
from typing import Any

import model_nodes
import pytest
from accounts import Accounts
from graphs_for_tests import built, specs
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeflow.catalog import Catalog
from nodeflow.events import Began, Ended, Failed, Finished, Made, Started
from nodeflow.residency import Residency
from nodeflow.runner import Engine
from nodeflow.session import Cancel

CATALOG = Catalog.of(*specs(model_nodes, "m"))
BOTH = "cuda:0,cuda:1"


def started(device: str = BOTH, budget: int = 1000) -> tuple[Engine, Accounts]:
    accounts = Accounts({"cuda:0": 1000, "cuda:1": 1000})
    model_nodes.MACHINE[:] = [accounts]
    residency = Residency(dict.fromkeys(accounts.capacity, budget), listen=accounts, backend=accounts)
    return Engine(residency=residency, device=device), accounts


def told(engine: Engine, nodes: Any, outputs: Any, **run: Any) -> list[Any]:
    return list(engine.run(built(nodes, outputs, CATALOG), **run))


def models(names: str) -> dict[str, Any]:
    return {f"w{name}": ("m.weights", {"name": name}) for name in names}


def test_two_branches_compute_at_the_same_time_on_two_devices() -> None:
    engine, accounts = started()
    nodes = models("AB") | {
        "a": ("m.met", {"model": "$wA", "name": "a", "other": "b"}),
        "b": ("m.met", {"model": "$wB", "name": "b", "other": "a"}),
        "end": ("m.pair", {"first": "$a", "second": "$b"}),
    }
    events = told(engine, nodes, {"out": "end"})
    found = events[-1].outputs["out"]
    assert {"cuda:0", "cuda:1"} == {part.rpartition(" ")[2] for part in found.split(", ")}
    assert ["+A", "+B"] == sorted(accounts.copies().split())


def test_each_nodes_events_come_in_their_order() -> None:
    engine, _ = started()
    nodes = models("ABC") | {f"u{name}": ("m.use", {"model": f"$w{name}"}) for name in "ABC"}
    events = told(engine, nodes, {name: f"u{name}" for name in "ABC"})
    assert isinstance(events[0], Began)
    assert isinstance(events[-1], Ended)
    by_node = defaultdict(list)
    for event in events[1:-1]:
        by_node[getattr(event, "node", None)].append(type(event).__name__)
    for name in "ABC":
        assert ["Started", "Stepped", "Stepped", "Finished"] == by_node[f"u{name}"]
    assert {"A", "B", "C"} == {event.output for event in events if isinstance(event, Made)}


def test_a_node_goes_to_the_device_that_has_its_model() -> None:
    engine, accounts = started()
    nodes = models("AB") | {
        "a": ("m.met", {"model": "$wA", "name": "a", "other": "b"}),
        "b": ("m.met", {"model": "$wB", "name": "b", "other": "a"}),
        "again": ("m.use", {"model": "$wB", "after": "$b"}),
    }
    told(engine, nodes, {"x": "a", "y": "again"})
    assert ["+A", "+B", "=B"] == sorted(accounts.told().split())


def test_a_failure_stops_what_needs_it_and_nothing_else() -> None:
    engine, _ = started()
    nodes = models("ABC") | {
        "bad": ("m.use", {"model": "$wA", "fails": "no"}),
        "below": ("m.use", {"model": "$wB", "after": "$bad"}),
        "good": ("m.use", {"model": "$wC"}),
    }
    events = told(engine, nodes, {"x": "below", "y": "good"})
    assert ["bad"] == [event.node for event in events if isinstance(event, Failed)]
    assert ({"y": "C after None"}, 1) == (events[-1].outputs, events[-1].failed)
    assert "below" not in [event.node for event in events if isinstance(event, Started)]


def test_a_lost_device_ends_the_run_when_the_other_lane_is_free() -> None:
    engine, _ = started()
    nodes = models("AB") | {
        "bad": ("m.use", {"model": "$wA", "fails": "CUDA error: GPU is lost"}),
        "next": ("m.use", {"model": "$wB", "after": "$good"}),
        "good": ("m.use", {"model": "$wB"}),
    }
    events = told(engine, nodes, {"x": "bad", "y": "next"})
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.message.startswith("the device was lost: CUDA error: GPU is lost")
    assert (False, 1) == (events[-1].cancelled, events[-1].failed)
    assert no_lane_is_left()


def no_lane_is_left() -> bool:
    for thread in threading.enumerate():
        if thread.name.startswith("nodeflow-cuda"):
            thread.join(20)
    return not any(thread.name.startswith("nodeflow-cuda") for thread in threading.enumerate())


def test_a_cancel_ends_all_lanes() -> None:
    engine, _ = started()
    cancel, seen = Cancel(), []
    nodes = models("AB") | {f"u{name}": ("m.use", {"model": f"$w{name}"}) for name in "AB"}
    for event in engine.run(built(nodes, {"a": "uA", "b": "uB"}, CATALOG), cancel=cancel):
        seen.append(event)
        if isinstance(event, Started) and event.node == "uA":
            cancel.press()
    assert seen[-1].cancelled
    assert no_lane_is_left()


def test_a_reader_who_goes_stops_all_lanes() -> None:
    engine, _ = started()
    nodes = models("AB") | {f"u{name}": ("m.use", {"model": f"$w{name}"}) for name in "AB"}
    events = engine.run(built(nodes, {"a": "uA", "b": "uB"}, CATALOG))
    for event in events:
        if isinstance(event, Started) and event.node.startswith("u"):
            break
    events.close()  # type: ignore[attr-defined]
    assert no_lane_is_left()


def test_a_model_too_large_for_every_device_is_refused_before_anything_is_loaded() -> None:
    engine, accounts = started(budget=100)
    nodes = {"wL": ("m.weights", {"name": "L", "size": 200}), "u": ("m.use", {"model": "$wL"})}
    events = told(engine, nodes, {"out": "u"})
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert ("u", "") == (failed.node, accounts.told())


@st.composite
def graphs(draw: Any) -> dict[str, Any]:
    """Uses of six models, each after an earlier one or none; some fail, some are asked for by a lazy node."""
    nodes: dict[str, Any] = models("ABCDEF")
    for at in range(draw(st.integers(1, 10))):
        earlier = [f"n{number}" for number in range(at)]
        after = draw(st.sampled_from(["", *earlier]))
        if earlier and draw(st.integers(0, 4)) == 0:
            nodes[f"n{at}"] = (
                "m.either",
                {"first": draw(st.booleans()), "a": f"${earlier[-1]}", "b": f"${earlier[0]}"},
            )
            continue
        given_ = {"model": f"$w{draw(st.sampled_from('ABCDEF'))}", "fails": draw(st.sampled_from(["", "", "", "no"]))}
        nodes[f"n{at}"] = ("m.use", given_ | ({"after": f"${after}"} if after else {}))
    return nodes


@settings(max_examples=40, deadline=None)
@given(graphs(), st.sampled_from([20, 60]))
def test_two_devices_come_to_what_one_device_comes_to(nodes: dict[str, Any], budget: int) -> None:
    ends = {name: name for name in nodes if name.startswith("n")}
    runs = {}
    for device in ("cuda:0", BOTH):
        engine, accounts = started(device, budget)
        runs[device] = told(engine, nodes, ends)
        assert all(move.resident <= budget for move in accounts.moves)
        assert max(accounts.peak("cuda:0"), accounts.peak("cuda:1")) <= budget
    one, two = runs.values()
    assert (one[-1].outputs, one[-1].names) == (two[-1].outputs, two[-1].names)
    assert nodes_of(one, Failed) == nodes_of(two, Failed)
    if not one[-1].failed:  # else two devices may have computed something, in vain, before they knew
        assert nodes_of(one, Finished) == nodes_of(two, Finished)


def nodes_of(events: list[Any], kind: type) -> list[str]:
    return sorted(event.node for event in events if isinstance(event, kind))


@pytest.mark.parametrize("device", ["cuda:0", "cuda", "cuda:0,cuda:0", "cuda, cuda:0"])
def test_one_device_named_twice_is_one(device: str) -> None:
    engine, _ = started(device)
    assert (("cuda:0",), False) == (engine.devices, engine.several)
