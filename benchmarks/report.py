"""What benches share: figures in a JSON file that is rewritten after every row, and a table and a picture made from it.

    python benchmarks/report.py benchmarks/results/kernels.json

makes the two anew, of a run that was interrupted, or elsewhere: a machine with a GPU may lack pillow.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
Row = dict[str, Any]


class Report:
    """The rows of one run of a bench, on disk as soon as they are there.

    A row has a group and a name, and either `skipped`, the reason, or `seconds` by candidate and optionally: reference,
    the candidate that others are compared with; shares, by candidate, of what is possible; goals; note.
    """

    def __init__(self, file: Path, title: str, budget: float, machine: Mapping[str, Any]) -> None:
        self.file, self.began = file, time.monotonic()
        self.document: dict[str, Any] = {
            "title": title, "machine": dict(machine), "budget_seconds": budget, "spent_seconds": 0.0,
            "groups": [], "rows": [], "unmeasured": [],
        }  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return float(self.document["budget_seconds"]) - (time.monotonic() - self.began)

    def group(self, name: str, about: str, measure: str, goal: float | None = 1.0) -> None:
        """Declares a group of rows. measure: what a bar's length is. goal: where its line stands."""
        self.document["groups"].append({"group": name, "about": about, "measure": measure, "line": goal})
        print(f"\n{name}: {about}", flush=True)

    def unmeasured(self, *told: str) -> None:
        """What this machine cannot answer."""
        self.document["unmeasured"] += told
        self._write()

    def add(self, row: Row) -> None:
        """Prints a row and writes the file."""
        self.document["rows"].append(row)
        self._write()
        print(line(row), flush=True)

    def skip(self, group: str, name: str, why: str) -> None:
        """A row that was not measured."""
        self.add({"group": group, "row": name, "skipped": why})

    def room(self, group: str, name: str, seconds: float = 0.0) -> bool:
        """Whether the budget has room for a row that takes about so long; if not, the row says so."""
        if self.left > seconds:
            return True
        left, budget = max(0.0, self.left), self.document["budget_seconds"]
        wanted = f", {seconds:.0f} s were wanted" if seconds else ""
        self.skip(group, name, f"of a budget of {budget:g} s, {left:.0f} s were left{wanted}")
        return False

    def finish(self) -> None:
        """Makes table and picture, and prints which goals were met and what was not measured."""
        self._write()
        goals = [(row, goal) for row in self.document["rows"] for goal in row.get("goals", ())]
        missed = [f"{row['group']}, {row['row']}: {told(goal)}" for row, goal in goals if not goal["met"]]
        if goals:
            print(f"\n{len(goals) - len(missed)} of {len(goals)} goals met")
        print(*missed, sep="\n", end="\n" if missed else "")
        if self.document["unmeasured"]:
            print("\nnot measured on this machine:", *self.document["unmeasured"], sep="\n    ")
        render(self.file)

    def _write(self) -> None:
        self.document["spent_seconds"] = round(time.monotonic() - self.began, 1)
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(self.document, indent=1) + "\n", "utf-8")
        os.replace(partial, self.file)


def goal(what: str, found: float, sign: str, wanted: float) -> dict[str, Any]:
    """A goal, judged; sign is ">=" or "<="."""
    met = found >= wanted if sign == ">=" else found <= wanted
    return {"what": what, "found": found, "wanted": f"{sign} {wanted:g}", "met": met}


def told(one: Mapping[str, Any]) -> str:
    """A goal in words."""
    return f"{one['what']} {one['found']:.2f} ({one['wanted']}: {'met' if one['met'] else 'MISSED'})"


def span(seconds: float) -> str:
    """Seconds with three digits, in a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds / size < 999.5 else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def lengths(row: Row) -> dict[str, float]:
    """How long each candidate's bar is: its share, or how many times as fast as the reference it is."""
    if "shares" in row:
        return dict(row["shares"])
    seconds = row.get("seconds", {})
    reference = seconds.get(row.get("reference")) or max(seconds.values(), default=0.0)
    return {name: reference / one for name, one in seconds.items()}


def line(row: Row) -> str:
    """A row as it is printed while the bench runs."""
    if "skipped" in row:
        return f"  {row['row']:44} skipped: {row['skipped']}"
    figures = "  ".join(f"{name} {span(one)}" for name, one in row["seconds"].items())
    return f"  {row['row']:44} {figures}" + "".join(f"\n{'':8}{told(one)}" for one in row.get("goals", ()))


def table(document: Mapping[str, Any]) -> str:
    """The whole as Markdown."""
    machine = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    spent, budget = document["spent_seconds"], document["budget_seconds"]
    parts = [f"# {document['title']}\n\n{machine}; {spent:g} s of a budget of {budget:g} s.\n"]
    for group in document["groups"]:
        rows = [row for row in document["rows"] if row["group"] == group["group"]]
        parts.append(f"\n## {group['group']}\n\n{group['about']}\n")
        lines = _lines(rows)
        parts.append("\n" + "\n".join(lines) + "\n" if lines else "")
        parts += [f"\n- {row['row']}: {row['note']}" for row in rows if row.get("note")]
        parts += [f"\n- {row['row']}: skipped, {row['skipped']}" for row in rows if "skipped" in row]
        parts.append("\n" if parts[-1].startswith("\n-") else "")
    if document["unmeasured"]:
        parts += ["\n## Not measured on this machine\n", *(f"\n- {one}" for one in document["unmeasured"]), "\n"]
    return "".join(parts)


def _lines(rows: list[Row]) -> list[str]:
    measured = [row for row in rows if "seconds" in row]
    names = list(dict.fromkeys(name for row in measured for name in row["seconds"]))
    goals = any(row.get("goals") for row in measured)
    if not measured:
        return []
    head = ["", *names, *(["goals"] if goals else [])]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * len(names) + ("---|" if goals else "")]
    for row in measured:
        least, long = min(row["seconds"].values()), lengths(row)
        cells = []
        for name in names:
            seconds = row["seconds"].get(name)
            text = "" if seconds is None else span(seconds) + (f" ({long[name]:.2f})" if name in long else "")
            cells.append(f"**{text}**" if seconds == least and len(names) > 1 else text)
        cells += ["; ".join(map(told, row.get("goals", ())))] if goals else []
        lines.append("| " + " | ".join([row["row"], *cells]) + " |")
    return lines


def render(file: Path) -> None:
    """Makes the table and, where pillow is installed, the picture beside a file of figures."""
    document = json.loads(file.read_text("utf-8"))
    file.with_suffix(".md").write_text(table(document), "utf-8")
    made = [file, file.with_suffix(".md")]
    try:
        from bars import drawn
    except ImportError as error:
        print(f"no picture: {error}; elsewhere, python benchmarks/report.py {file.name} draws it", file=sys.stderr)
    else:
        drawn(document).save(file.with_suffix(".png"), optimize=True)
        made.append(file.with_suffix(".png"))
    print("\nwritten:", *(str(path) for path in made))


def machine(**more: object) -> dict[str, object]:
    """What figures depend on."""
    import torch

    names = [line.partition(":")[2].strip() for line in _processor() if line.startswith("model name")]
    about: dict[str, object] = {
        "processor": names[0] if names else platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    if torch.cuda.is_available():
        about["gpu"] = torch.cuda.get_device_name()
    return about | more


def _processor() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return []


def asked(description: str | None, argv: list[str] | None = None) -> argparse.Namespace:
    """The options that all benches have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=300.0, help="seconds; what no longer fits is skipped and named")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON, the table and the picture")
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone, if there is one")
    return parser.parse_args(argv)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        render(Path(name))
