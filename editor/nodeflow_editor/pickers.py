"""Values that are chosen rather than typed: files, colours, models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog, QFileDialog, QWidget

from nodeflow_editor.chooser import Choice, Chooser
from nodeflow_editor.model_list import Model, ModelList
from nodeflow_editor.ranking import Candidate, ranked
from nodeflow_editor.settings import Settings
from nodeflow_editor.theme import Palette
from nodeflow_editor.trust import trust

Done = Callable[[str], None]
PICTURES = "Pictures (*.png *.jpg *.jpeg *.webp *.bmp *.tif *.tiff *.gif);;All files (*)"


def pick_file(owner: QWidget, start: str, done: Done, settings: Settings) -> QFileDialog:
    """Opens a dialog that names a file, which runs may read then; `done` is handed the name as graphs have it."""
    dialog = QFileDialog(owner, "Choose a file", str(_folder(start)), PICTURES)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setObjectName("pick.file")

    def chosen(path: str) -> None:
        trust(settings, Path(path))
        done(file_name(Path(path)))

    dialog.fileSelected.connect(chosen)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def _folder(start: str) -> Path:
    """Where the dialog opens: at the file that is named now, if it is there."""
    try:
        path = Path(start).absolute()
        return path if start and path.exists() else Path.cwd()
    except (OSError, ValueError):
        return Path.cwd()


def file_name(path: Path) -> str:
    """A file as a graph names it: from the working folder if it lies there, so that the graph may move with it."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)


def pick_colour(owner: QWidget, value: str, done: Done) -> QColorDialog:
    """Opens a dialog that names a colour, as "#rrggbb"."""
    start = QColor(value)
    dialog = QColorDialog(start if start.isValid() else QColor("#808080"), owner)
    dialog.setObjectName("pick.colour")
    dialog.colorSelected.connect(lambda colour: done(colour.name()))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def pick_model(
    owner: QWidget, palette: Palette, models: ModelList, value: str, place: QPoint, done: Done,
    left: Callable[[], None] = lambda: None,
) -> Chooser:  # fmt: skip
    """Opens the list of models; what is typed may be taken as it stands."""

    def find(text: str) -> Sequence[Choice]:
        known = {model.name: model for model in models.models if not model.fault}
        candidates = [Candidate.of(name, name, model.note) for name, model in known.items()]
        found = [_choice(known[item.key], value) for item in ranked(text, candidates, {})]
        if text.strip() and text not in known:
            found.append(Choice(text, f"“{text}”", "as typed", help="It is looked for when the graph runs"))
        return found

    def renewed() -> None:
        chooser.search(chooser.line.text())
        if models.waiting or models.fault:
            chooser.foot.setText(models.fault or "looking for models…")

    chooser = Chooser(find, palette, "Choose a model, or type its name", owner)
    chooser.chosen.connect(lambda name, _: done(name))
    chooser.left.connect(left)
    models.changed.connect(renewed)
    chooser.destroyed.connect(lambda: models.changed.disconnect(renewed))
    models.ask()
    renewed()
    chooser.show_at(place)
    return chooser


def _choice(model: Model, value: str) -> Choice:
    now = model.name == value
    return Choice(model.name, f"✓ {model.name}" if now else model.name, model.note, help=model.path)
