"""From a marked function to a NodeSpec, and what an author is told who got it wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import plain_nodes
import pytest
from graphs_for_tests import CATALOG
from pydantic import Field

from nodeflow import QUIET, Context, PluginError, Seed, Ui, node
from nodeflow.nodes import spec_of

if TYPE_CHECKING:
    from decimal import Decimal


def port(spec, name):
    return spec.input(name)


def test_a_function_becomes_data():
    @node(category="a/b", version=2, title="My node", formerly=("o.ld",), renamed={"was": "steps"}, effect=True)
    def sample(steps: Annotated[int, Field(ge=1), Ui("slider")], seed: Seed = 7, *, ctx: Context = QUIET) -> float:
        """Samples.

        At length.

        Args:
            steps: more are finer
                and slower.

        Returns:
            A number.
        """
        return 0.0

    spec = spec_of(sample, "p")
    assert ("p.sample", 2, "a/b", "My node", "Samples.\n\nAt length.") == (
        spec.id, spec.version, spec.category, spec.title, spec.help,
    )  # fmt: skip
    steps, seed = spec.inputs
    assert ("steps", True, "slider", "more are finer and slower.") == (
        steps.name,
        steps.required,
        steps.widget,
        steps.help,
    )
    assert (7, "seed", False) == (seed.default, seed.widget, seed.required)
    assert (True, True, ("o.ld",), {"was": "steps"}) == (spec.context, spec.effect, spec.formerly, spec.renamed)
    assert ["out"] == [output.name for output in spec.outputs]
    assert 0.0 == sample(1)


def test_named_outputs():
    assert ["first", "second"] == [output.name for output in CATALOG.get("t.pair").outputs]


def test_defaults_of_every_kind_are_json():
    assert ["left", {"width": 2, "name": "square"}, ".", 1.0] == [p.default for p in CATALOG.get("t.kinds").inputs]


def test_needs_and_identity_say_what_they_ask_about():
    assert (("which",), True, False) == (lambda s: (s.asks, s.lazy, s.keyed))(CATALOG.get("t.pick"))
    assert (("key",), False, True) == (lambda s: (s.asks, s.lazy, s.keyed))(CATALOG.get("t.content"))


def marked(function):
    return node(category="x")(function)


def without_docstring(x: int = 0) -> int:
    return x


def without_annotation(x) -> int:
    """Lacks one."""


def without_result(x: int):
    """Lacks one."""


def many(*xs: int) -> int:
    """Takes many."""


def keywords(**xs: int) -> int:
    """Takes many."""


def positional(x: int, /) -> int:
    """Has no names."""


def wrong_context(x: int, *, ctx: int = 0) -> int:
    """Misuses ctx."""


def hidden(x: Decimal) -> int:
    """Its type is only there for checkers."""


def table(x: dict[str, int]) -> int:
    """Takes a dict."""


def Upper() -> int:
    """Has a wrong name."""


def beyond(x: Annotated[int, Field(ge=1)] = 0) -> int:
    """Its default is beyond its own limits."""


async def later(x: int = 0) -> int:
    """Is async."""


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (without_docstring, "has no docstring"),
        (without_annotation, 'input "x" has no annotation'),
        (without_result, "the result has no annotation"),
        (many, 'input "xs": every input needs a name of its own'),
        (keywords, 'input "xs": every input needs a name of its own'),
        (positional, 'input "x": every input needs a name of its own'),
        (wrong_context, "ctx must be annotated Context"),
        (hidden, "import it outside TYPE_CHECKING"),
        (table, "cannot be the type of a port"),
        (Upper, "cannot be a node's name"),
        (beyond, 'input "x": its default is wrong: expected at least 1, found 0'),
        (later, "is async"),
    ],
)
def test_a_function_that_is_no_node_says_why(function, told):
    with pytest.raises(PluginError, match=r"p: .*test_nodes") as caught:
        spec_of(marked(function), "p")
    assert told in str(caught.value)


def test_a_function_that_is_not_marked_is_told():
    with pytest.raises(PluginError, match="put @node"):
        spec_of(test_named_outputs, "p")


def test_needs_that_asks_for_what_is_no_input_is_told():
    function = node(category="x", needs=lambda nothing: ())(plain_nodes.number.__class__(
        plain_nodes.number.__code__, plain_nodes.number.__globals__, "number"
    ))  # fmt: skip
    function.__annotations__, function.__doc__ = {"x": int, "return": int}, "A number."
    with pytest.raises(PluginError, match=r"asks for \['nothing'\]"):
        spec_of(function, "p")


def test_the_mark_leaves_the_function_as_it_is():
    assert 5 == plain_nodes.add(2, 3)
    assert Path(plain_nodes.__file__).name == "plain_nodes.py"
