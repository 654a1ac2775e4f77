"""What is computed again and what is not: within a run, between runs, between processes."""

import plain_nodes
from graphs_for_tests import CATALOG, built, ended, events, finished, reused

from nodeflow.cache import Cache
from nodeflow.catalog import Catalog
from nodeflow.runner import Engine
from nodeflow.session import Permissions
from nodeflow.spec import NodeSpec

NODES = {
    "a": ("number", {"x": 1}), "b": ("add", {"a": "$a", "b": 2}), "c": ("add", {"a": "$b"}), "d": ("real",),
    "e": ("total", {"xs": ["$c", "$a"]}),
}  # fmt: skip
OUT = {"out": "e", "other": "d"}


def disk(folder):
    return Engine(cache=Cache(folder, 2**20, 2**24), device="cpu")


def test_an_identical_run_computes_nothing(calls):
    engine = Engine(device="cpu")
    first = ended(NODES, OUT, engine)
    calls.clear()
    again = ended(NODES, OUT, engine)
    assert ({}, 0, 2) == (dict(calls), again.ran, again.reused)
    assert (first.outputs, first.names) == (again.outputs, again.names)


def test_one_changed_value_runs_its_node_and_what_is_below_again():
    engine = Engine(device="cpu")
    ended(NODES, OUT, engine)
    told = events(NODES | {"b": ("add", {"a": "$a", "b": 3})}, OUT, engine)
    assert (["b", "c", "e"], ["a", "d"]) == (finished(told), sorted(reused(told)))


def test_moved_and_retitled_nodes_change_nothing():
    engine = Engine(device="cpu")
    ended(NODES, OUT, engine)
    graph = built(NODES, OUT, title="New", view={"nodes": {"a": [9, 9]}})
    assert [] == finished(engine.run(graph))


def test_a_node_of_another_id_gives_the_same_result():
    engine = Engine(device="cpu")
    ended({"a": ("number", {"x": 5})}, {"out": "a"}, engine)
    assert ["z"] == reused(events({"z": ("number", {"x": 5})}, {"other": "z"}, engine))


def names(nodes, catalog=CATALOG):
    return list(Engine(device="cpu").run(built(nodes, {"out": "a"}, catalog=catalog)))[-1].names["out"]


def test_a_default_that_is_stated_names_the_same_result():
    assert names({"a": ("number", {"x": 0})}) == names({"a": ("number",)})
    assert names({"a": ("real", {"x": 1})}) == names({"a": ("real",)}) == names({"a": ("real", {"x": 1.0})})
    assert names({"a": ("number", {"x": 1})}) != names({"a": ("number",)})
    assert names({"a": ("maybe", {"x": None})}) == names({"a": ("maybe",)})


def test_another_version_names_another_result():
    data = [spec.as_json() | {"version": 2} if spec.id == "t.number" else spec.as_json() for spec in CATALOG]
    newer = Catalog.of(*(NodeSpec.from_json(spec) for spec in data))
    assert names({"a": ("number",)}) != names({"a": ("number",)}, newer)


def test_wires_and_their_order_are_part_of_the_name():
    nodes = {"n": ("number", {"x": 1}), "m": ("number", {"x": 2})}
    one, two = ({**nodes, "a": ("total", {"xs": xs})} for xs in (["$n", "$m"], ["$m", "$n"]))
    assert names(one) != names(two)
    assert names({**nodes, "a": ("total", {"xs": ["$n", 2]})}) != names({**nodes, "a": ("total", {"xs": [2, "$n"]})})


def test_the_device_is_no_part_of_the_name():
    runs = [list(Engine(device=d).run(built(NODES, OUT)))[-1].names for d in ("cpu", "cuda:7")]
    assert runs[0] == runs[1]


def test_a_fingerprint_that_stays_hits_and_one_that_is_always_new_misses(calls, monkeypatch):
    engine = Engine(device="cpu")
    steady, new = {"a": ("content",)}, {"a": ("content", {"key": False})}
    assert [["a"], []] == [finished(events(steady, {"out": "a"}, engine)) for _ in range(2)]
    monkeypatch.setitem(plain_nodes.CONTENT, "digest", "2")
    assert ["a"] == finished(events(steady, {"out": "a"}, engine))
    assert [["a"], ["a"]] == [finished(events(new, {"out": "a"}, engine)) for _ in range(2)]


def test_another_engine_finds_the_result_on_disk(tmp_path, calls):
    nodes = {"s": ("slow", {"x": 3}), "b": ("add", {"a": "$s"})}
    assert 2 == ended(nodes, {"out": "b"}, disk(tmp_path)).ran
    last = ended(nodes, {"out": "b"}, disk(tmp_path))
    assert (1, 1, 3) == (last.ran, last.reused, last.outputs["out"])


def test_a_damaged_entry_is_computed_again(tmp_path, calls):
    nodes = {"s": ("slow", {"x": 4})}
    ended(nodes, {"out": "s"}, disk(tmp_path))
    (file,) = tmp_path.rglob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    assert {"out": 4} == ended(nodes, {"out": "s"}, disk(tmp_path)).outputs
    assert 2 == calls["slow"]


def test_a_saved_file_that_is_gone_or_changed_is_saved_again(tmp_path, calls):
    engine, allowed = Engine(device="cpu"), Permissions(tmp_path / "out")
    nodes = {"n": ("number", {"x": 6}), "s": ("save", {"x": "$n"})}
    assert [["n", "s"], []] == [finished(events(nodes, engine=engine, permissions=allowed)) for _ in range(2)]
    file = tmp_path / "out" / "x.txt"
    file.unlink()
    assert ["s"] == finished(events(nodes, engine=engine, permissions=allowed))
    file.write_text("something else")
    assert ["s"] == finished(events(nodes, engine=engine, permissions=allowed))
    assert "6" == file.read_text()


def test_another_output_folder_saves_again(tmp_path):
    engine, nodes = Engine(device="cpu"), {"s": ("save", {"x": 1})}
    for name in ("one", "two"):
        assert ["s"] == finished(events(nodes, engine=engine, permissions=Permissions(tmp_path / name)))
        assert "1" == (tmp_path / name / "x.txt").read_text()
