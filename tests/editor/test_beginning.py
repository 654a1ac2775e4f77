"""The first minutes: an empty window says what to do, examples open as copies, and no picture is lost unsaid."""

import json
import threading
import time

import pytest
from graphs_for_tests import document
from nodeflow_editor import examples, splash
from nodeflow_editor.bars import Answer
from nodeflow_editor.beginning import Beginning
from nodeflow_editor.chooser import Chooser
from nodeflow_editor.commands.viewing import key_of, viewer_of
from nodeflow_editor.files import Files
from nodeflow_editor.run_part import RunPart
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from nodeflow.document import Document, NodeEntry, parse
from nodeflow.edits import AddNode, RemoveNode
from tests.editor.test_run_window import ends, press_run, window  # noqa: F401 # fixtures

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
EXAMPLES = examples.folder()


@pytest.fixture
def empty(window):  # noqa: F811
    """The beginning of an empty graph."""
    page = Files.of(window).new()
    found = page.view.findChild(Beginning)
    QGuiApplication.processEvents()
    return found


def test_an_empty_graph_says_what_to_do_until_it_has_a_node(empty, window):  # noqa: F811
    assert empty.isVisible()
    window.page.model.do(AddNode("a", NodeEntry("rough.number")), "Add")
    assert not empty.isVisible()
    window.page.model.do(RemoveNode("a"), "Remove")
    assert empty.isVisible()


def test_a_graph_from_a_file_has_no_beginning(window):  # noqa: F811
    page = window.open_document(document({"a": ("rough.number",)}))
    assert page.view.findChild(Beginning) is None


def test_its_words_follow_the_keys_that_were_set(run_window):
    window = run_window(keys={"create.add": ["Ctrl+J"]})  # noqa: F811
    page = Files.of(window).new()
    caps = [label.text() for label in page.view.findChild(Beginning).children() if label.property("cap")]
    assert "Ctrl+J" in caps
    assert "Tab" not in caps


def test_a_picture_opens_a_copy_of_its_graph_which_no_save_writes_over(empty, window):  # noqa: F811
    QTest.mouseClick(empty.cards[0], LEFT)
    (page,) = window.pages()
    assert page.model.file is None
    assert "text_to_image" == page.name
    assert not page.changed
    assert parse((EXAMPLES / "text_to_image.json").read_text("utf-8")) == page.model.document
    assert [] == Files.of(window).recent()
    assert "text_to_image — nodeflow" == window.windowTitle()


def test_a_double_click_beside_its_buttons_is_the_canvass(empty, window):  # noqa: F811
    wanted = []
    window.page.view.palette_wanted.connect(lambda place, start: wanted.append((place, start)))
    title = empty.children()[1]
    spot = title.mapTo(empty, QPoint(3, 3))
    assert empty.childAt(spot) is title
    QTest.mouseDClick(title, LEFT, NONE, QPoint(3, 3))
    ((place, start),) = wanted
    assert start is None
    assert (empty.mapTo(window.page.view, spot) - window.page.view.mapFromScene(place)).manhattanLength() <= 2
    for chooser in window.findChildren(Chooser):
        chooser.close()


def test_where_there_is_little_room_it_shows_less_and_then_nothing(empty, window):  # noqa: F811
    assert all(card.isVisible() for card in empty.cards)
    window.page.view.resize(900, 440)
    assert [True] * 3 + [False] * 3 == [card.isVisible() for card in empty.cards]
    window.page.view.resize(900, 300)
    assert empty.isVisible()
    assert not empty.examples.isVisible()
    window.page.view.resize(200, 60)
    assert not empty.isVisible()


def test_where_it_is_narrow_its_sentences_are_broken_and_fewer_examples_stand_in_a_row(empty, window):  # noqa: F811
    window.page.view.resize(440, 376)  # what a window of 800 x 500 leaves
    assert empty.isVisible()
    room = window.page.view.viewport().rect()
    assert room.contains(empty.geometry())
    window.page.view.resize(640, 640)
    assert [True] * 4 + [False] * 2 == [card.isVisible() for card in empty.cards]
    assert 2 == len({card.x() for card in empty.cards[:4]})
    assert room.width() < empty.width() < 640


