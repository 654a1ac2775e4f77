"""Branches that a node does not need never run, and are no part of what it computes."""

import pytest
from graphs_for_tests import ended, events, failure, finished, value

from nodeflow.events import Failed
from nodeflow.runner import Engine
from nodeflow.session import Permissions

BRANCHES = {"a": ("number", {"x": 1}), "b": ("add", {"a": 2})}


def picked(which, **more):
    return {**BRANCHES, **more, "p": ("pick", {"a": "$a", "b": "$b", "which": which})}


def test_only_the_branch_that_is_needed_runs(calls):
    assert {"a", "p"} == set(finished(events(picked("a"), {"out": "p"})))
    assert 0 == calls["add"]
    assert 2 == value(picked("b"), "p")


def test_a_wired_condition_runs_first(calls):
    assert 2 == value(picked("$m", m=("method",)) | {"p": ("pick", {"a": "$a", "b": "$b", "which": "b"})}, "p")
    nodes = {f"n{i}": ("number", {"x": i}) for i in range(4)} | {"i": ("add", {"a": 1, "b": 1})}
    told = events(nodes | {"p": ("item", {"images": [f"$n{i}" for i in range(4)], "index": "$i"})}, {"out": "p"})
    assert ["i", "n2", "p"] == finished(told)
    assert "[None, None, 2, None]" == told[-1].outputs["out"]


def test_an_unneeded_branch_that_fails_does_not_matter():
    told = events({**picked("a"), "b": ("w.boom",)}, {"out": "p"})
    assert (1, []) == (told[-1].outputs["out"], [event for event in told if isinstance(event, Failed)])


def test_a_change_in_the_unneeded_branch_computes_nothing_again(calls):
    engine = Engine(device="cpu")
    ended(picked("a"), {"out": "p"}, engine)
    calls.clear()
    again = ended({**picked("a"), "b": ("add", {"a": 9})}, {"out": "p"}, engine)
    assert ({}, 1, 0) == (dict(calls), again.reused, again.ran)


def test_lazy_nodes_within_lazy_nodes(calls):
    nodes = {**picked("b"), "q": ("pick", {"a": "$p", "b": "$c", "which": "b"}), "c": ("number", {"x": 7})}
    assert ["c", "q"] == finished(events(nodes, {"out": "q"}))
    deep = {"n0": ("number", {"x": 3})} | {f"n{i}": ("pick", {"a": f"$n{i - 1}"}) for i in range(1, 300)}
    assert 3 == value(deep, "n299")


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("unknown", "its `needs` returned 'nobody', which is no input of t.astray"),
        ("text", "its `needs` must return a collection of input names, returned a str"),
        ("none", "its `needs` must return a collection of input names, returned nothing"),
        ("raises", "ZeroDivisionError: division by zero"),
    ],
)
def test_needs_that_are_wrong_name_the_node(mode, told):
    failed = failure({"a": ("astray", {"mode": mode})}, "a")
    assert ("a", told) == (failed.node, failed.message)


def test_an_identity_that_raises_names_the_node(tmp_path):
    nodes = {"f": ("opened", {"path": str(tmp_path / "gone")}), "b": ("add", {"a": "$f"})}
    failed = failure(nodes, "b", permissions=Permissions(read=(tmp_path,)))
    assert "f" == failed.node
    assert "there is no file" in failed.message
