"""Notes: texts on the canvas that go with nodes, and compute nothing."""

import pytest
from nodeflow_editor.commands.notes import Typing
from nodeflow_editor.notepad import Note, links, noted, notes, renoted
from nodeflow_editor.pieces import copied, pasted
from nodeflow_editor.subgraphing import dissolved, gathered
from nodeflow_editor.window import Window
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QCursor, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu, QPlainTextEdit

from nodeflow.document import Document, NodeEntry, Wire, parse, write
from tests.editor.test_gestures import CATALOG, CONTROL, LEFT, NONE, SHIFT, Hand, window  # noqa: F401 # the fixture

RIGHT = Qt.MouseButton.RightButton
TEXT = "Steps\nSee https://example.org/a_(b), twice."
NOTE = {"text": TEXT, "box": [304, 0, 248, 88]}
NODES = {"load": NodeEntry("t.load"), "blur": NodeEntry("t.blur", inputs={"image": Wire("load")})}


def document(*listed: object, **view: object) -> Document:
    return Document(nodes=NODES, view={"nodes": {"load": [0, 0], "blur": [0, 200]}, "notes": list(listed), **view})


@pytest.fixture
def hand(window) -> Hand:  # noqa: F811
    return Hand(window, document(NOTE))


def key(hand: Hand, name, keys=NONE) -> None:
    QTest.keyClick(hand.view, name, keys)
    QGuiApplication.processEvents()


def press(window: Window, name: str) -> None:  # noqa: F811
    window.actions_table.made[name].trigger()
    QGuiApplication.processEvents()


def typed(hand: Hand) -> QPlainTextEdit:
    (found,) = [field for field in hand.view.findChildren(QPlainTextEdit) if field.isVisible()]
    return found


def told(hand: Hand) -> list[Note]:
    return notes(hand.model.graph)


def test_what_is_no_note_is_left_out_and_kept_in_the_file() -> None:
    graph = document(1, {"text": "no box"}, {"text": 5, "box": [0, 0, 300, 99]}, {"box": [0, 0, 1e300, 9]})
    (found,) = notes(graph)
    assert (2, "") == (found.number, found.text)
    assert [1, {"text": "no box"}] == renoted(graph, [found]).change(graph).view["notes"][:2]
    assert [] == notes(Document(view={"notes": {"a": 1}}))


def test_a_file_is_the_same_bytes_after_its_only_note_was_added_and_removed() -> None:
    graph = Document(nodes=NODES)
    with_note = noted(graph, Note(0, "a", (0, 0, 99, 99), {})).change(graph)
    assert write(graph) == write(renoted(with_note, removed=[0]).change(with_note))


def test_addresses_end_where_the_sentence_goes_on() -> None:
    said = "See http://a.b/c?d=1, (https://a.b/x) and https://a.b/w_(x). Not ftp://a or javascript:b"
    assert ["http://a.b/c?d=1", "https://a.b/x", "https://a.b/w_(x)"] == [said[a:b] for a, b in links(said)]


def test_n_writes_a_note_at_the_mouse_in_one_step(window) -> None:  # noqa: F811
    hand = Hand(window, Document(nodes=NODES, view={"nodes": {"load": [0, 0], "blur": [0, 200]}}))
    QCursor.setPos(hand.view.viewport().mapToGlobal(hand.spot((400, 64))))
    key(hand, Qt.Key.Key_N)
    field = typed(hand)
    QTest.keyClicks(field, "one")
    QTest.keyClick(field, Qt.Key.Key_Return)
    QTest.keyClicks(field, "two")
    hand.click((700, 400))
    (note,) = told(hand)
    assert ("one\ntwo", (400, 64)) == (note.text, note.box[:2])
    assert "Add note" == hand.model.undo.undoText()
    hand.model.undo.undo()
    assert "notes" not in hand.model.graph.view


