"""Makes the pictures of the editor anew: `make screenshots`. Graphs are really run, so nodes show what they gave.

    python docs/screenshots.py [NAME]...

Each scene is drawn dark and light, at 100 % and at 200 % (NAME@2x), without a screen, by a process of its own.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from nodeflow_editor.canvas.pens import font
from nodeflow_editor.commands.create import offer
from nodeflow_editor.files import Files
from nodeflow_editor.keys_sheet import KeysSheet
from nodeflow_editor.page import Page
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.settings import Settings
from nodeflow_editor.style import dress
from nodeflow_editor.theme import BODY, PALETTES, Palette
from nodeflow_editor.window import Window
from nodeflow_editor.wiring import End
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PySide6.QtCore import QBuffer, QEventLoop, QIODevice, QPoint, QPointF, QTimer
from PySide6.QtGui import QFontInfo, QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

from nodeflow.catalog import open_catalog

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).with_name("screenshots")
SIZE = 1480, 920
COLOURS = 256
"""Of each picture: more are hardly seen, and make the files larger than a page should load."""
EXACT = 96
PATIENCE = 180_000
"""Milliseconds for a run."""


def editor(palette: Palette, folder: Path) -> Window:
    """A window whose settings, results, cache and backups go to a folder that nobody keeps."""
    os.environ |= {"NODEFLOW_EDITOR_HOME": str(folder / "home"), "NODEFLOW_CACHE": str(folder / "cache")}
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    dress(application, palette)
    window = Window(open_catalog(), Settings(folder / "settings.json"), palette)
    window.settings.set("out", str(folder / "outputs"))
    window.resize(*SIZE)
    window.show()
    settle()
    return window


def settle(milliseconds: int = 120) -> None:
    """Lets Qt do what it has put off."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def opened(window: Window, graph: str) -> Page:
    """A graph of graphs/ in the window."""
    page = Files.of(window).open(ROOT / "graphs" / graph)
    assert page is not None
    settle()
    page.view.fit()
    return page


def ran(window: Window, page: Page) -> None:
    """Runs a graph, and returns when it is done."""
    loop, told = QEventLoop(), list[str]()
    part = RunPart.of(window)
    part.ended.connect(lambda _, how: (told.append(how), loop.quit()))
    QTimer.singleShot(PATIENCE, loop.quit)
    assert part.submit(page), "the graph was refused"
    loop.exec()
    assert told, "the run did not end"
    assert told[0].startswith("done"), told
    settle(400)
    window.tell("")
    page.view.fit()
    settle()


def main_window(window: Window) -> QPixmap:
    """A graph that has been run, a node chosen, its picture in the viewer."""
    page = opened(window, "text_to_image.json")
    ran(window, page)
    page.scene.select(["sample"])
    settle()
    return grabbed(window)


def pictures(window: Window) -> QPixmap:
    """A graph with several pictures."""
    page = opened(window, "inpaint.json")
    ran(window, page)
    page.scene.select(["blend"])
    settle()
    return grabbed(window)


def adding(window: Window) -> QPixmap:
    """A wire was let go over the canvas: the nodes that fit are offered."""
    page = opened(window, "text_to_image.json")
    page.view.zoom(1.0)
    page.view.centerOn(page.scene.nodes["empty"].frame().center() + QPointF(120, 60))
    place = page.scene.nodes["empty"].frame().topRight() + QPointF(60, 60)
    chooser = offer(window, page, place, End("empty", "out", True))
    settle()
    at = page.view.viewport().mapTo(window, page.view.mapFromScene(place)) + QPoint(2, 2)
    return over(grabbed(window), chooser, at)


def keys(window: Window) -> QPixmap:
    """The sheet of keys."""
    opened(window, "text_to_image.json")
    window.actions_table.made["help.keys"].trigger()
    sheet = window.findChild(KeysSheet)
    settle()
    return grabbed(sheet)


def grabbed(widget: QWidget) -> QPixmap:
    """What a widget looks like."""
    return widget.grab()


def over(ground: QPixmap, widget: QWidget, place: QPoint) -> QPixmap:
    """A picture with a window of its own drawn where it stands on the screen."""
    painter = QPainter(ground)
    painter.drawPixmap(place, widget.grab())
    painter.end()
    return ground


SCENES: dict[str, Callable[[Window], QPixmap]] = {
    "editor": main_window, "pictures": pictures, "adding": adding, "keys": keys,
}  # fmt: skip


def family() -> str:
    """The typeface that is really drawn with."""
    return QFontInfo(font(BODY)).family()


def packed(picture: QPixmap) -> Image.Image:
    """A picture in few colours: the most frequent as they are, and of the others those that are far from them.

    Pillow's own ways give a large ground another tint, or a small port its neighbour's colour.
    """
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    picture.save(buffer, "PNG")
    whole = np.asarray(Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")).astype(np.int32)
    numbers, which, count = np.unique(whole @ (65536, 256, 1), return_inverse=True, return_counts=True)
    colours = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], 1)
    kept = list(np.argsort(-count)[:EXACT])
    away = np.stack([_apart(colours, at) for at in kept]).min(0)
    while len(kept) < COLOURS and away.any():
        kept.append(np.argmax(away * np.log2(1 + count)))
        away = np.minimum(away, _apart(colours, kept[-1]))
    nearest = np.stack([_apart(colours, at) for at in kept]).argmin(0)
    made = Image.fromarray(nearest[which].reshape(whole.shape[:2]).astype(np.uint8), "P")
    made.putpalette(colours[kept].astype(np.uint8).tobytes())
    return made


def _apart(colours: np.ndarray, at: int) -> np.ndarray:
    return ((colours - colours[at]) ** 2).sum(1)


def draw(scene: str, palette: str, target: Path) -> None:
    """Draws one scene into a file, which remembers its typeface."""
    application = QApplication.instance() or QApplication(["nodeflow"])
    with tempfile.TemporaryDirectory(prefix="nodeflow-shots-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        window = editor(PALETTES[palette], Path(folder))
        image = packed(SCENES[scene](window))
        about = PngInfo()
        about.add_text("typeface", family())
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save(target, optimize=True, pnginfo=about)
        RunPart.of(window).close()
        window.closing.emit()
        os.chdir(ROOT)
    del application


def main(names: list[str]) -> None:
    """Draws the scenes that are named, or all."""
    for scene in names or SCENES:
        for palette in PALETTES:
            for scale, mark in (("1", ""), ("2", "@2x")):
                target = FOLDER / f"{scene}-{palette}{mark}.png"
                command = [sys.executable, __file__, "--draw", scene, palette, str(target)]
                subprocess.run(command, env={**os.environ, "QT_SCALE_FACTOR": scale}, check=True)
                print(target.relative_to(ROOT), f"{target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *SCENES])
    parser.add_argument("--draw", nargs=3, metavar=("SCENE", "PALETTE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.draw:
        scene, palette, file = arguments.draw
        draw(scene, palette, Path(file))
        sys.stdout.flush()
        os._exit(0)  # Qt's own order of ending does not matter here, and takes seconds
    main(arguments.names)
