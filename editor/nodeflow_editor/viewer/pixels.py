"""What is done to the pixels in sight: channels, exposure, differences. Whole rows at once, in C."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from PySide6.QtGui import QColor, QImage, QPainter

RGBA = QImage.Format.Format_RGBA8888
RED, GREEN, BLUE = 0.2126, 0.7152, 0.0722
"""Rec. 709's shares of luma."""


class Channel(Enum):
    """What of a picture is shown."""

    COLOUR = "RGB"
    RED = "R"
    GREEN = "G"
    BLUE = "B"
    ALPHA = "A"
    LUMA = "Luma"


def seen(frame: QImage, channel: Channel = Channel.COLOUR, exposure: float = 0.0) -> QImage:
    """A picture with more or less light, or one channel of it in grey.

    Args:
        frame: 8 bits a channel are looked at.
        channel: all colours with alpha, or one channel without.
        exposure: in stops: +1 doubles the light, in linear light as sRGB has it. Alpha is left as it is.
    """
    if channel is Channel.COLOUR and exposure == 0.0:
        return frame
    data = _bytes(frame)
    wide, high = frame.width(), frame.height()
    if channel is Channel.ALPHA:
        return _grey(data[3::4], wide, high)
    lit = data.translate(_exposed(round(exposure, 3))) if exposure else data
    if channel is Channel.COLOUR:
        made = bytearray(lit)
        made[3::4] = data[3::4]
        return QImage(bytes(made), wide, high, 4 * wide, RGBA).copy()
    if channel is Channel.LUMA:
        red, green, blue = _luma()
        planes = (lit[0::4].translate(red), lit[1::4].translate(green), lit[2::4].translate(blue))
        # as one long number each: no sum exceeds a byte, so none carries into the next
        total = sum(int.from_bytes(plane, "little") for plane in planes)
        return _grey(total.to_bytes(wide * high, "little"), wide, high)
    return _grey(lit[(Channel.RED, Channel.GREEN, Channel.BLUE).index(channel) :: 4], wide, high)


def difference(one: QImage, other: QImage, gain: float = 1.0) -> QImage:
    """How far two pictures of one size are apart, channel by channel, times `gain`; alpha is left aside."""
    made = one.convertToFormat(RGBA).convertToFormat(QImage.Format.Format_RGBX8888)
    painter = QPainter(made)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Difference)
    painter.drawImage(0, 0, other.convertToFormat(RGBA).convertToFormat(QImage.Format.Format_RGBX8888))
    painter.end()
    wide, high = made.width(), made.height()
    data = bytearray(_bytes(made).translate(_gained(gain)))
    data[3::4] = b"\xff" * (wide * high)
    return QImage(bytes(data), wide, high, 4 * wide, RGBA).copy()


def brief(colour: QColor) -> str:
    """A pixel as people read it: 0..255."""
    whole = (colour.red(), colour.green(), colour.blue(), colour.alpha())
    return " ".join(f"{name} {value}" for name, value in zip("RGBA", whole, strict=True))


def full(colour: QColor) -> str:
    """The same, and in 0..1."""
    part = (colour.redF(), colour.greenF(), colour.blueF(), colour.alphaF())
    return f"{brief(colour)}   {' '.join(f'{value:.4f}' for value in part)}"


def _bytes(frame: QImage) -> bytes:
    plain = frame.convertToFormat(RGBA)  # named: the bits live no longer than it does
    return bytes(plain.constBits())


def _grey(plane: bytes, wide: int, high: int) -> QImage:
    return QImage(plane, wide, high, wide, QImage.Format.Format_Grayscale8).copy()


@lru_cache(maxsize=64)
def _exposed(stops: float) -> bytes:
    """SRGB to linear light, times 2 ** stops, and back, for each of 256 values."""

    def lit(value: int) -> int:
        share = value / 255
        linear = share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        linear *= 2.0**stops
        share = linear * 12.92 if linear <= 0.0031308 else 1.055 * float(linear ** (1 / 2.4)) - 0.055
        return min(round(share * 255), 255)

    return bytes(lit(value) for value in range(256))


@lru_cache(maxsize=64)
def _gained(gain: float) -> bytes:
    return bytes(min(round(value * gain), 255) for value in range(256))


@lru_cache(maxsize=1)
def _luma() -> tuple[bytes, bytes, bytes]:
    """Each channel's share for each value; green has the rest, so that grey stays what it was."""
    red = bytes(round(RED * value) for value in range(256))
    blue = bytes(round(BLUE * value) for value in range(256))
    return red, bytes(value - red[value] - blue[value] for value in range(256)), blue