def test_a_note_begun_and_left_is_none(hand, window) -> None:  # noqa: F811
    for leave in (Qt.Key.Key_Escape, None):
        press(window, "create.note")
        field = typed(hand)
        if leave is None:
            hand.click((900, 500))
        else:
            QTest.keyClicks(field, "gone")
            QTest.keyClick(field, leave)
        assert 1 == len(told(hand))
    assert not hand.model.undo.canUndo()


def test_the_palette_offers_a_note_by_typing(hand, window, qtbot) -> None:  # noqa: F811
    from nodeflow_editor.chooser import Chooser

    press(window, "create.add")
    (chooser,) = [found for found in window.findChildren(Chooser) if found.isVisible()]
    QTest.keyClicks(chooser.line, "note")
    assert "Note" == chooser.lines.choices[0].title
    QTest.keyClick(chooser.line, Qt.Key.Key_Return)
    QTest.keyClicks(typed(hand), "hello")
    QTest.keyClick(typed(hand), Qt.Key.Key_Return, CONTROL)
    assert "hello" == told(hand)[1].text
    assert {1} == hand.scene.notes.selection


def test_a_double_click_and_enter_edit_it_and_it_grows_with_its_text(hand) -> None:
    QTest.mouseDClick(hand.view.viewport(), LEFT, NONE, hand.spot((400, 70)))
    assert TEXT == typed(hand).text()
    QTest.keyClick(typed(hand), Qt.Key.Key_Escape)
    key(hand, Qt.Key.Key_Return)
    QTest.keyClicks(typed(hand), " more " * 60)
    QTest.keyClick(typed(hand), Qt.Key.Key_Return, CONTROL)
    (note,) = told(hand)
    assert note.text.endswith("more ")
    assert note.box[3] > 88
    assert note.box[3] % 8 == 0
    assert "Edit note" == hand.model.undo.undoText()


def test_a_note_emptied_is_removed(hand) -> None:
    hand.click((400, 70))
    key(hand, Qt.Key.Key_F2)
    typed(hand).selectAll()
    QTest.keyClick(typed(hand), Qt.Key.Key_Delete)
    QTest.keyClick(typed(hand), Qt.Key.Key_Return, CONTROL)
    assert [] == told(hand)
    hand.model.undo.undo()
    assert TEXT == told(hand)[0].text


def test_a_save_takes_what_is_being_typed(hand, window) -> None:  # noqa: F811
    hand.click((400, 70))
    key(hand, Qt.Key.Key_Return)
    QTest.keyClicks(typed(hand), "!")
    window.settling.emit()
    assert f"{TEXT}!" == told(hand)[0].text


def test_a_drag_moves_notes_with_chosen_nodes_in_one_step(hand) -> None:
    hand.click((400, 70))
    hand.click(hand.title("load"), keys=SHIFT)
    assert ({"load"}, {0}) == (hand.scene.selection, hand.scene.notes.selection)
    hand.drag((400, 70), (432, 102))
    assert (336, 32) == told(hand)[0].box[:2]
    assert [32, 32] == hand.model.graph.view["nodes"]["load"]
    assert "Move 1 node and 1 note" == hand.model.undo.undoText()
    hand.model.undo.undo()
    assert [NOTE] == hand.model.graph.view["notes"]
    assert (304, 0) == hand.scene.notes.items[0].box()[:2]
    hand.drag(hand.title("load"), (300, 300), drop=False)
    QTest.keyClick(hand.view, Qt.Key.Key_Escape)
    assert (304, 0) == hand.scene.notes.items[0].box()[:2]
    assert 0.0 == hand.scene.nodes["load"].x()


def test_shift_chooses_and_lets_go_and_a_box_touches_notes(hand) -> None:
    hand.click(hand.title("load"))
    hand.click((400, 70), keys=SHIFT)
    assert ({"load"}, {0}) == (hand.scene.selection, hand.scene.notes.selection)
    hand.click((400, 70), keys=SHIFT)
    assert ({"load"}, set()) == (hand.scene.selection, hand.scene.notes.selection)
    hand.drag((290, -40), (600, 120))
    assert (set(), {0}) == (hand.scene.selection, hand.scene.notes.selection)
    hand.click((800, 400))
    assert not hand.scene.notes.selection


