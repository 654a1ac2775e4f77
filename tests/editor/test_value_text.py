"""What typed text means as a value, and texts of any length."""

import pytest
from nodeflow_editor.long_text import LongText, folded, seam_for, unfolded
from nodeflow_editor.value_text import field_text, parsed, span
from PySide6.QtGui import QGuiApplication

from nodeflow.spec import Port
from nodeflow.types import PortType
from tests.editor.test_values import FLOAT, FORM, INPUTS, INT, METHOD, NOTHING, STEPS, TEXT


@pytest.mark.parametrize(
    ("kind", "text", "before", "value"),
    [
        (INT, "12", 5, 12),
        (INT, "+1", 5, 6),
        (INT, "*2", 5, 10),
        (INT, "/2", 5, 3),
        (INT, "-=2", 5, 3),
        (INT, "+=2", 5, 7),
        (INT, "*=3", 5, 15),
        (INT, "-5", 5, -5),
        (INT, "1e3", 5, 1000),
        (INT, "+1", 2**53 - 2, 2**53 - 1),
        (INT, "64*8", 5, 512),
        (INT, "1024 - 2*64", 5, 896),
        (INT, "-3*2+10/4", 5, -3),
        (FLOAT, "1/8", 2.0, 0.125),
        (FLOAT, ".5 * 1e-1", 2.0, 0.05),
        (FLOAT, "-1.5", 2.0, -1.5),
        (FLOAT, "*1.1", 1.0, 1.1),
        (FLOAT, "3", 2.0, 3.0),
        (FLOAT, "/ 4", 1.0, 0.25),
        (PortType("union", items=(INT, NOTHING)), "", 3, None),
        (PortType("union", items=(INT, NOTHING)), "none", 3, None),
        (PortType("union", items=(INT, NOTHING)), "4", None, 4),
        (TEXT, " +1 ", "a", " +1 "),
        (PortType("list", items=(INT,)), "[1, 2, 3]", None, [1, 2, 3]),
        (FORM, '{"rank": 2}', None, {"rank": 2}),
        (METHOD, "ddpm", "ddim", "ddpm"),
        (PortType("bool"), "yes", False, True),
        (PortType("union", items=(PortType("list", items=(INT,)), TEXT)), "some words", None, "some words"),
    ],
)
def test_typed_text_is_a_value(kind, text, before, value) -> None:
    found = parsed(kind, text, before)
    assert "" == found.fault
    assert value == found.value
    assert type(value) is type(found.value)


@pytest.mark.parametrize(
    ("kind", "text", "before", "sentence"),
    [
        (INT, "3.9", 5, "expected int, found 3.9"),
        (INT, "many", 5, 'expected int, found "many"'),
        (STEPS, "1001", 5, "expected at most 1000, found 1001"),
        (STEPS, "*0", 5, "expected at least 1, found 0"),
        (FLOAT, "inf", 1.0, "expected float, found Infinity"),
        (FLOAT, "1e999", 1.0, "expected float"),
        (FLOAT, "/0", 1.0, "nothing can be divided by 0"),
        (FLOAT, "3/0", 1.0, "nothing can be divided by 0"),
        (INT, "3*", 5, 'expected int, found "3*"'),
        (INT, "2 3", 5, 'expected int, found "2 3"'),
        (INT, "*two", 5, "expected a number behind *"),
        (INT, "+1", None, "there is no number yet"),
        (PortType("list", items=(INT,)), '[1, "a"]', None, 'item 1: expected int, found "a"'),
        (PortType("list", items=(INT,)), "[1, 2", None, "written as JSON"),
        (PortType("list", items=(INT,)), "[" * 100_000, None, "expected list[int]"),
        (FORM, '{"rank": 0}', None, "rank: 0 is less than the minimum of 1"),
        (METHOD, "heun", "ddim", "expected one of ddim, ddpm, euler"),
    ],
)
def test_what_may_not_stand_is_refused_with_a_sentence(kind, text, before, sentence) -> None:
    assert sentence in parsed(kind, text, before).fault


@pytest.mark.parametrize("value", [0, -7, 2**53 - 1, 0.1, 3.0, 1e-9, 1e300, 123456.789])
def test_a_number_read_back_is_the_same(value) -> None:
    kind = INT if type(value) is int else FLOAT
    assert value == parsed(kind, field_text(value)).value


def test_a_step_goes_by_limits_and_size() -> None:
    ports = {port.name: port for port in INPUTS}
    assert 1 == span(ports["steps"], 25).step
    assert 0.01 == float(span(ports["amount"], 0.5).step)
    assert 0.01 == float(span(ports["radius"], 1.0).step)
    assert 10 == span(Port("size", INT), 512).step
    assert 8 == span(Port("size", PortType("int", limits=(("multipleOf", 8),))), 64).step
    assert 1 == span(ports["seed"], 2**50).step
    above = span(Port("x", PortType("float", limits=(("exclusiveMinimum", 0),))), 1.0)
    assert 0 < above.held(-5)


ODD = "a\u00a0b\u2028c\n\n" + "y" * 9000


@pytest.mark.parametrize("text", ["", "short", "a b " * 3000, "\u2063" * 5 + "word " * 3000, ODD])
def test_folding_loses_nothing(qtbot, text: str) -> None:
    seam = seam_for(text)
    assert text == unfolded(folded(text, seam), seam)
    assert max(len(line) for line in folded(text, seam).split("\n")) <= 2001
    field = LongText(text)
    qtbot.addWidget(field)
    assert text == field.text()


def test_what_is_pasted_into_an_area_is_folded_and_copied_whole(qtbot) -> None:
    field = LongText("")
    qtbot.addWidget(field)
    QGuiApplication.clipboard().setText("z" * 9000)
    field.paste()
    assert "z" * 9000 == field.text()
    assert field.blockCount() > 4
    field.selectAll()
    field.copy()
    assert "z" * 9000 == QGuiApplication.clipboard().text()
