"""Files that are no graphs, or wrong ones: refused early, wholly, and with the place and the cure."""

import errno
import json
import os
import time

import pytest

from nodeflow import document as document_file
from nodeflow import jsontext
from nodeflow.document import Document, NodeEntry, parse, read, save, write
from nodeflow.errors import GraphError, Problem


def problems(text, file="g.json"):
    with pytest.raises(GraphError) as caught:
        parse(text if isinstance(text, str | bytes) else json.dumps(text), file)
    assert all(problem.file.startswith(file) for problem in caught.value.problems)
    return caught.value.problems


def only(text):
    (problem,) = problems(text)
    return problem


def graph(nodes=None, **more):
    return {"nodeflow": 1, "nodes": nodes or {}, **more}


def with_input(literal):
    return f'{{"nodeflow": 1, "nodes": {{"a": {{"type": "t", "inputs": {{"x": {literal}}}}}}}}}'


# --- bounds


def test_a_file_of_200_mb_is_refused_unread(tmp_path):
    path = tmp_path / "g.json"
    path.touch()
    os.truncate(path, 200 * 2**20)
    start = time.process_time()
    with pytest.raises(GraphError, match="200 MB; a graph has at most 64 MB"):
        read(path)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"nodeflow":'])
def test_json_of_10_000_levels_is_refused_before_it_is_parsed(opening):
    start = time.process_time()
    assert "nested more than 64 deep" in only(opening * 10_000).message
    assert time.process_time() - start < 0.5


def test_depth_is_counted_over_the_whole_text_whatever_strings_hold():
    deep = '{"nodeflow": 1, "nodes": {}, "view": {"a": %s}}'
    fits, beyond = ("[" * n + '"]}\\\\\\"[["' + "]" * n for n in (62, 63))
    padding = '"' + "x[" * 2**20 + '", '
    assert parse(deep % fits)
    assert "nested" in only(deep % beyond).message
    assert parse(deep % f"[{padding}{fits[1:-1]}]")
    assert "nested" in only(deep % f"[{padding}{beyond[1:-1]}]").message


def test_brackets_within_strings_are_no_levels():
    assert "[" * 10_000 == parse(with_input(json.dumps("[" * 10_000))).nodes["a"].inputs["x"]


def test_too_many_nodes_are_refused(monkeypatch):
    monkeypatch.setattr(document_file, "MAX_NODES", 3)
    node = {"type": "t"}
    inner = {"nodes": {"c": node, "d": node}}
    assert "more than 3 nodes" in only(graph({"a": node, "b": node}, graphs={"g": inner})).message


def test_of_a_million_faults_a_thousand_are_told():
    found = problems(graph({f"node {n}": 0 for n in range(2_000)}))
    assert 1_001 == len(found)
    assert "and 3,000 more problems" == found[-1].message


# --- no JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("  \n", "the file is empty"),
        (b"\0\0\0", "this is not JSON, from line 1, column 1"),
        (b"\x89PNG\r\n\x1a\n", "byte 0 is not UTF-8"),
        (b"\x89" + b"[" * 100, "byte 0 is not UTF-8"),  # bytes that are no text are not judged as brackets
        ('{"nodeflow": 1}'.encode("utf-16"), "the text is UTF-16, and a graph is UTF-8"),
        ('{"nodeflow": 1}'.encode("utf-16-be"), "the text is UTF-16, and a graph is UTF-8"),
        ('\r\n{"nodeflow": 1}'.encode("utf-16-le"), "the text is UTF-16, and a graph is UTF-8"),
        ('{"nodeflow": 1}'.encode("utf-32"), "the text is UTF-32, and a graph is UTF-8"),
        ('{\n  "nodeflow": 1,\n  "nodes": {', "the text ends too early, at line 3, column 13"),
        ('{"nodeflow": 1, "title": "half', "the text ends too early, at line 1, column 26"),
        ('{"nodeflow": 1\n "nodes": {}}', "this is not JSON, from line 2, column 2"),
        ('{"nodeflow": 1, "nodes": {}} {}', "this is not JSON, from line 1, column 30: Extra data"),
        ("{'nodeflow': 1}", "this is not JSON, from line 1, column 2"),
        (with_input("9" * 5_000), "a whole number of more than 4,300 digits"),
    ],
)
def test_what_is_not_json_is_refused_with_line_and_column(text, message):
    problem = only(text)
    assert message in problem.message
    assert problem.cure


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused_by_name_and_place(literal):
    problem = only(with_input(literal))
    assert f"{literal} is no JSON number" == problem.message
    assert 'g.json: node "a", input "x"' == problem.place


