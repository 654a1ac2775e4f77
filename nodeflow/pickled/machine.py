"""A pickle machine without a call: what pickle would import, make or call becomes inert data.

The instructions are those of Python's pickletools, protocols 0 to 5. Nothing recurses, no key is hashed that could be
slow to hash, no length is believed before the file is known to hold so much, and long runs of bytes stay in the file.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from nodeflow.pickled.values import Blob, Global, Inert

MOST = 5_000_000
"""Instructions that are followed, and items that are copied, in all pickles of a file together; the checkpoint of a
large model with its optimiser takes half a million."""
SHORT = 4096
"""Bytes up to this many are held; longer ones stay in the file."""
LONGEST_TEXT = 64 * 2**20
TEXTS = 512 * 2**20
"""Bytes of all texts together."""
LINE = 2**20
LONGEST_NUMBER = 1024
LONGEST_NAME = 1024
"""Letters of a name that is to be imported."""
MOST_MEMORISED = 2**31
QUICK = 2**60
"""Whole numbers below are their own hashes; of larger ones, many could be made that all hash alike."""
Apply = Callable[[Any, Any], Any]


class Damaged(ValueError):
    """It is no pickle, or a damaged one."""


class Effort:
    """What was done for one file so far, its nested pickles included: few bytes may ask for work without end."""

    def __init__(self) -> None:
        self.steps = self.read = self.copied = 0

    def step(self, count: int = 1) -> None:
        """Counts instructions that are followed, or items that are copied.

        Raises:
            Damaged: they are too many.
        """
        self.steps += count
        if self.steps > MOST:
            raise Damaged(f"it has more than {MOST:,} instructions")

    def text(self, length: int) -> None:
        """Counts bytes of texts that are read; Damaged if they are too many."""
        self.read += length
        if length > LONGEST_TEXT or self.read > TEXTS:
            raise Damaged(f"it holds more text than any model: {max(length, self.read):,} bytes")

    def copy(self, value: Any) -> None:
        """Counts what a copy of a value takes; Damaged if that is too much."""
        if isinstance(value, str):
            self.copied += len(value)
            if self.copied > TEXTS:
                raise Damaged(f"it copies more text than any model holds: {self.copied:,} bytes")
        elif isinstance(value, list | tuple | dict):
            self.step(len(value))


class Window:
    """A part of a file, read from its beginning on."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self.file, self.at, self.stop = file, start, stop
        file.seek(start)

    def read(self, count: int) -> bytes:
        """So many bytes; Damaged if there are fewer."""
        if count > self.stop - self.at:
            raise Damaged("it is cut off")
        found = self.file.read(count)
        if len(found) != count:
            raise Damaged("it is cut off")
        self.at += count
        return found

    def skip(self, count: int) -> int:
        """Leaves out so many bytes; returns where they are."""
        if count > self.stop - self.at:
            raise Damaged("it is cut off")
        place, self.at = self.at, self.at + count
        self.file.seek(self.at)
        return place

    def line(self) -> bytes:
        """The bytes to the end of the line, without it."""
        found = self.file.readline(min(LINE, self.stop - self.at))
        self.at += len(found)
        if not found.endswith(b"\n"):
            raise Damaged("it is cut off, or holds an endless line")
        return found[:-1]


