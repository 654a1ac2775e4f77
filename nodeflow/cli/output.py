"""Lines out: text for people and for pipes, JSON for programs, errors on standard error."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from nodeflow.errors import GraphError, Problem

DONE, FAILED, WRONG, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141
"""Exit codes. 141 is what a shell reports of any program whose reader went away (128 + SIGPIPE)."""
NARROW, WIDE = 40, 120
CONTROL = re.compile("\x1b\\[[012]m|([\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069])")
"""What a terminal would obey: our own bold and faint may pass, what a stranger's graph holds is spelled out. So are the
marks that turn the order of letters about, and make a line say something else than it holds."""


class PipeClosed(BaseException):
    """Nobody reads standard output any more: not an error, and no handler of errors shall see it."""


def prepare_streams() -> None:
    """Makes printing safe: closed streams lead nowhere, and what an encoding lacks is spelled with backslashes."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed by the caller; the next file opened would take its number, and our output with it
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 # lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def say(text: str = "") -> None:
    """A line on standard output."""
    _put(_harmless(text) + "\n", sys.stdout)


def warn(text: str) -> None:
    """A line on standard error; what stood on standard output before it comes out first."""
    flush()
    with contextlib.suppress(PipeClosed):
        _put(_harmless(text) + "\n", sys.stderr, flush=True)


def flush() -> None:
    """Sends what was said on its way."""
    _put("", sys.stdout, flush=True)


def say_json(value: Any, *, indent: int | None = 2) -> None:
    """A JSON value on standard output; ASCII alone where the stream or a terminal may not take more."""
    _put(json_text(value, indent=indent, ascii_only=not _encoding(sys.stdout).startswith("utf")) + "\n", sys.stdout)


def json_text(value: Any, *, indent: int | None = 2, ascii_only: bool = False) -> str:
    """JSON that any reader takes: numbers that it lacks as texts ("NaN", "Infinity", "-Infinity"), no half letters."""
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, allow_nan=False, default=str)
    except ValueError:
        return json_text(_finite(value), indent=indent, ascii_only=ascii_only)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, allow_nan=False, default=str)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def say_end(code: int, problems: Iterable[Problem]) -> None:
    """The line of JSON that tells how a call ended that did not come to its end."""
    event = "refused" if code == WRONG else "broken"
    say_json({"event": event, "exit": code, "problems": [problem.as_json() for problem in problems]}, indent=None)


def tell(error: GraphError) -> None:
    """Every problem of a graph, on standard error."""
    for problem in error.problems:
        warn(f"error: {problem}" if not problem.place else str(problem))


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether a person watches the stream (standard output if none is named)."""
    try:
        return (stream or sys.stdout).isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def width() -> int | None:
    """The columns of the terminal, or None where lines may be of any length: in a pipe."""
    return max(NARROW, min(WIDE, shutil.get_terminal_size().columns)) if on_terminal() else None


def bold(text: str) -> str:
    """The text, bold where a terminal shows it."""
    return _styled(text, "1")


def dim(text: str) -> str:
    """The text, faint where a terminal shows it."""
    return _styled(text, "2")


def _styled(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if text and on_terminal() and "NO_COLOR" not in os.environ else text


def cut(text: str, columns: int | None) -> str:
    """The first line of a text, shortened to so many columns."""
    line = text.strip().split("\n", 1)[0]
    return line if columns is None or len(line) <= columns else line[: max(columns - 3, 0)].rstrip() + "..."


def wrapped(text: str, indent: int, columns: int | None) -> str:
    """Paragraphs broken at the width of the terminal, each line indented; as they are in a pipe."""
    pad = " " * indent
    lines: list[str] = []
    for line in text.splitlines():
        lines += textwrap.wrap(line, columns - indent) if columns and len(line) > columns - indent else [line]
    return "\n".join(pad + line if line else "" for line in lines)


def table(rows: Sequence[Sequence[str]], *, right: Iterable[int] = (), indent: int = 0) -> None:
    """Rows in columns, two blanks between them; the last column is cut to the terminal's width."""
    if not rows:
        return
    numbers = frozenset(right)
    sizes = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    columns = width()
    for row in rows:
        cells = [
            cell.rjust(size) if column in numbers else cell.ljust(size)
            for column, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        taken = indent + sum(size + 2 for size in sizes[:-1])
        if len(row) - 1 not in numbers:
            cells[-1] = cut(row[-1], None if columns is None else max(columns - taken, 20))
        say((" " * indent + "  ".join(cells)).rstrip())


def size_text(count: float) -> str:
    """Bytes as people say them: `340 B`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def seconds_text(seconds: float) -> str:
    """A duration: `0.04 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def counted(number: int, noun: str) -> str:
    """`1 node`, `3 nodes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _harmless(text: str) -> str:
    """The text with its controls spelled out. JSON holds none below space; of the others the spelling is JSON's too."""

    def spelled(found: re.Match[str]) -> str:
        sign = found[1]
        if not sign:
            return found[0]
        return repr(sign)[1:-1] if sign < " " else f"\\u{ord(sign):04x}"

    return CONTROL.sub(spelled, text)


def _encoding(stream: TextIO) -> str:
    return (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")


def _put(text: str, stream: TextIO, *, flush: bool = False) -> None:
    try:
        stream.write(text)
        if flush:
            stream.flush()
    except BrokenPipeError:
        raise PipeClosed from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EPIPE):  # Windows says EINVAL of a broken pipe
            raise PipeClosed from None
        raise
