"""Nodes that raise anything, return what they did not promise, or ask for what they may not have."""

import importlib
import signal
import sys

import pytest
from graphs_for_tests import built, ended, events, failure, value

from nodeflow.events import Ended, Failed, Finished
from nodeflow.graph import Graph, Step
from nodeflow.nodes import node, spec_of
from nodeflow.runner import Engine
from nodeflow.session import Permissions

RAISED = {
    "ValueError": "said\nin two lines",
    "SystemExit": "SystemExit: 3",
    "Strange": "Strange: odd",
    "MemoryError": "MemoryError",
    "StopIteration": "StopIteration: 1",
    "StopAsyncIteration": "StopAsyncIteration",
    "GeneratorExit": "GeneratorExit",
    "Unprintable": "Unprintable",
    "RunError": "its own",
    "RecursionError": "RecursionError: maximum recursion depth exceeded",
}


@pytest.mark.parametrize("kind", RAISED)
def test_whatever_a_node_raises_is_its_failure_and_the_engine_works_afterwards(kind):
    engine = Engine(device="cpu")
    nodes = {"a": ("w.boom", {"kind": kind}), "good": ("number", {"x": 1})}
    told = events(nodes, {"bad": "a", "good": "good"}, engine)
    assert [("a", RAISED[kind])] == [(event.node, event.message) for event in told if isinstance(event, Failed)]
    assert {"good": 1} == told[-1].outputs
    assert {"out": 2} == ended({"b": ("number", {"x": 2})}, {"out": "b"}, engine).outputs


@pytest.mark.parametrize("kind", sorted(RAISED.keys() - {"MemoryError"}))
def test_whatever_a_node_raises_in_its_own_thread_is_its_failure(kind):
    engine = Engine(device="cpu")
    told = events({"a": ("w.boom_aside", {"kind": kind})}, {"out": "a"}, engine)
    assert [("a", RAISED[kind])] == [(event.node, event.message) for event in told if isinstance(event, Failed)]
    assert {"out": 3} == ended({"b": ("loop",)}, {"out": "b"}, engine).outputs


def test_a_node_out_of_memory_is_told_with_figures():
    assert "out of memory on cpu" in failure({"a": ("w.boom_aside", {"kind": "MemoryError"})}, "a").message


def test_a_keyboard_interrupt_goes_through_and_the_engine_works_afterwards():
    engine = Engine(device="cpu")
    # tests that a shell started in the background have SIGINT ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            events({"a": ("w.boom", {"kind": "KeyboardInterrupt"})}, {"out": "a"}, engine)
    finally:
        signal.signal(signal.SIGINT, before)
    assert {"out": 2} == ended({"b": ("number", {"x": 2})}, {"out": "b"}, engine).outputs


@pytest.mark.parametrize("kind", ["boom", "boom_aside"])
def test_a_keyboard_interrupt_that_only_the_node_can_have_raised_is_its_failure(kind):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if kind == "boom" else signal.default_int_handler)
    try:
        told = failure({"a": (f"w.{kind}", {"kind": "KeyboardInterrupt"})}, "a")
    finally:
        signal.signal(signal.SIGINT, before)
    assert ("a", "KeyboardInterrupt") == (told.node, told.message)


def test_a_message_of_a_million_letters_is_cut():
    assert 10_000 == len(failure({"a": ("w.boom", {"kind": "Long"})}, "a").message)


@pytest.mark.parametrize(
    ("kind", "told"), [("text", "a str"), ("none", "nothing"), ("bool", "a bool"), ("float", "a float")]
)
def test_a_wrong_type_of_result_is_told(kind, told):
    assert f'promised int as "out", returned {told}' == failure({"a": ("w.lies", {"kind": kind})}, "a").message


def test_a_wrong_item_in_a_list_is_told():
    assert 'promised list[int] as "out", returned a list' == failure({"a": ("w.lists_lies",)}, "a").message


def test_too_few_outputs_are_told():
    message = "promised the outputs first, second, returned a tuple"
    assert message == failure({"a": ("w.too_few",)}, "a.first").message


def test_a_wired_scalar_beyond_the_limits_fails_where_it_enters():
    told = failure({"h": ("w.huge",), "a": ("limited", {"x": "$h"})}, "a")
    assert ("a", "x", 'expected at most 10, found 11, from "h"') == (told.node, told.port, told.message)


def test_a_wired_scalar_beyond_the_limits_of_a_union_fails_too():
    assert "y" == failure({"n": ("number", {"x": 4}), "a": ("limited", {"y": "$n"})}, "a").port


def test_a_wired_number_that_is_none_is_refused():
    assert "expected float, found NaN" in failure({"n": ("w.nan",), "s": ("spread", {"xs": "$n"})}, "s").message


def test_an_int_wired_into_a_float_arrives_as_a_float():
    assert "[3.0]" == value({"n": ("number", {"x": 3}), "s": ("spread", {"xs": "$n"})}, "s")
    assert "[3.0, 4.0]" == value({"n": ("number", {"x": 3}), "s": ("spread", {"xs": ["$n", 4]})}, "s")
    assert "[0.0, 1.0]" == value({"n": ("listed", {"n": 2}), "s": ("spread", {"xs": "$n"})}, "s")


