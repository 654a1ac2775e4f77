"""Which implementation is chosen: the rule, its memory, captures, modes; on a device whose clock the test sets."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from nodeflow.choices import Choices
from nodeflow.errors import NodeflowError
from nodeflow.kernels import dispatch
from nodeflow.kernels.dispatch import AHEAD, ROUNDS, Candidate, Dispatcher, Operation, always


class Bench:
    """A device on which each run takes the seconds of a table, and which tells what was asked of it."""

    def __init__(self, seconds: dict[str, float | Exception | list[float]]) -> None:
        self.seconds, self.place, self.captures = seconds, "fake_1", False
        self.asked: list[str] = []

    def arch(self, arguments: Sequence[Any]) -> str | None:
        return self.place

    def capturing(self) -> bool:
        return self.captures

    def on(self, arguments: Sequence[Any]) -> Any:
        return nullcontext()

    def prepare(self, run: Callable[[], Any]) -> Callable[[], float]:
        name = run()
        assert not self.captures
        seconds = self.seconds[name]
        if isinstance(seconds, Exception):
            raise seconds
        turns = iter(seconds if isinstance(seconds, list) else [seconds] * ROUNDS)

        def one_round() -> float:
            self.asked.append(name)
            return next(turns)

        return one_round


def operation(*names: str, most: int | None = None, folder: Path = Path(__file__).parent) -> Operation:
    """An operation whose candidates give their own names; Triton's take a number up to `most`."""

    def small(number: int) -> str | None:
        return f"{number} is above {most}" if most is not None and number > most else None

    def candidate(name: str) -> Candidate:
        kind = "triton" if name.startswith("triton") else "torch"
        return Candidate(name, kind, small if kind == "triton" else always, lambda number: name, {"size": 8})

    candidates = tuple(map(candidate, names))
    return Operation("naming", candidates, lambda number: (number,), lambda number: f"n{number // 10}", folder)


@pytest.fixture(autouse=True)
def without_a_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODEFLOW_KERNELS", raising=False)


def made(bench: Bench, folder: Path) -> Dispatcher:
    return Dispatcher(bench, lambda: Choices(folder))


NAMES = ("torch", "torch other", "triton a", "triton b")
TIMES = {"torch": 3e-5, "torch other": 2e-5, "triton a": 1e-5, "triton b": 1.5e-5}


def test_the_fastest_is_chosen_and_run(tmp_path: Path) -> None:
    dispatcher = made(Bench(TIMES), tmp_path)
    choice = dispatcher.choose(operation(*NAMES), 1)

    assert ("triton a", "triton", 1e-5, "measured") == (
        choice.implementation, choice.kind, choice.seconds, choice.source
    )  # fmt: skip
    assert "2.00 times as fast as the best of torch, torch other" == choice.reason
    assert {"size": 8} == choice.configuration
    assert {"torch": 3e-5, "torch other": 2e-5, "triton b": 1.5e-5} == {r.name: r.seconds for r in choice.rivals}
    assert 1.5 == pytest.approx(choice.ahead())
    assert "triton a" == dispatcher.run(operation(*NAMES), 1)


