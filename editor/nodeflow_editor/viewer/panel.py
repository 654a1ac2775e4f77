"""The viewer: the picture in sight, what is asked of it in a bar above, its pixels in words below, the last ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QPoint, Qt, QThreadPool, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QImage, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from nodeflow_editor.theme import Palette
from nodeflow_editor.viewer.pixels import Channel, told
from nodeflow_editor.viewer.sight import Mode, Sight
from nodeflow_editor.viewer.source import Source
from nodeflow_editor.viewer.strip import Strip

KEPT = 30
"""Pictures in the strip."""
ROOM = 768 * 2**20
"""Bytes of all pictures; those longest not looked at go first, but for A and B."""
LAST = 5_000
"""Milliseconds that the window waits at its end for a picture that is being read."""
STOPS, GAIN = 10, 64
"""Steps of the exposure slider by a stop; the most that a difference is multiplied by."""


@dataclass(slots=True)
class _Kept:
    title: str
    origin: QImage | Path
    source: Source | None = None


class Neutral(QSlider):
    """A slider that goes back to its middle on a double click."""

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: ARG002, N802 # Qt's
        self.setValue(0)


class Viewer(QWidget):
    """Shows pictures by key; the newest of a key replaces the one before."""

    told = Signal(str)
    """A sentence for the status bar."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pool = QThreadPool(self)
        self.pool.setMaxThreadCount(2)
        self.current, self.pinned = "", ""
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._said: set[str] = set()
        self.sight, self.strip = Sight(self), Strip(self)
        self.readout, self.about = QLabel(self), QLabel(self)
        self.readout.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.readout.setAccessibleName("Pixel under the mouse")
        self.about.setProperty("dim", True)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self._bar())
        box.addWidget(self.sight, 1)
        for label in (self.readout, self.about):
            label.setContentsMargins(8, 2, 8, 2)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.addWidget(label)
        box.addWidget(self.strip)
        self.setAcceptDrops(True)
        self.strip.picked.connect(self.turn)
        self.sight.hovered.connect(self._hovered)
        self.sight.looked.connect(self._describe)
        self._refresh()

    # --- pictures

    def show(self, key: str = "", title: str = "", picture: QImage | Path | None = None) -> None:
        """Keeps a picture and brings it to the front."""
        if picture is None:
            super().show()
            return
        self.keep(key, title, picture)
        self.turn(key)

    def keep(self, key: str, title: str, picture: QImage | Path) -> None:
        """Keeps a picture: the newest of its key. It is shown if that key is, or nothing is."""
        before = self._kept.pop(key, None)
        if before is not None and before.source is not None:
            before.source.drop()
        self._kept[key] = _Kept(title, picture)
        self.strip.put(key, title, picture if isinstance(picture, QImage) else None)
        if key == self.pinned:
            self.sight.pin(self._source(key))
        if key == self.current or not self.current:
            self.turn(key)
        self._tidy()

    def turn(self, key: str) -> None:
        """Shows the picture of that key as A."""
        if key not in self._kept:
            return
        self._kept.move_to_end(key)
        self.current = key
        self.sight.show_source(self._source(key))
        self.strip.choose(key)
        self._tidy()
        self._refresh()

    def keys(self) -> list[str]:
        """The keys that are kept, the last that was looked at at the end."""
        return list(self._kept)

    def _source(self, key: str) -> Source:
        kept = self._kept[key]
        if kept.source is None:
            if isinstance(kept.origin, QImage):
                kept.source = Source.of_image(kept.origin, self.pool, self)
            else:
                kept.source = Source.of_file(kept.origin, self.pool, self)
            kept.source.changed.connect(lambda: self._grown(key))
        return kept.source

    def _grown(self, key: str) -> None:
        """More of a picture is there: its small one is drawn, its fault is told once."""
        kept = self._kept.get(key)
        if kept is None or kept.source is None:
            return
        if kept.source.error and kept.source.error not in self._said:
            self._said.add(kept.source.error)
            self.told.emit(kept.source.error)
        if isinstance(kept.origin, Path) and (small := kept.source.smallest()) is not None:
            self.strip.put(key, kept.title, small)
        if key == self.current:
            self._describe()

    def _tidy(self) -> None:
        """Lets go of what is more than is kept, in number and in bytes."""
        total = sum(kept.source.bytes for kept in self._kept.values() if kept.source is not None)
        for key in list(self._kept):
            kept = self._kept[key]
            if key in (self.current, self.pinned):
                continue
            if len(self._kept) > KEPT or (total > ROOM and isinstance(kept.origin, QImage)):
                self.strip.drop(key)
                del self._kept[key]
            elif total <= ROOM:
                continue
            if kept.source is not None:
                total -= kept.source.bytes
                kept.source.drop()
                kept.source = None

    # --- the bar

    def _bar(self) -> QWidget:
        """Two rows, so that the dock may be narrow: how a picture is seen, and what is done with it and another."""
        bar = QWidget(self)
        bar.setStyleSheet("QToolButton { padding: 4px 8px; }")
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
        self.wipe = self._button("Wipe", "A left of a divider, B right of it (W)", lambda: self._toggle(Mode.WIPE))
        self.apart = self._button("Difference", "How far A and B are apart (D)", lambda: self._toggle(Mode.DIFFERENCE))
        for button in (self.wipe, self.apart, self.pin_button):
            button.setCheckable(True)
        for widgets, wide in (
            ((self.fit, self.whole, self.channel, self.exposure, self.stops, self.saver), self.exposure),
            ((self.pin_button, self.side, self.wipe, self.apart, self.gain, self.copier), self.gain),
        ):  # fmt: skip
            row = QHBoxLayout()
            row.setSpacing(4)
            for widget in widgets:
                row.addWidget(widget, 1 if widget is wide else 0)
            row.addStretch(0 if wide is self.exposure else 1)
            rows.addLayout(row)
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
        elif self.current:
            self.pinned = self.current
            self.sight.pin(self._source(self.current))
        self._refresh()

    def flip(self) -> None:
        """Shows B in place of A, or A again."""
        self.sight.turn("A" if self.sight.side == "B" else "B")
        self._refresh()

    def _toggle(self, mode: Mode) -> None:
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
        self.gain.setVisible(self.sight.mode is Mode.DIFFERENCE)
        self._describe()

    # --- words

    def _describe(self) -> None:
        kept = self._kept.get(self.pinned if self.sight.side == "B" and self.pinned else self.current)
        source = kept.source if kept is not None else None
        if kept is None or source is None:
            self.about.setText("")
            return
        size = source.size
        parts = [kept.title, f"{size.width()} × {size.height()}"]  # as people write sizes
        parts.append(f"{self.sight.scale:.0%}" if self.sight.scale >= 0.1 else f"{self.sight.scale:.1%}")
        if source.reading:
            parts.append("reading…")
        if source.error:
            parts.append(source.error)
        self.about.setText("   ".join(part for part in parts if part))
        self.sight.setAccessibleDescription(self.about.text())

    def _hovered(self, place: QPoint | None) -> None:
        source = self.sight.shown()
        found = source.pixel(place.x(), place.y()) if source is not None and place is not None else None
        if place is None or found is None:
            self.readout.setText("")
            return
        colour, exact = found
        self.readout.setText(f"{place.x()}, {place.y()}   {'' if exact else 'about '}{told(colour)}")

    def close_pictures(self) -> None:
        """Ends what is being read, and waits for it: threads must not outlive the window."""
        for kept in self._kept.values():
            if kept.source is not None:
                kept.source.stop()
        self.pool.waitForDone(LAST)

    def dress(self, palette: Palette) -> None:
        """Takes a palette."""
        self.sight.dress(palette)

    # --- hands

    def copy(self) -> None:
        """Puts the picture in front on the clipboard."""
        image = self._image()
        if image is not None:
            QGuiApplication.clipboard().setImage(image)
            self.told.emit("the picture is on the clipboard")

    def save_as(self) -> None:
        """Writes the picture in front to a file that is asked for."""
        if self._image() is not None:
            name, _ = QFileDialog.getSaveFileName(self, "Save picture", "", "Pictures (*.png *.jpg *.webp)")
            if name:
                self.save(Path(name))

    def save(self, path: Path) -> None:
        """Writes the picture in front to a file; one that came from a file is copied with all it carries."""
        kept = self._kept.get(self.current)
        image = self._image()
        if kept is None or image is None:
            return
        path = path if path.suffix else path.with_suffix(".png")
        try:
            if isinstance(kept.origin, Path) and kept.origin.suffix.lower() == path.suffix.lower():
                path.write_bytes(kept.origin.read_bytes())
            elif not image.save(str(path)):
                raise OSError(0, "that form cannot be written, or the folder not be written to")
        except OSError as error:
            self.told.emit(f"{path} was not written: {error.strerror or error}")
            return
        self.told.emit(f"saved {path}")

    def _image(self) -> QImage | None:
        kept = self._kept.get(self.current)
        image = kept.source.whole() if kept is not None and kept.source is not None else None
        if image is None or image.isNull():
            large = kept is not None and kept.source is not None and not kept.source.error and not kept.source.reading
            self.told.emit(
                "the picture is too large to be copied whole: copy its file" if large else "no picture to take"
            )
            return None
        return image

    def event(self, event: QEvent) -> bool:
        """Keys of the viewer go before the window's, and Tab turns between A and B where there are two."""
        if isinstance(event, QKeyEvent) and event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            run = self._run_of(event)
            if run is not None:
                event.accept()
                if event.type() == QEvent.Type.KeyPress:
                    run()
                return True
        return super().event(event)

    def _run_of(self, event: QKeyEvent) -> Callable[[], object] | None:
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        keys: dict[int, Callable[[], object]] = {}
        if held == Qt.KeyboardModifier.ControlModifier:
            keys = {Qt.Key.Key_C: self.copy}
        elif not held & ~Qt.KeyboardModifier.ShiftModifier:
            keys = self._letters()
            if self.pinned:
                keys |= {Qt.Key.Key_1: lambda: self._side("A"), Qt.Key.Key_2: lambda: self._side("B")}
                if not held:
                    keys[Qt.Key.Key_Tab] = self.flip
        return keys.get(event.key())

    def _letters(self) -> dict[int, Callable[[], object]]:
        """What keys do that are pressed alone."""
        sight, strip = self.sight, self.strip
        keys: dict[int, Callable[[], object]] = {
            Qt.Key.Key_F: sight.fit, Qt.Key.Key_Home: lambda: sight.zoom(1.0),
            Qt.Key.Key_Plus: lambda: sight.zoom(sight.scale * 2**0.5),
            Qt.Key.Key_Minus: lambda: sight.zoom(sight.scale / 2**0.5),
            Qt.Key.Key_P: self.pin, Qt.Key.Key_S: self.save_as,
            Qt.Key.Key_W: lambda: self._toggle(Mode.WIPE), Qt.Key.Key_D: lambda: self._toggle(Mode.DIFFERENCE),
            Qt.Key.Key_PageUp: lambda: strip.step(-1), Qt.Key.Key_PageDown: lambda: strip.step(1),
        }  # fmt: skip
        return keys | {ord(letter): partial(self.channel.setCurrentIndex, at) for at, letter in enumerate("CRGBAL")}

    def _side(self, side: str) -> None:
        self.sight.turn(side)
        self._refresh()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 # Qt's name
        if event.mimeData().hasUrls() and all(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        for url in event.mimeData().urls():
            path = Path(url.toLocalFile())
            self.show(f"file:{path}", path.name, path)
        event.acceptProposedAction()
