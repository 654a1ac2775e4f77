"""A value as people type it: text to value and back, with the engine's verdict. No Qt."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any

from nodeflow.document import Input
from nodeflow.spec import Port
from nodeflow.types import PortType, fault, is_choice, shown

CHANGE = re.compile(r"\s*(?:([-+*/])=|([+*/]))\s*(\S.*)", re.DOTALL)
"""`+1`, `*2`, `/2` and `-=5`. A bare `-5` is a number."""
PART = re.compile(r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?)\s*([-+*/]|$)")
"""A number within a sum, and the sign behind it."""
LONG_LINE = 1000
"""Characters from which a text is edited in an area of several lines: a line of Qt's drops what is beyond 32,767."""
NOTHING = ("", "none", "null")


class Way(Enum):
    """How a value is set."""

    TOGGLE = "toggle"
    CHOICE = "choice"
    NUMBER = "number"
    LINE = "line"
    AREA = "area"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a text means. `fault` is the sentence that refuses it, or empty."""

    value: Input = None
    fault: str = ""


def core(kind: PortType) -> tuple[PortType, bool]:
    """T of `T | None`, and whether None may stand; other types as they are."""
    if kind.kind != "union":
        return kind, False
    left = [item for item in kind.items if item.kind != "none"]
    return (left[0] if len(left) == 1 else kind), len(left) < len(kind.items)


def way(port: Port) -> Way:
    """How the value of an input is set."""
    kind, absent = core(port.type)
    match kind.kind:
        case "bool":
            return Way.CHOICE if absent else Way.TOGGLE
        case "choice":
            return Way.CHOICE
        case "int" | "float":
            return Way.NUMBER
        case "str" | "path":
            return Way.AREA if port.widget == "multiline" else Way.LINE
        case _:
            return Way.JSON


def long(text: str) -> bool:
    """Whether a text needs an area of several lines."""
    return len(text) > LONG_LINE or "\n" in text


def choices(kind: PortType) -> list[tuple[str, Input]]:
    """What can be chosen, as people read it, and as the file has it."""
    plain, absent = core(kind)
    values = [True, False] if plain.kind == "bool" else list(plain.values)
    if absent:
        values.append(None)
    return [(spelt(value), value) for value in values]


def spelt(value: Input) -> str:
    """A value as it is typed: `parsed` reads the same value from it."""
    if type(value) is str:
        return value
    if value is None:
        return "none"
    if type(value) is bool:
        return "on" if value else "off"
    if type(value) is float and math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    if type(value) in (int, float):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=repr)


def field_text(value: Input) -> str:
    """What a field begins with: the value as it is typed, nothing where there is none."""
    return "" if value is None else spelt(value)


def parsed(kind: PortType, text: str, before: Input = None) -> Typed:
    """Reads what was typed into an input.

    Args:
        kind: the input's type.
        text: a number may also be a change of the one that stands there: `+1`, `*2`, `/2`, `-=5`.
        before: the value that stands there.
    """
    plain, absent = core(kind)
    word = text.strip()
    if absent and (not word if plain.kind in ("str", "path") else word.lower() in NOTHING):
        return Typed(None)
    match plain.kind:
        case "int" | "float":
            return _number(kind, plain, word, before)
        case "bool":
            words = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
            return _judged(kind, words.get(word.lower(), text))
        case "choice":
            fitting = [value for value in plain.values if spelt(value) == word]
            return Typed(fitting[0]) if fitting else Typed(fault=_choice_fault(plain, word))
        case "str" | "path":
            return _judged(kind, text)
        case _:
            return _json(kind, text)


def _judged(kind: PortType, value: Input) -> Typed:
    why = fault(kind, value)
    return Typed(value) if why is None else Typed(fault=why)


def _choice_fault(kind: PortType, word: str) -> str:
    listed = ", ".join(spelt(value) for value in kind.values[:8]) + (", …" if len(kind.values) > 8 else "")
    return f"expected one of {listed}; found {shown(word)}"


def _number(kind: PortType, plain: PortType, word: str, before: Input) -> Typed:
    """Exact for whole numbers, so that a seed of 16 digits keeps its last."""
    change = CHANGE.fullmatch(word)
    if change is not None and _read(word) is None:
        if type(before) not in (int, float):
            return Typed(fault=f"there is no number yet that {shown(word)} could change")
        sign, by = change[1] or change[2], _read(change[3])
        if by is None:
            return Typed(fault=f"expected a number behind {sign}, found {shown(change[3])}")
        if sign == "/" and by == 0:
            return Typed(fault="nothing can be divided by 0")
        start = Fraction(before)
        made = {"+": start + by, "-": start - by, "*": start * by, "/": start / (by or 1)}[sign]
        if plain.kind == "int":
            return _judged(kind, math.floor(made + Fraction(1, 2)))
    else:
        try:
            read = worked_out(word)
        except ZeroDivisionError:
            return Typed(fault="nothing can be divided by 0")
        if read is None:
            return _judged(kind, _odd_float(word))
        made = read
        if plain.kind == "int" and (made.denominator == 1 or _read(word) is None):
            return _judged(kind, math.floor(made + Fraction(1, 2)))
    try:
        return _judged(kind, float(made))
    except OverflowError:
        return Typed(fault=f"expected {plain}, found {shown(word)}")


def _read(word: str) -> Fraction | None:
    """A decimal number exactly; None for other text, and for exponents that would take all memory."""
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", word.strip()) or len(word) > 400:
        return None
    if word.strip().startswith("+"):
        return None  # `+1` adds
    return Fraction(word.strip())


def worked_out(word: str) -> Fraction | None:
    """A number, or what `64*8` and `1024 - 2*64` come to, exactly; None for other text.

    Raises:
        ZeroDivisionError: it divides by 0.
    """
    if (alone := _read(word)) is not None or len(word) > 400:
        return alone
    total, term, sign, at = Fraction(0), Fraction(1), "*", 0
    if word.lstrip().startswith("-"):
        term, at = Fraction(-1), word.index("-") + 1
    while (part := PART.match(word, at)) is not None:
        number = Fraction(part[1])
        term = term / number if sign == "/" else term * number
        sign, at = part[2], part.end()
        if sign in ("+", "-", ""):
            total, term = total + term, Fraction(-1 if sign == "-" else 1)
        if not sign:
            return total
    return None


def _odd_float(word: str) -> Input:
    """Infinity and nan as the engine refuses them; else the text itself."""
    return float(word) if word.lower().lstrip("+-") in ("inf", "infinity", "nan") else word


def _json(kind: PortType, text: str) -> Typed:
    try:
        value = json.loads(text)
    except RecursionError:
        return Typed(fault=f"expected {kind}, found JSON that is too deep")
    except ValueError as error:
        if kind.kind == "union" and any(item.kind in ("str", "path", "choice") for item in kind.items):
            return _judged(kind, text)
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return Typed(fault=f"expected {kind} written as JSON, found {shown(text)}{place}")
    return _judged(kind, value)


def is_current(value: Input, choice: Input) -> bool:
    """Whether a choice is the value; True and 1 are two."""
    return is_choice(PortType("choice", values=(choice,)), value)


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be, and by how much a step changes it. `low` and `high` may be values themselves."""

    low: float | None
    high: float | None
    step: Fraction
    whole: bool

    def held(self, exact: float) -> float:
        """The nearest number within the limits."""
        if self.low is not None:
            exact = max(exact, self.low)
        return min(exact, self.high) if self.high is not None else exact

    def rounded(self, exact: float, share: Fraction = Fraction(1)) -> int | float:
        """The nearest step within the limits. share: of a step that is one here."""
        step = self.step * share
        if self.whole:
            step = max(step, Fraction(1))
        near = self.held(float(round(Fraction(exact) / step) * step))
        return round(near) if self.whole else near


