"""A field for texts of any length: a line of a million characters stays as quick to type in as a short one."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QMimeData
from PySide6.QtWidgets import QPlainTextEdit, QWidget

PIECE = 2000
"""Characters of a line at most: Qt lays a whole line out at each key, which for a million takes 0.3 s."""
SEAMS = ("\u2063", "\u2062", "\u2061", "\u2060", "\ufdd0", "\ufdd1")
"""Signs that nobody sees. One that a text does not have marks where a long line was broken."""


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


class LongText(QPlainTextEdit):
    """A plain text field. `text` is what was given, to the character, with what was typed."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._seam = ""
        self.setTabChangesFocus(True)
        self.show_text(text)

    def show_text(self, text: str) -> None:
        """Takes another text; what was typed is forgotten."""
        self._seam = seam_for(text)
        self.setPlainText(folded(text, self._seam))

    def text(self) -> str:
        """What stands in the field. Qt's own way to ask for it turns no-break spaces into spaces."""
        return unfolded(self.document().toRawText().replace("\u2029", "\n"), self._seam)

    def createMimeDataFromSelection(self) -> QMimeData:  # noqa: N802 # Qt's name
        made = QMimeData()
        made.setText(unfolded(self.textCursor().selectedText().replace("\u2029", "\n"), self._seam))
        return made

    def insertFromMimeData(self, source: QMimeData) -> None:  # noqa: N802
        text = source.text().replace(self._seam, "") if self._seam else source.text()
        self.textCursor().insertText(folded(text, self._seam))
        self.ensureCursorVisible()
