"""Inputs belong to the engine: who writes to one fails by name, and nobody else gets what it left behind."""

import pytest
import torch
import touching_nodes
from graphs_for_tests import document, specs

from nodeflow.cache import Cache
from nodeflow.catalog import Catalog
from nodeflow.contents import measured
from nodeflow.events import Ended, Failed, Finished, Stepped
from nodeflow.graph import build
from nodeflow.runner import Engine
from nodeflow.session import Cancel

CATALOG = Catalog.of(*specs(touching_nodes, "p"))
CHANGED = 'changed its input "{}" in place\n    work on a copy, such as image.pixels.clone()'


@pytest.fixture(autouse=True)
def calls():
    touching_nodes.CALLS.clear()
    return touching_nodes.CALLS


def run(engine, nodes, outputs, **how):
    return list(engine.run(build(document(nodes, outputs), CATALOG), **how))


def failures(told):
    return [(event.node, event.message) for event in told if isinstance(event, Failed)]


def outputs(told):
    assert isinstance(told[-1], Ended)
    return told[-1].outputs


@pytest.mark.parametrize("how", ["zero", "view", "inference"])
@pytest.mark.parametrize("source", ["grey", "both", "inferred"])
def test_a_node_that_writes_to_its_input_fails_and_the_input_is_computed_again_for_others(how, source):
    engine = Engine(device="cpu")
    wire = "$a.image" if source == "both" else "$a"
    nodes = {"a": (f"p.{source}",), "bad": ("p.darken", {"image": wire, "how": how}), "m": ("p.mean", {"image": wire})}
    told = run(engine, nodes, {"bad": "bad", "m": "m"})
    assert [("bad", CHANGED.format("image"))] == failures(told)
    assert {"m": 0.5} == outputs(told)
    assert {"m": 0.5} == outputs(run(engine, {k: nodes[k] for k in "am"}, {"m": "m"}))


def test_an_output_that_was_computed_before_it_was_written_to_is_computed_again(calls):
    nodes = {"a": ("p.grey",), "same": ("p.passed", {"image": "$a"}), "bad": ("p.darken", {"image": "$same"})}
    told = run(Engine(device="cpu"), nodes, {"a": "a", "same": "same", "bad": "bad"})
    assert ["bad"] == [node for node, _ in failures(told)]
    assert [0.5, 0.5] == [float(outputs(told)[name].pixels.mean()) for name in ("a", "same")]
    assert 2 == calls["grey"]


def test_what_a_later_run_finds_is_whole_in_memory_and_on_disk(tmp_path):
    nodes = {"a": ("p.grey",), "bad": ("p.darken", {"image": "$a"})}
    engine = Engine(cache=Cache(tmp_path, 2**20, 2**20), device="cpu")
    run(engine, nodes, {"bad": "bad"})
    for later in (engine, Engine(cache=Cache(tmp_path, 2**20, 2**20), device="cpu")):
        told = run(later, {"other": ("p.grey",), "m": ("p.mean", {"image": "$other"})}, {"m": "m"})
        assert {"m": 0.5} == outputs(told)


def test_the_input_is_named_within_lists_too():
    nodes = {"a": ("p.grey",), "b": ("p.grey", {"level": 0.1}), "bad": ("p.darken_many", {"images": ["$a", "$b"]})}
    told = run(Engine(device="cpu"), nodes, {"bad": "bad", "a": "a"})
    assert [("bad", CHANGED.format("images"))] == failures(told)


def test_a_node_that_writes_and_then_raises_says_its_own_error_and_leaves_nothing_damaged():
    engine = Engine(device="cpu")
    nodes = {"a": ("p.grey",), "bad": ("p.darken", {"image": "$a", "how": "raise"}), "m": ("p.mean", {"image": "$a"})}
    told = run(engine, nodes, {"bad": "bad", "m": "m"})
    assert [("bad", "and fails")] == failures(told)
    assert {"m": 0.5} == outputs(told)


def test_a_cancelled_node_leaves_nothing_damaged():
    engine, cancel = Engine(device="cpu"), Cancel()
    graph = build(document({"a": ("p.grey",), "bad": ("p.darken_slowly", {"image": "$a"})}, {"x": "bad"}), CATALOG)
    for event in engine.run(graph, cancel=cancel):
        if isinstance(event, Stepped) and event.step:
            cancel.press()
    assert {"m": 0.5} == outputs(run(engine, {"a": ("p.grey",), "m": ("p.mean", {"image": "$a"})}, {"m": "m"}))


def test_a_node_that_writes_to_what_it_gave_before_is_found_out():
    engine = Engine(device="cpu")
    nodes = {"a": ("p.buffered",), "b": ("p.buffered", {"level": 0.25}), "m": ("p.mean", {"image": "$a"})}
    nodes["m"][1]["spare"] = ["$b"]
    ((node, message),) = failures(run(engine, nodes, {"m": "m"}))
    assert ("m", True) == (node, message.startswith('its input "image" was written to after it had been given'))
    told = run(engine, {"a": ("p.buffered",), "n": ("p.mean", {"image": "$a"})}, {"n": "n"})
    assert {"n": 0.5} == outputs(told)


def test_a_long_chain_above_a_damaged_result_is_taken_from_the_cache(calls):
    nodes = {"a": ("p.grey",), "n1": ("p.darken", {"image": "$a", "how": "none"})}
    nodes |= {
        "m": ("p.mean", {"image": "$a"}),
        "bad": ("p.darken", {"image": "$n1"}),
        "e": ("p.mean", {"image": "$n1"}),
    }
    told = run(Engine(device="cpu"), nodes, {"m": "m", "bad": "bad", "e": "e"})
    assert {"m": 0.5, "e": 0.5} == outputs(told)
    assert ["a", "m", "n1", "a", "n1", "e"] == [event.node for event in told if isinstance(event, Finished)]


def test_a_tensor_of_inference_mode_that_cannot_be_made_ordinary_is_refused():
    import weakref

    with torch.inference_mode():
        tensor = torch.ones(2)
    held = weakref.ref(tensor)
    with pytest.raises(ValueError, match="in use elsewhere"):
        measured((tensor,))
    assert held() is tensor


def test_an_entry_in_memory_that_was_written_to_is_a_miss():
    cache, tensor = Cache(None, 2**20, 0), torch.ones(2)
    cache.put("0" * 32, (tensor,), 0)
    cache.put("1" * 32, (torch.ones(2), 3), 0)
    tensor[0] = 5
    cache.sift()
    assert 1 == cache.stats().entries
    cache.put("0" * 32, (tensor,), 0)
    tensor[0] = 6
    assert cache.get("0" * 32) is None
