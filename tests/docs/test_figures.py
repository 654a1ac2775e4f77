"""Figures in README and docs are those that the benches and trainings left behind, and links lead somewhere."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
CARDS = ROOT / "plugins/nodeflow_shapes/weights"
README = (ROOT / "README.md").read_text("utf-8")
BENCHMARKS = (ROOT / "docs/benchmarks.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next one."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The tables' rows, cell by cell, without what only draws them."""
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("*") for cell in line] for line in lines if set("".join(line)) - set("-: ")]


def numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text.replace(",", ""))


def same(shown: str, measured: float) -> bool:
    """Whether a figure, to as many digits as it is shown with, is the measured one."""
    _, _, digits = shown.partition(".")
    return abs(measured - float(shown)) <= 0.5001 * 10.0 ** -len(digits)


def card(name: str) -> dict[str, str]:
    return {row[0]: row[1] for row in rows((CARDS / f"{name}.md").read_text("utf-8")) if len(row) == 2}


def test_the_engine_costs_what_was_measured() -> None:
    measured = json.loads((RESULTS / "engine.json").read_text("utf-8"))
    costs = {(row["shape"], row["nodes"]): row for row in measured["rows"]}
    text = section(README, "What the engine costs")
    shown = [row for row in rows(text) if row[0]]
    assert 3 == len(shown)
    for name, first, cached, _ in shown:
        row = costs[name.split(",")[0], 5000]
        assert same(numbers(first)[0], row["first"]), name
        assert same(numbers(cached)[0], row["cached"]), name
        assert 1 == row["edit_ran"]
    seconds, megabytes = numbers(text.split("starts cold in")[1])[:2]
    assert same(seconds, measured["starts"]["check"]["cpu_s"])
    assert same(megabytes, measured["starts"]["check"]["mb"])
    (largest,) = re.findall(r"([\d.]+) KB a node", text)
    assert same(largest, max(row["kb"] for row in measured["rows"]))


def test_prompts_are_followed_as_the_cards_of_the_weights_say() -> None:
    text = section(README, "How well it follows")
    head, *shown = rows(text)
    unet = card("unet")
    parts = {"nothing else": "clean"}
    assert 2 == len(shown)
    for name, *cells in shown:
        told = dict(zip(head[1:], cells, strict=True))
        assert "100" == told.pop("background")  # which the cards leave out
        assert {part: unet[f"{name} {parts.get(part, part)}"] for part in told} == told
    words = " ".join(text.split())
    assert f"saw {unet['pictures seen']} pictures in {float(unet['CPU minutes']):.0f} CPU minutes" in words
    other = card("transformer")
    assert f"gets {other['one object all']} and {other['two objects all']}." in words
    assert f"with {float(other['CPU minutes']):.0f} CPU minutes" in words


@pytest.mark.parametrize(
    ("title", "files"),
    [
        ("The U-Net on a CPU, beside diffusers", ("sampling-cpu", "loops")),
        ("Opening, loading, adapters", ("opening", "adapters")),
    ],
)
def test_what_the_tables_of_the_benches_show_was_measured(title: str, files: tuple[str, ...]) -> None:
    measured = {float(n) for name in files for n in numbers((RESULTS / f"{name}.md").read_text("utf-8"))}
    goals = {"1.05", "1.15"}
    shown = [n for row in rows(section(BENCHMARKS, title)) for cell in row[1:] for n in numbers(cell)]
    assert 15 <= len(shown)
    assert [] == [n for n in shown if n not in goals and not any(same(n, figure) for figure in measured)]


def test_plans_are_as_near_as_the_page_says() -> None:
    graphs = json.loads((RESULTS / "plan.json").read_text("utf-8"))["graphs"]
    text = " ".join((ROOT / "docs/planning.md").read_text("utf-8").split())
    ((least, most), (low, high)) = re.findall(r"([\d.]+) to ([\d.]+) times", text)
    for shown, key in ((least, "time_ratio"), (low, "peak_ratio")):
        assert same(shown, min(graph[key] for graph in graphs))
    for shown, key in ((most, "time_ratio"), (high, "peak_ratio")):
        assert same(shown, max(graph[key] for graph in graphs))


def test_the_canvas_costs_what_was_measured() -> None:
    found = json.loads((RESULTS / "editor.json").read_text("utf-8"))["rows"]
    value = {(row["what"], row["nodes"]): row["value"] for row in found}
    allowed = {(row["what"], row["nodes"]): row["allowed"] for row in found}
    names = {
        "open, to the first frame": "open", "zoom": "zoom", "choose all": "select all", "save": "save",
    }  # fmt: skip
    for name, *cells in rows(section(BENCHMARKS, "The editor's canvas"))[1:]:
        for nodes, shown, limit in ((2000, *cells[:2]), (5000, *cells[2:])):
            first = name.partition(",")[0].split()[0]
            if first in ("pan", "drag"):
                figures = {key: figure for key, figure in value.items() if key[0].startswith(first) and key[1] == nodes}
                key = max(figures, key=figures.__getitem__)
            else:
                key = names[name], nodes
            assert same(shown, value[key]), (name, nodes)
            assert (float(limit) if limit else None) == allowed[key], (name, nodes)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|srcset)=\"([^\"]+)\"", text)
    for link in links:
        if "://" in link:
            continue
        name, _, place = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if place:
            titles = re.findall(r"^#+ (.*)", target.read_text("utf-8"), re.MULTILINE)
            assert place in [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles], link
