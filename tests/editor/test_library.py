"""Own pieces: kept from a graph, put into others, renamed and removed."""

import pytest
from nodeflow_editor import library
from nodeflow_editor.chooser import Chooser
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QCursor, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from nodeflow.document import Document, NodeEntry, Wire, read
from nodeflow.errors import GraphError
from tests.editor.test_gestures import CATALOG, NONE, SHIFT, Hand, window  # noqa: F401 # the fixture

NODES = {
    "load": NodeEntry("t.load", inputs={"path": "a.png"}),
    "blur": NodeEntry("t.blur", inputs={"image": Wire("load"), "radius": 3.0}),
    "soft": NodeEntry("t.blur", inputs={"image": Wire("blur")}),
    "blend": NodeEntry("t.blend", inputs={"one": Wire("soft"), "other": Wire("blur")}),
}
PLACES = {"load": [0, 0], "blur": [280, 0], "soft": [560, 0], "blend": [840, 0]}
NOTE = {"text": "twice", "box": [280, 120, 248, 88]}


@pytest.fixture
def hand(window) -> Hand:  # noqa: F811
    return Hand(window, Document(nodes=NODES, view={"nodes": PLACES, "notes": [NOTE]}, parameters={"r": "blur.radius"}))


def chooser(window: Window) -> Chooser:  # noqa: F811
    QGuiApplication.processEvents()
    (found,) = [each for each in window.findChildren(Chooser) if each.isVisible()]
    return found


def press(window: Window, name: str) -> None:  # noqa: F811
    window.actions_table.made[name].trigger()
    QGuiApplication.processEvents()


def keep(hand: Hand, window: Window, name: str) -> None:  # noqa: F811
    hand.scene.select(["blur", "soft"], notes=[0])
    press(window, "piece.keep")
    line = chooser(window).line
    line.selectAll()
    QTest.keyClicks(line, name)
    QTest.keyClick(line, Qt.Key.Key_Return)
    QGuiApplication.processEvents()


def take(window: Window, typed: str, keys=NONE) -> None:  # noqa: F811
    press(window, "create.add")
    line = chooser(window).line
    QTest.keyClicks(line, typed)
    QTest.keyClick(line, Qt.Key.Key_Return, keys)
    QGuiApplication.processEvents()


def test_a_kept_piece_is_a_graph_file_with_what_leads_in_and_out(hand, window) -> None:  # noqa: F811
    keep(hand, window, "Soft twice")
    piece = read(library.path_of("Soft twice"))
    assert {"r": "blur.radius", "image": "blur.image"} == piece.parameters
    assert {"out": "soft", "out_2": "blur"} == piece.outputs
    assert {"nodes", "notes"} == piece.view.keys()
    assert "Soft twice" == piece.title
    assert "Soft twice" in window.statusBar().currentMessage()


def test_enter_puts_its_nodes_at_the_mouse_with_their_wires(hand, window) -> None:  # noqa: F811
    keep(hand, window, "Soft twice")
    QCursor.setPos(hand.view.viewport().mapToGlobal(hand.spot((160, 304))))
    take(window, "soft tw")
    graph = hand.model.graph
    assert Wire("blur_2") == graph.nodes["soft_2"].inputs["image"]
    assert "image" not in graph.nodes["blur_2"].inputs
    assert [160, 304] == graph.view["nodes"]["blur_2"]
    assert [160, 424] == graph.view["notes"][1]["box"][:2]
    assert ({"blur_2", "soft_2"}, {1}) == (hand.scene.selection, hand.scene.notes.selection)
    assert "Insert Soft twice" == hand.model.undo.undoText()
    hand.model.undo.undo()
    assert NODES == hand.model.graph.nodes
    assert 1 == window.settings.get("used", {})["piece:Soft twice"]


def test_shift_and_enter_put_in_one_node_that_stands_for_them(hand, window) -> None:  # noqa: F811
    keep(hand, window, "Soft twice")
    take(window, "soft tw", SHIFT)
    take(window, "soft tw", SHIFT)
    graph = hand.model.graph
    assert ["Soft_twice"] == list(graph.graphs)
    assert "graph:Soft_twice" == graph.nodes["Soft_twice"].type == graph.nodes["Soft_twice_2"].type
    face = hand.model.face("Soft_twice")
    assert {"r", "image"} == {port.name for port in face.inputs}
    assert {"out", "out_2"} == {port.name for port in face.outputs}
    hand.model.undo.undo()
    hand.model.undo.undo()
    assert {} == hand.model.graph.graphs


