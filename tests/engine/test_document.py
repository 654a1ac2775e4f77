"""What a graph file says, and that reading and writing keep it."""

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nodeflow.document import (
    MIGRATIONS,
    Document,
    NodeEntry,
    Wire,
    as_input,
    parse,
    read,
    save,
    typed,
    with_values,
    write,
)
from nodeflow.errors import GraphError

CANONICAL = """{
  "nodeflow": 1,
  "title": "Text to image",
  "parameters": {"prompt": "text.prompt", "seed": "sample.seed"},
  "outputs": {"image": "decode.out"},
  "nodes": {
    "clip": {"type": "text.load_clip", "version": 1, "inputs": {"model": "shapes:clip"}},
    "text": {"type": "text.encode", "version": 1, "inputs": {"encoder": {"$from": "clip"}, "prompt": "a red circle"}},
    "sample": {
      "type": "diffusion.sample",
      "version": 2,
      "inputs": {
        "denoiser": {"$from": "guided.x"},
        "references": [{"$from": "clip"}, {"$from": "text"}],
        "steps": 25,
        "method": "ddim",
        "eta": -0.0,
        "start": 1.0
      }
    },
    "decode": {"type": "graph:decoder", "version": 1, "inputs": {}, "note": "kept"}
  },
  "graphs": {
    "decoder": {
      "parameters": {"latent": "vae.latent"},
      "outputs": {"out": "vae"},
      "nodes": {
        "vae": {"type": "codebooks.decode", "version": 1, "inputs": {}}
      }
    }
  },
  "view": {
    "nodes": {
      "clip": [0, 0],
      "sample": [200.5, -40]
    },
    "frames": [],
    "dots": {}
  },
  "licence": "CC0"
}
"""


def sampled() -> Document:
    return parse(CANONICAL)


def test_a_document_says_what_its_file_says():
    document = sampled()
    assert "Text to image" == document.title
    assert {"prompt": "text.prompt", "seed": "sample.seed"} == document.parameters
    assert {"image": "decode.out"} == document.outputs
    assert ["clip", "text", "sample", "decode"] == list(document.nodes)
    assert NodeEntry("text.load_clip", 1, {"model": "shapes:clip"}) == document.nodes["clip"]
    assert Wire("clip") == document.nodes["text"].inputs["encoder"]
    assert Wire("guided", "x") == document.nodes["sample"].inputs["denoiser"]
    assert [Wire("clip"), Wire("text")] == document.nodes["sample"].inputs["references"]
    assert {"note": "kept"} == document.nodes["decode"].extra
    assert {"out": "vae"} == document.graphs["decoder"].outputs
    assert {"nodes": {"clip": [0, 0], "sample": [200.5, -40]}, "frames": [], "dots": {}} == document.view
    assert {"licence": "CC0"} == document.extra


def test_reading_and_writing_a_canonical_file_gives_the_same_bytes():
    assert CANONICAL == write(sampled())
    assert CANONICAL == write(parse(CANONICAL.encode()))


def test_any_layout_of_the_same_graph_becomes_the_canonical_one():
    squeezed = "".join(line.strip() for line in CANONICAL.splitlines())
    assert CANONICAL == write(parse(squeezed))


def test_an_output_called_out_is_left_unsaid_in_a_wire():
    document = parse('{"nodeflow": 1, "nodes": {"a": {"type": "t", "inputs": {"x": {"$from": "b.out"}}}}}')
    assert Wire("b", "out") == document.nodes["a"].inputs["x"]
    assert '{"$from": "b"}' in write(document)


def test_all_wires_of_a_node_are_found_with_the_inputs_they_enter():
    entry = sampled().nodes["sample"]
    assert [("denoiser", Wire("guided", "x")), ("references", Wire("clip")), ("references", Wire("text"))] == list(
        entry.wires()
    )


def test_a_moved_node_is_a_diff_of_one_line():
    document = sampled()
    places = {**document.view["nodes"], "clip": [10, 20]}
    moved = write(replace(document, view={**document.view, "nodes": places}))
    changed = [line for line in moved.splitlines() if line not in CANONICAL.splitlines()]
    assert ['      "clip": [10, 20],'] == changed


def test_a_changed_value_is_a_diff_of_one_line():
    changed = write(with_values(sampled(), {"sample.steps": 30}))
    assert ['        "steps": 30,'] == [line for line in changed.splitlines() if line not in CANONICAL.splitlines()]


def test_what_is_empty_is_left_out_and_read_as_empty():
    text = '{\n  "nodeflow": 1,\n  "nodes": {}\n}\n'
    assert text == write(Document())
    assert Document() == parse(text)


@pytest.mark.parametrize(
    "literal",
    [
        "0.1",
        "-0.0",
        "0",
        "1.0",
        "1e+22",
        "1e-07",
        "12345678901234567890123",
        "true",
        "null",
        '"é\\u0001☺ \\"\\\\"',
        "[]",
        "{}",
    ],
)
def test_a_value_is_written_as_it_was(literal):
    text = f'"inputs": {{"x": {literal}}}'
    assert text in write(parse(f'{{"nodeflow": 1, "nodes": {{"a": {{"type": "t", {text}}}}}}}'))


def test_text_beyond_ascii_is_written_as_itself():
    assert '"title": "Zürich 東京 🎨"' in write(Document(title="Zürich 東京 🎨"))


