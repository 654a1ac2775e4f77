"""`nodeflow kernels`: which implementations were chosen on this user's devices, read from the disk without torch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import nodeflow.cli.output as output
from nodeflow.choices import Choice, Choices, Remembered, choices_folder, mode
from nodeflow.cli.checking import JSON_OPTION

NOTHING = """\
nothing was measured yet
    On a GPU, the first call of an operation with a shape measures all that can compute it, takes the fastest, and
    remembers it; Triton has to be 1.02 times as fast as torch. On a CPU torch computes, and nothing is measured."""


def kernels(as_json: Annotated[bool, JSON_OPTION] = False) -> None:
    """Tell which kernels were chosen on this GPU, why, and by how much."""
    mode()  # a wrong word is told here as well
    remembered = Choices(choices_folder())
    found, unreadable = [], []
    for item in remembered.all():
        if isinstance(item, Remembered):
            found.append(item)
        else:
            unreadable.append(item)
    if as_json:
        known = [{"key": dict(item.key)} | asdict(item.choice) | {"ahead": item.choice.ahead()} for item in found]
        output.say_json({"folder": str(remembered.folder), "choices": known, "unreadable": unreadable})
        return
    if not found:
        output.say(NOTHING)
    for item in found:
        _tell(item)
    for line in unreadable:
        output.warn(line)


def _tell(item: Remembered) -> None:
    choice = item.choice
    key = item.key
    about = ", ".join(key.get(part, "") for part in ("arguments", "arch"))
    output.say(f"{output.bold(choice.operation)}  {output.dim(about)}")
    output.say(output.wrapped(f"{choice.implementation}: {choice.reason}", 2, output.width()))
    if (asked := key.get("mode", "auto")) != "auto":
        output.say(f"  under NODEFLOW_KERNELS={asked}")
    output.table(_figures(choice), right=(1,), indent=4)


def _figures(choice: Choice) -> list[tuple[str, str, str]]:
    rows = [(choice.implementation, choice.seconds, "chosen")]
    rows += [(rival.name, rival.seconds, rival.reason) for rival in choice.rivals]
    rows.sort(key=lambda row: (row[1] is None, row[1]))
    return [(name, f"{1e6 * seconds:,.1f} us" if seconds else "-", text) for name, seconds, text in rows]