def test_a_number_that_is_none_is_refused_in_the_view_too():
    assert (
        'NaN is no JSON number ("view.nodes.a.1")'
        == only('{"nodeflow":1,"nodes":{},"view":{"nodes":{"a":[0,NaN]}}}').message
    )


def test_keys_that_stand_twice_are_refused_each_at_its_place():
    found = problems(
        """{"nodeflow": 1, "title": "a", "title": "b",
        "nodes": {"a": {"type": "t", "inputs": {"x": 1, "x": 2, "y": {"k": 0, "k": 0}}}, "b": {"type": "t"}, "b": {}},
        "graphs": {"g": {"nodes": {"c": {"type": "t"}, "c": {"type": "t"}}}}, "view": {"nodes": {"a": 1, "a": 2}}}"""
    )
    assert [
        Problem('the key "title" stands twice in "the graph"', "keep one of the two", file="g.json"),
        Problem('two nodes of one id: "b"', "rename one of them", "b", file="g.json"),
        Problem("the input is given twice", "keep one of the two", "a", "x", "g.json"),
        Problem('the key "k" stands twice in "nodes.a.inputs.y"', "keep one of the two", "a", file="g.json"),
        Problem('two nodes of one id: "c"', "rename one of them", "c", file="g.json#g"),
        Problem('the key "a" stands twice in "view.nodes"', "keep one of the two", file="g.json"),
        Problem('"type" is missing', "name the node's type, such as image.load", "b", file="g.json"),
    ] == list(found)


# --- no graph


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1], "a graph is a JSON object, but this is a list"),
        (None, "a graph is a JSON object, but this is null"),
        ({}, 'it has no "nodeflow" key'),
        ({"name": "package", "version": "1.0"}, 'it has no "nodeflow" key'),
        ({"3": {"class_type": "KSampler", "inputs": {"model": ["4", 0]}}}, "looks like a ComfyUI workflow"),
        ({"last_node_id": 2, "nodes": [], "links": [], "version": 0.4}, "looks like a ComfyUI workflow"),
        ({"nodeflow": 2, "nodes": {}}, "made by a newer nodeflow"),
        ({"nodeflow": 0, "nodes": {}}, "there is no format 0"),
        ({"nodeflow": -1, "nodes": {}}, "there is no format -1"),
        ({"nodeflow": "1", "nodes": {}}, "must be the number 1, but is a text"),
        ({"nodeflow": True, "nodes": {}}, "must be the number 1, but is true or false"),
        ({"nodeflow": 1}, '"nodes" is missing'),
    ],
)
def test_what_is_no_graph_is_refused_with_what_it_is(data, message):
    assert message in only(data).message


def test_a_newer_file_asks_for_an_update():
    assert "update nodeflow" == only({"nodeflow": 9}).cure


# --- a wrong graph


