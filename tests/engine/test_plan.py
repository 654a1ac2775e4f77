"""A plan: what is known before the run, what is not, what is wrong, and who is evicted."""

import planned_nodes
import pytest
from graphs_for_tests import built, specs

from nodeflow.catalog import Catalog
from nodeflow.plan import rehearsal
from nodeflow.plan.told import Plan
from nodeflow.plan.walk import UNKNOWN, Planner

CATALOG = Catalog.of(*specs(planned_nodes, "t"))
PICTURE = 4 * 3 * 8 * 8


def planned(nodes, outputs=None, **more) -> Plan:
    outputs = {name: name for name in outputs or ()}
    return Planner(built(nodes, outputs, catalog=CATALOG), "cpu", **more).run()


def by_id(plan: Plan):
    return {node.id: node for node in plan.nodes}


def told(plan: Plan) -> list[tuple]:
    return [(problem.node, problem.port) for problem in plan.problems]


FAKE = {"p": ("picture", {"known": False})}


@pytest.fixture(autouse=True)
def nothing_read():
    planned_nodes.READ.clear()
    yield
    assert [] == planned_nodes.READ


def test_shapes_parameters_and_flops_of_a_layer_are_exact():
    plan = planned({**FAKE, "m": ("model",), "a": ("apply", {"model": "$m", "image": "$p"})}, ["a"])
    found = by_id(plan)["a"]
    assert [] == plan.problems
    assert ("Image", {"pixels": ("float32", (1, 3, 8, 8))}) == (found.outputs["out"].kind, found.outputs["out"].tensors)
    assert (64, 2 * 24 * 8 * 8) == (found.parameters, found.flops)
    assert {"cpu": 256} == found.models
    assert {"cpu": 2 * PICTURE} == found.activations
    assert {"cpu": 2 * PICTURE + 256} == found.peak


@pytest.mark.parametrize("known", [True, False])
def test_the_peak_of_a_chain_is_exact(known: bool):
    plan = planned({"p": ("picture", {"known": known}), "c": ("chain", {"image": "$p"})}, ["c"])
    assert {"cpu": 3 * PICTURE} == by_id(plan)["c"].peak


def test_a_result_that_nobody_needs_any_more_takes_nothing():
    nodes = {**FAKE, **{f"c{i}": ("chain", {"image": f"$c{i - 1}" if i else "$p"}) for i in range(5)}}
    assert {3 * PICTURE} == {node.peak["cpu"] for node in planned(nodes, ["c4"]).nodes if node.id != "p"}


def test_a_thousand_steps_are_walked_by_their_form():
    nodes = {**FAKE, "m": ("model",), "a": ("apply", {"model": "$m", "image": "$p", "times": 1000})}
    found = by_id(planned(nodes, ["a"]))["a"]
    assert 1000 * 2 * 24 * 8 * 8 == found.flops
    assert {"cpu": 3 * PICTURE + 256} == found.peak


def test_a_loop_that_takes_long_is_taken_to_go_on_as_it_did(monkeypatch):
    monkeypatch.setattr(rehearsal, "PATIENCE", -1.0)
    nodes = {**FAKE, "m": ("model",), "a": ("apply", {"model": "$m", "image": "$p", "times": 1000})}
    found = by_id(planned(nodes, ["a"]))["a"]
    assert 1000 * 2 * 24 * 8 * 8 == found.flops
    assert ["9 of 1000 steps were walked; the others are taken to be like the last of them"] == found.notes


def test_models_leave_by_their_next_use():
    nodes = {**FAKE, **{name: ("model", {"name": name}) for name in "abc"}}
    order = "abcab"
    for at, name in enumerate(order):
        nodes[f"s{at}"] = ("apply", {"model": f"${name}", "image": f"$s{at - 1}" if at else "$p"})
    plan = planned(nodes, ["s4"], vram=600)
    # in a run c takes the room of b, whose next use is farther than a's
    assert ["+a", "+b", "-b", "+c", "-c", "+b"] == [
        {"built": "+", "evicted": "-"}[move.action] + move.model for move in plan.moves
    ]
    assert "s2" == next(move.node for move in plan.moves if move.action == "evicted")
    assert max(node.models.get("cpu", 0) for node in plan.nodes) == 512


def test_a_node_whose_models_are_larger_than_the_budget_does_not_fit():
    nodes = {**FAKE, "a": ("model", {"name": "a"}), "b": ("model", {"name": "b"})}
    nodes["t"] = ("twice", {"first": "$a", "second": "$b", "image": "$p"})
    plan = planned(nodes, ["t"], vram=300)
    assert plan.refused
    assert plan.only_size
    assert not plan.fits
    assert plan.verdict().startswith("does not fit: cpu has 300 bytes")
    assert planned(nodes, ["t"], vram=2 * 10**9).fits