def test_all_examples_are_offered_by_typing(window, monkeypatch):  # noqa: F811
    window.actions_table.made["file.example"].trigger()
    (chooser,) = window.findChildren(Chooser)
    assert "Text to image" == chooser.lines.choices[0].title
    QTest.keyClicks(chooser.line, "sdxl")
    assert "stable diffusion" == chooser.lines.choices[0].note
    QTest.keyClick(chooser.line, Qt.Key.Key_Return)
    assert window.page.model.file is None
    assert window.page.name.startswith("sdxl")


def test_examples_that_are_no_graphs_are_passed_over(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_text(json.dumps({"nodes": {"n": {"type": "x.y"}, "m": 3}}))
    examples.examples.cache_clear()
    assert ["c"] == [one.title for one in examples.examples(tmp_path)]
    examples.examples.cache_clear()
    examples.common.cache_clear()
    assert {"x.y": 1} == examples.common(tmp_path)
    examples.common.cache_clear()


def test_a_run_without_outputs_offers_to_keep_its_picture(window, ends, tmp_path):  # noqa: F811
    page = window.open_document(document({"paint": ("showing.paints", {"grey": 0.25})}))
    press_run(window)
    ends.wait()
    bar = page.bars.named("keep")
    assert "“paint”" in bar.text
    assert not bar.buttons[0].hasFocus()
    assert not (tmp_path / "outputs").exists()
    QTest.mouseClick(bar.buttons[0], LEFT)
    assert {"paint": "paint"} == dict(page.model.document.outputs)
    ends.wait(2)
    assert 1 == len(list((tmp_path / "outputs").glob("*.png")))
    assert page.bars.named("keep") is None
    page.model.undo.undo()
    assert {} == dict(page.model.document.outputs)


def test_a_bar_that_comes_or_goes_leaves_the_graph_under_the_mouse(window):  # noqa: F811
    page = window.open_document(document({"a": ("rough.number",)}))

    def spot():
        QGuiApplication.processEvents()
        return page.view.mapTo(window, page.view.mapFromScene(page.scene.nodes["a"].pos()))

    before = spot()
    page.bars.ask("keep", "A question.", (Answer("&No"),))
    assert (spot() - before).manhattanLength() <= 1
    page.bars.drop("keep")
    assert (spot() - before).manhattanLength() <= 1


def test_it_asks_once_and_only_where_a_picture_would_be_lost(window, ends):  # noqa: F811
    page = window.open_document(document({"number": ("rough.number",)}))
    press_run(window)
    ends.wait()
    assert page.bars.named("keep") is None
    page = window.open_document(document({"paint": ("showing.paints", {"grey": 0.5})}))
    RunPart.of(window).submit(page, "paint")
    ends.wait(2)
    assert page.bars.named("keep") is None
    press_run(window)
    ends.wait(3)
    page.bars.named("keep").press(Qt.Key.Key_Escape)
    press_run(window)
    ends.wait(4)
    assert page.bars.named("keep") is None


def test_the_viewer_goes_along_with_a_run_until_a_picture_is_chosen(window, ends, qtbot):  # noqa: F811
    nodes = {"p": ("showing.paints", {"grey": 0.1}), "q": ("showing.covers", {"image": "$p"})}
    page = window.open_document(document(nodes))
    viewer = viewer_of(window)
    press_run(window)
    ends.wait()
    qtbot.waitUntil(lambda: key_of(page, "q") in list(viewer.keys()))
    assert key_of(page, "q") == viewer.current
    page.scene.select(["p"])
    assert key_of(page, "p") == viewer.current
    RunPart.of(window).submit(page)
    ends.wait(2)
    QGuiApplication.processEvents()
    assert key_of(page, "p") == viewer.current


def test_what_takes_long_at_the_start_is_on_the_screen_meanwhile(qtbot):
    seen = []

    def work():
        end = time.monotonic() + 20
        while time.monotonic() < end and not seen:
            found = [widget for widget in QApplication.topLevelWidgets() if widget.objectName() == "splash"]
            seen.extend(found)
            time.sleep(0.02)
        return threading.current_thread() is not threading.main_thread()

    assert splash.patiently(work, "Looking")
    assert seen
    assert not seen[0].isVisible()
    with pytest.raises(ZeroDivisionError):
        splash.patiently(lambda: 1 // 0, "Looking")


def test_a_graph_with_a_name_but_no_file_has_that_name_in_the_windows_title(window):  # noqa: F811
    Files.of(window).new(Document(title="Cats", nodes={"a": NodeEntry("rough.number")}), "from a picture")
    assert "from a picture — nodeflow" == window.windowTitle()
