"""How the editor looks: one palette, one scale of type, ports by colour and shape. Knows no widget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum
from zlib import crc32

from nodeflow.types import PortType

SMALL, BODY, TITLE, LARGE = 10, 12, 13, 17
"""The scale of type, in pixels at 100 %."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by what they are for, as "#rrggbb". Text on `canvas`, `panel` and `node` has a contrast of 7 : 1."""

    name: str
    canvas: str
    grid: str
    panel: str
    raised: str
    field: str
    line: str
    node: str
    node_edge: str
    absent: str
    text: str
    dim: str
    accent: str
    on_accent: str
    selected: str
    good: str
    warning: str
    bad: str
    reused: str
    frame: str

    def colours(self) -> Iterator[tuple[str, str]]:
        """Each colour with its name."""
        return ((field.name, getattr(self, field.name)) for field in fields(self) if field.name != "name")


DARK = Palette(
    name="dark", canvas="#17191d", grid="#22252b", panel="#1d2025", raised="#272b32", field="#14161a", line="#343943",
    node="#272b32", node_edge="#3a404b", absent="#3a2b2d", text="#e8eaee", dim="#a2a9b5",
    accent="#6ea8ff", on_accent="#0b1220", selected="#ffffff", good="#5fd39a", warning="#f2b84b", bad="#ff7a70",
    reused="#7fb7c9", frame="#252a33",
)  # fmt: skip
LIGHT = Palette(
    name="light", canvas="#eceef1", grid="#dfe2e7", panel="#f7f8fa", raised="#ffffff", field="#f1f3f6", line="#c9ced7",
    node="#ffffff", node_edge="#c3c9d3", absent="#fbe9e7", text="#1a1d22", dim="#4d5563",
    accent="#1f5fd0", on_accent="#ffffff", selected="#0d1b33", good="#0a6b3c", warning="#855400", bad="#b3261e",
    reused="#246b80", frame="#e2e6ec",
)  # fmt: skip
PALETTES = {palette.name: palette for palette in (DARK, LIGHT)}


class Shape(Enum):
    """Forms of ports. Colour alone would leave out one man in twelve."""

    CIRCLE = "circle"
    SQUARE = "square"
    DIAMOND = "diamond"
    TRIANGLE = "triangle"
    HEXAGON = "hexagon"
    RING = "ring"


@dataclass(frozen=True, slots=True)
class PortStyle:
    """A port's form, and its colour on dark and on light ground."""

    shape: Shape
    dark: str
    light: str

    def colour(self, palette: Palette) -> str:
        """The colour under a palette."""
        return self.dark if palette.name == "dark" else self.light


BLUE, ORANGE, GREEN, YELLOW, SKY, RED, PINK, GREY = (
    ("#8ba6f5", "#164a8d"), ("#dd8c44", "#bf7018"), ("#75f7b8", "#1a714c"), ("#fcdd56", "#8f8447"),
    ("#03a5ba", "#168eb1"), ("#fc6974", "#8a180a"), ("#fba8fb", "#7e0178"), ("#d4dee6", "#42454e"),
)  # fmt: skip
"""Hues after Okabe and Ito's, apart in lightness too: those of one shape differ for every vision of colour.

Of each pair the first is for dark ground. They were searched for: between any two of one shape the distance in CIELAB
is 20 or more for people without red or green cones, where equally light hues came to 1.
"""
STYLES = {
    "Image": PortStyle(Shape.SQUARE, *BLUE),
    "Mask": PortStyle(Shape.SQUARE, *GREY),
    "Video": PortStyle(Shape.SQUARE, *SKY),
    "Latent": PortStyle(Shape.HEXAGON, *PINK),
    "Codes": PortStyle(Shape.HEXAGON, *YELLOW),
    "Tokens": PortStyle(Shape.TRIANGLE, *YELLOW),
    "TextEmbedding": PortStyle(Shape.TRIANGLE, *ORANGE),
    "ImageEmbedding": PortStyle(Shape.TRIANGLE, *SKY),
    "Labels": PortStyle(Shape.TRIANGLE, *GREEN),
    "Table": PortStyle(Shape.SQUARE, *GREEN),
    "Denoiser": PortStyle(Shape.DIAMOND, *RED),
    "TextEncoder": PortStyle(Shape.DIAMOND, *ORANGE),
    "ImageEncoder": PortStyle(Shape.DIAMOND, *SKY),
    "Autoencoder": PortStyle(Shape.DIAMOND, *PINK),
    "bool": PortStyle(Shape.CIRCLE, *RED),
    "int": PortStyle(Shape.CIRCLE, *GREEN),
    "float": PortStyle(Shape.CIRCLE, *SKY),
    "str": PortStyle(Shape.CIRCLE, *YELLOW),
    "path": PortStyle(Shape.CIRCLE, *ORANGE),
    "choice": PortStyle(Shape.CIRCLE, *GREY),
    "form": PortStyle(Shape.CIRCLE, *PINK),
    "any": PortStyle(Shape.RING, *GREY),
}
OTHERS = (SKY, GREEN, YELLOW, RED, BLUE, PINK, ORANGE)
RECIPE = "nodeflow.values:Recipe"
SCALARS = frozenset(("bool", "int", "float", "str", "path", "choice", "form"))


def core(kind: PortType) -> PortType:
    """What a port is about: T of `T | None`, of `list[T]`, of a union its first."""
    while kind.kind in ("union", "list"):
        kind = next((item for item in kind.items if item.kind != "none"), kind.items[0])
    return kind


def port_style(kind: PortType) -> PortStyle:
    """The form and colour of a type: the same for each run and machine, types of strangers' plugins included."""
    plain = core(kind)
    name = str(plain) if plain.kind == "class" else plain.kind
    known = STYLES.get(name)
    if known is not None:
        return known
    hues = OTHERS[crc32(name.encode()) % len(OTHERS)]
    return PortStyle(Shape.DIAMOND if RECIPE in plain.bases else Shape.HEXAGON, *hues)


HUES = {
    "red": RED, "orange": ORANGE, "yellow": YELLOW, "green": GREEN, "sky": SKY, "blue": BLUE, "pink": PINK,
    "grey": GREY,
}  # fmt: skip
"""The colours that nodes, frames and notes can be given, as files name them. They say nothing of a state."""


def hue(name: object, palette: Palette) -> str:
    """A named colour under a palette; empty if there is none of that name."""
    found = HUES.get(name) if isinstance(name, str) else None
    return found[0 if palette.name == "dark" else 1] if found else ""


TINT = 0.105
"""Share of a colour in the ground of what was given it: texts on it keep their contrast."""


def tinted(ground: str, colour: str, share: float = TINT) -> str:
    """A ground with so much of a colour in it."""
    parts = ((int(ground[at : at + 2], 16), int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round((1 - share) * one + share * other):02x}" for one, other in parts)


CATEGORY_HUES = (BLUE, PINK, GREEN, ORANGE, SKY, YELLOW, RED)


def category_colour(category: str, palette: Palette) -> str:
    """The colour of a menu's nodes, from the first word of its name."""
    dark, light = CATEGORY_HUES[crc32(category.partition("/")[0].encode()) % len(CATEGORY_HUES)]
    return dark if palette.name == "dark" else light