def test_rounds_are_interleaved_and_their_median_counts(tmp_path: Path) -> None:
    hiccups = [1e-5] * (ROUNDS // 2 + 1) + [1.0] * (ROUNDS // 2)
    bench = Bench({"torch": 2e-5, "triton a": hiccups})

    assert "triton a" == made(bench, tmp_path).choose(operation("torch", "triton a"), 1).implementation
    assert ["torch", "triton a"] * ROUNDS == bench.asked


@pytest.mark.parametrize(
    ("triton", "expected"),
    [(1.0, "torch"), (1 / (AHEAD - 1e-6), "torch"), (1 / (AHEAD + 1e-6), "triton a"), (1.2, "torch")],
)
def test_triton_has_to_be_two_percent_ahead_of_the_best_of_torch(triton: float, expected: str, tmp_path: Path) -> None:
    choice = made(Bench({"torch": 1.0, "triton a": triton}), tmp_path).choose(operation("torch", "triton a"), 1)

    assert expected == choice.implementation
    if expected == "torch":
        assert (
            f"the best of Triton, triton a, is {1 / triton:.2f} times as fast, and 1.02 is asked of it" == choice.reason
        )


def test_of_equals_the_first_is_chosen(tmp_path: Path) -> None:
    assert "torch" == made(Bench(dict.fromkeys(NAMES, 1.0)), tmp_path).choose(operation(*NAMES), 1).implementation
    fast = {"torch": 2.0, "torch other": 2.0, "triton a": 1.0, "triton b": 1.0}
    assert "triton a" == made(Bench(fast), tmp_path / "b").choose(operation(*NAMES), 1).implementation


def test_a_choice_is_measured_once_for_a_bucket_and_remembered_by_other_processes(tmp_path: Path) -> None:
    bench, other = Bench(TIMES), Bench({})
    first = made(bench, tmp_path)
    for number in (1, 2, 9):
        first.run(operation(*NAMES), number)
    assert 4 * ROUNDS == len(bench.asked)

    choice = made(other, tmp_path).choose(operation(*NAMES), 3)
    assert ("triton a", 1e-5, "remembered", []) == (choice.implementation, choice.seconds, choice.source, other.asked)
    first.run(operation(*NAMES), 11)
    assert 8 * ROUNDS == len(bench.asked)


def test_another_device_mode_source_or_version_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measures(**changes: Any) -> bool:
        bench = Bench(TIMES)
        bench.place = changes.get("place", bench.place)
        made(bench, tmp_path / "kept").run(operation(*NAMES, folder=changes.get("folder", Path(__file__).parent)), 1)
        return bool(bench.asked)

    assert [True, False] == [measures(), measures()]
    assert measures(place="fake_2")
    for name in ("triton.py", "tiles.py"):
        (tmp_path / name).write_text("another")
        dispatch._digest.cache_clear()
        assert measures(folder=tmp_path)
    monkeypatch.setattr(dispatch, "_version", lambda package: "9.9")
    assert measures()
    monkeypatch.setenv("NODEFLOW_KERNELS", "torch")
    assert measures()


def test_the_mode_leaves_less_to_choose_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(TIMES | {"torch": 1e-6})
    monkeypatch.setenv("NODEFLOW_KERNELS", "triton")
    assert "triton a" == made(bench, tmp_path).choose(operation(*NAMES), 1).implementation
    assert {"triton a", "triton b"} == set(bench.asked)

    monkeypatch.setenv("NODEFLOW_KERNELS", "torch")
    assert "torch" == made(bench, tmp_path).choose(operation(*NAMES), 1).implementation

    monkeypatch.setenv("NODEFLOW_KERNELS", "triton")
    choice = made(bench, tmp_path).choose(operation(*NAMES, most=0), 1)
    assert ("torch", "rule") == (choice.implementation, choice.source)
    assert "NODEFLOW_KERNELS=triton, but no triton implementation takes these arguments" == choice.reason

    monkeypatch.setenv("NODEFLOW_KERNELS", "fast")
    with pytest.raises(NodeflowError, match="'fast', but expected one of torch, triton, auto"):
        made(bench, tmp_path).choose(operation(*NAMES), 1)


def test_on_a_cpu_torch_computes_and_nothing_is_measured(tmp_path: Path) -> None:
    bench = Bench({})
    bench.place = None
    choice = made(bench, tmp_path).choose(operation(*NAMES), 1)

    assert ("torch", dispatch.CPU_RULE, "rule") == (choice.implementation, choice.reason, choice.source)
    assert "torch" == made(bench, tmp_path).run(operation(*NAMES), 1)
    assert [] == bench.asked + list(tmp_path.iterdir())


def test_the_only_legal_one_is_not_measured_and_the_others_say_why(tmp_path: Path) -> None:
    bench = Bench({})
    choice = made(bench, tmp_path).choose(operation("torch", "triton a", most=5), 6)

    assert "it is the only one that takes these arguments" == choice.reason
    assert ["6 is above 5"] == [rival.reason for rival in choice.rivals]
    assert [] == bench.asked


def test_within_a_bucket_what_was_chosen_may_not_be_legal(tmp_path: Path) -> None:
    dispatcher, limited = made(Bench(TIMES), tmp_path), operation(*NAMES, most=5)

    assert ["triton a", "torch other", "triton a"] == [dispatcher.run(limited, number) for number in (5, 6, 4)]
    assert "6 is above 5" in {rival.reason for rival in dispatcher.choose(limited, 6).rivals}


def test_nothing_is_measured_within_a_capture(tmp_path: Path) -> None:
    bench = Bench(TIMES)
    bench.captures = True
    dispatcher = made(bench, tmp_path)
    choice = dispatcher.choose(operation(*NAMES), 1)
    assert ("torch", "capture", []) == (choice.implementation, choice.source, bench.asked)

    bench.captures = False
    assert "triton a" == dispatcher.run(operation(*NAMES), 1)  # what the capture took was not remembered
    bench.captures = True
    assert "triton a" == dispatcher.run(operation(*NAMES), 1)
    assert "triton a" == made(bench, tmp_path).run(operation(*NAMES), 1)


def test_a_candidate_that_fails_while_measured_is_left_out(tmp_path: Path) -> None:
    choice = made(Bench(TIMES | {"triton a": ValueError("no such\ninstruction")}), tmp_path).choose(
        operation(*NAMES), 1
    )

    assert "triton b" == choice.implementation
    failed = next(rival for rival in choice.rivals if rival.name == "triton a")
    assert (None, "failed while being measured: ValueError: no such") == (failed.seconds, failed.reason)
    assert 1 == len(list(tmp_path.glob("*.json")))


def test_running_out_of_memory_is_not_remembered_on_disk(tmp_path: Path) -> None:
    bench = Bench(TIMES | {"triton a": MemoryError()})
    dispatcher = made(bench, tmp_path)

    assert ["triton b", "triton b"] == [dispatcher.run(operation(*NAMES), 1) for _ in range(2)]
    assert 3 * ROUNDS == len(bench.asked)
    assert [] == list(tmp_path.iterdir())


def test_where_all_fail_torch_is_left_to_say_why(tmp_path: Path) -> None:
    choice = made(Bench(dict.fromkeys(NAMES, RuntimeError("the device is gone"))), tmp_path).choose(
        operation(*NAMES), 1
    )

    assert ("torch", "nothing could be measured") == (choice.implementation, choice.reason)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda text: "", "it is damaged"),
        (lambda text: text[: len(text) // 2], "it is damaged"),
        (lambda text: "[" * 30_000, "it is damaged"),
        (lambda text: "{}", "it was not written by this version of nodeflow"),
        (lambda text: text.replace("fake_1", "fake_2"), "it was written for something else"),
        (lambda text: text.replace('"seconds": 1e-05', '"seconds": "quick"'), "'quick' where seconds should be"),
        (lambda text: text.replace('"seconds": 1e-05', '"seconds": NaN'), "nan where seconds should be"),
        (lambda text: text.replace('"kind": "triton"', '"kind": "magic"'), "a kind 'magic'"),
        (lambda text: text + " " * 70_000, "more than 65,536 bytes"),
        (lambda text: text.replace('"seconds": 1e-05', f'"seconds": 1{"0" * 400}'), "it is damaged (OverflowError"),
        (lambda text: text.replace('"seconds": 1e-05', '"seconds": true'), "True where seconds should be"),
        (lambda text: text.replace('"size": 8', '"size": null'), "something else than numbers and texts"),
        (lambda text: _changed(text, "choice", []), "it is damaged (TypeError"),
        (lambda text: _changed(text, "key", 7), "it is damaged (AttributeError"),
        (lambda text: _changed(text, "key", {"operation": 7}), "7 where a text should be"),
        (lambda text: '"a text"', "it was not written by this version of nodeflow"),
        (lambda text: "\x00\x01\x7f", "it is damaged"),
    ],
)
def test_a_damaged_or_foreign_file_is_a_miss_that_is_told(
    spoil: Callable[[str], str], told: str, tmp_path: Path
) -> None:
    made(Bench(TIMES), tmp_path).run(operation(*NAMES), 1)
    (file,) = tmp_path.iterdir()
    before = file.read_text()
    file.write_text(spoil(before))
    assert file.read_text() != before

    bench = Bench(TIMES)
    choice = made(bench, tmp_path).choose(operation(*NAMES), 1)
    assert ("triton a", "measured", 4 * ROUNDS) == (choice.implementation, choice.source, len(bench.asked))
    assert [True] == [f"{file} is passed over: " in note and told in note for note in choice.notes]
    assert json.loads(before) == json.loads(file.read_text())  # mended
    assert () == made(bench, tmp_path).choose(operation(*NAMES), 1).notes


