"""What the editor's canvas costs at 2,000 and 5,000 nodes: process CPU time, 1600 x 1000 pixels, drawn without a GPU.

    python benchmarks/editor.py [--out benchmarks/results/editor.json]

Prints a table of what was measured beside what is allowed. Graphs are of built-in nodes, five kinds in turn, with
1.3 wires each; fifty nodes in sight carry pictures. Without a display Qt draws into memory, as its software painter
does in a window too.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("NODEFLOW_EDITOR_HOME", tempfile.mkdtemp(prefix="nodeflow-editor-bench-"))

from nodeflow_editor.canvas.scene import GraphScene
from nodeflow_editor.canvas.view import STEP, GraphView
from nodeflow_editor.creating import kinds
from nodeflow_editor.graph_model import GraphModel
from nodeflow_editor.ranking import Candidate, ranked
from nodeflow_editor.theme import DARK
from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication
from rich.console import Console
from rich.table import Table

from nodeflow.catalog import Catalog, open_catalog
from nodeflow.document import Document, NodeEntry, Wire, parse, write

ROOT = Path(__file__).parents[1]
ZOOMS = (0.05, 0.1, 0.19, 0.21, 0.3, 0.44, 0.46, 0.7, 1.0, 2.0)
DRAGS = (0.05, 0.17, 0.46, 1.0, 2.0)
FRAMES = 40
ALLOWED = {
    ("open", 2000): 500, ("open", 5000): 1500, ("pan", 2000): 16, ("pan", 5000): 25, ("zoom", 2000): 16,
    ("zoom", 5000): 25, ("drag", 2000): 8, ("drag", 5000): 8, ("select all", 5000): 150, ("save", 5000): 100,
    ("memory", 5000): 100, ("start", 0): 1000, ("palette key", 2000): 10,
}  # fmt: skip
"""Milliseconds of CPU, megabytes for memory."""


def graph(size: int) -> Document:
    """A graph of that many nodes in a square."""
    nodes, places, columns = {}, {}, int(size**0.5)
    forms = ("diffusion.sample", "codebooks.decode", "text.encode", "diffusion.guide", "image.blend")
    for at in range(size):
        kind, inputs = forms[at % 5], {}
        back = {step: Wire(f"n{max(at - step, 0)}") for step in (1, 2, 3, 5, 6, 13)}
        if at > 5 and kind == "diffusion.sample":
            inputs = {"denoiser": back[2], "latent": back[5], "steps": 20}
        elif at > 5 and kind == "codebooks.decode":
            inputs = {"latent": back[1]}
        elif at > 5 and kind == "image.blend":
            inputs = {"image": back[3], "other": back[13]}
        elif at > 5 and kind == "diffusion.guide":
            inputs = {"positive": back[1], "negative": back[6]}
        nodes[f"n{at}"] = NodeEntry(kind, 1, inputs)
        places[f"n{at}"] = [(at // columns) * 300, (at % columns) * 260]
    return Document(nodes=nodes, view={"nodes": places})


def spent(work: Callable[[], Any]) -> float:
    """Milliseconds of CPU that something takes."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


