"""What is told when the mouse rests on the canvas."""

import pytest
from nodeflow_editor.canvas.paths import points
from nodeflow_editor.hover import plain, told_at
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import QEvent, QPoint, QPointF
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QApplication, QToolTip

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.edits import AddNode, MoveNodes
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType
from tests.editor.test_gestures import Hand

STEPS = Port("steps", PortType("int"), default=20, help="How many times noise is taken away: 5 < n <i>and</i> so on.")
SPEC = NodeSpec("t.sample", 1, "test", "Sample", "Makes a picture.", (STEPS,), (Port("out", PortType("int")),), "m:s")


@pytest.fixture
def hand(qtbot, tmp_path) -> Hand:
    window = Window(Catalog.of(SPEC), Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1300, 900)
    with qtbot.waitExposed(window):
        window.show()
    return Hand(window, Document(nodes={"s": NodeEntry("t.sample")}, view={"nodes": {"s": [0, 0]}}))


def test_an_inputs_help_is_told_on_its_value_and_on_its_port(hand: Hand, monkeypatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(QToolTip, "showText", lambda _, text, *__: shown.append(text))
    monkeypatch.setattr(QToolTip, "hideText", lambda: shown.append(""))

    def rest(place: tuple[float, float]) -> str:
        event = QHelpEvent(QEvent.Type.ToolTip, hand.view.mapFromScene(QPointF(*place)), QPoint(400, 300))
        QApplication.sendEvent(hand.view.viewport(), event)
        return shown[-1]

    item = hand.scene.nodes["s"]
    row = item.measures.row("steps")
    assert row is not None
    assert row.value is not None
    left, top, wide, high = row.value
    on_value = item.x() + left + wide / 2, item.y() + top + high / 2
    said = f"steps: int\n{STEPS.help}"
    assert [said, said] == [told_at(hand.page, *place) for place in (on_value, hand.port("s.steps"))]
    assert [plain(said), plain(said)] == [rest(place) for place in (on_value, hand.port("s.steps"))]
    hand.view.zoom(0.3)
    assert "Sample (s)\nMakes a picture." == told_at(hand.page, *on_value), "from afar a node shows no inputs"
    assert "" == rest((-500.0, -300.0))


def test_a_wire_is_told_by_its_ends(hand: Hand) -> None:
    page = hand.page
    page.model.do(AddNode("more", NodeEntry("t.sample", 1, {"steps": Wire("s")})), "Add")
    page.model.do(MoveNodes({"more": [400, 0]}), "Move")
    (item,) = page.scene.wires.values()
    x, y = list(points(item.curves[0]))[8]
    assert "s → more.steps" == told_at(page, x, y)


def test_what_looks_like_html_is_shown_to_the_letter() -> None:
    assert "&lt;b&gt;bold&lt;/b&gt;" in plain("<b>bold</b>")