def test_half_of_a_surrogate_pair_survives_though_no_file_can_hold_it_bare(tmp_path):
    document = parse('{"nodeflow": 1, "title": "\\ud83d", "nodes": {}}')
    save(document, tmp_path / "g.json")
    assert document == read(tmp_path / "g.json")


def test_a_byte_order_mark_is_read_over_and_not_written():
    assert CANONICAL == write(parse(b"\xef\xbb\xbf" + CANONICAL.encode()))
    assert CANONICAL == write(parse("\ufeff" + CANONICAL))


def test_a_node_whose_version_is_not_given_has_the_first():
    assert 1 == parse('{"nodeflow": 1, "nodes": {"a": {"type": "t"}}}').nodes["a"].version


def test_an_older_file_is_brought_to_the_present_format(monkeypatch):
    def renamed(data):
        return {"nodes": data.pop("steps"), **data}

    monkeypatch.setitem(MIGRATIONS, 0, renamed)
    inner = '"g": {"steps": {"a": {"type": "t"}}}, "h": {"nodeflow": 1, "nodes": {}}'
    old = f'{{"nodeflow": 0, "steps": {{}}, "graphs": {{{inner}}}}}'
    assert Document(graphs={"g": Document(nodes={"a": NodeEntry("t")}), "h": Document()}) == parse(old)


def test_a_graph_whole_with_its_format_may_be_put_within_another():
    document = parse('{"nodeflow": 1, "nodes": {}, "graphs": {"g": {"nodeflow": 1, "nodes": {}}}}')
    assert {"g": Document()} == document.graphs


# --- values from outside


def test_parameters_set_inputs_by_name_or_by_place():
    changed = with_values(sampled(), {"prompt": "a blue square", "sample.steps": 30, "seed": 7})
    assert "a blue square" == changed.nodes["text"].inputs["prompt"]
    assert 30 == changed.nodes["sample"].inputs["steps"]
    assert 7 == changed.nodes["sample"].inputs["seed"]
    assert "a red circle" == sampled().nodes["text"].inputs["prompt"]
    assert changed.nodes["clip"] is not None


def test_a_value_set_from_outside_replaces_a_wire():
    assert "x" == with_values(sampled(), {"text.encoder": "x"}).nodes["text"].inputs["encoder"]


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("promt", 'did you mean "prompt"?'),
        ("sampel.steps", 'did you mean "sample.steps"?'),
        ("q", "the graph's parameters are: prompt, seed"),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_nearest_name(name, cure):
    with pytest.raises(GraphError) as caught:
        with_values(sampled(), {name: 1})
    assert cure == caught.value.problems[0].cure


def test_all_wrong_values_are_told_at_once():
    with pytest.raises(GraphError) as caught:
        with_values(sampled(), {"sample.steps": float("nan"), "nothing": 1, "seed": {1, 2}})
    assert [("sample", "steps"), (None, None), ("sample", "seed")] == [(p.node, p.port) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25", 25),
        ("2.5", 2.5),
        ("true", True),
        ("null", None),
        ('"25"', "25"),
        ("[1, 2]", [1, 2]),
        ('{"$from": "a"}', {"$from": "a"}),
        ("a red circle", "a red circle"),
        ("", ""),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e999", "1e999"),
        ("[" * 100_000, "[" * 100_000),
        ("9" * 5_000, "9" * 5_000),
        ("shapes:clip", "shapes:clip"),
    ],
)
def test_what_was_typed_is_json_if_it_can_be_and_else_text(text, value):
    assert (value, type(value)) == (typed(text), type(typed(text)))


def test_wires_are_told_from_values():
    assert Wire("a", "x") == as_input({"$from": "a.x"})
    assert [Wire("a"), 3] == as_input([{"$from": "a"}, 3])
    assert {"from": "a"} == as_input({"from": "a"})


# --- files


def test_reading_editing_and_the_schema_import_no_heavy_library():
    code = """if True:
        import json, sys
        from nodeflow import diff, document, edits, schema
        print(json.dumps([name for name in ("torch", "networkx", "pydantic", "pluggy") if name in sys.modules]))"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert [] == json.loads(printed)


def test_a_saved_file_is_read_back(tmp_path):
    save(sampled(), tmp_path / "g.json")
    assert CANONICAL.encode() == (tmp_path / "g.json").read_bytes()
    assert sampled() == read(tmp_path / "g.json")


def test_saving_leaves_nothing_else_behind(tmp_path):
    save(sampled(), tmp_path / "g.json")
    save(Document(), tmp_path / "g.json")
    assert [tmp_path / "g.json"] == list(tmp_path.iterdir())


def test_saving_keeps_the_permissions_of_the_file(tmp_path):
    path = tmp_path / "g.json"
    save(Document(), path)
    path.chmod(0o640)
    save(sampled(), path)
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_permissions_that_any_new_file_has(tmp_path):
    (tmp_path / "any").touch()
    save(Document(), tmp_path / "g.json")
    assert (tmp_path / "any").stat().st_mode == (tmp_path / "g.json").stat().st_mode


def test_saving_through_a_link_replaces_what_it_leads_to(tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    save(Document(), target)
    link.symlink_to(target)
    save(sampled(), link)
    assert link.is_symlink()
    assert sampled() == read(target)


def test_a_file_with_the_longest_name_is_saved(tmp_path):
    path = tmp_path / ("g" * 250 + ".json")
    save(sampled(), path)
    assert path.is_file()


def test_a_name_without_a_folder_is_saved_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(sampled(), "g.json")
    assert sampled() == read(Path("g.json"))
