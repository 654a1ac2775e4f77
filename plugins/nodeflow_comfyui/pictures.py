"""The texts that ComfyUI puts into pictures: chunks of a PNG, the Exif of a WebP or JPEG."""

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Final

PNG: Final = b"\x89PNG\r\n\x1a\n"
NAMES: Final = ("prompt", "workflow")
LONGEST_NAME: Final = 16
LARGEST: Final = 64 * 2**20
"""Bytes of one text: as long as any graph may be."""
MOST_PARTS: Final = 10_000
"""A picture has a handful before its pixels; a file of nothing but empty parts must not be walked for long."""
MOST_TEXTS: Final = 16
"""Texts of these names that are unpacked: few bytes may each become as many as LARGEST."""
ASCII: Final = 2
"""The type of a text in Exif."""


def is_picture(data: bytes) -> bool:
    """Whether these are the first bytes of a PNG, WebP or JPEG."""
    return data.startswith((PNG, b"\xff\xd8\xff")) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def texts(data: bytes) -> dict[str, str]:
    """The texts called "prompt" and "workflow" of a picture, as far as it has them; the first of each name.

    A part that is damaged or cut off is as good as none.
    """
    if data.startswith(PNG):
        parts = _of_png(data)
    else:
        parts = _of_exif(_webp_exif(data) if data[:4] == b"RIFF" else _jpeg_exif(data))
    found: dict[str, str] = {}
    for name, text in islice(parts, MOST_TEXTS):
        if text is not None:
            found.setdefault(name, text)
        if len(found) == len(NAMES):
            break
    return found


def whole(data: bytes) -> bool:
    """Whether a picture ends where it should: what was cut off may have held the texts."""
    if data.startswith(PNG):
        return b"IEND" in data[-12:]
    if data[:4] == b"RIFF":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return data.rstrip(b"\0").endswith(b"\xff\xd9")


def _of_png(data: bytes) -> Iterator[tuple[str, str | None]]:
    """Its texts of these names; None for one that is damaged."""
    at = len(PNG)
    for _ in range(MOST_PARTS):
        if at + 12 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length] if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
        check = data[at + 8 + length : at + 12 + length]
        at += 12 + length
        if body and check == struct.pack(">I", zlib.crc32(kind + body)):
            keyword, _, rest = body.partition(b"\0")
            name = keyword.decode("latin-1")
            if name in NAMES:
                yield name, _png_text(kind, rest)


def _png_text(kind: bytes, rest: bytes) -> str | None:
    """What follows the keyword. tEXt is Latin-1, where JSON escapes what that lacks, but some programs write UTF-8."""
    try:
        if kind == b"tEXt":
            return _decoded(rest)
        if kind == b"zTXt":
            return _decoded(_inflated(rest[1:]))
        _language, _translated, text = rest[2:].split(b"\0", 2)
        return (_inflated(text) if rest[0] else text).decode()
    except (zlib.error, ValueError, IndexError):
        return None


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, LARGEST)
    if not inflater.eof:
        raise ValueError("longer than any graph, or cut off")
    return text


def _webp_exif(data: bytes) -> bytes:
    at = 12
    for _ in range(MOST_PARTS):
        if at + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            return data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0")
        at += 8 + length + length % 2
    return b""


def _jpeg_exif(data: bytes) -> bytes:
    at = 2
    for _ in range(MOST_PARTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            break
        marker, length = struct.unpack_from(">xBH", data, at)
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            return body[6:]
        if marker == 0xDA:  # the pixels begin
            break
        at += 2 + length
    return b""


def _of_exif(data: bytes) -> Iterator[tuple[str, str]]:
    """The texts of the first directory that begin with a name and a colon, whichever tags they stand under."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return
    at = struct.unpack_from(f"{order}I", data, 4)[0]
    if at + 2 > len(data):
        return
    for number in range(struct.unpack_from(f"{order}H", data, at)[0]):
        entry = at + 2 + 12 * number
        if entry + 12 > len(data):
            return
        _tag, kind, count, place = struct.unpack_from(f"{order}HHII", data, entry)
        if kind == ASCII and count > 4:
            name, colon, _ = data[place : place + min(count, LONGEST_NAME)].partition(b":")
            told = name.decode("latin-1").lower()
            if colon and told in NAMES:
                yield told, _decoded(data[place + len(name) + 1 : place + count].rstrip(b"\0"))
