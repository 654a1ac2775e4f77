"""The runs that wait and the one that is going; what a crash left is offered, and started by nobody else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from nodeflow_editor.list_keys import ListKeys
from nodeflow_editor.run.queue import Entry
from nodeflow_editor.run_part import RunPart

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

KEPT = 20
"""Runs that are over and still listed."""
MOST = 999
"""Runs that are asked for at once."""
RUN = Qt.ItemDataRole.UserRole


class QueueDock(QObject):
    """The dock. Its list has what runs, what waits, and below them what is over, the last first."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, self._part = window, RunPart.of(window)
        self._over: list[tuple[Entry, str]] = []
        self.list = QListWidget()
        self.list.setAccessibleName("Queue")
        self.list.setAlternatingRowColors(True)
        self.trouble = QLabel(wordWrap=True)
        self.trouble.hide()
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self.fill)
        self.left = LeftOver(self._part)
        self.times = QSpinBox(minimum=1, maximum=MOST, value=4, suffix=" times")
        self.times.setAccessibleName("How often")
        self.out = QLineEdit(str(self._part.out))
        self.out.setAccessibleName("Folder for files")
        self.out.setMinimumWidth(60)
        self.out.editingFinished.connect(lambda: self._take_out(self.out.text()))
        body = QWidget()
        self._lay_out(body)
        body.setFocusProxy(self.list)
        self.dock = window.add_dock("queue", "Queue", body, Qt.DockWidgetArea.BottomDockWidgetArea)
        ListKeys(self.list, {
            "Alt+Up": self.earlier, "Alt+Down": self.later, "Del": self.remove, "Return": self.again,
            "Enter": self.again,
        })  # fmt: skip
        self._part.runner.queue_changed.connect(self.fill)
        self._part.ended.connect(self._ended)
        self.dock.visibilityChanged.connect(lambda _: self.fill())
        self._part.runner.queue_changed.connect(self.left.look)
        self.list.currentItemChanged.connect(lambda *_: self._enable())
        self.fill()

    def _lay_out(self, body: QWidget) -> None:
        box, row, low = QVBoxLayout(body), QHBoxLayout(), QHBoxLayout()
        box.setContentsMargins(8, 6, 8, 8)
        self.buttons: dict[str, QPushButton] = {}
        for name, text, tip, run in (
            ("earlier", "Earlier", "Alt+Up", self.earlier), ("later", "Later", "Alt+Down", self.later),
            ("remove", "Remove", "Delete", self.remove), ("again", "Run again", "Enter", self.again),
            ("clear", "Clear", "Takes out all that wait", self.clear),
        ):  # fmt: skip
            self.buttons[name] = QPushButton(text)
            self.buttons[name].setToolTip(tip)
            self.buttons[name].clicked.connect(run)
            row.addWidget(self.buttons[name])
        row.addStretch(1)
        several = QPushButton("Run this graph")
        several.setToolTip("Each run begins with the next seeds, where seeds are random or next")
        several.clicked.connect(self.run_several)
        self.buttons["several"] = several
        low.addWidget(several)
        low.addWidget(self.times)
        low.addStretch(1)
        change = QPushButton("…")
        change.setToolTip("Another folder for files")
        change.setAccessibleName("Another folder for files")
        change.clicked.connect(self._ask_out)
        low.addWidget(QLabel("Files go to"))
        low.addWidget(self.out, 4)
        low.addWidget(change)
        box.addWidget(self.left)
        box.addWidget(self.trouble)
        box.addWidget(self.list, 1)
        box.addLayout(row)
        box.addLayout(low)

    # --- the list

    def fill(self) -> None:
        """Shows the queue as it is; what is chosen stays so."""
        entries = self._part.runner.queue.entries()
        waiting = sum(not entry.begun for entry in entries)
        self.dock.setWindowTitle(f"Queue ({waiting})" if waiting else "Queue")
        if self.dock.isVisible():
            self._list(entries)
            why = self._part.runner.queue.trouble
            self.trouble.setText(f"The queue cannot be written to the disk, and would be lost in a crash: {why}")
            self.trouble.setVisible(bool(why))
        self._enable()

    def _list(self, entries: Sequence[Entry]) -> None:
        chosen, present = self._chosen(), {entry.id for entry in entries}
        scrolled = self.list.verticalScrollBar().value()
        self.list.clear()
        for place, entry in enumerate(entries, 1 - sum(entry.begun for entry in entries)):
            sign, state = ("▶", "running") if entry.begun else (f"{place}.", f"waits since {_clock(entry.added)}")
            self._add(entry, f"{sign}  {_named(entry)}  ·  {state}")
        for entry, told in self._over:
            if entry.id not in present:
                self._add(entry, f"{'✓' if told.startswith('done') else '–'}  {_named(entry)}  ·  {told}")
        rows = [self.list.item(row).data(RUN) for row in range(self.list.count())]
        if chosen in rows:
            self.list.setCurrentRow(rows.index(chosen))
        elif rows:
            self.list.setCurrentRow(0)
        self.list.verticalScrollBar().setValue(scrolled)  # a run that ends does not take away what is being read
        if self.list.hasFocus() and chosen in rows:
            self.list.scrollToItem(self.list.currentItem())

    def _add(self, entry: Entry, text: str) -> None:
        item = QListWidgetItem(text)
        item.setData(RUN, entry.id)
        item.setToolTip(f"{entry.file or 'not saved'}\nfiles go to {entry.out}")
        self.list.addItem(item)

    def _chosen(self) -> int | None:
        item = self.list.currentItem()
        return int(item.data(RUN)) if item is not None else None

    def _waiting(self) -> list[int]:
        return [entry.id for entry in self._part.runner.queue.entries() if not entry.begun]

    def _enable(self) -> None:
        chosen, waiting = self._chosen(), self._waiting()
        present = {entry.id for entry in self._part.runner.queue.entries()}
        at = waiting.index(chosen) if chosen in waiting else -1
        self.buttons["earlier"].setEnabled(at > 0)
        self.buttons["later"].setEnabled(0 <= at < len(waiting) - 1)
        self.buttons["remove"].setEnabled(chosen in present)
        self.buttons["again"].setEnabled(chosen is not None)
        self.buttons["clear"].setEnabled(bool(waiting))

    def _ended(self, run: int, told: str) -> None:
        entry = self._part.runner.queue.entry(run)
        if entry is not None:
            self._over = [(entry, told), *self._over][:KEPT]
        self._later.start()

    # --- what can be done

    def _move(self, by: int) -> None:
        chosen, waiting = self._chosen(), self._waiting()
        if chosen in waiting:
            self._part.runner.move(chosen, waiting.index(chosen) + by)

    def earlier(self) -> None:
        """The chosen run comes one place earlier."""
        self._move(-1)

    def later(self) -> None:
        """The chosen run comes one place later."""
        self._move(1)

    def remove(self) -> None:
        """Takes the chosen run out, or stops it. Of those that wait, the next is chosen then."""
        chosen, waiting = self._chosen(), self._waiting()
        if chosen in waiting and len(waiting) > 1:
            self.list.setCurrentRow(self.list.currentRow() + (-1 if chosen == waiting[-1] else 1))
        if chosen is not None and chosen in {entry.id for entry in self._part.runner.queue.entries()}:
            self._part.runner.cancel(chosen)

    def again(self) -> None:
        """Runs the chosen one once more, as it was."""
        chosen = self._chosen()
        over = {entry.id: entry for entry, _ in self._over}
        entry = self._part.runner.queue.entry(chosen or 0) or over.get(chosen or 0)
        if entry is not None:
            self._part.again(entry)

    def clear(self) -> None:
        """Takes out all that wait."""
        for run in self._waiting():
            self._part.runner.cancel(run)

    def run_several(self) -> None:
        """Runs the graph in front several times, each with the next seeds."""
        page = self._window.page
        if page is None:
            return
        before = page.model.document
        numbers = self._part.submit(page, times=self.times.value())
        if len(numbers) > 1 and page.model.document is before:
            self._window.tell("no seed changes from run to run: give one the choice “random” or “next” in its menu")

    def _ask_out(self) -> None:
        found = QFileDialog.getExistingDirectory(self._window, "Folder for files", str(self._part.out))
        if found:
            self._take_out(found)

    def _take_out(self, text: str) -> None:
        self._window.settings.set("out", text.strip())
        self.out.setText(str(self._part.out))