def test_the_corner_resizes_it(hand) -> None:
    hand.drag((549, 85), (629, 165))
    assert (304, 0, 328, 168) == told(hand)[0].box
    assert "Resize note" == hand.model.undo.undoText()
    hand.drag((629, 165), (0, 0))
    assert (72, 40) == told(hand)[0].box[2:]
    hand.drag((372, 38), (500, 300), drop=False)
    QTest.keyClick(hand.view, Qt.Key.Key_Escape)
    assert (72, 40) == hand.scene.notes.items[0].box()[2:]


def test_arrows_delete_and_keys_of_going_reach_notes(hand, window) -> None:  # noqa: F811
    hand.click(hand.title("load"))
    key(hand, Qt.Key.Key_Right, CONTROL)
    assert (set(), {0}) == (hand.scene.selection, hand.scene.notes.selection)
    assert "Steps" in window.statusBar().currentMessage()
    key(hand, Qt.Key.Key_Down)
    key(hand, Qt.Key.Key_Down)
    assert (304, 16) == told(hand)[0].box[:2]
    hand.model.undo.undo()
    assert (304, 0) == told(hand)[0].box[:2]
    assert {0} == hand.scene.notes.selection
    key(hand, Qt.Key.Key_Delete)
    assert [] == told(hand)
    assert "Remove note" == hand.model.undo.undoText()


def test_copies_keep_their_place_to_the_nodes(hand, window) -> None:  # noqa: F811
    press(window, "edit.select_all")
    press(window, "edit.duplicate")
    assert (336, 32) == told(hand)[1].box[:2]
    assert ({"load_2", "blur_2"}, {1}) == (hand.scene.selection, hand.scene.notes.selection)
    hand.model.undo.undo()
    press(window, "edit.select_all")
    press(window, "edit.cut")
    assert ({}, []) == (hand.model.graph.nodes, told(hand))
    QCursor.setPos(hand.view.viewport().mapToGlobal(hand.spot((104, 104))))
    press(window, "edit.paste")
    node, note = hand.model.graph.view["nodes"]["load"], told(hand)[0].box
    assert (304, 0) == (note[0] - node[0], note[1] - node[1])


def test_a_note_alone_is_copied_and_pasted() -> None:
    text = copied(document(NOTE), (), [0])
    assert [NOTE] == parse(text).view["notes"]
    graph = document()
    made = pasted(graph, text, (10, 20))
    assert [{**NOTE, "box": [10, 20, 248, 88]}] == made.edit.change(graph).view["notes"]
    assert ((), (0,)) == (made.nodes, made.notes)


def test_frames_carry_notes_and_subgraphs_take_those_in_their_frames() -> None:
    frame = {"title": "All", "box": [-50, -50, 700, 500]}
    graph = document(NOTE, {**NOTE, "box": [2000, 0, 248, 88]}, frames=[frame])
    boxes = {"load": (0.0, 0.0, 232.0, 60.0), "blur": (0.0, 200.0, 232.0, 80.0)}
    made = gathered(graph, {"load", "blur"}, boxes)
    after = made.edit.change(graph)
    assert [2000] == [note.box[0] for note in notes(after)]
    assert [NOTE] == after.graphs["subgraph"].view["notes"]
    back = dissolved(after, *made.nodes).edit.change(after)
    assert [2000, 304] == [note.box[0] for note in notes(back)]


def test_a_frame_dragged_by_its_title_takes_its_notes(window) -> None:  # noqa: F811
    hand = Hand(window, document(NOTE, frames=[{"title": "All", "box": [280, -64, 400, 300]}]))
    hand.drag((340, -48), (340, -16))
    assert (304, 32) == told(hand)[0].box[:2]
    hand.model.undo.undo()
    assert (304, 0) == told(hand)[0].box[:2]


