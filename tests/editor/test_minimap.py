"""The map of the graph in the corner of its canvas, and the theme."""

from time import perf_counter, process_time

import pytest
from nodeflow_editor.canvas.minimap import OFTEN, Minimap
from nodeflow_editor.commands.look import map_of
from nodeflow_editor.settings import Settings
from nodeflow_editor.theme import DARK, LIGHT
from nodeflow_editor.window import Window
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtTest import QTest

from nodeflow.document import Document, NodeEntry
from nodeflow.edits import AddNode, Group, MoveNodes
from tests.editor.test_gestures import CATALOG, NONE, Hand, hand, window  # noqa: F401 # fixtures

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def chart(hand: Hand, qtbot) -> Minimap:  # noqa: F811
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_M)
    made = map_of(hand.page)
    assert made is not None
    made.grab()
    return made


def middle(hand: Hand) -> QPointF:  # noqa: F811
    return hand.view.at(QPointF(hand.view.viewport().rect().center()))


def test_it_shows_every_node_and_stands_in_the_corner(hand: Hand, chart: Minimap, window: Window) -> None:  # noqa: F811
    image = chart.grab().toImage()
    ground = image.pixelColor(4, 4)
    for item in hand.scene.nodes.values():
        assert ground != image.pixelColor(chart.spot(item.frame().center()).toPoint())
    window.resize(1000, 700)
    QGuiApplication.processEvents()
    corner = chart.geometry().bottomRight()
    assert QPoint(hand.view.width(), hand.view.height()) - corner == QPoint(15, 15)


def test_a_drag_on_it_moves_over_the_graph(hand: Hand, chart: Minimap) -> None:  # noqa: F811
    hand.view.zoom(2.0)
    for node in ("load", "blend"):
        spot = chart.spot(hand.scene.nodes[node].frame().center()).toPoint()
        QTest.mousePress(chart, LEFT, NONE, QPoint(spot))
        QTest.mouseMove(chart, spot)
        QTest.mouseRelease(chart, LEFT, NONE, spot)
        away = middle(hand) - hand.scene.nodes[node].frame().center()
        assert away.manhattanLength() * chart.share < 3
    assert "load" in hand.scene.nodes
    assert 0 == hand.model.undo.count()


def test_it_follows_changes_but_not_more_often_than_five_times_a_second(hand: Hand, chart: Minimap, qtbot) -> None:  # noqa: F811
    before, began = chart.drawn, perf_counter()
    for step in range(40):
        hand.model.do(MoveNodes({"mask": [step * 40, 900]}), "Move")
        hand.view.pan(3, 2)
        QGuiApplication.processEvents()
    qtbot.waitUntil(lambda: chart.drawn > before)
    qtbot.wait(2 * OFTEN)
    assert 1 <= chart.drawn - before <= (perf_counter() - began) * 1_000 / OFTEN
    spot = chart.spot(hand.scene.nodes["mask"].frame().center()).toPoint()
    assert chart.grab().toImage().pixelColor(spot) != chart.grab().toImage().pixelColor(4, 4)


def test_it_is_toggled_for_all_tabs_and_remembered(hand: Hand, chart: Minimap, window: Window, tmp_path) -> None:  # noqa: F811
    other = window.open_document(Document(nodes={"n": NodeEntry("t.mask")}))
    made = map_of(other)
    assert made is not None
    assert made.isVisible()
    assert Settings(tmp_path / "settings.json").get("minimap", False)
    window.actions_table.made["view.minimap"].trigger()
    assert not made.isVisible()
    assert not chart.isVisible()


def test_panning_with_it_is_the_same_for_five_thousand_nodes(window: Window) -> None:  # noqa: F811
    window.actions_table.made["view.minimap"].trigger()
    window.settings.set("minimap", True)
    nodes = {f"n{at}": NodeEntry("t.mask") for at in range(5_000)}
    places = {node: [300 * (at % 70), 200 * (at // 70)] for at, node in enumerate(nodes)}
    page = window.open_document(Document(nodes=nodes, view={"nodes": places}))
    made = map_of(page)
    assert made is not None
    made.grab()
    before, began = made.drawn, process_time()
    for _ in range(100):
        made.repaint()
    assert before == made.drawn
    assert process_time() - began < 0.5, "some 0.2 ms each"


def test_an_empty_graph_has_a_map(window: Window) -> None:  # noqa: F811
    window.settings.set("minimap", True)
    page = window.open_document(Document())
    made = map_of(page)
    assert made is not None
    made.grab()
    page.model.do(Group((AddNode("a", NodeEntry("t.mask")),)), "Add")
    made.refresh()
    assert made.grab().toImage().pixelColor(made.spot(page.scene.nodes["a"].frame().center()).toPoint()).isValid()


def test_the_theme_is_chosen_once_and_kept(hand: Hand, window: Window, qtbot, tmp_path) -> None:  # noqa: F811
    made = window.actions_table.made
    made["view.theme_light"].trigger()
    try:
        assert LIGHT is window.look
        assert QColor(LIGHT.canvas) == hand.scene.ground()
        assert made["view.theme_light"].isChecked()
        assert not made["view.theme_dark"].isChecked()
        again = Window(CATALOG, Settings(tmp_path / "settings.json"))
        qtbot.addWidget(again)
        assert LIGHT is again.look
        made["view.theme"].trigger()
        assert made["view.theme_system"].isChecked()
        made["view.theme"].trigger()
        assert DARK is window.look
        assert QColor(DARK.canvas) == hand.scene.ground()
    finally:
        window.dress(DARK)


def test_the_system_s_theme_is_followed_while_it_is_chosen(window: Window, monkeypatch) -> None:  # noqa: F811
    from nodeflow_editor import theming

    window.actions_table.made["view.theme_system"].trigger()
    monkeypatch.setattr(theming, "palette_of", lambda _: LIGHT)
    QGuiApplication.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Light)
    assert LIGHT is window.look
    monkeypatch.setattr(theming, "palette_of", lambda _: DARK)
    QGuiApplication.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert DARK is window.look