def _changed(text: str, part: str, value: object) -> str:
    return json.dumps(json.loads(text) | {part: value})


@pytest.mark.parametrize("junk", [b"\xff\xfe\x00\x80" * 100, b"\x89PNG\r\n\x1a\n", b"\x1f\x8b\x08\x00"])
def test_a_file_of_other_bytes_is_a_miss_that_is_told(junk: bytes, tmp_path: Path) -> None:
    made(Bench(TIMES), tmp_path).run(operation(*NAMES), 1)
    (file,) = tmp_path.iterdir()
    file.write_bytes(junk)
    assert ["it is damaged"] == [line.split(": ")[1].split(" (")[0] for line in Choices(tmp_path).all()]  # type: ignore[union-attr]

    choice = made(Bench(TIMES), tmp_path).choose(operation(*NAMES), 1)
    assert ("triton a", "measured") == (choice.implementation, choice.source)
    assert "is passed over: it is damaged" in choice.notes[0]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="whoever may write everywhere is not refused")
def test_a_folder_without_the_right_to_write_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        dispatcher = made(bench := Bench(TIMES), tmp_path)
        assert ["triton a", "triton a"] == [dispatcher.run(operation(*NAMES), 1) for _ in range(2)]
        assert "not remembered: [Errno 13]" in dispatcher.choose(operation(*NAMES), 1).notes[-1]
        assert 4 * ROUNDS == len(bench.asked)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("in_the_way", ["folder", "link to nowhere"])
