"""The outline: the graph as a list, by keys, in words, for graphs of any size."""

from time import process_time

import pytest
from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.outline import Outline
from nodeflow_editor.window import Window
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from nodeflow.delta import ABSENT
from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.edits import AddNode, SetInput, SetMode
from tests.editor.test_gestures import CONTROL, SHIFT, Hand, hand, window  # noqa: F401 # fixtures

ROLE = Qt.ItemDataRole


@pytest.fixture
def outline(window: Window) -> Outline:  # noqa: F811
    found = window.docks["outline"].widget()
    assert isinstance(found, Outline)
    window.docks["outline"].show()
    window.docks["outline"].raise_()
    return found


def settled(qtbot, outline: Outline, count: int = 5) -> None:
    qtbot.waitUntil(lambda: count == outline.model.rowCount(), timeout=2_000)


def row(outline: Outline, node: str) -> QModelIndex:
    found = outline.model.row(node)
    assert found is not None
    return outline.model.index(found, 0)


def texts(outline: Outline, index: QModelIndex) -> list[str]:
    return [outline.model.data(index.siblingAtColumn(column)) for column in (0, 1)]


def test_nodes_and_their_inputs_are_listed_in_words(hand: Hand, outline: Outline, qtbot) -> None:  # noqa: F811
    settled(qtbot, outline)
    blur = row(outline, "blur")
    assert ["load", "blur", "blend", "mask", "loose (Blur)"] == [
        texts(outline, outline.model.index(at, 0))[0] for at in range(5)
    ]
    inputs = [texts(outline, outline.model.index(at, 0, blur)) for at in range(outline.model.rowCount(blur))]
    assert [["image", "from load.out"], ["radius", "1 (default)"]] == inputs
    hand.model.do(SetInput("blur", "radius", 2.5), "Set")
    assert ["radius", "2.5"] == texts(outline, outline.model.index(1, 0, blur))
    loose = row(outline, "loose")
    assert ["image", "empty, must be given"] == texts(outline, outline.model.index(0, 0, loose))


def test_a_node_that_loses_and_gets_inputs_has_them_listed_as_they_are(window: Window, outline, qtbot) -> None:  # noqa: F811
    gone = Document(nodes={"x": NodeEntry("t.gone", 1, {"one": 1, "two": 2, "three": 3})})
    hand = Hand(window, gone)  # noqa: F811
    settled(qtbot, outline, 1)
    top = row(outline, "x")
    outline.tree.expand(top)
    last = outline.model.index(2, 0, top)
    hand.model.do(SetInput("x", "three", ABSENT), "Cut")
    assert ["three", "empty"] == texts(outline, last), "what Qt may still ask for has an answer"
    outline.grab()
    qtbot.waitUntil(lambda: 2 == outline.model.rowCount(row(outline, "x")), timeout=2_000)
    hand.model.undo.undo()
    qtbot.waitUntil(lambda: 3 == outline.model.rowCount(row(outline, "x")), timeout=2_000)
    assert ["three", "3"] == texts(outline, outline.model.index(2, 0, row(outline, "x")))


def test_the_state_is_told_in_words_and_follows(hand: Hand, outline: Outline, qtbot) -> None:  # noqa: F811
    settled(qtbot, outline)
    blur = row(outline, "blur")
    look = hand.scene.look("blur")
    with qtbot.waitSignal(outline.model.dataChanged, timeout=2_000):
        look.run, look.progress = Run.RUNNING, 0.4
        hand.scene.looked("blur")
    assert "running, 40%" == texts(outline, blur)[1]
    look.run, look.faults = Run.FAILED, {"": "the picture is\nempty"}
    assert "blur, failed: the picture is empty" == outline.model.data(blur, ROLE.AccessibleTextRole)
    hand.model.do(SetMode("mask", "muted"), "Mute")
    assert "muted" == texts(outline, row(outline, "mask"))[1]


def test_nodes_that_stand_in_a_row_are_told_of_at_once(hand: Hand, outline: Outline, qtbot) -> None:  # noqa: F811
    """A run of 2,000 nodes held the window up for a third of a second."""
    settled(qtbot, outline)
    outline.tree.expand(row(outline, "blur"))
    told: list[tuple[int, int, bool]] = []
    outline.model.dataChanged.connect(lambda one, last: told.append((one.row(), last.row(), one.parent().isValid())))
    hand.scene.remarked(["blend", "load", "loose", "blur"])
    qtbot.waitUntil(lambda: bool(told), timeout=2_000)
    assert [(0, 2, False), (4, 4, False)] == told
    told.clear()
    hand.model.do(SetInput("blur", "radius", 2.5), "Set")
    qtbot.waitUntil(lambda: (0, 1, True) in told, timeout=2_000)