class Key:
    """Stands for a key of a dictionary that is no text and no number: hashing a tuple of tuples may take for ever."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return "?"


class Machine:
    """Follows one pickle.

    Args:
        window: where it is; afterwards it stands behind the pickle.
        imported: told every name that it wants imported; may raise.
        apply: what a call, or making an object, of something with arguments gives.
        build: what an object is after it was given a state.
        persistent: what an id from outside stands for.
        effort: counts what is done.
    """

    def __init__(
        self, window: Window, *, imported: Callable[[Global], None], apply: Apply, build: Apply,
        persistent: Callable[[Any], Any], effort: Effort,
    ) -> None:  # fmt: skip
        self.window, self.effort = window, effort
        self.imported, self.apply, self.build, self.persistent = imported, apply, build, persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What the pickle holds.

        Raises:
            Damaged: it is none, or too large to be sound.
        """
        step, window, table = self.effort.step, self.window, INSTRUCTIONS
        try:
            while (code := window.read(1)) != b".":
                step()
                instruction = table.get(code)
                if instruction is None:
                    raise Damaged(f"byte {code.hex()} at {window.at - 1:,} is no instruction of pickle")
                instruction(self)
            return self.stack.pop()
        except (IndexError, KeyError, TypeError, struct.error, UnicodeError, OverflowError) as error:
            raise Damaged(f"its instructions make no sense at byte {window.at:,}") from error

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.window.read(struct.calcsize(form)))[0])

    def popped(self) -> list[Any]:
        """What was put onto the stack since the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def text(self, length: int) -> str:
        self.effort.text(length)
        return self.window.read(length).decode("utf-8", "surrogatepass")

    def latin(self, length: int) -> str | Blob:
        """A text of Python 2, which may be bytes as well."""
        if length > SHORT:
            return Blob(self.window.skip(length), length)
        return self.window.read(length).decode("latin-1")

    def blob(self, length: int) -> Blob:
        if length <= SHORT:
            place = self.window.at
            return Blob(place, length, self.window.read(length))
        return Blob(self.window.skip(length), length)

    def long(self, length: int) -> int:
        if not 0 <= length <= LONGEST_NUMBER:
            raise Damaged(f"it holds a number of {length:,} bytes")
        return int.from_bytes(self.window.read(length), "little", signed=True)

    def named(self, module: str, name: str) -> Global:
        if len(module) + len(name) > LONGEST_NAME:
            raise Damaged(f"it wants something imported whose name has {len(module) + len(name):,} letters")
        found = Global(module, name)
        self.imported(found)
        return found

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []


def keyed(key: Any) -> Any:
    """A key that is quick to hash."""
    if type(key) is int:
        return key if -QUICK < key < QUICK else Key(key)
    return key if type(key) in (str, float, bool, type(None)) else Key(key)


def _put_items(target: Any, flat: list[Any]) -> None:
    pairs = {keyed(key): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
    if isinstance(target, dict):
        target.update(pairs)
    elif isinstance(target, Inert):
        target.entries.update(pairs)
    else:
        raise TypeError


def _add(target: Any, items: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(items)
    elif isinstance(target, Inert):
        target.items.extend(items)
    else:
        raise TypeError


def _integer(line: bytes) -> Any:
    if line in (b"00", b"01"):
        return line == b"01"
    return _decimal(line.rstrip(b"L"))


def _decimal(line: bytes) -> int:
    if len(line) > 2 * LONGEST_NUMBER:
        raise Damaged("it holds an endless number")
    try:
        return int(line)
    except ValueError as error:
        raise Damaged("it holds something else where a number should be") from error


def _real(line: bytes) -> float:
    try:
        return float(line)
    except ValueError as error:
        raise Damaged("it holds something else where a number should be") from error


def _quoted(line: bytes) -> str:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise Damaged("it holds a text without quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


def _global(m: Machine) -> None:
    m.push(m.named(m.window.line().decode(), m.window.line().decode()))


def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise TypeError
    m.push(m.named(module, name))


def _reduce(m: Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.apply(m.stack[-1], args)


def _newobj_ex(m: Machine) -> None:
    kwargs, args = m.stack.pop(), m.stack.pop()
    made = m.stack[-1] = m.apply(m.stack[-1], args)
    if isinstance(made, Inert) and isinstance(kwargs, dict):
        m.effort.copy(kwargs)
        made.entries.update(kwargs)


def _instance(m: Machine) -> None:
    maker = m.named(m.window.line().decode(), m.window.line().decode())
    args = tuple(m.popped())
    m.push(m.apply(maker, args))


def _object(m: Machine) -> None:
    maker, *args = m.popped()
    m.push(m.apply(maker, tuple(args)))


def _build(m: Machine) -> None:
    state = m.stack.pop()
    m.stack[-1] = m.build(m.stack[-1], state)


def _extension(m: Machine, form: str) -> None:
    m.push(m.named("copyreg", f"extension {m.number(form)}"))


def _tuple(m: Machine, count: int) -> None:
    if count > len(m.stack):
        raise IndexError
    items = tuple(m.stack[-count:])
    del m.stack[-count:]
    m.push(items)


def _list_of_marked(m: Machine) -> None:
    items = m.popped()
    m.push(items)


def _dict_of_marked(m: Machine) -> None:
    found: dict[Any, Any] = {}
    _put_items(found, m.popped())
    m.push(found)


def _tuple_of_marked(m: Machine) -> None:
    items = tuple(m.popped())
    m.push(items)


def _set_item(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    _put_items(m.stack[-1], [key, value])


def _set_items(m: Machine) -> None:
    items = m.popped()
    _put_items(m.stack[-1], items)


def _append(m: Machine) -> None:
    item = m.stack.pop()
    _add(m.stack[-1], [item])


def _appends(m: Machine) -> None:
    items = m.popped()
    _add(m.stack[-1], items)


def _memoize(m: Machine) -> None:
    m.memo[len(m.memo)] = m.stack[-1]


def _remember(m: Machine, at: int) -> None:
    if not 0 <= at < MOST_MEMORISED:
        raise IndexError
    m.memo[at] = m.stack[-1]


def _outside(m: Machine, key: Any) -> None:
    m.push(m.persistent(key))


def _buffer(_m: Machine) -> None:
    raise Damaged("it wants buffers that are outside of it")


INSTRUCTIONS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": lambda m: m.window.read(1), b"\x95": lambda m: m.window.read(8), b"(": Machine.mark,
    b"0": lambda m: m.stack.pop() if m.stack else m.popped(), b"1": Machine.popped, b"2": lambda m: m.push(m.stack[-1]),
    b"F": lambda m: m.push(_real(m.window.line())), b"I": lambda m: m.push(_integer(m.window.line())),
    b"J": lambda m: m.push(m.number("<i")), b"K": lambda m: m.push(m.number("<B")),
    b"L": lambda m: m.push(_integer(m.window.line())), b"M": lambda m: m.push(m.number("<H")),
    b"N": lambda m: m.push(None), b"P": lambda m: _outside(m, m.window.line().decode()),
    b"Q": lambda m: _outside(m, m.stack.pop()), b"R": _reduce, b"S": lambda m: m.push(_quoted(m.window.line())),
    b"T": lambda m: m.push(m.latin(m.number("<I"))), b"U": lambda m: m.push(m.latin(m.number("<B"))),
    b"V": lambda m: m.push(m.window.line().decode("raw-unicode-escape")),
    b"X": lambda m: m.push(m.text(m.number("<I"))), b"a": _append, b"b": _build, b"c": _global, b"d": _dict_of_marked,
    b"}": lambda m: m.push({}), b"e": _appends, b"g": lambda m: m.push(m.memo[_decimal(m.window.line())]),
    b"h": lambda m: m.push(m.memo[m.number("<B")]), b"i": _instance, b"j": lambda m: m.push(m.memo[m.number("<I")]),
    b"l": _list_of_marked, b"]": lambda m: m.push([]), b"o": _object,
    b"p": lambda m: _remember(m, _decimal(m.window.line())), b"q": lambda m: _remember(m, m.number("<B")),
    b"r": lambda m: _remember(m, m.number("<I")), b"s": _set_item, b"t": _tuple_of_marked, b")": lambda m: m.push(()),
    b"u": _set_items, b"G": lambda m: m.push(struct.unpack(">d", m.window.read(8))[0]), b"\x81": _reduce,
    b"\x82": lambda m: _extension(m, "<B"), b"\x83": lambda m: _extension(m, "<H"),
    b"\x84": lambda m: _extension(m, "<i"), b"\x85": lambda m: _tuple(m, 1), b"\x86": lambda m: _tuple(m, 2),
    b"\x87": lambda m: _tuple(m, 3), b"\x88": lambda m: m.push(True), b"\x89": lambda m: m.push(False),
    b"\x8a": lambda m: m.push(m.long(m.number("<B"))), b"\x8b": lambda m: m.push(m.long(m.number("<i"))),
    b"B": lambda m: m.push(m.blob(m.number("<I"))), b"C": lambda m: m.push(m.blob(m.number("<B"))),
    b"\x8c": lambda m: m.push(m.text(m.number("<B"))), b"\x8d": lambda m: m.push(m.text(m.number("<Q"))),
    b"\x8e": lambda m: m.push(m.blob(m.number("<Q"))), b"\x8f": lambda m: m.push([]), b"\x90": _appends,
    b"\x91": _list_of_marked, b"\x92": _newobj_ex, b"\x93": _stack_global, b"\x94": _memoize,
    b"\x96": lambda m: m.push(m.blob(m.number("<Q"))), b"\x97": _buffer, b"\x98": lambda _m: None,
}  # fmt: skip
"""By their bytes; "." ends the pickle. Sets are lists here, as nothing is hashed; a bytearray is bytes."""
