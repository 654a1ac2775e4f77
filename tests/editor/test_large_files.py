"""Files that are larger than any that people make, and such as only other machines can run."""

import time

import pytest
from nodeflow_editor.canvas.layout import layered
from nodeflow_editor.files import Files
from nodeflow_editor.pieces import copied, pasted
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from nodeflow.document import Document, NodeEntry, Wire, save
from tests.editor.test_files import change, press, shown, text_of, written


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    return shown(qtbot, tmp_path)


def test_nodes_of_absent_plugins_are_placeholders_and_come_back_byte_for_byte(window, tmp_path) -> None:
    nodes = {f"n{i}": NodeEntry(f"absent{i}.thing", 3, {"x": [i]}, {"own": {"deep": [None]}}) for i in range(200)}
    path = tmp_path / "absent.json"
    save(Document(nodes=nodes), path)
    before = path.read_bytes()
    page = Files.of(window).open(path)
    assert all(page.model.face(node).absent for node in nodes)
    page.model.undo.resetClean()
    press(window, Qt.Key.Key_S)
    assert before == path.read_bytes()


def test_a_prompt_of_a_megabyte_is_opened_shown_and_saved(window, tmp_path) -> None:
    file = written(tmp_path)
    Files.of(window).open(file)
    change(window, "cat \n" * 200_000)
    QGuiApplication.processEvents()
    press(window, Qt.Key.Key_S)
    assert 1_000_000 == len(text_of(file))


@pytest.mark.slow
def test_fifty_thousand_nodes_are_laid_out_and_pasted_in_seconds() -> None:
    nodes = {f"n{i}": NodeEntry("t.make", 1, {"text": Wire(f"n{i - 1}")} if i % 50 else {}) for i in range(50_000)}
    graph, began = Document(nodes=nodes), time.process_time()
    assert 50_000 == len(layered(graph, nodes, dict.fromkeys(nodes, (232.0, 200.0))))
    assert 50_000 == len(pasted(graph, copied(graph, nodes.keys()), keep=True).nodes)
    assert time.process_time() - began < 60  # some 10 s; minutes where something looks at all nodes for each


@pytest.mark.slow
def test_fifty_thousand_nodes_open_and_come_back_byte_for_byte(window, tmp_path) -> None:
    nodes = {f"n{i}": NodeEntry("t.make", 1, {"text": Wire(f"n{i - 1}")} if i % 10 else {}) for i in range(50_000)}
    places = {f"n{i}": [i % 10 * 300, i // 10 * 200] for i in range(50_000)}
    path = tmp_path / "large.json"
    save(Document(nodes=nodes, view={"nodes": places}), path)
    before = path.read_bytes()
    page = Files.of(window).open(path)
    QGuiApplication.processEvents()
    assert 50_000 == len(page.scene.nodes)
    page.model.undo.resetClean()
    press(window, Qt.Key.Key_S)
    assert before == path.read_bytes()
    assert not page.changed
