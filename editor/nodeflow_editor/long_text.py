"""A field for texts of any length: a line of a million characters stays as quick to type in as a short one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from PySide6.QtCore import QEvent, QMimeData, Qt
from PySide6.QtGui import QKeyEvent, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QToolTip, QWidget

from nodeflow_editor.weighing import Weighed, weighed

PIECE = 2000
"""Characters of a line at most: Qt lays a whole line out at each key, which for a million takes 0.3 s."""
SEAMS = ("\u2063", "\u2062", "\u2061", "\u2060", "\ufdd0", "\ufdd1")
"""Signs that nobody sees. One that a text does not have marks where a long line was broken."""
WEIGHTS = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}
"""With Ctrl: what they do to the weight of words in a prompt."""


def seam_for(text: str) -> str:
    """The sign that breaks this text's long lines; empty if it has all of them."""
    return next((seam for seam in SEAMS if seam not in text), "")


def folded(text: str, seam: str) -> str:
    """A text with its long lines broken at spaces, each break behind a seam."""
    if not seam or len(text) <= PIECE:
        return text
    return "\n".join(f"{seam}\n".join(_pieces(line)) for line in text.split("\n"))


def unfolded(text: str, seam: str) -> str:
    """The text that was folded."""
    return text.replace(f"{seam}\n", "").replace(seam, "") if seam else text


def _pieces(line: str) -> Iterator[str]:
    start = 0
    while len(line) - start > PIECE:
        end = line.rfind(" ", start + PIECE // 2, start + PIECE) + 1 or start + PIECE
        yield line[start:end]
        start = end
    yield line[start:]


def units(text: str) -> int:
    """Its length as Qt counts: signs beyond the first 65,536 are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def alike_for(one: str, other: str) -> int:
    """Signs with which both begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


class LongText(QPlainTextEdit):
    """A plain text field. `text` is what was given, to the character, with what was typed.

    prompt: whether its words have weights, which Ctrl+Up and Ctrl+Down change.
    """

    def __init__(self, text: str = "", parent: QWidget | None = None, *, prompt: bool = False) -> None:
        super().__init__(parent)
        self._seam, self.prompt = "", prompt
        self._weighed: tuple[int, int, Weighed] | None = None
        """The document's revision and the cursor after the last change of a weight, and what was weighed."""
        self.setTabChangesFocus(True)
        self.show_text(text)

    def show_text(self, text: str) -> None:
        """Takes another text; what was typed is forgotten."""
        self._seam = seam_for(text)
        self.setPlainText(folded(text, self._seam))

    def text(self) -> str:
        """What stands in the field. Qt's own way to ask for it turns no-break spaces into spaces."""
        return unfolded(self._raw(), self._seam)

    def _raw(self) -> str:
        return self.document().toRawText().replace("\u2029", "\n")

    def event(self, event: QEvent) -> bool:
        """Ctrl+Up and Ctrl+Down come here before the canvas has them to go to another node."""
        if isinstance(event, QKeyEvent) and event.key() in WEIGHTS:
            held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
            if held == Qt.KeyboardModifier.ControlModifier:
                if event.type() == QEvent.Type.ShortcutOverride:
                    event.accept()
                    return True
                if event.type() == QEvent.Type.KeyPress and self.prompt:
                    self.weigh(WEIGHTS[Qt.Key(event.key())])
                    return True
        return super().event(event)

    def weigh(self, by: int) -> None:
        """Changes the weight of the chosen words, or of those at the cursor; one step of undo with the last such."""
        raw, cursor = self._raw(), self.textCursor()
        text, last = unfolded(raw, self._seam), self._weighed
        again = last is not None and (last[0], last[1]) == (self.document().revision(), cursor.position())
        start, end = (self._place(raw, spot) for spot in (cursor.selectionStart(), cursor.selectionEnd()))
        at, chosen = start, start != end
        if again and last is not None and not chosen:
            start, end = last[2].start, last[2].end  # what lost its brackets is no pair that is found at the cursor
        made = weighed(text, start, end, by)
        if made is None:
            why = "No word to weigh here, or a bracket among the words has no other"
            QToolTip.showText(self.mapToGlobal(self.cursorRect().bottomLeft()), why, self)
            return
        self._replace(raw, text, made.text, joined=again)
        inside = made.start + min(max(at - made.was, 0), made.end - made.start)
        now, cursor = self._raw(), self.textCursor()
        cursor.setPosition(self._spot(now, made.start if chosen else inside))
        if chosen:
            cursor.setPosition(self._spot(now, made.end), QTextCursor.MoveMode.KeepAnchor)
        self.setTextCursor(cursor)
        self._weighed = self.document().revision(), cursor.position(), made

    def _replace(self, raw: str, before: str, after: str, *, joined: bool) -> None:
        """Turns one text into another where they differ; joined: as one step of undo with the last."""
        same = alike_for(before, after)
        alike = alike_for(before[same:][::-1], after[same:][::-1])
        cursor = self.textCursor()
        if joined:
            cursor.joinPreviousEditBlock()
        else:
            cursor.beginEditBlock()
        cursor.setPosition(self._spot(raw, same))
        cursor.setPosition(self._spot(raw, len(before) - alike), QTextCursor.MoveMode.KeepAnchor)
        cursor.insertText(after[same : len(after) - alike])
        cursor.endEditBlock()

    def _place(self, raw: str, spot: int) -> int:
        """A place of Qt's as one in the text."""
        place = spot
        while place > 0 and units(raw[:place]) > spot:
            place -= max(1, (units(raw[:place]) - spot) // 2)
        return len(unfolded(raw[:place], self._seam))

    def _spot(self, raw: str, place: int) -> int:
        """A place of the text as one of Qt's: behind the seams before it."""
        at = 0
        for seam in re.finditer(f"{self._seam}\n?", raw) if self._seam else ():
            if place <= seam.start() - at:
                break
            place, at = place - (seam.start() - at), seam.end()
        return units(raw[: at + place])

    def createMimeDataFromSelection(self) -> QMimeData:  # noqa: N802 # Qt's name
        made = QMimeData()
        made.setText(unfolded(self.textCursor().selectedText().replace("\u2029", "\n"), self._seam))
        return made

    def insertFromMimeData(self, source: QMimeData) -> None:  # noqa: N802
        text = source.text().replace(self._seam, "") if self._seam else source.text()
        self.textCursor().insertText(folded(text, self._seam))
        self.ensureCursorVisible()