def test_all_that_is_wrong_is_told_at_once_with_its_place():
    found = problems(
        graph(
            {
                "clip": 3,
                "te xt": {"type": "t"},
                "sample": {"type": "", "version": 0, "inputs": []},
                "decode": {"type": "t", "inputs": {"latent": {"$from": "a b"}, "pixels": {"deep": [{"$from": "x"}]}}},
            },
            title=5,
            parameters={"prompt": "txt.prompt", "seed": "sample", "p q": "sample.x", "n": 1},
            outputs={"image": "decod", "other": "decode."},
            view=[],
            graphs={"g": 1, "h": {"nodes": {"x": []}}, "a/b": {"nodes": {}}},
        )
    )
    assert [
        'g.json: "title" must be a text, but is a number',
        'g.json: node "clip": a node must be an object, but is a number',
        'g.json: node "te xt": "te xt" cannot be the name of a node',
        'g.json: node "sample": "type" is missing',
        'g.json: node "sample": "version" must be a whole number from 1',
        'g.json: node "sample": "inputs" must be an object, but is a list',
        (
            'g.json: node "decode", input "latent": {"$from": "a b"} is no wire: '
            'expected {"$from": "node"} or {"$from": "node.output"}'
        ),
        'g.json: node "decode", input "pixels": "$from" inside a value: a wire is a whole input, or an item of a list',
        'g.json: parameter "prompt" leads to node "txt", which is not there',
        'g.json: parameter "seed" must be "node.port", but is "sample"',
        'g.json: "p q" cannot be the name of a parameter',
        'g.json: parameter "n" must be "node.port", but is a number',
        'g.json: output "image" leads to node "decod", which is not there',
        'g.json: output "other" must be "node" or "node.port", but is "decode."',
        "g.json#g: a graph must be an object, but is a number",
        'g.json#h: node "x": a node must be an object, but is a list',
        'g.json: "a/b" cannot be the name of a graph',
        'g.json: "view" must be an object, but is a list',
    ] == [str(problem).partition("\n")[0] for problem in found]
    assert 'did you mean "decode"?' == found[12].cure


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "a" * 65, "a\n", "../x"])
def test_a_name_that_could_not_be_told_from_a_place_is_refused(name):
    assert "cannot be the name of a node" in only(graph({name: {"type": "t"}})).message


@pytest.mark.parametrize(
    "wire",
    [
        {"$from": 3},
        {"$from": "a", "x": 1},
        {"$from": ""},
        {"$from": "a."},
        {"$from": ".x"},
        {"$from": None},
        {"$from": {}},
    ],
)
def test_an_object_that_is_nearly_a_wire_is_refused(wire):
    assert "is no wire" in only(graph({"a": {"type": "t", "inputs": {"x": [1, wire]}}})).message


@pytest.mark.parametrize("key", ["$form", "$frm", "$fron", "$node", "$From"])
def test_a_misspelt_link_is_refused_with_what_is_meant(key):
    for value in ({key: "b.out"}, [1, {key: "b.out"}]):
        problem = only(graph({"a": {"type": "t", "inputs": {"x": value}}}))
        assert f'{{"{key}": "b.out"}} is no wire: did you mean {{"$from": "b.out"}}?' == problem.message
        assert 'g.json: node "a", input "x"' == problem.place
    assert "only" in only(graph({"a": {"type": "t", "inputs": {"x": {"$defs": 3}}}})).message
    assert parse(with_input('{"$schema": "s", "k": 1}'))


@pytest.mark.parametrize(
    ("key", "meant"),
    [("outptus", "outputs"), ("output", "outputs"), ("parameter", "parameters"), ("node", "nodes"), ("Nodes", "nodes"),
     ("titel", "title"), ("graph", "graphs"), ("veiw", "view"), ("views", "view")],
)  # fmt: skip
def test_a_key_that_is_nearly_one_of_a_graph_is_refused(key, meant):
    cure = f'did you mean "{meant}"?'
    assert Problem(f'there is no key "{key}"', cure, file="g.json") == only(graph({}, **{key: {}}))
    inner = {"nodes": {}, key: {}}
    assert Problem(f'there is no key "{key}"', cure, file="g.json#g") == only(graph({}, graphs={"g": inner}))


@pytest.mark.parametrize(("key", "meant"), [("input", "inputs"), ("typ", "type"), ("verison", "version")])
def test_a_key_that_is_nearly_one_of_a_node_is_refused(key, meant):
    entry = {"type": "t", key: {}} if meant != "type" else {key: "t"}
    assert Problem(f'there is no key "{key}"', f'did you mean "{meant}"?', "a", file="g.json") == only(
        graph({"a": entry})
    )


def test_a_misspelt_nodes_is_told_once():
    assert ['there is no key "node"'] == [p.message for p in problems({"nodeflow": 1, "node": {}})]


