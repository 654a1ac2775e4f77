"""The installed program under a screen of its own: a graph is built by keys and mouse, run, saved, opened again.

Places follow from what the editor promises: a new node's corner stands at the mouse, on the grid, and the file says
where. Nothing but the mouse, the keys and the saved file is used.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nodeflow_editor.canvas.metrics import HEADER, Measures, measured
from nodeflow_editor.faces import of_spec
from PIL import Image

from nodeflow.catalog import open_catalog
from nodeflow.document import Document, read

TOOLS = ("Xvfb", "xdotool")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
SCREEN = 1920, 1200
PATIENCE = 120.0
"""Seconds for the editor to start, and for the run: both take a few where nothing else is at work."""
PROMPT = "a small blue square in the bottom right on a white background"
NODES = {
    "load_encoder": ("load encoder", (40, 150)), "load": ("load denoiser", (40, 260)),
    "load_2": ("load autoencoder", (40, 370)), "encode": ("encode text", (320, 150)),
    "encode_2": ("encode text", (320, 330)), "empty": ("empty", (320, 510)), "guide": ("guide", (600, 150)),
    "sample": ("sample", (880, 150)), "decode": ("decode picture", (880, 470)),
}  # fmt: skip
"""What is typed for each node, and where: its id is the name of its type."""
TYPES = {
    "load_encoder": "text.load_encoder", "load": "diffusion.load", "load_2": "codebooks.load", "encode": "text.encode",
    "encode_2": "text.encode", "empty": "diffusion.empty", "guide": "diffusion.guide", "sample": "diffusion.sample",
    "decode": "codebooks.decode",
}  # fmt: skip
WIRES = (
    ("load_encoder", "encode.encoder"), ("load_encoder", "encode_2.encoder"), ("load", "guide.denoiser"),
    ("encode", "guide.positive"), ("encode_2", "guide.negative"), ("load", "empty.denoiser"),
    ("guide", "sample.denoiser"), ("empty", "sample.latent"), ("load_2", "decode.autoencoder"),
    ("sample", "decode.latent"),
)  # fmt: skip


def until(found: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Waits until something is so, and returns it."""
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    pytest.fail(f"{what} did not come within {seconds:.0f} s")


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)} (on Debian: apt install xvfb xdotool)")
    for _ in range(3):  # two that start at once may take one number, and one of them goes
        server, name = served()
        seen = subprocess.run(["xdotool", "getdisplaygeometry"], env={**os.environ, "DISPLAY": name}, check=False)
        if seen.returncode == 0:
            break
        server.kill()
        server.wait(10)
    else:
        pytest.fail("Xvfb does not start")
    yield name
    server.terminate()
    server.wait(10)


def served() -> tuple[subprocess.Popen[bytes], str]:
    """A server for one screen, and the name of its display."""
    mine, theirs = os.pipe()
    size = f"{SCREEN[0]}x{SCREEN[1]}x24"
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", size, "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(theirs,), stderr=subprocess.DEVNULL)
    os.close(theirs)
    with os.fdopen(mine) as answer:
        return server, f":{answer.readline().strip()}"


class Person:
    """Somebody at the screen: moves the mouse, types, and reads the file."""

    def __init__(self, display: str, folder: Path) -> None:
        self.folder, self.file = folder, folder / "new.json"
        self.settled = {
            **os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "QT_SCALE_FACTOR": "1",
            "NODEFLOW_EDITOR_HOME": str(folder / "home"), "NODEFLOW_CACHE": str(folder / "cache"),
        }  # fmt: skip
        self.settled.pop("WAYLAND_DISPLAY", None)
        self.offset = (0.0, 0.0)
        self.editor: subprocess.Popen[bytes] | None = None

    def start(self, *files: str) -> None:
        """Starts the installed program as people do."""
        program = Path(sys.executable).with_name("nodeflow")
        command = [str(program)] if program.exists() else [sys.executable, "-m", "nodeflow"]
        log = open(self.folder / "editor.log", "ab")  # noqa: SIM115 # the editor's as long as it runs
        self.editor = subprocess.Popen([*command, "edit", *files], cwd=self.folder, env=self.settled,
                                       stdout=log, stderr=log)  # fmt: skip
        log.close()
        known = until(self._window, "the window")
        self.do("windowsize", "--sync", known, str(SCREEN[0] - 20), str(SCREEN[1] - 20))
        self.do("windowfocus", "--sync", known)
        time.sleep(1.0)

    def _window(self) -> str:
        assert self.editor is not None
        assert self.editor.poll() is None, (self.folder / "editor.log").read_text("utf-8", "replace")
        names = self.do("search", "--onlyvisible", "--name", "nodeflow", check=False).split()
        sizes = {name: self.do("getwindowgeometry", "--shell", name, check=False) for name in names}
        return next((name for name, size in sizes.items() if "WIDTH=1" in size and "WIDTH=1\n" not in size), "")

    def do(self, *words: str, check: bool = True) -> str:
        """Tells the mouse and the keys what to do."""
        done = subprocess.run(
            ["xdotool", *words], env=self.settled, capture_output=True, text=True, check=check, timeout=60
        )
        return done.stdout

    def key(self, *keys: str) -> None:
        self.do("key", "--delay", "40", *keys)

    def type(self, text: str) -> None:
        self.do("type", "--delay", "25", text)

    def point(self, place: tuple[float, float]) -> None:
        self.do("mousemove", "--sync", str(round(place[0])), str(round(place[1])))

    def click(self, place: tuple[float, float], button: int = 1) -> None:
        self.point(place)
        self.do("click", str(button))
        time.sleep(0.1)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.point(start)
        self.do("mousedown", "1")
        for part in (0.1, 0.5, 0.9, 1.0):
            self.point((start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part))
            time.sleep(0.05)
        self.do("mouseup", "1")
        time.sleep(0.1)

    def saved(self, fits: Callable[[Document], bool], what: str) -> Document:
        """Saves, and waits until the file is as it should be."""
        self.key("ctrl+s")
        return until(lambda: (found := self.now()) is not None and fits(found) and found, what, 20.0)

    def now(self) -> Document | None:
        try:
            return read(self.file)
        except Exception:  # not there yet
            return None

    def leave(self) -> int:
        assert self.editor is not None
        self.key("ctrl+q")
        return self.editor.wait(30)

    def spot(self, place: tuple[float, float]) -> tuple[float, float]:
        """A place of the scene on the screen."""
        return place[0] + self.offset[0], place[1] + self.offset[1]