def test_a_piece_of_a_subgraph_brings_its_graph(hand, window) -> None:  # noqa: F811
    hand.scene.select(["blur", "soft"])
    press(window, "graph.gather")
    press(window, "piece.keep")
    assert "subgraph" == chooser(window).line.text()
    QTest.keyClick(chooser(window).line, Qt.Key.Key_Return)
    other = Hand(window, Document())
    take(window, "subgraph")
    assert ["subgraph"] == list(other.model.graph.graphs)
    assert "graph:subgraph" == other.model.graph.nodes["subgraph"].type


def test_a_damaged_piece_is_told_when_it_is_taken_and_in_nobodys_way(hand, window) -> None:  # noqa: F811
    library.folder().mkdir(parents=True)
    library.path_of("Broken").write_text("{ not a graph")
    (library.folder() / "...json").write_text("{}")
    library.path_of("Newer").write_text('{"nodeflow": 99, "nodes": {}}')
    assert ["Broken", "Newer"] == library.names()
    for name in ("Broken", "Newer"):
        take(window, name)
        assert f'the piece "{name}" was left' in window.statusBar().currentMessage()
        assert not hand.model.undo.canUndo()
    take(window, "load")
    assert "load_2" in hand.model.graph.nodes


def test_a_name_that_is_taken_replaces_and_puts_the_old_one_aside(hand, window) -> None:  # noqa: F811
    keep(hand, window, "One")
    before = library.path_of("One").read_bytes()
    keep(hand, window, "one")
    assert ["One"] == library.names()
    assert before == (library.folder() / library.GONE / "One.json").read_bytes()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "con", "a" * 65, "end.", "tab\tbed", "a:b"])
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    assert not library.is_name(name)
    with pytest.raises(GraphError, match="cannot be the name"):
        library.keep(name, Document())
    assert not library.folder().exists()


def test_a_name_that_cannot_be_is_told_while_it_is_typed(hand, window) -> None:  # noqa: F811
    keep(hand, window, "a/b")
    assert [] == library.names()
    assert library.RULE in window.statusBar().currentMessage()


def test_the_menu_of_a_piece_renames_removes_and_opens_it(hand, window) -> None:  # noqa: F811
    keep(hand, window, "One")

    def menu(title: str) -> None:
        press(window, "piece.browse")
        QTest.keyClick(chooser(window).line, Qt.Key.Key_Menu)
        QGuiApplication.processEvents()
        found = QGuiApplication.instance().activePopupWidget()
        assert isinstance(found, QMenu)
        next(action for action in found.actions() if action.text() == title).trigger()
        found.close()
        QGuiApplication.processEvents()

    menu("Rename…")
    line = chooser(window).line
    line.selectAll()
    QTest.keyClicks(line, "Two")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert ["Two"] == library.names()
    menu("Insert as a subgraph")
    assert "Two" in hand.model.graph.nodes
    menu("Open its file")
    assert library.path_of("Two") == window.page.model.file
    menu("Remove")
    assert [] == library.names()
    assert (library.folder() / library.GONE / "Two.json").is_file()
    press(window, "piece.browse")
    assert "no pieces are kept yet" in window.statusBar().currentMessage()


def test_another_pieces_name_is_not_taken_by_renaming(hand, window) -> None:  # noqa: F811
    keep(hand, window, "One")
    keep(hand, window, "Two")
    with pytest.raises(GraphError, match="already"):
        library.rename("One", "Two")
    library.rename("One", "Three")
    assert ["Three", "Two"] == library.names()


def test_a_folder_that_cannot_be_written_is_told(hand, window) -> None:  # noqa: F811
    library.folder().parent.mkdir(parents=True, exist_ok=True)
    library.folder().write_text("a file")
    keep(hand, window, "One")
    assert "see whether" in window.statusBar().currentMessage()
