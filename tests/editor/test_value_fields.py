"""Values in the node that are written in an area, or chosen from a list or a dialog."""

import random
import time
from collections.abc import Callable

import pytest
from nodeflow_editor import seeds
from nodeflow_editor.chooser import Chooser
from nodeflow_editor.commands.value import Values
from nodeflow_editor.long_text import LongText
from nodeflow_editor.window import Window
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QColorDialog, QFileDialog, QLineEdit, QMenu, QWidget

from nodeflow.document import Document, write
from nodeflow.edits import SetInput
from tests.editor.test_gestures import CONTROL
from tests.editor.test_values import INPUTS, ValueHand, hand, popup, window  # noqa: F401 # fixtures


def test_a_text_of_one_line(hand: ValueHand) -> None:  # noqa: F811
    hand.type("name", "a fox, +1")
    assert "a fox, +1" == hand.inputs("all")["name"]


def test_a_prompt_is_typed_in_an_area_and_a_click_elsewhere_takes_it(hand: ValueHand) -> None:  # noqa: F811
    hand.click(hand.value("prompt"))
    area = hand.field()
    assert isinstance(area, LongText)
    QTest.keyClicks(area, "a red fox")
    QTest.keyClick(area, Qt.Key.Key_Return)
    QTest.keyClicks(area, "in snow")
    hand.click((550, 350))
    assert "a red fox\nin snow" == hand.inputs("all")["prompt"]
    assert 1 == hand.model.undo.count()


def test_a_text_with_several_lines_gets_an_area_whatever_its_input(hand: ValueHand) -> None:  # noqa: F811
    hand.page.model.do(_set("name", "one\ntwo"), "Set")
    hand.click(hand.value("name"))
    assert "one\ntwo" == hand.field().text()
    hand.click((550, 350))
    assert "one\ntwo" == hand.inputs("all")["name"]


def _set(port: str, value):
    return SetInput("all", port, value)


@pytest.mark.parametrize("text", ["a red fox in the snow " * 46_000, "x" * 1_000_000, "a line of a prompt\n" * 53_000])
def test_a_prompt_of_a_million_characters_stays_quick(hand: ValueHand, text: str) -> None:  # noqa: F811
    hand.page.model.do(_set("prompt", text), "Set")
    QGuiApplication.processEvents()

    def took(step: Callable[[], object]) -> float:
        start = time.process_time()
        step()
        QGuiApplication.processEvents()
        return time.process_time() - start

    assert took(hand.scene.nodes["all"].refresh) < 0.1
    assert took(lambda: hand.click(hand.value("prompt"))) < 1.5
    area = hand.field()
    assert text == area.text()
    QTest.keyClick(area, Qt.Key.Key_Home, CONTROL)
    assert min(took(lambda: QTest.keyClicks(area, "h")) for _ in range(5)) < 0.05
    assert took(lambda: hand.click((550, 350))) < 1.5
    assert "hhhhh" + text == hand.inputs("all")["prompt"]


def test_what_is_being_typed_outlives_the_arrival_of_plugins_but_not_another_level(hand: ValueHand) -> None:  # noqa: F811
    hand.click(hand.value("name"))
    QTest.keyClicks(hand.field(), "half a")
    hand.model.take_catalog(hand.model.catalog)
    QTest.keyClicks(hand.field(), " word")
    assert hand.field().text().endswith("half a word")
    hand.model.become(Document(graphs={"g": hand.model.document}), ())
    assert not [field for field in hand.view.viewport().findChildren(QLineEdit) if field.isVisible()]


def test_a_list_and_a_form_are_typed_as_json(hand: ValueHand) -> None:  # noqa: F811
    hand.type("sizes", "[3, 4]")
    assert [3, 4] == hand.inputs("all")["sizes"]
    hand.type("form", '{"rank": 0}')
    assert "less than the minimum" in hand.refusal()
    QTest.keyClick(hand.field(), Qt.Key.Key_Escape)
    assert "form" not in hand.inputs("all")