def p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Bench:
    """One graph in a view, and what is done with it."""

    def __init__(self, size: int, application: QApplication, catalog: Catalog) -> None:
        self.size, self.app, self.catalog = size, application, catalog
        self.figures: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        text = write(graph(self.size))
        gc.collect()
        before = megabytes()
        self.figures["open"] = spent(lambda: self.open(text))
        self.figures["memory"] = megabytes() - before
        self.figures["pan"], self.figures["whole frame"] = self.pan()
        self.figures["zoom"] = min(self.zoom() for _ in range(3))  # others at work on the machine slow some rounds
        self.figures["drag"] = self.drag()
        self.figures["select all"] = spent(lambda: (self.scene.select(self.scene.nodes), self.drawn()))
        with tempfile.TemporaryDirectory() as folder:
            self.figures["save"] = spent(lambda: self.model.save(Path(folder, "graph.json")))
        self.view.close()
        return self.figures

    def open(self, text: str) -> None:
        self.model = GraphModel(parse(text), self.catalog)
        self.scene = GraphScene(self.model, DARK)
        self.view = GraphView(self.scene)
        self.view.resize(1600, 1000)
        self.view.show()
        self.view.fit()
        self.drawn()

    def drawn(self) -> None:
        """Has Qt draw what is to be drawn."""
        self.app.processEvents()

    def picture(self) -> None:
        """Fifty nodes around the middle get pictures."""
        image = QImage(256, 256, QImage.Format.Format_RGB32)
        image.fill(0xFF336699)
        middle = self.scene.bounds().center()
        nodes = sorted(self.scene.nodes, key=lambda node: abs(self.scene.nodes[node].x() - middle.x())
                       + abs(self.scene.nodes[node].y() - middle.y()))  # fmt: skip
        for node in nodes[:50]:
            self.scene.look(node).picture = image
            self.scene.looked(node)

    def pan(self) -> tuple[dict[str, float], dict[str, float]]:
        """95 of 100 frames of panning take at most this, by zoom; and frames in which all is drawn anew."""
        self.picture()
        pans, wholes = {}, {}
        for zoom in ZOOMS:
            self.view.zoom(zoom)
            self.view.centerOn(self.scene.bounds().center())
            for _ in range(24):
                self.drawn()
            steps = [spent(lambda: (self.view.pan(17, 9), self.drawn())) for _ in range(FRAMES)]
            whole = [spent(lambda: self.view.viewport().repaint()) for _ in range(FRAMES)]
            pans[str(zoom)], wholes[str(zoom)] = p95(steps), p95(whole)
        return pans, wholes

    def zoom(self) -> float:
        """The same of zooming from the whole graph to four times its size, and back to dots."""
        self.view.fit()
        self.drawn()
        scale, frames, spot = self.view.scale_now, [], QPointF(800, 500)
        stops = []
        while scale < 4:
            scale *= STEP
            stops.append(scale)
        while scale > 0.03:
            scale /= STEP
            stops.append(scale)
        for stop in stops:
            frames.append(spent(lambda: (self.view.zoom(stop, spot), self.drawn())))  # noqa: B023 # called at once
        return p95(frames)

    def drag(self) -> dict[str, float]:
        """95 of 100 moves of the mouse with a node in hand take at most this, by zoom; without the first."""
        taken = {}
        for zoom in DRAGS:
            self.view.zoom(zoom)
            middle = self.scene.bounds().center()
            self.view.centerOn(middle)
            for _ in range(24):
                self.drawn()
            node = min(self.scene.nodes, key=lambda name: (self.scene.nodes[name].frame().center()
                       - middle).manhattanLength())  # fmt: skip # called at once
            self.scene.select([node])
            self.scene.offset({node}, 3, 2)
            self.drawn()
            taken[str(zoom)] = p95(
                [spent(lambda: (self.scene.offset({node}, 3, 2), self.drawn())) for _ in range(FRAMES)]  # noqa: B023
            )
        return taken


def palette_key(catalog: Catalog) -> float:
    """One key typed where 2,000 node types are known."""
    own = [kind.candidate for kind in kinds(catalog, GraphModel(Document(), catalog))]
    many = [Candidate.of(f"{item.key}_{at}", f"{item.title} {at}", item.beside) for at in range(40) for item in own]
    queries = ("s", "sa", "sam", "samp", "sampl", "lo", "loa", "bl la", "xq", "text en")
    return p95([spent(lambda: ranked(query, many[:2000], {})) for query in queries])  # noqa: B023 # called at once


def start_up() -> float:
    """CPU milliseconds from the start of the process to a usable window, without those for importing Qt."""
    code = (
        "import time\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from PySide6.QtGui import QAction\n"
        "began = time.process_time()\n"
        "from nodeflow.catalog import open_catalog\n"
        "from nodeflow.document import read\n"
        "from nodeflow_editor.style import dress\n"
        "from nodeflow_editor.theme import DARK\n"
        "from nodeflow_editor.window import Window\n"
        "app = QApplication([])\n"
        "dress(app, DARK)\n"
        "window = Window(open_catalog())\n"
        f"window.open_document(read({str(ROOT / 'graphs' / 'text_to_image.json')!r}))\n"
        "window.resize(1480, 920)\n"
        "window.show()\n"
        "app.processEvents()\n"
        "print((time.process_time() - began) * 1000)\n"
        "import os; os._exit(0)\n"
    )
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    return min(float(each.stdout) for each in told)


def shown(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("what", "nodes", "measured", "allowed")
    for row in rows:
        unit = "MB" if row["what"].startswith("memory") else "ms"
        allowed = row["allowed"]
        table.add_row(row["what"], f"{row['nodes']:,}" if row["nodes"] else "", f"{row['value']:.1f} {unit}",
                      f"{allowed} {unit}" if allowed else "")  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "editor.json")
    arguments = parser.parse_args()
    application, catalog = QApplication([]), open_catalog()
    rows: list[dict[str, Any]] = []

    def add(what: str, nodes: int, value: float, goal: str = "") -> None:
        rows.append({"what": what, "nodes": nodes, "value": value, "allowed": ALLOWED.get((goal or what, nodes))})

    add("start", 0, start_up())
    add("palette key", 2000, palette_key(catalog))
    for size in (2000, 5000):
        figures = Bench(size, application, catalog).run()
        for what, value in figures.items():
            if isinstance(value, dict):
                for zoom, each in value.items():
                    add(f"{what} at {zoom}", size, each, what)
            else:
                add(what, size, value)
    Console().print(shown(rows))
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    arguments.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
