"""docs/plugins.md: what it shows is what runs."""

import ast
import re
from pathlib import Path

import pytest
import snippets
import torch
from safetensors.torch import save_file

from nodeflow import Image, ModelError
from nodeflow.nodes import spec_of

PAGE = Path(__file__).parents[2] / "docs/plugins.md"
README = Path(__file__).parents[2] / "README.md"
SOURCE = Path(__file__).with_name("snippets.py").read_text("utf-8")
BLOCKS = [block.strip() for block in re.findall(r"# --- [a-z ]+\n(.*?)\n# --- end", SOURCE, flags=re.DOTALL)]
SHOWN = [block.strip() for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)]
NODES = ("invert", "split", "grow", "read_text", "write_text", "by_time", "load_painter", "paint", "negative")


def picture() -> Image:
    return Image(torch.linspace(0, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8))


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.splitlines()[0][:40])
def test_every_snippet_on_the_page_is_cut_from_code_that_is_tested(block: str) -> None:
    ast.parse(block)
    assert any(block in known for known in BLOCKS), "change tests/docs/snippets.py, then cut it from there"


def test_the_readme_shows_the_same_ten_lines() -> None:
    shown = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL)
    assert [] == [block for block in shown if block.strip() not in BLOCKS[0]]
    assert shown


def test_every_snippet_that_is_tested_is_on_the_page() -> None:
    assert [] == [block for block in BLOCKS if not any(part in block for part in SHOWN)]


@pytest.mark.parametrize("name", NODES)
def test_each_node_of_the_page_is_a_node(name: str) -> None:
    assert f"brush.{name}" == spec_of(getattr(snippets, name), "brush").id


def test_inverting_twice_gives_the_picture_back() -> None:
    torch.testing.assert_close(picture().pixels, snippets.invert(snippets.invert(picture())).pixels)


def test_bright_and_dark_make_up_the_whole_picture() -> None:
    parts = snippets.split(picture())
    assert torch.equal(torch.ones(2, 1, 8, 8), parts.bright.coverage + parts.dark.coverage)
    assert parts.bright.coverage.mean().item() == pytest.approx(parts.share)


def test_the_same_seed_grows_the_same_pattern() -> None:
    first, second, other = (snippets.grow(16, 3, seed).pixels for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_text_is_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert snippets.write_text("moon", "a/note.txt").stands()
    assert "moon" == snippets.read_text(Path("a/note.txt"))


def test_the_lazy_node_takes_the_branch_it_asked_for() -> None:
    light, dark = picture(), picture()
    assert dark is snippets.by_time(True, light, dark)
    with pytest.raises(ValueError, match="light"):
        snippets.by_time(False, None, dark)


def test_the_painter_is_a_recipe_until_it_paints(tmp_path: Path) -> None:
    save_file({"matrix": torch.zeros(3, 3)}, tmp_path / "zero.safetensors")
    painter = snippets.load_painter(tmp_path / "zero.safetensors", 0.25)
    assert 36 == painter.model.size
    torch.testing.assert_close(0.75 * picture().pixels, snippets.paint(painter, picture()).pixels)
    save_file({"other": torch.zeros(3)}, tmp_path / "bad.safetensors")
    with pytest.raises(ModelError, match="other"):
        snippets.paint(snippets.load_painter(tmp_path / "bad.safetensors"), picture())