def test_other_unknown_keys_are_kept():
    more = {"notes": "x", "author": 1, "license": 2, "$schema": "s", "_title": "", "x": 0, "description": "", "é": 1}
    node = {"type": "t", "colour": 1, "note": "x", "label": "", "title": ""}
    kept = parse(json.dumps(graph({"a": node}, **more)))
    assert more == kept.extra
    assert {"colour", "note", "label", "title"} == kept.nodes["a"].extra.keys()


def test_a_byte_order_mark_is_read_and_not_written(tmp_path):
    (tmp_path / "g.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(graph({"a": {"type": "t"}})).encode())
    assert write(read(tmp_path / "g.json")).startswith('{\n  "nodeflow"')


def test_a_wire_to_a_node_that_is_not_there_is_for_the_graph_to_judge():
    assert parse(with_input('{"$from": "nowhere"}'))


# --- reading and saving


def test_a_file_that_cannot_be_read_is_a_graph_error(tmp_path):
    with pytest.raises(GraphError, match="there is no such file"):
        read(tmp_path / "absent.json")
    with pytest.raises(GraphError, match="this is a folder\n    name a file in it"):
        read(tmp_path)
    with pytest.raises(GraphError, match="this is a device, not a file"):
        read(os.devnull)
    with pytest.raises(GraphError, match="embedded null byte"):
        read("g\0.json")


def test_links_that_lead_in_a_circle_are_a_graph_error(tmp_path):
    (tmp_path / "a.json").symlink_to(tmp_path / "b.json")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")
    with pytest.raises(GraphError, match="cannot be read"):
        read(tmp_path / "a.json")
    with pytest.raises(GraphError, match="not saved"):
        save(Document(), tmp_path / "a.json")


@pytest.mark.parametrize(
    ("call", "fault", "cure"),
    [
        ("fsync", OSError(errno.ENOSPC, "No space left on device"), "make room on the disk"),
        ("replace", PermissionError(errno.EACCES, "Permission denied"), "choose a place where you may write"),
        ("open", OSError(errno.EROFS, "Read-only file system"), "name a place on a disk that may be written to"),
    ],
)
def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call, fault, cure):
    path = tmp_path / "g.json"
    save(Document(title="old"), path)

    def fail(*args):
        raise fault

    monkeypatch.setattr(jsontext.os, call, fail)
    with pytest.raises(GraphError) as caught:
        save(Document(title="new"), path)
    monkeypatch.undo()
    assert cure in caught.value.problems[0].cure
    assert str(path) == caught.value.problems[0].file
    assert "old" == read(path).title
    assert [path] == list(tmp_path.iterdir())


def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "g.json"
    save(Document(title="old"), path)

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(jsontext.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(Document(title="new"), path)
    assert ("old", [path]) == (read(path).title, list(tmp_path.iterdir()))


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "g.json"
    save(Document(title="old"), path)
    monkeypatch.setattr(jsontext.os, "access", lambda *args: False)
    with pytest.raises(GraphError, match="the file is read-only"):
        save(Document(), path)
    assert "old" == read(path).title


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for name in (path, os.devnull):
        with pytest.raises(GraphError, match=r"not saved: this is a (pipe|device), not a file.*\n    name a file"):
            save(Document(), name)
    assert path.is_fifo()
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "cure"), [("no/where/g.json", "make the folder"), (".", "name a file in it")])
def test_saving_where_no_file_can_be_says_what_to_do(tmp_path, name, cure):
    with pytest.raises(GraphError, match=cure):
        save(Document(), tmp_path / name)


def test_a_document_that_could_not_be_read_again_is_not_saved(tmp_path):
    path, deep = tmp_path / "g.json", 0
    for _ in range(70):
        deep = [deep]
    save(Document(title="old"), path)
    with pytest.raises(GraphError, match="nested more than 64 deep"):
        save(Document(view={"deep": deep}), path)
    assert "old" == read(path).title


def test_a_value_without_a_json_form_is_refused_at_its_node():
    with pytest.raises(GraphError) as caught:
        write(Document(nodes={"a": NodeEntry("t", 1, {"x": float("inf")})}))
    assert "a" == caught.value.problems[0].node
    with pytest.raises(GraphError, match='"view" cannot be written'):
        write(Document(view={"nodes": {"a": object()}}))