def test_what_is_no_file_is_a_miss_that_is_told(in_the_way: str, tmp_path: Path) -> None:
    made(Bench(TIMES), tmp_path).run(operation(*NAMES), 1)
    (file,) = tmp_path.iterdir()
    file.unlink()
    file.mkdir() if in_the_way == "folder" else file.symlink_to(tmp_path / "nowhere")
    choice = made(Bench(TIMES), tmp_path).choose(operation(*NAMES), 1)
    assert ("triton a", "measured") == (choice.implementation, choice.source)
    assert (2 if in_the_way == "folder" else 0) == len(choice.notes)


def test_a_remembered_candidate_that_is_no_more_is_a_miss(tmp_path: Path) -> None:
    made(Bench(TIMES), tmp_path).run(operation(*NAMES), 1)
    bench = Bench(TIMES)

    assert "triton b" == made(bench, tmp_path).run(operation("torch", "triton b"), 1)
    assert bench.asked


def test_a_folder_that_cannot_be_written_is_told_and_measured_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    bench = Bench(TIMES)
    dispatcher = made(bench, tmp_path / "file")
    choice = dispatcher.choose(operation(*NAMES), 1)
    dispatcher.run(operation(*NAMES), 1)

    assert "triton a" == choice.implementation
    assert "not remembered: " in choice.notes[-1]
    assert 4 * ROUNDS == len(bench.asked)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    choice = made(Bench(TIMES), tmp_path).choose(operation(*NAMES), 1)

    assert ("not remembered: no space left",) == choice.notes
    assert [] == list(tmp_path.iterdir())