def test_control_and_a_click_opens_an_address(hand, window, monkeypatch) -> None:  # noqa: F811
    from nodeflow_editor.commands import notes as commands

    opened = []
    monkeypatch.setattr(commands.QDesktopServices, "openUrl", lambda url: not opened.append(url.toString()))
    item = hand.scene.notes.items[0]
    spot = next(
        (x, y) for y in range(0, 88, 4) for x in range(304, 552, 4) if item.link_at(x, y) == "https://example.org/a_(b)"
    )
    hand.click(spot)
    assert [] == opened
    hand.click(spot, keys=CONTROL)
    assert ["https://example.org/a_(b)"] == opened
    assert "" == item.link_at(309, 80)


def test_it_is_chosen_still_when_others_before_it_go(window) -> None:  # noqa: F811
    hand = Hand(window, document(*({**NOTE, "box": [300 * at, 0, 248, 88]} for at in range(3))))
    hand.scene.select((), notes=[2])
    hand.model.do(renoted(hand.model.graph, removed=[0]), "elsewhere")
    assert {1} == hand.scene.notes.selection
    hand.model.undo.undo()
    assert {2} == hand.scene.notes.selection


def test_it_says_its_first_lines_from_afar(window) -> None:  # noqa: F811
    hand = Hand(window, document({"text": "Read me", "box": [300, 0, 600, 300]}))
    for scale in (0.3, 0.15):
        hand.view.zoom(scale)
        hand.view.centerOn(600, 150)
        QGuiApplication.processEvents()
        shot = hand.view.viewport().grab().toImage()
        start = hand.spot((300, 0))
        seen = [shot.pixelColor(start.x() + x, start.y() + y).lightness() for x in range(6, 60) for y in range(3, 16)]
        assert max(seen) > 180
        assert sum(light < 90 for light in seen) > len(seen) / 2


def test_the_menu_of_a_note_is_its_own(hand, window) -> None:  # noqa: F811
    QTest.mousePress(hand.view.viewport(), RIGHT, NONE, hand.spot((400, 70)))
    menu = QGuiApplication.instance().activePopupWidget()
    assert isinstance(menu, QMenu)
    assert "Edit note" in [action.text() for action in menu.actions()]
    assert {0} == hand.scene.notes.selection
    menu.close()
    QTest.mouseRelease(hand.view.viewport(), RIGHT, NONE, hand.spot((400, 70)))
    QGuiApplication.processEvents()


def test_a_note_that_goes_while_it_is_typed_closes_the_field(hand, window) -> None:  # noqa: F811
    hand.click((400, 70))
    key(hand, Qt.Key.Key_Return)
    assert not Typing.of(window).field.over
    hand.model.do(renoted(hand.model.graph, removed=[0]), "elsewhere")
    assert Typing.of(window).field.over


def test_a_text_without_end_is_drawn_as_far_as_its_box_goes(window, qtbot) -> None:  # noqa: F811
    from time import process_time

    hand = Hand(window, document({"text": "word " * 400_000, "box": [304, 0, 248, 88]}))
    start = process_time()
    item = hand.scene.notes.items[0]
    item._laid = None
    assert not item.laid().whole
    assert item.laid().height <= 88
    assert process_time() - start < 0.5
    assert QPointF(304, 0) == item.pos()


def test_imported_notes_are_not_beneath_nodes() -> None:
    from nodeflow_editor.bringing import spaced

    graph = Document(nodes=NODES, view={"nodes": {"load": [0, 0], "blur": [600, 0]}, "notes": [
        {"text": "beneath", "box": [40, 20, 248, 88]}, {"text": "apart", "box": [600, 400, 248, 88]},
    ]})  # fmt: skip
    made = spaced(graph, CATALOG)
    first, second = notes(made)
    assert first.box[1] > 60
    assert (600, 400) == second.box[:2]
    assert graph.view["nodes"] == made.view["nodes"]
    assert made == spaced(made, CATALOG)