def test_every_mismatch_is_told_with_its_node_and_port():
    nodes = {
        **FAKE,
        "q": ("picture", {"width": 4, "known": False}),
        "m": ("model", {"width": 5}),
        "one": ("strict", {"first": "$p", "second": "$q"}),
        "two": ("apply", {"model": "$m", "image": "$p"}),
        "three": ("add", {"first": "$one", "second": "$two"}),
        "four": ("add", {"first": "$p", "second": "$q"}),
    }
    plan = planned(nodes, ["three", "four"])
    assert [("one", "second"), ("two", "image"), ("four", "second")] == told(plan)
    assert "they differ in size" == plan.problems[0].message
    assert "resize one of them" == plan.problems[0].cure
    assert "[1, 3, 8, 8]" in plan.problems[1].cure
    assert {"one": "", "two": "", "three": 'needs "one"', "four": ""} == {
        name: by_id(plan)[name].unjudged for name in ("one", "two", "three", "four")
    }
    assert ["one", "two", "four"] == [node.id for node in plan.nodes if node.faulty]
    assert plan.verdict().startswith("as far as it could be judged, fits")


def test_what_reads_pixels_is_not_known_and_the_rest_is_planned():
    nodes = {**FAKE, "b": ("brightest", {"image": "$p"}), "n": ("through_numpy", {"image": "$p"})}
    nodes |= {"w": ("painted", {"image": "$p"}), "k": ("keep", {"image": "$p"})}
    nodes |= {"s": ("add", {"first": "$p", "second": "$n"}), "c": ("chain", {"image": "$p"})}
    plan = planned(nodes, ["b", "s", "w", "c"])
    assert [] == plan.problems
    assert {"b", "n", "w", "s", "k"} == {node.id for node in plan.unknown}
    assert UNKNOWN == by_id(plan)["b"].outputs["out"]
    assert 'takes from "n", which is not known' == by_id(plan)["s"].unknown
    assert "Image" == by_id(plan)["c"].outputs["out"].kind


def test_what_follows_from_the_graph_alone_is_known():
    nodes = {"p": ("picture",), "b": ("brightest", {"image": "$p"}), "w": ("painted", {"image": "$p"})}
    assert [] == planned(nodes, ["b", "w"]).unknown


def test_a_branch_that_is_not_needed_is_not_planned():
    nodes = {**FAKE, "bad": ("strict", {"first": "$p", "second": "$q"}), "q": ("picture", {"width": 4})}
    nodes |= {"c": ("choose", {"level": 1.0, "first": "$p", "second": "$bad"})}
    assert ["p", "c"] == [node.id for node in planned(nodes, ["c"]).nodes]
    nodes |= {"l": ("brightest", {"image": "$q"}), "c": ("choose", {"level": "$l", "first": "$p", "second": "$bad"})}
    assert ["q", "l", "p", "bad", "c"] == [node.id for node in planned(nodes, ["c"]).nodes]


def test_after_a_fault_every_node_is_there_with_the_reason_why_it_could_not_be_judged():
    nodes = {
        **FAKE,
        "q": ("picture", {"width": 4}),
        "r": ("picture",),
        "s": ("picture",),
        "t": ("chain", {"image": "$s"}),
    }
    nodes |= {"bad": ("strict", {"first": "$p", "second": "$q"}), "l": ("brightest", {"image": "$bad"})}
    nodes |= {"c": ("choose", {"level": "$l", "first": "$r", "second": "$t"}), "d": ("chain", {"image": "$c"})}
    plan = planned(nodes, ["d"])
    assert nodes.keys() == by_id(plan).keys()
    assert ["bad"] == [node.id for node in plan.nodes if node.faulty]
    reasons = {"l": 'needs "bad"', "c": 'needs "l"', "d": 'needs "c"'}
    reasons |= {"r": 'only "c" needs it', "t": 'only "c" needs it', "s": 'only "t" needs it'}
    assert reasons == {node.id: node.unjudged for node in plan.nodes if node.unjudged}


def test_a_choice_that_is_not_known_counts_every_branch():
    nodes = {**FAKE, "q": ("picture", {"width": 4}), "l": ("brightest", {"image": "$p"})}
    nodes |= {"c": ("choose", {"level": "$l", "first": "$p", "second": "$q"})}
    plan = planned(nodes, ["c"])
    assert {"p", "q", "l", "c"} == by_id(plan).keys()
    assert ["l", "c"] == [node.id for node in plan.unknown]


def test_a_model_that_cannot_be_laid_out_is_not_read():
    nodes = {**FAKE, "m": ("model", {"opaque": True}), "a": ("apply", {"model": "$m", "image": "$p"})}
    assert ["a"] == [node.id for node in planned(nodes, ["a"]).unknown]


def test_only_what_a_node_needs_is_planned_until_it():
    nodes = {**FAKE, "c": ("chain", {"image": "$p"}), "d": ("chain", {"image": "$c"})}
    assert ["p", "c"] == [node.id for node in planned(nodes, ["d"], until="c").nodes]


def test_a_node_that_changes_its_input_is_told():
    plan = planned({**FAKE, "i": ("in_place", {"image": "$p"})}, ["i"])
    assert [("i", "image")] == told(plan)


def test_small_files_are_read_and_large_ones_are_not_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.txt").write_text("a")
    (tmp_path / "large.txt").write_bytes(bytes(2**20 + 1))
    nodes = {"s": ("read_file", {"path": "small.txt"}), "l": ("read_file", {"path": "large.txt"})}
    plan = planned(nodes, ["s", "l"])
    assert ["l"] == [node.id for node in plan.unknown]
    assert [("o", "path")] == told(planned({"o": ("read_file", {"path": "../outside"})}, ["o"]))