@pytest.fixture
def person(display: str, tmp_path: Path) -> Iterator[Person]:
    made = Person(display, tmp_path)
    yield made
    if made.editor is not None and made.editor.poll() is None:
        made.editor.kill()
        made.editor.wait(10)


class Plan:
    """Where ports and values are in the scene, by the saved file and the measures of nodes."""

    def __init__(self, document: Document) -> None:
        catalog, self.document = open_catalog(), document
        self.sheets: dict[str, Measures] = {}
        for name, entry in document.nodes.items():
            spec = catalog.get(entry.type)
            assert spec is not None
            self.sheets[name] = measured(of_spec(spec), entry)

    def _from(self, node: str, x: float, y: float) -> tuple[float, float]:
        left, top = self.document.view["nodes"][node]
        return left + x, top + y

    def output(self, node: str) -> tuple[float, float]:
        return self._from(node, *self.sheets[node].outputs["out"])

    def input(self, name: str) -> tuple[float, float]:
        node, _, port = name.partition(".")
        return self._from(node, *self.sheets[node].inputs[port])

    def value(self, name: str) -> tuple[float, float]:
        node, _, port = name.partition(".")
        row = self.sheets[node].row(port)
        assert row is not None
        assert row.value is not None
        left, top, wide, high = row.value
        return self._from(node, left + min(wide / 2, 30), top + high / 2)


def build(person: Person) -> None:
    """Nodes by typing, wires and values by the mouse and the keys."""
    person.click((120, 1000))  # beside what an empty graph shows
    person.key("Home")
    for text, place in NODES.values():
        person.point(place)
        person.key("Tab")
        person.type(text)
        person.key("Return")
        time.sleep(0.15)
    person.key("ctrl+shift+s")
    time.sleep(1.0)
    person.key("ctrl+a")
    person.type(str(person.file))
    person.key("Return")
    found = person.saved(lambda document: len(document.nodes) == len(NODES), "the nodes")
    assert {name: found.nodes[name].type for name in found.nodes} == TYPES
    corners = found.view["nodes"]
    away = [(NODES[name][1][0] - corners[name][0], NODES[name][1][1] - HEADER / 2 - corners[name][1]) for name in NODES]
    person.offset = sum(x for x, _ in away) / len(away), sum(y for _, y in away) / len(away)
    for source, target in WIRES:
        plan = Plan(found)
        person.drag(person.spot(plan.output(source)), person.spot(plan.input(target)))
        node, _, port = target.partition(".")
        found = person.saved(lambda document, n=node, p=port: p in document.nodes[n].inputs, f"the wire to {target}")
    for name, text in (("encode.prompt", PROMPT), ("sample.seed", "7"), ("sample.steps", "8")):
        person.click(person.spot(Plan(found).value(name)))
        person.key("ctrl+a")
        person.type(text)
        person.click(person.spot((700, 700)))
        time.sleep(0.1)
    person.click(person.spot(Plan(found).output("decode")), button=3)
    person.key("Down", "Return")


def picture(folder: Path) -> Path | None:
    """The picture in a folder of results."""
    found = sorted(folder.rglob("*.png"))
    return found[-1] if found else None


@pytest.mark.slow
def test_a_graph_built_by_hand_gives_the_picture_that_the_command_line_gives(person: Person, tmp_path: Path) -> None:
    person.start()
    build(person)
    document = person.saved(lambda found: bool(found.outputs), "the output")
    assert ["decode"] == [place.partition(".")[0] for place in document.outputs.values()]
    assert PROMPT == document.nodes["encode"].inputs["prompt"]
    assert (7, 8) == tuple(document.nodes["sample"].inputs[name] for name in ("seed", "steps"))

    person.key("ctrl+Return")
    made = until(lambda: picture(tmp_path / "outputs"), "the picture")
    before = person.file.read_bytes()
    assert 0 == person.leave()
    person.start(person.file.name)
    person.key("ctrl+s")
    assert 0 == person.leave()
    assert before == person.file.read_bytes()

    command = [sys.executable, "-c", "from nodeflow.cli import main; main()", "run", "new.json", "--out", "plain"]
    subprocess.run(command, cwd=tmp_path, env=person.settled, check=True, capture_output=True, timeout=300)
    plain = picture(tmp_path / "plain")
    assert plain is not None
    with Image.open(made) as one, Image.open(plain) as other:
        assert one.size == other.size
        assert one.convert("RGB").tobytes() == other.convert("RGB").tobytes()
    assert json.loads(before)["nodes"].keys() == NODES.keys()