def test_the_dots_of_a_file_open_a_dialog(hand: ValueHand, window: Window, tmp_path, monkeypatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat.png").write_bytes(b"")
    hand.click(hand.mark("path"))
    (dialog,) = window.findChildren(QFileDialog)
    dialog.selectFile(str(tmp_path / "in" / "cat.png"))
    dialog.accept()
    assert "in/cat.png" == hand.inputs("all")["path"]


def test_the_swatch_of_a_colour_opens_a_dialog(hand: ValueHand, window: Window) -> None:  # noqa: F811
    hand.click(hand.mark("colour"))
    (dialog,) = window.findChildren(QColorDialog)
    dialog.setCurrentColor("#102030")
    dialog.accept()
    assert "#102030" == hand.inputs("all")["colour"]


def test_the_arrow_of_a_model_lists_models_without_waiting(hand: ValueHand, window: Window, qtbot) -> None:  # noqa: F811
    values = next(part for part in window.parts if isinstance(part, Values))
    start = time.perf_counter()
    hand.click(hand.mark("model"))
    chooser = popup(Chooser)
    assert time.perf_counter() - start < 1.0
    assert "looking for models…" == chooser.foot.text()
    qtbot.waitUntil(lambda: not values.models.waiting, timeout=60_000)
    assert "shapes:autoencoder" in [choice.key for choice in chooser.lines.choices]
    QTest.keyClicks(chooser.line, "shapes:autoenc")
    QTest.keyClick(chooser.line, Qt.Key.Key_Return)
    assert "shapes:autoencoder" == hand.inputs("all")["model"]


def test_a_models_name_may_be_typed_that_no_list_has(hand: ValueHand, window: Window) -> None:  # noqa: F811
    hand.click(hand.mark("model"))
    chooser = popup(Chooser)
    QTest.keyClicks(chooser.line, "hf://org/name")
    QTest.keyClick(chooser.line, Qt.Key.Key_Return)
    assert "hf://org/name" == hand.inputs("all")["model"]
    window.closing.emit()


def test_a_list_of_models_that_cannot_be_made_says_so(hand: ValueHand, monkeypatch, qtbot) -> None:  # noqa: F811
    monkeypatch.setattr("nodeflow_editor.model_list.sys.executable", "/no/such/python")
    hand.click(hand.mark("model"))
    chooser = popup(Chooser)
    qtbot.waitUntil(lambda: "could not be made" in chooser.foot.text())


OWN = {"Reset to default", "New random seed", "Expose as a parameter of the graph", *seeds.TITLES.values()}
"""What the menu of a value has beyond its node's."""


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_to_values_is_undone_and_done_again_to_the_byte(hand: ValueHand, seed: int) -> None:  # noqa: F811
    draw = random.Random(seed)
    before = write(hand.model.document)
    texts = ("7", "+3", "*2", "nonsense", "[1, 2]", '{"rank": 3}', "", "a fox", "-=1", "none")
    for _ in range(40):
        port = draw.choice([port.name for port in INPUTS if port.type.typed_in])
        match draw.randrange(4):
            case 0:
                hand.pull(port, draw.randint(-90, 90), drop=draw.random() < 0.8)
                QTest.keyClick(hand.view, Qt.Key.Key_Escape)
            case 1 if port in ("seed", "exact"):
                hand.click(hand.mark(port))
            case 2:
                hand.view.value_menu_wanted.emit(QPoint(0, 0), "all", port)
                menu = popup(QMenu)
                own = [action for action in menu.actions() if action.text() in OWN and action.isEnabled()]
                if own:
                    draw.choice(own).trigger()
                menu.close()
            case _:
                hand.click(hand.value(port))
                QGuiApplication.processEvents()
        if (opened := QApplication.activePopupWidget()) is not None:
            QTest.keyClick(opened, draw.choice((Qt.Key.Key_Down, Qt.Key.Key_Escape)))
            QTest.keyClick(opened, Qt.Key.Key_Return)
            opened.close()
        for field in hand.view.viewport().findChildren(QWidget):
            if field.isVisible() and isinstance(field, QLineEdit | LongText):
                QTest.keyClicks(field, draw.choice(texts))
                QTest.keyClick(field, draw.choice((Qt.Key.Key_Return, Qt.Key.Key_Tab, Qt.Key.Key_Escape)))
        QGuiApplication.processEvents()
    after = write(hand.model.document)
    steps = hand.model.undo.index()
    assert steps > 5
    for _ in range(steps):
        hand.model.undo.undo()
    assert before == write(hand.model.document)
    for _ in range(steps):
        hand.model.undo.redo()
    assert after == write(hand.model.document)