def span(port: Port, value: Input) -> Range:
    """The limits of a number, and its step: a hundredth of the way between them, or of its own size if that is less."""
    kind, _ = core(port.type)
    limits: Mapping[str, Any] = dict(kind.limits)
    whole = kind.kind == "int"
    size = abs(value) if type(value) in (int, float) and math.isfinite(value) else 0
    step = _ten(size / 50) if size else Fraction(1, 10)
    low, high = limits.get("minimum"), limits.get("maximum")
    first, last = limits.get("exclusiveMinimum"), limits.get("exclusiveMaximum")
    if port.widget == "seed":
        step = Fraction(1)
    elif (ends := _ends(low, high, first, last)) is not None:
        between = _ten(ends / 100)
        step = between if port.widget == "slider" else min(step, between) if size else between
    if whole:
        step = max(step, Fraction(1))
    if limits.get("multipleOf"):
        unit = Fraction(limits["multipleOf"])
        step = max(round(step / unit), 1) * unit
    low = float(first + step) if low is None and first is not None else low
    high = float(last - step) if high is None and last is not None else high
    return Range(low, high, step, whole)


def _ends(low: Any, high: Any, first: Any, last: Any) -> float | None:
    start, end = low if low is not None else first, high if high is not None else last
    return float(end - start) if start is not None and end is not None and end > start else None


def _ten(size: float) -> Fraction:
    """The power of ten at or below a size."""
    power = math.floor(math.log10(size) + 1e-9)
    return Fraction(10) ** min(max(power, -9), 300)
