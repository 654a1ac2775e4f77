"""Wires as portals: two short ends with the source's name in place of a line, kept in the view as dots are."""

from dataclasses import replace

import pytest
from nodeflow_editor.canvas.portal_item import PortalItem
from nodeflow_editor.graph_model import Link
from nodeflow_editor.hover import told_at
from nodeflow_editor.marks import dotted
from nodeflow_editor.window import Window
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from nodeflow.document import Document, NodeEntry, Wire, parse, write
from nodeflow.edits import RemoveNode, RenameNode, SetInput
from tests.editor.test_gestures import Hand, window  # noqa: F401

RIGHT = Qt.MouseButton.RightButton

NEAR, FAR = Link("load", "out", "near", "image"), Link("load", "out", "far", "image")


@pytest.fixture
def hand(window: Window) -> Hand:  # noqa: F811
    places = {"load": [0, 0], "near": [300, 0], "far": [3000, 1800], "last": [3300, 1800]}
    nodes = {
        "load": NodeEntry("t.load"),
        "near": NodeEntry("t.blur", 1, {"image": Wire("load")}),
        "far": NodeEntry("t.blur", 1, {"image": Wire("load")}),
        "last": NodeEntry("t.blur", 1, {"image": Wire("far")}),
    }
    return Hand(window, Document(nodes=nodes, view={"nodes": places}))


def box(hand: Hand, link: Link):
    item = hand.scene.wires[link]
    assert isinstance(item, PortalItem)
    return item.box


def press(hand: Hand, key=Qt.Key.Key_P) -> None:
    QTest.keyClick(hand.view, key)


def titles(menu: QMenu) -> list[str]:
    return [action.text() for action in menu.actions() if action.text()]


def menu_at(window: Window, hand: Hand, place: tuple[float, float]) -> QMenu:  # noqa: F811
    hand.click(place, button=RIGHT)
    return next(menu for menu in window.findChildren(QMenu) if menu.isVisible())


def test_p_shows_the_wires_from_the_chosen_nodes_as_portals_and_back_each_as_one_step(hand: Hand) -> None:
    before, drawn = write(hand.model.document), set(hand.scene.wires)
    hand.scene.select(["load"])
    press(hand)
    assert {"near.image": True, "far.image": True} == hand.model.graph.view["portals"]
    assert {NEAR, FAR} == {link for link, item in hand.scene.wires.items() if item.portal}
    assert Wire("load") == hand.inputs("far")["image"], "the wire is a wire still"
    assert hand.scene.wires[FAR].path().boundingRect().width() < 300
    press(hand)
    assert "portals" not in hand.model.graph.view
    assert drawn == {link for link, item in hand.scene.wires.items() if not item.portal}
    hand.model.undo.undo()
    hand.model.undo.undo()
    assert before == write(hand.model.document)


def test_a_node_that_gives_nothing_has_the_wires_into_it_as_portals(hand: Hand) -> None:
    hand.scene.select(["last"])
    press(hand)
    assert {"last.image": True} == hand.model.graph.view["portals"]


def test_a_click_on_a_name_leads_to_the_other_end(hand: Hand) -> None:
    hand.scene.select(["load"])
    press(hand)
    hand.view.bring(hand.scene.bounds(["far"]))
    scale = hand.view.scale_now
    hand.click((box(hand, FAR).center().x(), box(hand, FAR).center().y()))
    assert {"load"} == hand.scene.selection
    assert scale == hand.view.scale_now
    middle = hand.view.at(hand.view.viewport().rect().center())
    assert hand.scene.nodes["load"].frame().contains(middle)
    (outlet,) = hand.scene.outlets.items.values()
    hand.click((outlet.box.center().x(), outlet.box.center().y()))
    assert {"near", "far"} == hand.scene.selection, "all that take the output"
    seen = hand.view.mapToScene(hand.view.viewport().rect()).boundingRect()
    assert seen.contains(hand.scene.bounds(["near", "far"]))


def test_the_mouse_at_rest_on_a_name_is_told_where_it_leads(hand: Hand) -> None:
    hand.scene.select(["load"])
    press(hand)
    middle, (outlet,) = box(hand, FAR).center(), hand.scene.outlets.items.values()
    assert "from load; a click leads there" == told_at(hand.page, middle.x(), middle.y())
    end = outlet.box.center()
    assert "to far.image, near.image; a click leads there" == told_at(hand.page, end.x(), end.y())


def test_the_ends_follow_their_nodes_and_the_name_the_nodes(hand: Hand) -> None:
    hand.scene.select(["load"])
    press(hand)
    before = box(hand, FAR).topLeft()
    hand.scene.offset(["far"], 40.0, 24.0)
    assert before + QPointF(40.0, 24.0) == box(hand, FAR).topLeft()
    (outlet,) = hand.scene.outlets.items.values()
    where = outlet.box.topLeft()
    hand.scene.offset(["load"], 8.0, 0.0)
    assert where + QPointF(8.0, 0.0) == outlet.box.topLeft()
    hand.model.do(RenameNode("load", "loader"), "Rename")
    assert {("loader", "out")} == set(hand.scene.outlets.items)
    assert hand.scene.wires[replace(FAR, source="loader")].portal