def test_what_is_chosen_here_is_chosen_there_and_back(hand: Hand, outline: Outline, qtbot) -> None:  # noqa: F811
    settled(qtbot, outline)
    hand.scene.select(["mask", "blend"])
    rows = {index.row() for index in outline.tree.selectionModel().selectedRows()}
    assert {2, 3} == rows
    outline.tree.setFocus()
    outline.tree.setCurrentIndex(row(outline, "load"))
    assert {"load"} == hand.scene.selection
    QTest.keyClick(outline.tree, Qt.Key.Key_Down, SHIFT)
    assert {"load", "blur"} == hand.scene.selection
    outline.tree.expand(row(outline, "blur"))
    outline.tree.setCurrentIndex(outline.model.index(0, 0, row(outline, "blur")))
    assert {"blur"} == hand.scene.selection


def test_enter_goes_to_the_node_to_what_an_input_takes_or_edits_its_value(hand: Hand, outline, qtbot) -> None:  # noqa: F811
    settled(qtbot, outline)
    hand.view.centerOn(5_000, 5_000)
    outline.tree.setFocus()
    outline.tree.setCurrentIndex(row(outline, "blend"))
    QTest.keyClick(outline.tree, Qt.Key.Key_Return)
    x, y, wide, high = hand.scene.nodes["blend"].box()
    middle = hand.view.at(hand.view.viewport().rect().center())
    assert (abs(middle.x() - x - wide / 2) < 5, abs(middle.y() - y - high / 2) < 5) == (True, True)
    blur = row(outline, "blur")
    outline.tree.expand(blur)
    outline.tree.setCurrentIndex(outline.model.index(0, 0, blur))
    QTest.keyClick(outline.tree, Qt.Key.Key_Return)
    assert {"load"} == hand.scene.selection
    outline.tree.setFocus()
    outline.tree.setCurrentIndex(outline.model.index(1, 0, blur))
    with qtbot.waitSignal(hand.view.value_wanted) as asked:
        QTest.keyClick(outline.tree, Qt.Key.Key_Return)
    assert ["blur", "radius"] == asked.args


def test_a_word_narrows_the_list_and_open_nodes_stay_open(hand: Hand, outline: Outline, qtbot) -> None:  # noqa: F811
    settled(qtbot, outline)
    outline.tree.expand(row(outline, "blur"))
    QTest.keyClicks(outline.field, "blur")
    settled(qtbot, outline, 2)
    assert outline.tree.isExpanded(row(outline, "blur"))
    outline.field.clear()
    settled(qtbot, outline)
    hand.model.do(AddNode("new", NodeEntry("t.mask")), "Add")
    settled(qtbot, outline, 6)
    assert outline.tree.isExpanded(row(outline, "blur"))
    hand.model.undo.undo()
    settled(qtbot, outline)


def test_a_key_leads_to_the_outline(hand: Hand, outline: Outline, qtbot) -> None:  # noqa: F811
    settled(qtbot, outline)
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_E, CONTROL | SHIFT)
    assert outline.tree.hasFocus()


def test_another_graph_is_listed_when_it_comes_to_the_front(hand: Hand, window: Window, outline, qtbot) -> None:  # noqa: F811
    settled(qtbot, outline)
    other = window.open_document(Document(nodes={"only": NodeEntry("t.mask")}))
    settled(qtbot, outline, 1)
    window.close_page(other)
    settled(qtbot, outline)


def test_five_thousand_nodes_are_listed_and_chosen_at_once(hand: Hand, window: Window, outline, qtbot) -> None:  # noqa: F811
    nodes = {f"n{at}": NodeEntry("t.blur", 1, {"image": Wire(f"n{at - 1}")} if at else {}) for at in range(5_000)}
    places = {node: [300 * (at % 70), 200 * (at // 70)] for at, node in enumerate(nodes)}
    page = window.open_document(Document(nodes=nodes, view={"nodes": places}))
    began = process_time()
    settled(qtbot, outline, 5_000)
    QGuiApplication.processEvents()
    listed = process_time() - began
    began = process_time()
    page.scene.select(page.scene.nodes)
    chosen = process_time() - began
    assert {5_000} == {len(outline.tree.selectionModel().selectedRows())}
    assert listed < 1.5, "some 0.15 s on a machine of 2020; the rest is for slower ones"
    assert chosen < 0.6, "some 0.03 s"
