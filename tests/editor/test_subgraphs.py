"""Graphs within graphs in the window: made, entered, left, named, their ports exposed."""

from pathlib import Path

import pytest
from nodeflow_editor.commands.graphs import at_port
from nodeflow_editor.graph_dock import GraphDock
from nodeflow_editor.window import Window
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QLineEdit

from nodeflow.delta import ABSENT
from nodeflow.document import Document, NodeEntry, Wire, save, write
from nodeflow.edits import SetInput, SetOutput
from tests.editor.test_gestures import CONTROL, NONE, SHIFT, Hand, hand, window  # noqa: F401 # fixtures

ALT = Qt.KeyboardModifier.AltModifier


@pytest.fixture
def dock(window: Window) -> GraphDock:  # noqa: F811
    found = window.docks["graph"].widget()
    assert isinstance(found, GraphDock)
    window.docks["graph"].show()
    window.docks["graph"].raise_()
    return found


def gathered(hand: Hand, *nodes: str) -> None:  # noqa: F811
    hand.scene.select(nodes)
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_G, CONTROL | SHIFT)


def test_ctrl_shift_g_makes_a_subgraph_and_one_undo_takes_it_back(hand: Hand) -> None:  # noqa: F811
    before = write(hand.model.document)
    gathered(hand, "blur", "blend")
    assert {"subgraph"} == hand.scene.selection
    assert ["image"] == [port.name for port in hand.model.face("subgraph").inputs]
    assert Wire("load") == hand.inputs("subgraph")["image"]
    assert 1 == hand.model.undo.count()
    hand.model.undo.undo()
    assert before == write(hand.model.document)


def test_a_choice_that_cannot_be_a_subgraph_is_told_and_changes_nothing(hand: Hand, window: Window) -> None:  # noqa: F811
    gathered(hand, "load", "blend")
    assert 'through "blur"' in window.statusBar().currentMessage()
    assert 0 == hand.model.undo.count()


def test_a_double_click_enters_and_alt_up_leaves_to_the_same_place(hand: Hand) -> None:  # noqa: F811
    gathered(hand, "blur", "blend")
    crumbs = hand.page.crumbs
    assert not crumbs.isVisible()
    hand.view.zoom(0.9)
    before = hand.view.at(QPointF(hand.view.viewport().rect().center()))
    QTest.mouseDClick(hand.view.viewport(), Qt.MouseButton.LeftButton, NONE, hand.spot(hand.title("subgraph")))
    assert ("subgraph",) == hand.model.level
    assert {"blur", "blend"} == hand.scene.nodes.keys()
    assert crumbs.isVisible()
    assert ["Graph", "subgraph"] == [button.text() for button in crumbs.buttons]
    QTest.keyClick(hand.view, Qt.Key.Key_Up, ALT)
    assert () == hand.model.level
    assert {"subgraph"} == hand.scene.selection
    after = hand.view.at(QPointF(hand.view.viewport().rect().center()))
    assert 0.9 == pytest.approx(hand.view.scale_now)
    assert (before - after).manhattanLength() < 4


def test_a_crumb_leads_back_over_several_graphs(hand: Hand) -> None:  # noqa: F811
    gathered(hand, "blur", "blend")
    QTest.keyClick(hand.view, Qt.Key.Key_Down, ALT)
    gathered(hand, "blend")
    QTest.keyClick(hand.view, Qt.Key.Key_Down, ALT)
    assert ("subgraph", "subgraph") == hand.model.level
    QTest.mouseClick(hand.page.crumbs.buttons[0], Qt.MouseButton.LeftButton)
    assert () == hand.model.level