class LeftOver(QWidget):
    """What an editor that ended suddenly had not run yet: chosen by whoever is there now, or given up."""

    def __init__(self, part: RunPart) -> None:
        super().__init__()
        self._part = part
        entries = part.runner.queue.left_over()
        self.list = QListWidget()
        self.list.setAccessibleName("Runs left over")
        self.list.setMaximumHeight(90)
        for entry in entries:
            item = QListWidgetItem(f"{_named(entry)}  ·  " + ("was running then" if entry.begun else "waited"))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Unchecked if entry.begun else Qt.CheckState.Checked)
            self.list.addItem(item)
        count = len(entries)
        what = "One run was" if count == 1 else f"{count} runs were"
        self.run, self.forget = QPushButton("Run the marked, forget the rest"), QPushButton("Forget all")
        self.run.clicked.connect(self._take_up)
        self.forget.clicked.connect(self._give_up)
        box, row = QVBoxLayout(self), QHBoxLayout()
        box.setContentsMargins(0, 0, 0, 4)
        label = QLabel(f"{what} left when the editor ended last time. Nothing of it runs unless you say so.")
        label.setWordWrap(True)
        box.addWidget(label)
        box.addWidget(self.list)
        row.addStretch(1)
        row.addWidget(self.run)
        row.addWidget(self.forget)
        box.addLayout(row)
        if not entries:  # to show it now would make a window of its own, as it stands in none yet
            self.hide()

    def look(self) -> None:
        """Goes once nothing is left over."""
        if self._part.runner.queue.left_over() == ():
            self.hide()

    def _take_up(self) -> None:
        chosen = [row for row in range(self.list.count()) if self.list.item(row).checkState() is Qt.CheckState.Checked]
        self._part.runner.take_up(chosen)
        self.hide()

    def _give_up(self) -> None:
        self._part.runner.give_up()
        self.hide()


def _named(entry: Entry) -> str:
    until = f" until “{entry.until}”" if entry.until else ""
    return f"{entry.title or entry.name}{until}"


def _clock(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds).astimezone():%H:%M:%S}"


def attach(window: Window) -> QueueDock:
    """Gives a window its queue."""
    return QueueDock(window)
