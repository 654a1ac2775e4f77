"""The form with odd schemas, texts of a million characters, hundreds of inputs, sliders pulled again and again."""

import time

from nodeflow_editor.form.schema import fields
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QSlider

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry
from nodeflow.edits import SetInput
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType
from tests.editor.test_form import FormHand, hand  # noqa: F401 # fixture
from tests.editor.test_values import FORM, window  # noqa: F401 # fixture


def test_fields_of_odd_schemas() -> None:
    schema = """{"$defs": {"Mode": {"enum": ["a", "b"]}, "Loop": {"$ref": "#/$defs/Loop"}}, "properties": {
        "mode": {"$ref": "#/$defs/Mode"}, "loop": {"$ref": "#/$defs/Loop"}, "gone": {"$ref": "#/$defs/None"},
        "maybe": {"anyOf": [{"type": "number", "maximum": 2}, {"type": "null"}]}, "list": {"type": "array"},
        "odd": 3}}"""
    found = {port.name: str(port.type) for port in fields(PortType("form", "m:F", schema=schema))}
    assert {"mode": '"a" | "b"', "maybe": "float | none"} == found
    for text in ("", "[]", "{", '{"properties": 3}'):
        assert () == fields(PortType("form", "m:F", schema=text))
    assert ["rank", "name"] == [port.name for port in fields(FORM)]


def test_two_pulls_at_a_slider_are_two_steps_even_if_other_nodes_were_shown_between(hand: FormHand) -> None:  # noqa: F811
    for share in (0.6, 0.9):
        bar = hand.editor("amount").findChild(QSlider)
        start, end = (QPoint(round(bar.width() * part), bar.height() // 2) for part in (0.5, share))
        QTest.mousePress(bar, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
        QTest.mouseMove(bar, end)
        QTest.mouseRelease(bar, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)
        hand.settle()
        hand.choose("source")
        hand.choose("all")
    first = hand.model.undo.count()
    hand.model.undo.undo()
    assert first >= 2
    assert "amount" in hand.inputs("all"), "the first pull stands"


def test_a_prompt_of_a_million_characters(hand: FormHand) -> None:  # noqa: F811
    text = "x" * 1_000_000
    start = time.process_time()
    hand.model.do(SetInput("all", "prompt", text), "Set")
    hand.settle()
    line = hand.line("prompt")
    assert text == line.text()
    line.setFocus()
    assert time.process_time() - start < 2.0
    start = time.process_time()
    QTest.keyClicks(line, "h")
    hand.settle()
    assert time.process_time() - start < 0.05


def test_three_hundred_inputs_are_shown_at_once_and_reached(qtbot, tmp_path) -> None:
    ports = tuple(Port(f"p{number}", PortType(("int", "float", "str", "bool")[number % 4])) for number in range(300))
    wide = NodeSpec("t.wide", 1, "test", "Wide", "", ports, (), "m:wide")
    made = Window(Catalog.of(wide), Settings(tmp_path / "s.json"))
    qtbot.addWidget(made)
    made.resize(1200, 900)
    made.show()
    qtbot.waitExposed(made)
    many = FormHand(made, Document(nodes={"a": NodeEntry("t.wide"), "b": NodeEntry("t.wide")}))
    many.scene.select(["a"])
    start = time.process_time()
    many.panel.refresh()
    assert time.process_time() - start < 0.5
    qtbot.waitUntil(lambda: 300 == len(many.panel.shown), timeout=20_000)
    QTest.keyClicks(many.panel.search, "p299")
    assert ["p299"] == [widget.row.name for widget in many.panel.shown if widget.isVisible()]
    many.panel.search.clear()
    start = time.process_time()
    many.model.do(SetInput("a", "p0", 5), "Set")
    many.settle()
    assert time.process_time() - start < 0.5
    assert "5" == many.line("p0").text()
