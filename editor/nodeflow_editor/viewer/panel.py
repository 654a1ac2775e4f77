"""The viewer: the picture in sight, what is asked of it in a bar above, its pixels in words below, the last ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage, QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from nodeflow_editor.theme import Palette
from nodeflow_editor.viewer import hands
from nodeflow_editor.viewer.kept import Kept, Origin, Shelf
from nodeflow_editor.viewer.keys import run_of
from nodeflow_editor.viewer.pixels import Channel, brief, full
from nodeflow_editor.viewer.sight import Mode, Sight
from nodeflow_editor.viewer.steps import Steps
from nodeflow_editor.viewer.strip import Strip
from nodeflow_editor.viewer.taking import Hold

LAST = 5_000
"""Milliseconds that the window waits at its end for a picture that is being read."""
STOPS, GAIN = 10, 64
"""Steps of the exposure slider by a stop; the most that a difference is multiplied by."""


class Neutral(QSlider):
    """A slider that goes back to its middle on a double click."""

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: ARG002, N802 # Qt's
        self.setValue(0)


class Viewer(QWidget):
    """Shows pictures by key; the newest of a key replaces the one before."""

    told = Signal(str)
    """A sentence for the status bar."""
    written = Signal(str)
    """What came of a save, from the pool."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pool = QThreadPool(self)
        self.pool.setMaxThreadCount(2)
        self.current, self.pinned = "", ""
        self._said: set[str] = set()
        self._spot: QPointF | None = None
        self.sight, self.strip, self.steps = Sight(self), Strip(self), Steps(self)
        self._shelf = Shelf(self.pool, self, self._grown, self.strip.drop)
        self.readout, self.about = QLabel(self), QLabel(self)
        self.readout.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.readout.setAccessibleName("Pixel under the mouse")
        self.about.setProperty("dim", True)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        self.bar = self._bar()
        box.addWidget(self.bar)
        box.addWidget(self.sight, 1)
        box.addWidget(self.steps)
        for label in (self.readout, self.about):
            label.setContentsMargins(8, 2, 8, 2)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.addWidget(label)
        box.addWidget(self.strip)
        self.setAcceptDrops(True)
        self.strip.picked.connect(self.turn)
        self.sight.hovered.connect(self._hovered)
        self.sight.looked.connect(self._describe)
        self.written.connect(self.told)
        self.steps.stepped.connect(self.step)
        self.steps.turned.connect(self.turn_together)
        self.sight.clicked.connect(self._pointed)
        self.strip.taken.connect(lambda key: hands.take(self, self.strip, self._shelf.kept.get(key)))
        Hold(self.sight, lambda: hands.take(self, self.sight, self.in_front()))
        self._refresh()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 # Qt's name
        """Where there is little room the picture has it: what stands around it goes, the least needed first."""
        super().resizeEvent(event)
        for widget, least in ((self.strip, 340), (self.bar, 250), (self.readout, 200), (self.about, 150)):
            widget.setVisible(self.height() >= least)

    # --- pictures

    def show(
        self, key: str = "", title: str = "", picture: Origin | Sequence[Origin] | None = None,
        whole: QSize | None = None, count: int = 1,
    ) -> None:  # fmt: skip
        """Keeps a picture and brings it to the front."""
        if picture is None:
            super().show()
            return
        self.keep(key, title, picture, whole, count)
        self.turn(key)

    def keep(
        self, key: str, title: str, picture: Origin | Sequence[Origin], whole: QSize | None = None, count: int = 1
    ) -> None:  # fmt: skip
        """Keeps a picture, or those of a batch: the newest of its key. It is shown if that key is, or nothing is.

        whole: the size of the picture itself, if this one was made small; empty if it is not known. count: how many the
        batch has, if these are the first of it.
        """
        origins = (picture,) if isinstance(picture, QImage | Path) else tuple(picture)
        self._shelf.put(key, Kept(title, origins, whole, max(count, len(origins))))
        self._sketch(key)
        if key == self.current or not self.current:
            self.turn(key)
        self._shelf.tidy(self.current)

    def sketch(self, key: str, pictures: tuple[QImage, ...]) -> None:
        """Takes small pictures of what is kept, so that it need not be read to be drawn small."""
        kept = self._shelf.kept.get(key)
        if kept is not None:
            kept.smalls = pictures if len(pictures) == len(kept.origins) else ()
            self.strip.put(key, kept.title, pictures[0], kept.count)

    def _sketch(self, key: str) -> None:
        """Has the strip draw a picture, if it need not be read for that."""
        kept = self._shelf.kept[key]
        small = kept.smalls[kept.at] if kept.smalls else kept.origins[kept.at]
        self.strip.put(key, kept.title, small if isinstance(small, QImage) else None, kept.count)

    def turn(self, key: str, at: int | None = None) -> None:
        """Shows the picture of that key as A; of a batch, the one at that place, if it is named."""
        kept = self._shelf.kept.get(key)
        if kept is None:
            return
        if at is not None:
            kept.at, kept.together = min(max(at, 0), len(kept.origins) - 1), False
        self._shelf.kept.move_to_end(key)
        self.current = key
        self.sight.several, self.sight.together = len(kept.origins) > 1, kept.together
        self.sight.show_source(self._shelf.source(key))
        self._sketch(key)
        self.strip.choose(key)
        self._shelf.prepare(key)
        self._shelf.tidy(self.current)
        self._refresh()

    @property
    def several(self) -> bool:
        """Whether the picture in front is one of a batch."""
        return self.sight.several

    def step(self, by: int) -> None:
        """Shows another picture of the batch; behind the last comes the first."""
        kept = self._shelf.kept.get(self.current)
        if kept is not None and self.several:
            at = (0 if by > 0 else -1) if kept.together else kept.at + by
            self.turn(self.current, at % len(kept.origins))

    def turn_together(self) -> None:
        """Shows all pictures of the batch side by side, or one again."""
        kept = self._shelf.kept.get(self.current)
        if kept is not None and self.several:
            kept.together = not kept.together
            self.turn(self.current)

    def _pointed(self, spot: QPointF) -> None:
        """One of several side by side was clicked."""
        kept = self._shelf.kept.get(self.current)
        size = self.sight.source.size if self.sight.source is not None else QSize()
        at = kept.grid().at(spot.x(), spot.y(), QRectF(QPointF(0, 0), size.toSizeF())) if kept is not None else None
        if at is not None:
            self.turn(self.current, at)

    def keys(self) -> list[str]:
        """The keys that are kept, the last that was looked at at the end."""
        return list(self._shelf.kept)

    def _grown(self, key: str) -> None:
        """More of a picture is there: its small one is drawn, its fault is told once."""
        kept = self._shelf.kept.get(key)
        source = kept.source if kept is not None else None
        if kept is not None and source is not None:
            if source.error and source.error not in self._said:
                self._said.add(source.error)
                self.told.emit(source.error)
            if isinstance(kept.origin, Path) and (small := source.smallest()) is not None:
                self.strip.put(key, kept.title, small, kept.count)
            if key == self.current:
                self._shelf.prepare(key)
        self._describe()

    # --- the bar

    def _bar(self) -> QWidget:
        """Two rows, so that the dock may be narrow: how a picture is seen, and what is done with it and another."""
        bar = QWidget(self)
        bar.setStyleSheet("QToolButton { padding: 4px 6px; }")
        rows = QVBoxLayout(bar)
        rows.setContentsMargins(8, 6, 8, 6)
        rows.setSpacing(4)
        self.channel = QComboBox(bar)
        self.channel.addItems([channel.value for channel in Channel])
        self.channel.setAccessibleName("Channel")
        self.channel.setToolTip("Channel (C, R, G, B, A, L)")
        self.channel.currentIndexChanged.connect(lambda at: self.sight.set_channel(list(Channel)[at]))
        self.exposure = Neutral(Qt.Orientation.Horizontal, bar)
        self.exposure.setRange(-6 * STOPS, 6 * STOPS)
        self.exposure.setAccessibleName("Exposure in stops")
        self.exposure.valueChanged.connect(self._lit)
        self.stops = QLabel(bar)
        self.stops.setProperty("dim", True)
        self.stops.setMinimumWidth(self.stops.fontMetrics().horizontalAdvance("+6.0 EV"))
        self.gain = QSlider(Qt.Orientation.Horizontal, bar)
        self.gain.setRange(1, GAIN)
        self.gain.setAccessibleName("Gain of the difference")
        self.gain.setToolTip("Gain of the difference")
        self.gain.valueChanged.connect(lambda value: self.sight.set_gain(float(value)))
        self.fit = self._button("Fit", "Show all of it (F)", self.sight.fit)
        self.whole = self._button("1:1", "One pixel on one of the screen (Home)", lambda: self.sight.zoom(1.0))
        self.copier = self._button("Copy", "Put the picture on the clipboard (Ctrl+C)", self.copy)
        self.saver = self._button("Save…", "Write the picture to a file (S)", self.save_as)
        self.pin_button = self._button("Pin as B", "Keep this picture to compare others with (P)", self.pin)
        self.side = self._button("A", "Show A or B (Tab, 1, 2)", self.flip)
        self.wipe = self._button("Wipe", "A left of a divider, B right of it (W)", lambda: self.toggle(Mode.WIPE))
        self.apart = self._button("Difference", "How far A and B are apart (D)", lambda: self.toggle(Mode.DIFFERENCE))
        for button in (self.wipe, self.apart, self.pin_button):
            button.setCheckable(True)
        above, below = QHBoxLayout(), QHBoxLayout()
        for row, widgets in (
            (above, (self.fit, self.whole, self.channel, self.exposure, self.stops, self.gain, self.saver)),
            (below, (self.pin_button, self.side, self.wipe, self.apart, self.copier)),
        ):
            row.setSpacing(4)
            rows.addLayout(row)
            for widget in widgets:
                row.addWidget(widget, 1 if isinstance(widget, QSlider) else 0)
        below.insertStretch(4, 1)
        for slider in (self.exposure, self.gain):
            slider.setMinimumWidth(36)
        self._lit(0)
        return bar

    def _button(self, text: str, says: str, run: Callable[[], object]) -> QToolButton:
        button = QToolButton(self)
        button.setProperty("small", True)
        button.setText(text)
        button.setToolTip(says)
        button.setAccessibleName(says.partition(" (")[0])
        button.clicked.connect(lambda: run())
        return button

    def _lit(self, value: int) -> None:
        stops = value / STOPS
        self.exposure.setToolTip("Exposure in stops (double click: none)")
        self.stops.setText(f"{stops:+.1f} EV" if value else "0 EV")
        self.sight.set_exposure(stops)

    def pin(self) -> None:
        """Keeps the picture in front as B, or lets B go."""
        if self.pinned:
            self.pinned = ""
            self.sight.pin(None)
            self._shelf.unpin()
        elif self.current:
            self.pinned = self.current
            self.sight.pin(self._shelf.pin(self.current).source)
        self._refresh()

    def flip(self) -> None:
        """Shows B in place of A, or A again."""
        self.sight.turn("A" if self.sight.side == "B" else "B")
        self._refresh()

    def toggle(self, mode: Mode) -> None:
        """Shows A and B so, or A alone again."""
        self.sight.set_mode(Mode.ONE if self.sight.mode is mode else mode)
        self._refresh()

    def _refresh(self) -> None:
        two = bool(self.pinned)
        self.pin_button.setChecked(two)
        self.pin_button.setText("B pinned" if two else "Pin as B")
        self.side.setText(self.sight.side)
        for widget in (self.side, self.wipe, self.apart):
            widget.setEnabled(two)
        self.wipe.setChecked(self.sight.mode is Mode.WIPE)
        self.apart.setChecked(self.sight.mode is Mode.DIFFERENCE)
        apart = self.sight.mode is Mode.DIFFERENCE  # which is looked at as it is
        self.gain.setVisible(apart)
        self.exposure.setVisible(not apart)
        self.stops.setVisible(not apart)
        self._describe()

    # --- words

    def in_front(self) -> Kept | None:
        """The picture that is looked at: A or B."""
        return self._shelf.b if self.sight.side == "B" and self.pinned else self._shelf.kept.get(self.current)

    def _describe(self) -> None:
        self._read_out()
        kept = self.in_front()
        self.steps.tell(kept.where if kept is not None and self.several else "", together=self.sight.together)
        source = kept.source if kept is not None else None
        if kept is None or source is None:
            self.about.setText("")
            return
        scale = self.sight.scale_of(source)
        parts = [kept.title, kept.where, kept.measures(source.size)]
        parts.append(f"{scale:.0%}" if scale >= 0.1 else f"{scale:.1%}")
        if source.reading:
            parts.append("reading…")
        if source.error:
            parts.append(source.error)
        self.about.setText("   ".join(part for part in parts if part))
        self.about.setToolTip(self.about.text())  # the dock may be too narrow for it
        self.sight.setAccessibleDescription(self.about.text())

    def _hovered(self, spot: QPointF | None) -> None:
        self._spot = spot
        self._read_out()

    def _read_out(self) -> None:
        """Tells the pixel under the mouse: of that picture which is seen there, of both in a difference."""
        seen = self.sight.under(self._spot) if self._spot is not None else []
        parts = []
        for number, (source, place) in enumerate(seen):
            found = source.pixel(place.x(), place.y())
            if found is not None:
                colour, exact = found
                told = brief(colour) if len(seen) > 1 else full(colour)
                name = f"{'AB'[number]} " if len(seen) > 1 else ""
                parts.append(f"{name}{place.x()}, {place.y()}   {'' if exact else 'about '}{told}")
        self.readout.setText("      ".join(parts))

    def close_pictures(self) -> None:
        """Ends what is being read, and waits for it: threads must not outlive the window."""
        self._shelf.stop()
        self.pool.waitForDone(LAST)

    def dress(self, palette: Palette) -> None:
        """Takes a palette."""
        self.sight.dress(palette)

    # --- hands

    def copy(self) -> None:
        """Puts the picture in front on the clipboard."""
        hands.copy(self)

    def save_as(self) -> None:
        """Writes the picture in front to a file that is asked for."""
        hands.save_as(self)

    def save(self, path: Path) -> None:
        """Writes the picture in front to a file, in the pool."""
        hands.save(self, path)

    def event(self, event: QEvent) -> bool:
        """Keys of the viewer go before the window's, and Tab turns between A and B where there are two."""
        if isinstance(event, QKeyEvent) and event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            run = run_of(self, event)
            if run is not None:
                event.accept()
                if event.type() == QEvent.Type.KeyPress:
                    run()
                return True
        return super().event(event)

    def turn_to(self, side: str) -> None:
        """Shows A or B."""
        self.sight.turn(side)
        self._refresh()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 # Qt's name
        source, data = event.source(), event.mimeData()
        own = isinstance(source, QWidget) and self.isAncestorOf(source)
        if not own and data.hasUrls() and all(url.isLocalFile() for url in data.urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        for url in event.mimeData().urls():
            path = Path(url.toLocalFile())
            self.show(f"file:{path}", path.name, path)
        event.acceptProposedAction()
