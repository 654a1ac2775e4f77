"""The pictures of the editor are those of the editor as it is, small enough for a page, and all there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("PySide6", reason="the extra `editor` is not installed")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "screenshots"
SCENES = ("editor", "pictures", "adding", "keys")
LARGEST = 400_000
"""Bytes of a picture, at most."""
CELLS = 30, 18
CLOSE, FAR = 10.0, 0.03
"""How far the mean colour of a cell may be off, of 255, and in which share of all cells it may be further."""


def means(path: Path) -> np.ndarray:
    """The mean colour of each cell of a picture: letters may stand a pixel elsewhere."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize(CELLS, Image.Resampling.BOX), np.float32)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("palette", ["dark", "light"])
def test_each_scene_is_there_in_both_sizes_and_small(scene: str, palette: str) -> None:
    sizes = []
    for mark in ("", "@2x"):
        file = FOLDER / f"{scene}-{palette}{mark}.png"
        assert file.stat().st_size < LARGEST
        with Image.open(file) as picture:
            sizes.append(np.array(picture.size))
    assert np.abs(sizes[1] - 2 * sizes[0]).max() <= 2


def test_pages_show_pictures_that_are_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {
        page.parent / name for page in pages for name in re.findall(r"[\w/]*screenshots/[\w@.-]+", page.read_text())
    }
    assert named
    assert [] == [file for file in named if not file.is_file()]


def test_a_dark_scene_is_dark_and_a_light_one_light() -> None:
    for scene in SCENES:
        assert means(FOLDER / f"{scene}-dark.png").mean() < 90
        assert means(FOLDER / f"{scene}-light.png").mean() > 165


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["editor", "adding"])
def test_a_fresh_picture_is_like_the_one_that_is_kept(scene: str, tmp_path: Path) -> None:
    fresh, kept = tmp_path / "fresh.png", FOLDER / f"{scene}-dark.png"
    settled = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": "1"}
    command = [sys.executable, ROOT / "docs" / "screenshots.py", "--draw", scene, "dark", str(fresh)]
    subprocess.run(command, env=settled, check=True, timeout=600)
    with Image.open(fresh) as one, Image.open(kept) as other:
        typefaces = one.info["typeface"], other.info["typeface"]
        assert one.size == other.size or typefaces[0] != typefaces[1]
    if typefaces[0] != typefaces[1]:
        pytest.skip(f"letters are {typefaces[0]} here, and {typefaces[1]} in the picture that is kept")
    off = np.abs(means(fresh) - means(kept)).max(2)
    assert (off > CLOSE).mean() <= FAR, f"run `make screenshots`, and look at {kept.name}"
