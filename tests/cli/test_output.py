"""How figures, tables and texts look."""

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest

import nodeflow.cli.output as output


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 60 columns."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    return screen


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (output.seconds_text(0.004), "0.00 s"),
        (output.seconds_text(12.34), "12.3 s"),
        (output.seconds_text(59.99), "1 min 00 s"),
        (output.seconds_text(3605), "1 h 00 min"),
        (output.size_text(999), "999 B"),
        (output.size_text(1234), "1.2 kB"),
        (output.size_text(5.5e15), "5,500.0 TB"),
        (output.counted(1, "node"), "1 node"),
        (output.counted(1234, "node"), "1,234 nodes"),
        (output.cut("a long line\nand more", 8), "a lon..."),
    ],
)
def test_figures_are_said_as_people_say_them(made: str, text: str) -> None:
    assert text == made


def test_a_table_fits_its_terminal(terminal: io.StringIO) -> None:
    with redirect_stdout(terminal):  # pytest has a stream of its own for each phase
        output.table([("short", "x" * 100), ("a longer one", "y")], indent=2)

    lines = terminal.getvalue().splitlines()
    assert 60 == len(lines[0])
    assert lines[0].endswith("...")
    assert "  a longer one  y" == lines[1]


def test_a_pipe_gets_whole_lines(capsys: Any) -> None:
    output.table([("short", "x" * 300)])

    assert f"short  {'x' * 300}\n" == capsys.readouterr().out


def test_colours_are_for_terminals_that_want_them(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    with redirect_stdout(terminal):
        assert "bold" == output.bold("bold")
        monkeypatch.delenv("NO_COLOR")
        assert "\x1b[1mbold\x1b[0m" == output.bold("bold")
        output.say(output.bold("b") + "\x1b[2J")

    assert "\x1b[1mb\x1b[0m\\x1b[2J\n" == terminal.getvalue()


def test_marks_that_turn_letters_about_are_spelled_out(terminal: io.StringIO) -> None:
    with redirect_stdout(terminal):
        output.say("a\u202egnp.exe \u2066ä\u2069")

    assert "a\\u202egnp.exe \\u2066ä\\u2069\n" == terminal.getvalue()


@pytest.mark.parametrize("sign", [chr(code) for code in (*range(0x20), 0x7F, 0x85, 0x9B, 0x202E, 0x2066)])
def test_json_is_still_json_when_its_controls_are_spelled_out(capsys: Any, sign: str) -> None:
    output.say(output.json_text({"prompt": f"a{sign}b"}))

    said = capsys.readouterr().out
    assert {"prompt": f"a{sign}b"} == json.loads(said)
    assert sign == "\n" or sign not in said


def test_json_has_no_halves_of_letters() -> None:
    assert '"\\udc80"' == output.json_text("\udc80")
    assert '"ä"' == output.json_text("ä")
