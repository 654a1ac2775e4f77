"""The palettes can be read and told apart, whoever looks: contrast, and colours as people see them who lack cones."""

import itertools
import re
from pathlib import Path

import pytest
from nodeflow_editor.style import sheet
from nodeflow_editor.theme import BODY, DARK, LARGE, LIGHT, SMALL, STYLES, TITLE, Palette, category_colour, port_style
from PySide6.QtWidgets import QWidget

from nodeflow.types import PortType

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]
PALETTES = pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda palette: palette.name)
GROUNDS = ("canvas", "panel", "raised", "field", "node", "frame", "absent")

# Machado, Oliveira and Fernandes 2009, severity 1, on linear sRGB
VISION: dict[str, Matrix] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900),
    ),
}  # fmt: skip
APART = {"usual": 35.0, "protanopia": 20.0, "deuteranopia": 20.0, "tritanopia": 16.0}
"""Least distances in CIELAB (1976) between two ports of one shape; 2.3 is what can just be told in the best light."""
XYZ: Matrix = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)


def linear(colour: str) -> Triple:
    """Linear light of "#rrggbb", 0..1 each."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def times(matrix: Matrix, light: Triple) -> Triple:
    one, other, third = (sum(a * b for a, b in zip(row, light, strict=True)) for row in matrix)
    return one, other, third


def contrast(ink: str, ground: str) -> float:
    """The ratio of WCAG 2: 1 to 21."""
    light, dark = sorted((times(XYZ, linear(colour))[1] for colour in (ink, ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(light: Triple) -> Triple:
    """CIELAB under D65."""

    def bent(share: float) -> float:
        return share ** (1 / 3) if share > 216 / 24389 else (24389 / 27 * share + 16) / 116

    x, y, z = (bent(part / white) for part, white in zip(times(XYZ, light), WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def seen(colour: str, vision: str) -> Triple:
    """A colour in CIELAB as that vision has it."""
    red, green, blue = (min(max(part, 0.0), 1.0) for part in times(VISION[vision], linear(colour)))
    return lab((red, green, blue))


def apart(one: str, other: str, vision: str) -> float:
    pairs = zip(seen(one, vision), seen(other, vision), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) ** 0.5


def test_the_measures_agree_with_known_values() -> None:
    assert 21.0 == pytest.approx(contrast("#ffffff", "#000000"), rel=1e-4)
    assert 4.48 == pytest.approx(contrast("#777777", "#ffffff"), abs=0.01)
    assert (53.24, 80.09, 67.20) == pytest.approx(lab(linear("#ff0000")), abs=0.05)
    assert apart("#ff0000", "#807000", "deuteranopia") < apart("#ff0000", "#807000", "usual") / 2


@PALETTES
def test_text_stands_out_seven_to_one(palette: Palette) -> None:
    grounds = {ground: contrast(palette.text, getattr(palette, ground)) for ground in GROUNDS}
    assert {} == {ground: ratio for ground, ratio in grounds.items() if ratio < 7}


@PALETTES
@pytest.mark.parametrize("ink", ["dim", "bad", "warning", "good", "reused", "accent"])
def test_what_is_written_in_other_inks_stands_out_four_and_a_half_to_one(palette: Palette, ink: str) -> None:
    grounds = {ground: contrast(getattr(palette, ink), getattr(palette, ground)) for ground in GROUNDS}
    assert {} == {ground: ratio for ground, ratio in grounds.items() if ratio < 4.5}
    assert contrast(palette.on_accent, palette.accent) >= 4.5


@PALETTES
def test_ports_wires_and_the_ring_of_a_chosen_node_stand_out_three_to_one(palette: Palette) -> None:
    marks = {name: style.colour(palette) for name, style in STYLES.items()}
    marks |= {name: category_colour(name, palette) for name in ("image", "text", "sampling", "train", "codebooks")}
    marks["selected"] = palette.selected
    grounds = (palette.canvas, palette.node)
    assert {} == {name: mark for name, mark in marks.items() if min(contrast(mark, each) for each in grounds) < 3}


@PALETTES
@pytest.mark.parametrize("vision", list(VISION))
def test_ports_of_one_shape_are_told_apart_by_colour(palette: Palette, vision: str) -> None:
    pairs = [
        (apart(one.colour(palette), other.colour(palette), vision), names)
        for (names, (one, other)) in (
            ((first, second), (STYLES[first], STYLES[second])) for first, second in itertools.combinations(STYLES, 2)
        )
        if one.shape is other.shape
    ]
    assert len(pairs) > 20
    assert [] == [(names, round(distance, 1)) for distance, names in pairs if distance < APART[vision]]


def test_no_two_known_types_look_the_same() -> None:
    assert len(STYLES) == len({(style.shape, style.dark) for style in STYLES.values()})
    assert len(STYLES) == len({(style.shape, style.light) for style in STYLES.values()})


def test_a_strangers_type_has_one_look_and_it_is_of_data_or_of_a_recipe() -> None:
    recipe = PortType("class", "theirs:Refiner", bases=("nodeflow.values:Recipe",))
    data = PortType("class", "theirs:Depth")
    assert port_style(recipe) == port_style(PortType("union", items=(recipe, PortType("none"))))
    assert port_style(recipe).shape is STYLES["Denoiser"].shape
    assert port_style(data) == port_style(PortType("list", items=(data,)))
    assert port_style(data).shape is STYLES["Latent"].shape


def test_the_scale_of_type_rises() -> None:
    assert 9 < SMALL < BODY < TITLE < LARGE


@PALETTES
def test_marks_from_files_are_there_in_the_palettes_colours(palette: Palette) -> None:
    named = {Path(name) for name in re.findall(r'url\("([^"]+)"\)', sheet(palette))}
    assert named
    inks = {file.name: re.search(r'stroke="(#\w+)"', file.read_text("utf-8"))[1] for file in named}
    assert {palette.dim, palette.on_accent} == set(inks.values())


def complaints(text: str, qtbot, qtlog) -> list[str]:
    """What Qt says of a style sheet."""
    probe = QWidget()
    qtbot.addWidget(probe)
    before = len(qtlog.records)
    probe.setStyleSheet(text)
    probe.ensurePolished()
    return [record.message for record in qtlog.records[before:] if "parse" in record.message]


@PALETTES
def test_the_style_sheet_is_one_that_qt_reads(palette: Palette, qtbot, qtlog) -> None:
    assert complaints("QLabel { color: ", qtbot, qtlog)
    assert [] == complaints(sheet(palette), qtbot, qtlog)