def test_undo_of_an_edit_within_leads_back_in(hand: Hand) -> None:  # noqa: F811
    gathered(hand, "blur", "blend")
    hand.model.enter(("subgraph",))
    hand.scene.select(["blend"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Delete)
    QTest.keyClick(hand.view, Qt.Key.Key_Up, ALT)
    hand.model.undo.undo()
    assert ("subgraph",) == hand.model.level
    assert hand.page.crumbs.isVisible()
    hand.model.undo.undo()
    assert () == hand.model.level
    assert not hand.page.crumbs.isVisible()


def test_a_graph_of_a_file_opens_in_a_tab_of_its_own_once(hand: Hand, window: Window, tmp_path: Path) -> None:  # noqa: F811
    save(Document("Inner", outputs={"out": "load"}, nodes={"load": NodeEntry("t.load")}), tmp_path / "inner.json")
    outer = Hand(window, Document(nodes={"g": NodeEntry("graph:inner.json"), "h": NodeEntry("graph:none.json")}))
    outer.model.file = tmp_path / "outer.json"
    outer.scene.select(["g"])
    for _ in range(2):
        window.tabs.setCurrentWidget(outer.page)
        window.actions_table.made["graph.enter"].trigger()
        assert window.page is not None
        assert tmp_path / "inner.json" == window.page.model.file
    assert 3 == window.tabs.count()
    window.tabs.setCurrentWidget(outer.page)
    outer.scene.select(["h"])
    window.actions_table.made["graph.enter"].trigger()
    assert 3 == window.tabs.count()
    assert any("none.json" in label.text() for label in window.notices.findChildren(QLabel))


def test_dissolving_gives_the_nodes_back_chosen(hand: Hand) -> None:  # noqa: F811
    before = dict(hand.model.graph.nodes)
    gathered(hand, "blur", "blend")
    QTest.keyClick(hand.view, Qt.Key.Key_G, CONTROL | ALT)
    assert before == dict(hand.model.graph.nodes)
    assert {"blur", "blend"} == hand.scene.selection
    assert [304, 0] == hand.model.graph.view["nodes"]["blur"]


def test_shift_f2_renames_the_graph_of_a_node(hand: Hand) -> None:  # noqa: F811
    gathered(hand, "blur", "blend")
    QTest.keyClick(hand.view, Qt.Key.Key_F2, SHIFT)
    (field,) = [line for line in hand.view.viewport().findChildren(QLineEdit) if line.isVisible()]
    QTest.keyClicks(field, "soft edges")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert ["soft_edges"] == list(hand.model.document.graphs)
    assert "graph:soft_edges" == hand.model.graph.nodes["subgraph"].type


def test_the_menu_of_a_port_exposes_it(hand: Hand, window: Window) -> None:  # noqa: F811
    for port in ("blur.radius", "blend.out"):
        (offer,) = at_port(window, hand.page, QPointF(*hand.port(port)))
        offer.trigger()
    assert {"radius": "blur.radius"} == dict(hand.model.graph.parameters)
    assert {"blend": "blend"} == dict(hand.model.graph.outputs)
    (offer,) = at_port(window, hand.page, QPointF(*hand.port("blur.radius")))
    offer.trigger()
    assert "already" in window.statusBar().currentMessage()
    assert 2 == hand.model.undo.count()


def test_the_dock_names_orders_and_removes_ports_and_users_follow(hand: Hand, dock: GraphDock) -> None:  # noqa: F811
    gathered(hand, "blur", "blend")
    hand.model.enter(("subgraph",))
    hand.scene.select(["blend"])
    menu = dock.offered("parameter")
    assert ["blend.one", "blend.other"] == [action.text() for action in menu.actions()]
    menu.actions()[1].trigger()
    assert ["image", "other"] == dock.parameters.names
    dock.parameters.choose("other")
    QTest.mouseClick(dock.parameters.up, Qt.MouseButton.LeftButton)
    assert ["other", "image"] == list(hand.model.graph.parameters)
    item = dock.parameters.tree.topLevelItem(1)
    assert item is not None
    item.setText(0, "picture")
    assert {"picture": Wire("load")} == dict(hand.model.document.nodes["subgraph"].inputs)
    assert ("subgraph",) == hand.model.level
    dock.parameters.choose("picture")
    dock.parameters.tree.setFocus()
    QTest.keyClick(dock.parameters.tree, Qt.Key.Key_Delete)
    assert {} == dict(hand.model.document.nodes["subgraph"].inputs)
    for _ in range(4):
        hand.model.undo.undo()
    assert ["image"] == dock.parameters.names
    assert {"image": Wire("load")} == dict(hand.model.document.nodes["subgraph"].inputs)


def test_a_name_that_is_taken_gives_way_to_the_one_before(hand: Hand, dock: GraphDock, window: Window) -> None:  # noqa: F811
    hand.scene.select(["blur"])
    for number in range(2):
        dock.offered("parameter").actions()[0].trigger()
        assert number + 1 == len(dock.parameters.names)
    item = dock.parameters.tree.topLevelItem(1)
    assert item is not None
    item.setText(0, "image")
    assert ["image", "radius"] == dock.parameters.names
    assert "already" in window.statusBar().currentMessage()


def test_the_dock_gives_title_and_name(hand: Hand, dock: GraphDock) -> None:  # noqa: F811
    assert not dock.name.isVisible()
    gathered(hand, "blur", "blend")
    hand.model.enter(("subgraph",))
    assert "subgraph" == dock.name.text()
    dock.name.setFocus()
    dock.name.selectAll()
    QTest.keyClicks(dock.name, "soft")
    QTest.keyClick(dock.name, Qt.Key.Key_Return)
    assert ("soft",) == hand.model.level
    dock.title.setFocus()
    QTest.keyClicks(dock.title, "Soft edges")
    QTest.keyClick(dock.title, Qt.Key.Key_Return)
    assert "Soft edges" == hand.model.graph.title
    hand.model.enter(())
    QGuiApplication.processEvents()
    assert "Soft edges" == hand.model.face("subgraph").title


def test_leaving_a_subgraph_moves_nothing_on_the_screen(hand: Hand, window: Window) -> None:  # noqa: F811
    gathered(hand, "blur", "blend")

    def spot() -> tuple[int, int]:
        QGuiApplication.processEvents()
        place = hand.view.mapTo(window, hand.spot(hand.title("subgraph")))
        return place.x(), place.y()

    before = spot()
    QTest.keyClick(hand.view, Qt.Key.Key_Down, ALT)
    QGuiApplication.processEvents()
    assert hand.page.crumbs.isVisible()
    QTest.keyClick(hand.view, Qt.Key.Key_Up, ALT)
    after = spot()
    assert abs(before[0] - after[0]) <= 1
    assert abs(before[1] - after[1]) <= 1


def colours_at(hand: Hand, place: tuple[float, float], around: int = 10) -> set[str]:  # noqa: F811
    """The colours around a place of the scene, as they are on the screen."""
    QGuiApplication.processEvents()
    shown, spot = hand.view.viewport().grab().toImage(), hand.spot(place)
    beside = range(-around, around + 1)
    return {shown.pixelColor(spot.x() + x, spot.y() + y).name() for x in beside for y in beside}


def test_what_the_graph_around_feeds_does_not_look_as_if_a_wire_were_missing(hand: Hand, window: Window) -> None:  # noqa: F811
    ring = window.look.warning
    gathered(hand, "blur", "blend")
    QTest.keyClick(hand.view, Qt.Key.Key_Down, ALT)
    hand.scene.select(())
    hand.view.zoom(2.0)
    assert {"in:image", "in:radius"} >= set(hand.scene.exposed["blur"]) >= {"in:image"}
    hand.view.centerOn(*hand.port("blur.image"))
    assert ring not in colours_at(hand, hand.port("blur.image"))
    hand.model.undo.undo()  # the node itself, in the file's own graph: there nobody feeds it
    hand.model.do(SetInput("blur", "image", ABSENT), "Cut")
    hand.view.centerOn(*hand.port("blur.image"))
    assert ring in colours_at(hand, hand.port("blur.image"))


def test_a_port_that_becomes_an_output_is_marked_at_once(hand: Hand, window: Window) -> None:  # noqa: F811
    hand.view.zoom(2.0)
    hand.view.centerOn(*hand.port("blend.out"))
    x, y = hand.port("blend.out")
    before = colours_at(hand, (x + 8, y + 5), 2)
    window.do(SetOutput("image", "blend"), "Expose")
    assert {"out:out"} == set(hand.scene.exposed["blend"])
    assert before != colours_at(hand, (x + 8, y + 5), 2)
    hand.model.undo.undo()
    assert before == colours_at(hand, (x + 8, y + 5), 2)