def test_a_portal_goes_with_its_wire_and_comes_back_with_undo(hand: Hand) -> None:
    hand.scene.select(["load"])
    press(hand)
    hand.model.do(SetInput("far", "image", Wire("near")), "Wire")
    assert {"near.image": True} == hand.model.graph.view["portals"], "a wire from elsewhere begins as a line"
    hand.model.undo.undo()
    assert hand.scene.wires[FAR].portal
    hand.model.do(RemoveNode("load"), "Remove")
    assert {} == hand.model.graph.view["portals"]
    assert not hand.scene.outlets.items
    hand.model.undo.undo()
    assert hand.scene.wires[FAR].portal
    assert [("load", "out")] == list(hand.scene.outlets.items)


def test_only_the_selections_wires_hides_portals_of_others(hand: Hand, window: Window) -> None:  # noqa: F811
    hand.scene.select(["load"])
    press(hand)
    window.actions_table.made["view.selection_wires"].trigger()
    (outlet,) = hand.scene.outlets.items.values()
    assert hand.scene.wires[FAR].isVisible()
    assert outlet.isVisible()
    hand.scene.select(["last"])
    assert not hand.scene.wires[FAR].isVisible()
    assert not outlet.isVisible()
    hand.scene.select(["far"])
    assert hand.scene.wires[FAR].isVisible()
    assert outlet.isVisible()


def test_x_and_a_line_across_an_end_cut_the_wire(hand: Hand) -> None:
    hand.scene.select(["load"])
    press(hand)
    x, y = hand.port("near.image")
    QTest.keyPress(hand.view, Qt.Key.Key_X)
    hand.drag((x - 12, y - 12), (x - 12, y + 12))
    QTest.keyRelease(hand.view, Qt.Key.Key_X)
    assert {} == hand.inputs("near")
    assert {"far.image": True} == hand.model.graph.view["portals"]


def test_the_menu_of_a_wire_makes_it_a_portal_leads_to_its_ends_and_cuts_it(hand: Hand, window: Window) -> None:  # noqa: F811
    start, end = hand.port("load.out"), hand.port("near.image")
    menu = menu_at(window, hand, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    assert ["Show wire as a portal", "Go to load", "Go to near", "Cut wire"] == titles(menu)
    menu.actions()[0].trigger()
    menu.close()
    assert {"near.image": True} == hand.model.graph.view["portals"]
    middle = box(hand, NEAR).center()
    menu = menu_at(window, hand, (middle.x(), middle.y()))
    assert "Show wire as a line" == titles(menu)[0]
    menu.actions()[-1].trigger()
    menu.close()
    assert {} == hand.inputs("near")


def test_the_menu_of_a_port_turns_all_its_wires(hand: Hand, window: Window) -> None:  # noqa: F811
    menu = menu_at(window, hand, hand.port("load.out"))
    wanted = next(action for action in menu.actions() if action.text() == "Show wires of load.out as portals")
    wanted.trigger()
    menu.close()
    assert {"near.image": True, "far.image": True} == hand.model.graph.view["portals"]


def test_dots_wait_until_the_wire_is_a_line_again(hand: Hand) -> None:
    hand.model.do(dotted(hand.model.graph, "near.image", [(270.0, 60.0)]), "Dot")
    hand.scene.select(["load"])
    press(hand)
    hand.click((270, 60), keys=Qt.KeyboardModifier.ControlModifier)
    assert {"near.image": [[270, 60]]} == hand.model.graph.view["dots"]
    hand.scene.select(["load"])
    press(hand)
    assert ((270.0, 60.0),) == hand.scene.wires[NEAR].dots


def test_a_file_keeps_its_portals_and_odd_ones_do_no_harm(window: Window, hand: Hand) -> None:  # noqa: F811
    hand.scene.select(["load"])
    press(hand)
    again = Hand(window, parse(write(hand.model.document)))
    assert again.scene.wires[FAR].portal
    listed = {"far.image": 1, "x": [], "near": 2}
    odd = replace(hand.model.document, view={**hand.model.document.view, "portals": listed})
    assert not any(item.portal for item in Hand(window, odd).scene.wires.values())
    assert not Hand(window, replace(odd, view={"portals": [True]})).scene.outlets.items


def test_a_copy_of_both_ends_keeps_the_portal(hand: Hand) -> None:
    hand.scene.select(["load"])
    press(hand)
    hand.scene.select(["load", "far"])
    QTest.keyClick(hand.view, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert hand.model.graph.view["portals"]["far_2.image"] is True
    assert Wire("load_2") == hand.inputs("far_2")["image"]


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0])
def test_portals_are_drawn_from_near_and_afar(hand: Hand, scale: float) -> None:
    hand.view.zoom(scale)
    plain = hand.view.grab().toImage()
    hand.scene.select(["load"])
    press(hand)
    hand.scene.select([])
    hand.view.look_at(hand.view.at(hand.view.viewport().rect().center()))
    QGuiApplication.processEvents()
    assert plain != hand.view.grab().toImage()
