"""What a port takes: over a wire and typed in, and how annotations say it."""

import enum
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, TypeVar

import plain_nodes
import pytest
from graphs_for_tests import CATALOG
from pydantic import Field

from nodeflow.annotations import port_type
from nodeflow.calls import matches
from nodeflow.spec import NodeSpec
from nodeflow.types import PortType, accepts, fault, shown


class Base: ...


class Derived(Base): ...


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


FITS = [
    (int, int), (float, int), (Path, str), (Any, Base), (Base, Any), (Base, Derived), (int | None, int),
    (int | None, None), (int | str, str), (list[int], int), (list[float], list[int]), (list[Base], Derived),
    (list[Base] | None, Derived), (Base | int, Derived | int), (str, Literal["a"]), (Literal["a", "b"], Literal["a"]),
    (int, Level), (float, Literal[1, 2]), (plain_nodes.Shape, plain_nodes.Shape), (int | None, int | None),
]  # fmt: skip
MISFITS = [
    (int, float, "expected int but the wire gives float"),
    (int, bool, "expected int but the wire gives bool"),
    (bool, int, "expected bool but the wire gives int"),
    (str, Path, "expected str but the wire gives path"),
    (Derived, Base, "expected Derived but the wire gives Base"),
    (int, int | None, "expected int but the wire may give nothing"),
    (int, int | str, "expected int but the wire may give str"),
    (int | str, Base, "expected int | str but the wire gives Base"),
    (int, list[int], "expected int but the wire gives list[int]"),
    (list[int], list[str], "expected list[int] but the wire gives list[str]"),
    (list[int], str, "expected list[int] but the wire gives str"),
    (Literal["a"], str, 'expected "a" but the wire gives str'),
    (Literal["a"], Literal["a", "b"], 'expected "a" but the wire gives "a" | "b"'),
    (plain_nodes.Shape, Base, "expected Shape but the wire gives Base"),
    (Base, plain_nodes.Shape, "expected Base but the wire gives Shape"),
    (str, Level, "expected str but the wire gives 1 | 2"),
]


@pytest.mark.parametrize(("target", "source"), FITS)
def test_a_wire_that_fits(target, source):
    assert accepts(port_type(target), port_type(source)) is None


@pytest.mark.parametrize(("target", "source", "reason"), MISFITS)
def test_a_wire_that_does_not_fit_says_why(target, source, reason):
    assert reason == accepts(port_type(target), port_type(source))


class Share(float, enum.Enum):
    WHOLE = 1.0


@pytest.mark.parametrize("kinds", [(Literal[1], Literal[True], Share), (Literal[0], Literal[False])])
def test_literals_that_python_calls_equal_are_different(kinds):
    types = [port_type(kind) for kind in kinds]
    values = [kind.values[0] for kind in types]
    same = [[one is other for other in types] for one in types]
    assert same == [[accepts(one, other) is None for other in types] for one in types]
    assert same == [[fault(one, value) is None for value in values] for one in types]
    assert same == [[matches(one, value) for value in values] for one in types]


STANDS = [
    (bool, True), (int, -3), (float, 3), (float, 0.5), (str, ""), (Path, "a/b"), (int | None, None), (list[int], []),
    (list[int], [1, 2]), (Literal["a", 1], 1), (Level, 2), (plain_nodes.Side, "left"),
    (plain_nodes.Shape, {"width": 1}),
    (Annotated[float, Field(multiple_of=0.1)], 0.3), (Annotated[int, Field(gt=0, lt=3)], 2), (int | str, "a"),
    (Annotated[list[int], Field(max_length=2)], [1, 2]), (Annotated[str, Field(pattern="^a")], "ab"),
    (Annotated[int | None, Field(ge=1)], None), (float, 10**300),
]  # fmt: skip
WRONG = [
    (bool, "false", 'expected bool, found "false"'),
    (bool, 0, "expected bool, found 0"),
    (int, 3.9, "expected int, found 3.9"),
    (int, 3.0, "expected int, found 3.0"),
    (int, True, "expected int, found true"),
    (int, None, "expected int, found null"),
    (float, math.nan, "expected float, found NaN"),
    (float, math.inf, "expected float, found Infinity"),
    (float, "1", 'expected float, found "1"'),
    (float, True, "expected float, found true"),
    (str, 1, "expected str, found 1"),
    (Path, None, "expected path, found null"),
    (list[int], 1, "expected list[int], found 1"),
    (list[int], [1, "2"], 'item 1: expected int, found "2"'),
    (int | str, 1.5, "expected int | str, found 1.5"),
    (int | None, "1", 'expected int, found "1"'),
    (Literal["a", 1], True, 'expected "a" | 1, found true'),
    (Level, 3, "expected 1 | 2, found 3"),
    (plain_nodes.Shape, {"width": "1"}, "width: '1' is not of type 'integer'"),
    (plain_nodes.Shape, 1, "expected Shape, found 1"),
    (Annotated[int, Field(ge=1)], 0, "expected at least 1, found 0"),
    (Annotated[int, Field(le=2**53 - 1)], 2**53, "expected at most 9007199254740991, found 9007199254740992"),
    (Annotated[int, Field(gt=1)], 1, "expected more than 1, found 1"),
    (Annotated[int, Field(lt=1)], 1, "expected less than 1, found 1"),
    (Annotated[int, Field(multiple_of=8)], 12, "expected a multiple of 8, found 12"),
    (Annotated[str, Field(min_length=2)], "a", 'expected at least 2 characters long, found "a"'),
    (Annotated[str, Field(pattern="^a")], "b", 'expected a text that matches ^a, found "b"'),
    (Annotated[list[int], Field(min_length=1)], [], "expected at least 1 items long, found []"),
    (Annotated[int | None, Field(ge=1)], 0, "expected at least 1, found 0"),
    (Base, 1, "expected Base, found 1"),
]


@pytest.mark.parametrize(("annotation", "value"), STANDS)
def test_a_value_that_may_stand(annotation, value):
    assert fault(port_type(annotation), value) is None


@pytest.mark.parametrize(("annotation", "value", "reason"), WRONG)
def test_a_value_that_may_not_stand_says_why(annotation, value, reason):
    assert reason == fault(port_type(annotation), value)


def test_an_int_beyond_every_float_is_no_float():
    assert "expected float" in fault(port_type(float), 10**400)


def test_limits_of_a_list_of_classes_are_kept():
    assert (("minItems", 2),) == port_type(Annotated[list[Base], Field(min_length=2)]).limits


@pytest.mark.parametrize("annotation", [dict, dict[str, int], tuple[int, int], list, set[int], TypeVar("T"), 3])
def test_what_has_no_meaning_on_a_wire_is_refused(annotation):
    with pytest.raises(TypeError, match="cannot be the type of a port"):
        port_type(annotation)


@pytest.mark.parametrize("annotation", [one for pair in FITS for one in pair] + [case[0] for case in WRONG])
def test_a_type_comes_back_from_json(annotation):
    kind = port_type(annotation)
    assert kind == PortType.from_json(json.loads(json.dumps(kind.as_json())))


def test_every_spec_comes_back_from_json():
    for spec in CATALOG:
        assert spec == NodeSpec.from_json(json.loads(json.dumps(spec.as_json())))


def test_optional_says_the_same_as_a_union():
    assert port_type(int | None) == port_type(Optional[int])  # noqa: UP045


def test_a_long_value_is_cut_in_a_message():
    assert 60 == len(shown("x" * 1_000))
    assert shown("x" * 1_000).endswith("...")
