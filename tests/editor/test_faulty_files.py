"""Files that are faulty, and files that are not there yet: what becomes of them in the editor."""

from pathlib import Path

import pytest
from nodeflow_editor.closing import Closing
from nodeflow_editor.files import Files
from nodeflow_editor.session import Session
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt

from nodeflow.document import Document, parse, read, save, write
from tests.editor.test_files import GRAPH, press, shown, written


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    return shown(qtbot, tmp_path)


@pytest.fixture
def file(tmp_path) -> Path:
    return written(tmp_path)


FAULTS = {
    "a node without a type": '"nodes": {"a": {}, "b": {"type": "t.make"}}, "outputs": {"x": "a", "y": "b"}',
    "a node that is a number": '"nodes": {"a": 3, "b": {"type": "t.make", "inputs": {"text": {"$from": "a"}}}}',
    "names that none may have": '"nodes": {"a b\\n": {"type": "t.make"}, "a b": {"type": "graph:g h"},'
    ' "": {"type": "t"}}, "parameters": {"p q": "a b.text"}, "outputs": {"": "a b"}, "graphs": {"g h": {"nodes": {}}},'
    ' "view": {"nodes": {"a b": [1, 2]}}',
    "slips": '"nodes": {"a": {"type": "t.make", "inptus": {}}}, "ouputs": {}',
    "numbers that are none": '"nodes": {"a": {"type": "t.make", "inputs": {"n": NaN}, "note": [1e999]}},'
    ' "view": {"nodes": {"a": [NaN, 1]}, "zoom": -Infinity}, "more": {"deep": [{"x": NaN}]}',
    "a title that is none": '"nodes": {}, "title": 5',
    "versions and modes that are none": '"nodes": {"a": {"type": "t.make", "version": "x", "mode": "z"}}',
    "keys that stand twice": '"nodes": {"a": {"type": "t.make"}, "a": {"type": "t.make"}}, "title": "x", "title": "y"',
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_could_be_read_of_a_faulty_file_can_be_saved_copied_and_read_again(window, tmp_path, fault) -> None:
    path = tmp_path / "faulty.json"
    path.write_text(f'{{"nodeflow": 1, {FAULTS[fault]}}}', "utf-8")
    page = Files.of(window).open(path)
    assert page.faults
    document = page.model.document
    assert document == parse(write(document))  # as a backup is read, and what is copied
    page.scene.select(document.nodes)
    window.actions_table.made["edit.duplicate"].trigger()
    assert 2 * len(document.nodes) == len(page.model.document.nodes)


def test_names_that_none_may_have_become_others_and_all_that_led_there_follows(window, tmp_path) -> None:
    path = tmp_path / "faulty.json"
    path.write_text(f'{{"nodeflow": 1, {FAULTS["names that none may have"]}}}', "utf-8")
    document = Files.of(window).open(path).model.document
    assert {"a_b_": "t.make", "a_b": "graph:g_h", "value": "t"} == {
        name: entry.type for name, entry in document.nodes.items()
    }
    assert {"p_q": "a_b.text"} == document.parameters
    assert {"value": "a_b"} == document.outputs
    assert {"g_h"} == set(document.graphs)
    assert {"a_b": [1, 2]} == document.view["nodes"]


@pytest.mark.parametrize("place", ["[1e300, 0]", "[-1e9, 1e9]", f"[{'9' * 400}, 0]", "[true, 0]", '["1", 2]'])
def test_a_place_beyond_all_bounds_is_none_and_the_node_gets_one(window, tmp_path, place) -> None:
    path = tmp_path / "far.json"
    frames = f'[{{"title": "x", "box": [0, 0, {"9" * 400}, 1e300]}}]'
    path.write_text(
        f'{{"nodeflow": 1, "nodes": {{"a": {{"type": "t.make"}}, "b": {{"type": "t.make"}}}},'
        f' "view": {{"nodes": {{"a": {place}, "b": [0, 0]}}, "frames": {frames}}}}}'
    )
    page = Files.of(window).open(path)
    before = write(page.model.document)
    for name in ("view.fit", "view.full_size", "view.closer", "edit.select_all", "arrange.layout", "edit.undo"):
        window.actions_table.made[name].trigger()
        assert not window.grab().isNull()
    assert page.scene.bounds().width() < 2_000
    assert before == write(page.model.document)


# --- a graph that is not there yet


def test_a_name_that_is_not_there_yet_begins_a_graph_which_the_first_save_writes(window, tmp_path) -> None:
    file = tmp_path / "new.json"
    page = Files.of(window).begin(file)
    assert (file, False) == (page.model.file, page.changed)
    assert "new.json is a new file" in page.bars.named("new").text
    assert not file.exists()
    press(window, Qt.Key.Key_S)
    assert Document() == read(file)
    assert page.bars.named("new") is None
    assert page is Files.of(window).begin(file)


def test_a_new_graph_in_which_nothing_was_made_leaves_nothing_behind(window, tmp_path) -> None:
    Files.of(window).begin(tmp_path / "new.json")
    Session.of(window).keep()
    assert [] == window.settings.get("session", {})["tabs"]
    press(window, Qt.Key.Key_W)
    assert [] == [*window.pages()]
    assert [] == Closing.of(window).closed
    assert not (tmp_path / "new.json").exists()


def test_a_name_that_another_takes_meanwhile_is_asked_about_before_it_is_written_over(window, tmp_path) -> None:
    file = tmp_path / "new.json"
    page = Files.of(window).begin(file)
    save(GRAPH, file)
    press(window, Qt.Key.Key_S)
    assert page.bars.named("over") is not None
    assert GRAPH == read(file)


def test_a_name_nearly_right_offers_the_file_that_may_be_meant(window, tmp_path, file) -> None:
    page = Files.of(window).begin(tmp_path / "grahp.json")
    bar = page.bars.named("new")
    assert ["&Open graph.json", "&Close"] == [answer.text for answer in bar.answers]
    bar.take(bar.answers[0])
    assert [file] == [page.model.file for page in window.pages()]


@pytest.mark.parametrize(
    ("name", "said"),
    [("new.png", "no such file"), ("none/new.json", "there is no folder"), ("file/new.json", "Not a dir")],
)
def test_what_can_be_no_new_graph_is_refused(window, tmp_path, name, said) -> None:
    (tmp_path / "file").write_text("x")
    assert Files.of(window).begin(tmp_path / name) is None
    assert said in window.notices.named("open").text
    assert [] == [*window.pages()]
