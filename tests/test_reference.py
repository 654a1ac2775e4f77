"""The manual in docs/reference is what the catalog gives: every node, hook and command, with its exact signature."""

from pathlib import Path

import pytest

from nodeflow import open_catalog
from nodeflow.cli import manual_pages
from nodeflow.hooks import Hooks
from nodeflow.reference import limits
from nodeflow.types import PortType

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
CURE = "run `nodeflow docs --out docs/reference` and commit what it writes"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The manual as it should be, of the plugins that this repository has."""
    return manual_pages(open_catalog(), distribution="nodeflow-engine")


def test_the_manual_is_up_to_date(pages: dict[str, str]) -> None:
    found = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}

    assert sorted(pages) == sorted(found), CURE
    assert [] == [name for name, text in pages.items() if found[name] != text], CURE


def test_every_node_stands_in_it_once(pages: dict[str, str]) -> None:
    text = "\n".join(pages.values())

    ours = {
        name for plugin in open_catalog().plugins if plugin.distribution == "nodeflow-engine" for name in plugin.nodes
    }
    assert ours
    assert [] == [name for name in ours if text.count(f"\n## {name}\n") != 1]


def test_every_hook_stands_in_it_with_its_signature(pages: dict[str, str]) -> None:
    hooks = [name for name in vars(Hooks) if not name.startswith("_")]

    assert hooks
    assert [] == [name for name in hooks if f"```python\n{name}(" not in pages["hooks.md"]]
    assert "save_value(value: object, stem: Path, about: str) -> Sequence[Path] | None" in pages["hooks.md"]


def test_every_command_stands_in_it_with_its_options(pages: dict[str, str]) -> None:
    for usage in ("nodeflow run [OPTIONS] GRAPH", "nodeflow new plugin [OPTIONS] NAME"):
        assert usage in pages["commands.md"]
    assert "| `--set NAME=VALUE` |" in pages["commands.md"]


def test_links_lead_somewhere(pages: dict[str, str]) -> None:
    for line in pages["index.md"].splitlines():
        if line.startswith("| [`"):
            node, _, target = line.removeprefix("| [`").partition("`](")
            page, _, anchor = target.partition(")")[0].partition("#")
            assert f"## {node}\n" in pages[page]
            assert node.replace(".", "") == anchor


@pytest.mark.parametrize(
    ("least", "most", "told"),
    [(0.1, 100.0, "0.1 to 100"), (-1.5, 1e-4, "-1.5 to 0.0001"), (0, 2**53 - 1, "0 to 9007199254740991")],
)
def test_limits_are_written_as_people_write_numbers(least: float, most: float, told: str) -> None:
    assert [told] == limits(PortType("float", limits=(("maximum", most), ("minimum", least))))
    assert [f"at least {told.split()[0]}"] == limits(PortType("float", limits=(("minimum", least),)))
