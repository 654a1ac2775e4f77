"""What plugin authors are given: it must find what is wrong, and let pass what is right."""

import types
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
import torch
from pydantic import Field

from nodeflow import QUIET, Cancelled, Context, GraphError, Image, RunError, hook, node
from nodeflow.testing import RecordingContext, assert_deterministic, check_node, check_plugin, difference, run_graph


@node(category="test")
def shade(image: Image, amount: Annotated[float, Field(ge=0, le=1)] = 0.5, *, ctx: Context = QUIET) -> Image:
    """Darken a picture.

    Args:
        image: the picture.
        amount: how much.
    """
    pixels = image.pixels
    for _ in ctx.steps(range(2), preview=lambda: Image(pixels)):  # noqa: B023 # it is drawn within the step
        pixels = pixels * (1 - amount)
        ctx.say("darker")
    return Image(pixels)


@node(category="test")
def grey(level: float = 1.0) -> Image:
    """Make a grey picture.

    Args:
        level: its brightness.
    """
    return Image(torch.full((1, 3, 4, 4), level))


def module(*functions: Any) -> types.ModuleType:
    made = types.ModuleType("nodeflow_made")
    made.register_nodes = hook(lambda: functions)  # type: ignore[attr-defined]
    return made


def test_a_node_in_order_passes() -> None:
    assert "test.shade" == check_node(shade).id
    assert ["made.shade", "made.grey"] == [spec.id for spec in check_plugin(module(shade, grey))]


def bare(size: int) -> int:
    raise AssertionError(size)


@node(category="", version=0)
def careless(size: int = None, image: Image = None, *, ctx: Context) -> int:  # type: ignore[assignment]  # noqa: RUF013
    """Do something.

    Args:
        sise: how large.
    """
    raise AssertionError(size, image, ctx)


@node(category="test")
def mute(size: int) -> int:
    raise AssertionError(size)


@node(category="test")
def beyond(size: Annotated[int, Field(ge=1)] = 0) -> int:
    """Do something.

    Args:
        size: how large.
    """
    raise AssertionError(size)


@node(category="test")
def odd(sizes: dict[str, int]) -> int:
    """Do something."""
    raise AssertionError(sizes)


@pytest.mark.parametrize(
    ("function", "faults"),
    [
        (bare, ["not marked"]),
        (mute, ["has no docstring"]),
        (beyond, ["expected at least 1, found 0"]),
        (odd, ["cannot be the type of a port"]),
        (
            careless,
            [
                'input "size": it has no note',
                'input "size": its default is refused: expected int, found null',
                'input "image": its default is refused',
                "version 0: expected a whole number from 1",
                "the category is empty",
                "notes on sise, which it does not take",
                "ctx: write",
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_fault_of_a_node_is_told(function: Any, faults: list[str]) -> None:
    with pytest.raises(AssertionError) as told:
        check_node(function)

    assert [] == [text for text in faults if text not in str(told.value)]


def test_a_plugin_that_registers_nothing_or_twice_is_told() -> None:
    with pytest.raises(AssertionError, match="registers no nodes"):
        check_plugin(module())
    with pytest.raises(AssertionError, match="two nodes have this name"):
        check_plugin(module(grey, grey))


def test_built_in_plugins_are_found_by_name() -> None:
    assert "image.blur" in {spec.id for spec in check_plugin("nodeflow_image", "image")}


class Two(NamedTuple):
    image: Image
    note: str


@node(category="test")
def drawn() -> Two:
    """Draw noise from the global generator."""
    return Two(Image(torch.rand(1, 1, 2, 2)), "x")


@node(category="test")
def greedy(image: Image) -> Image:
    """Write into its input."""
    image.pixels.mul_(0.5)
    return Image(torch.zeros(1, 1, 1, 1))


def test_determinism_is_judged_by_every_number() -> None:
    kept = assert_deterministic(shade, image=Image(torch.tensor([[[[0.5, float("nan")]]]])), amount=0.1)

    assert (1, 1, 1, 2) == tuple(kept.pixels.shape)
    with pytest.raises(AssertionError, match=r"drawn gave two results.*numbers in its output\[0\].pixels differ"):
        assert_deterministic(drawn)
    with pytest.raises(AssertionError, match=r"greedy changed its input: .*image.pixels differ"):
        assert_deterministic(greedy, image=Image(torch.ones(1, 1, 2, 2)))


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (1, 1, ""),
        (1, 1.0, "value is an int once and a float then"),
        (float("nan"), float("nan"), ""),
        ({"a": [1, 2]}, {"a": [1, 3]}, "value['a'][1] is 2 once and 3 then"),
        ([1], [1, 2], "value has 1 items once and 2 then"),
        (torch.zeros(2), torch.zeros(3), "the shape of value is torch.Size([2]) once and torch.Size([3]) then"),
    ],
)
def test_a_difference_is_named_by_its_place(one: Any, other: Any, found: str) -> None:
    assert found == difference(one, other)


def test_a_graph_runs_with_functions_of_the_test() -> None:
    @node(category="test")
    def white() -> Image:
        """A white picture."""
        return Image(torch.ones(1, 3, 2, 2))

    nodes = {"white": {"type": "test.white"}, "dark": {"type": "test.shade", "inputs": {"image": {"$from": "white"}}}}
    outputs = run_graph({"nodeflow": 1, "outputs": {"out": "dark"}, "nodes": nodes}, [white, shade])

    assert torch.equal(torch.full((1, 3, 2, 2), 0.25), outputs["out"].pixels)


def test_a_wrong_graph_and_a_failing_node_raise() -> None:
    @node(category="test")
    def fails() -> int:
        """Fail."""
        raise ValueError("no")

    with pytest.raises(GraphError, match="is missing"):
        run_graph({"nodeflow": 1, "nodes": {"a": {"type": "test.shade"}}}, [shade])
    with pytest.raises(RunError, match='node "a": no'):
        run_graph({"nodeflow": 1, "nodes": {"a": {"type": "test.fails"}}}, [fails])


def test_a_recording_context_writes_everything_down() -> None:
    ctx = RecordingContext()
    shade(grey(1.0), 0.5, ctx=ctx)

    assert [(0, 2), (1, 2), (2, 2)] == ctx.steps_taken
    assert ["darker", "darker"] == ctx.said
    assert [0.5, 0.25] == [picture.pixels.max().item() for picture in ctx.previews]


def test_a_recording_context_keeps_files_in_its_folder(tmp_path: Path) -> None:
    ctx = RecordingContext(tmp_path)
    ctx.write("a/b.txt").write_text("x")

    assert [tmp_path / "a" / "b.txt"] == ctx.written
    for outside in ("../b.txt", "/b.txt", "."):
        with pytest.raises(PermissionError, match="leads out"):
            ctx.write(outside)
    own = RecordingContext()
    folder = own.write("b.txt").parent
    assert folder.is_dir()
    del own
    assert not folder.exists()


def test_a_recording_context_cancels_where_it_is_told() -> None:
    ctx = RecordingContext(cancel_after=1)
    with pytest.raises(Cancelled):
        shade(grey(), ctx=ctx)

    assert [(0, 2), (1, 2)] == ctx.steps_taken