def test_literals_beside_wires_in_a_list_become_what_the_annotation_says():
    nodes = {"t": ("text", {"value": "b"}), "p": ("places", {"xs": ["a", "$t"]})}
    assert "['PosixPath', 'PosixPath']" == value(nodes, "p").replace("WindowsPath", "PosixPath")


def test_one_value_enters_a_list_and_the_order_of_many_is_kept():
    assert 5 == value({"n": ("number", {"x": 5}), "t": ("total", {"xs": "$n"})}, "t")
    nodes = {f"n{i}": ("real", {"x": i}) for i in range(5)}
    nodes["s"] = ("spread", {"xs": ["$n3", 9.5, "$n0", "$n4", "$n0"]})
    assert "[3.0, 9.5, 0.0, 4.0, 0.0]" == value(nodes, "s")


def test_values_arrive_as_their_annotations_say():
    nodes = {"k": ("kinds", {"side": "right", "shape": {"width": 3}, "path": "a/b", "x": "1.5"})}
    said = value(nodes, "k").replace("Windows", "Posix")
    assert "<Side.RIGHT: 'right'> Shape(width=3, name='square') PosixPath('a/b') PosixPath('1.5')" == said
    assert value({"k": ("kinds", {"x": 2})}, "k").endswith(" 2.0")


def test_an_enum_goes_over_a_wire():
    assert value({"s": ("sided", {"left": False}), "k": ("kinds", {"side": "$s"})}, "k").startswith("<Side.RIGHT")
    assert "str right" == value({"s": ("sided", {"left": False}), "t": ("text", {"value": "$s"})}, "t")


def test_none_goes_over_a_wire():
    assert value({"m": ("maybe",), "n": ("maybe", {"x": "$m"})}, "n") is None
    assert value({"m": ("maybe", {"x": None})}, "m") is None


def test_what_a_node_does_to_its_list_does_not_reach_others():
    nodes = {"l": ("listed",), "s": ("spoil", {"xs": "$l"}), "t": ("total", {"xs": "$l", "bias": "$s"})}
    assert 3 + 4 == value(nodes, "t")


def test_reading_stays_within_the_folders_that_were_allowed(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "secret.txt"
    inside.mkdir()
    outside.write_text("secret")
    (inside / "a.txt").write_text("a")
    (inside / "link.txt").symlink_to(outside)
    allowed = Permissions(tmp_path / "out", (inside,))
    assert "a" == value({"r": ("reads", {"path": str(inside / "a.txt")})}, "r", permissions=allowed)
    for path in (outside, inside / ".." / "secret.txt", inside / "link.txt", "/etc/passwd"):
        told = failure({"r": ("reads", {"path": str(path)})}, "r", permissions=allowed)
        link = f" is a link to {outside}, which" if "link.txt" in str(path) else ""
        assert (
            f'"{path}"{link} lies outside the folders that a graph may read ({inside})' == told.message.split("\n")[0]
        )
        assert "path" == told.port
    assert "embedded null" in failure({"r": ("reads", {"path": "a\0b"})}, "r", permissions=allowed).message


def test_writing_stays_below_the_output_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "link").symlink_to(tmp_path)
    allowed = Permissions(out, ())
    assert str(out / "new" / "a.txt") == value({"w": ("writes", {"name": "new/a.txt"})}, "w", permissions=allowed)
    assert (out / "new").is_dir()
    for name in ("../a", "link/a", "/tmp/a", ".", "", "a/../../b"):
        told = failure({"w": ("writes", {"name": name})}, "w", permissions=allowed)
        assert "leads out of the output folder" in told.message
    assert ["out"] == [path.name for path in tmp_path.iterdir()]


def test_a_function_that_is_gone_since_the_catalog_was_made_is_told():
    @node(category="x")
    def local(x: int = 0) -> int:
        """Cannot be imported by name."""
        return x

    spec = spec_of(local, "x")
    told = list(Engine(device="cpu").run(Graph({"a": Step("a", spec, {})}, {"out": ("a", "out")})))
    assert "x.local cannot be imported from" in next(e for e in told if isinstance(e, Failed)).message
    assert isinstance(told[-1], Ended)


def test_what_a_plugin_takes_to_be_imported_is_not_its_nodes_time(tmp_path, monkeypatch):
    lines = ["import time", "from nodeflow import node", "time.sleep(0.5)", "@node(category='x')",
             "def quick() -> int:", "    'Give 1.'", "    return 1"]  # fmt: skip
    (tmp_path / "slow_to_import.py").write_text("\n".join(lines), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    spec = spec_of(importlib.import_module("slow_to_import").quick, "x")
    monkeypatch.delitem(sys.modules, "slow_to_import")
    told = list(Engine(device="cpu").run(Graph({"a": Step("a", spec, {})}, {"out": ("a", "out")})))
    assert next(event for event in told if isinstance(event, Finished)).seconds < 0.4
    assert told[-1].seconds >= 0.5


def test_a_report_of_a_fast_loop_is_throttled():
    told = list(Engine(device="cpu").run(built({"a": ("loop", {"steps": 20_000})}, {"out": "a"})))
    steps = [event for event in told if type(event).__name__ == "Stepped"]
    assert (0, 20_000) == (steps[0].step, steps[-1].step)
    assert len(steps) <= 3 + told[-1].seconds / 0.05
