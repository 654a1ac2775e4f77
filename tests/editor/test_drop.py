"""What is dropped on the window, as Qt brings it."""

import json
import struct
import zlib
from pathlib import Path

import pytest
from nodeflow_editor.bringing import spaced
from nodeflow_editor.canvas.metrics import measured
from nodeflow_editor.files import Files
from nodeflow_editor.graph_model import GraphModel
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import QLibraryInfo, QMimeData, QPointF, Qt, QUrl, QVersionNumber
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QWidget

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, save, write
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType

IMAGE = PortType("class", "nodeflow.values:Image")
CATALOG = Catalog.of(
    NodeSpec("t.load", 2, "test", "Load", "", (Port("path", PortType("str"), True, widget="file"),),
             (Port("out", IMAGE),), "m:load"),
    NodeSpec("t.model", 1, "test", "Model", "", (Port("path", PortType("str"), True, widget="file"),),
             (Port("out", PortType("str")),), "m:model"),
)  # fmt: skip
GRAPH = Document(nodes={"a": NodeEntry("t.load", 2, {"path": "a.png"})}, view={"nodes": {"a": [40, 80]}})
NONE = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    made = Window(CATALOG, Settings(tmp_path / "settings.json"))
    qtbot.addWidget(made, before_close_func=lambda window: window.guards.clear())
    made.resize(1200, 800)
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path: Path, text: bytes = b"") -> Path:
    """A picture of one pixel."""
    told = chunk(b"tEXt", text) if text else b""
    pixel = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + told + chunk(b"IDAT", zlib.compress(b"\0\0"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + pixel + chunk(b"IEND", b""))
    return path


def drop(target: QWidget, data: QMimeData, place: QPointF | None = None) -> bool:
    """Drags something over a widget and lets it go, as the window system would. Whether it was taken."""
    spot = place if place is not None else QPointF(target.rect().center())
    over = spot if QLibraryInfo.version() >= QVersionNumber(6, 12) else spot.toPoint()
    action, buttons = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    for event in (
        QDragEnterEvent(over, action, data, buttons, NONE),
        QDragMoveEvent(over, action, data, buttons, NONE),
        QDropEvent(spot, action, data, buttons, NONE),
    ):
        QApplication.sendEvent(target, event)
        if not event.isAccepted():
            return False
    QGuiApplication.processEvents()
    return True


def files(*paths: Path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def text(words: str) -> QMimeData:
    data = QMimeData()
    data.setText(words)
    return data


def test_a_graph_and_a_picture_that_carries_one_open_in_tabs(window, tmp_path) -> None:
    save(GRAPH, tmp_path / "graph.json")
    picture = png(tmp_path / "cat.png", b"nodeflow\0" + write(GRAPH).encode())
    window_page = Files.of(window).new(GRAPH)
    assert drop(window_page.view.viewport(), files(tmp_path / "graph.json", picture))
    assert ["Untitled", "graph", "cat"] == [page.name for page in window.pages()]
    assert write(GRAPH) == write(window.page.model.document)
    assert 0 == window_page.model.undo.count()


def test_an_image_dropped_on_the_canvas_becomes_a_loader_there_with_its_path_from_the_working_folder(
    window, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Document(), tmp_path / "graph.json")
    page = Files.of(window).open(tmp_path / "graph.json")
    place = QPointF(300, 200)
    inside, outside = png(tmp_path / "in" / "cat.png"), png(tmp_path.parent / f"{tmp_path.name}-out" / "dog.png")
    where = page.view.at(place)
    assert drop(page.view.viewport(), files(inside, outside), place)
    assert {"load": {"path": "in/cat.png"}, "load_2": {"path": str(outside)}} == {
        node: dict(entry.inputs) for node, entry in page.model.graph.nodes.items()
    }
    assert ("t.load", 2) == (page.model.graph.nodes["load"].type, page.model.graph.nodes["load"].version)
    x, y = page.model.graph.view["nodes"]["load"]
    assert abs(x - where.x()) <= 8
    assert abs(y - where.y()) <= 8
    assert {"load", "load_2"} == page.scene.selection
    page.model.undo.undo()
    assert {} == dict(page.model.graph.nodes)


def test_an_image_dropped_beside_the_canvas_is_told_to_carry_no_graph(window, tmp_path) -> None:
    Files.of(window).new(GRAPH)
    assert drop(window, files(png(tmp_path / "cat.png")))
    assert "carries no graph" in window.notices.named("open").text
    assert 1 == window.tabs.count()


def test_the_text_of_a_graph_becomes_nodes_where_it_was_dropped(window) -> None:
    page = Files.of(window).new(GRAPH)
    place = QPointF(400, 300)
    assert drop(page.view.viewport(), text(write(GRAPH)), place)
    x, y = page.model.graph.view["nodes"]["a_2"]
    where = page.view.at(place)
    assert abs(x - where.x()) <= 8
    assert abs(y - where.y()) <= 8


def test_text_that_is_no_graph_is_refused_while_it_is_dragged_or_told(window) -> None:
    page = Files.of(window).new(GRAPH)
    assert not drop(page.view.viewport(), text("hello"))
    assert drop(page.view.viewport(), text("{hello"))
    assert "no graph" in window.statusBar().currentMessage()
    assert ["a"] == list(page.model.graph.nodes)


def test_what_lies_elsewhere_and_folders_are_told(window, tmp_path) -> None:
    page = Files.of(window).new(GRAPH)
    data = QMimeData()
    data.setUrls([QUrl("https://example.org/cat.png")])
    assert drop(page.view.viewport(), data)
    assert "download it first" in window.statusBar().currentMessage()
    assert drop(page.view.viewport(), files(tmp_path))
    assert "a folder" in window.notices.named("open").text


def test_a_text_on_the_clipboard_becomes_nodes(window) -> None:
    page = Files.of(window).new(Document(nodes={"x": NodeEntry("t.load")}))
    QGuiApplication.clipboard().setText(write(GRAPH))
    page.view.setFocus()
    QTest.keyClick(page.view, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert {"x", "a"} == set(page.model.graph.nodes)


WORKFLOW = {
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "9": {"class_type": "SomethingNobodyHas", "inputs": {"latent": ["3", 0]}},
}


@pytest.mark.parametrize("form", ["json", "png"])
def test_another_programs_workflow_is_imported_when_asked(window, qtbot, tmp_path, form) -> None:
    path = tmp_path / f"flow.{form}"
    if form == "json":
        path.write_text(json.dumps(WORKFLOW), "utf-8")
    else:
        png(path, b"prompt\0" + json.dumps(WORKFLOW).encode())
    before = path.read_bytes()
    Files.of(window).open(path)
    bar = window.notices.named("import")
    assert "another program's workflow" in bar.text
    assert 0 == window.tabs.count()
    QTest.mouseClick(bar.findChild(QPushButton, "Import it"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.page is not None, timeout=60_000)
    assert "flow" == window.page.name
    assert window.page.changed
    assert 2 == len(window.page.model.document.nodes)
    assert "could not be turned" in window.page.bars.named("imported").text
    assert "SomethingNobodyHas" in window.page.bars.named("imported").details.toPlainText()
    assert before == path.read_bytes()


def test_of_several_workflows_all_are_imported_by_one_answer(window, qtbot, tmp_path) -> None:
    paths = [tmp_path / f"flow{number}.json" for number in range(3)]
    for path in paths:
        path.write_text(json.dumps(WORKFLOW), "utf-8")
    Files.of(window).open_all(paths)
    assert ("import",) == window.notices.names()
    bar = window.notices.named("import")
    assert all(path.name in bar.text for path in paths)
    QTest.keyClick(bar.buttons[0], Qt.Key.Key_I)
    qtbot.waitUntil(lambda: 3 == window.tabs.count(), timeout=120_000)
    assert {"flow0", "flow1", "flow2"} == {page.name for page in window.pages()}
    assert "import" not in window.statusBar().currentMessage()


def test_an_imported_graph_takes_the_empty_ones_place_and_no_node_lies_on_another(window, qtbot, tmp_path) -> None:
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(WORKFLOW), "utf-8")
    Files.of(window).new()
    Files.of(window).open(path)
    QTest.keyClick(window.notices.named("import").buttons[0], Qt.Key.Key_I)
    qtbot.waitUntil(lambda: window.page.name == "flow", timeout=60_000)
    assert 1 == window.tabs.count()
    nodes = {f"n{at}": NodeEntry("t.load") for at in range(4)}
    view = {"nodes": {"n0": [0, 0], "n1": [10, 20], "n2": [0, 30], "n3": [900, 10]}}
    inner = Document(nodes=nodes, view=view)
    made = spaced(Document(nodes=nodes, view=view, graphs={"g": inner}), CATALOG)
    for graph in (made, made.graphs["g"]):
        model = GraphModel(graph, CATALOG)
        high = measured(model.face("n0"), nodes["n0"]).height
        places = graph.view["nodes"]
        assert ([0, 0], [900, 10]) == (places["n0"], places["n3"])
        assert places["n1"][1] >= high
        assert places["n2"][1] >= places["n1"][1] + high
    assert made == spaced(made, CATALOG)


def test_a_workflow_that_cannot_be_imported_is_told_and_nothing_opens(window, qtbot, tmp_path) -> None:
    path = tmp_path / "flow.json"
    path.write_text('{"3": {"class_type": "A", "inputs": ', "utf-8")
    Files.of(window).open(path)
    QTest.keyClick(window.notices.named("import").buttons[0], Qt.Key.Key_I)
    qtbot.waitUntil(lambda: "not imported" in getattr(window.notices.named("open"), "text", ""), timeout=60_000)
    assert 0 == window.tabs.count()


def test_a_picture_with_another_programs_workflow_is_imported_or_loaded_as_wanted(window, tmp_path) -> None:
    page = Files.of(window).new(Document(nodes={"x": NodeEntry("t.load")}))
    picture = png(tmp_path / "flow.png", b"prompt\0" + json.dumps(WORKFLOW).encode())
    assert drop(page.view.viewport(), files(picture))
    bar = window.notices.named("import")
    assert ["Import it", "Load the picture", "Cancel"] == [button.objectName() for button in bar.buttons]
    QTest.keyClick(bar.buttons[0], Qt.Key.Key_L)
    assert str(picture) == page.model.graph.nodes["load"].inputs["path"]
