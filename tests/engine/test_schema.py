"""The JSON Schema of the graph file: what text editors are told about nodes."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from nodeflow.document import parse, write
from nodeflow.nodes import node, spec_of
from nodeflow.schema import json_schema
from nodeflow.values import Image


class Curve(BaseModel):
    """A falling curve."""

    power: float = Field(1.0, ge=0)
    next: "Curve | None" = None


class Schedule(BaseModel):
    """Steps and the curves they follow."""

    steps: int = Field(ge=1)
    curves: list[Curve] = []


@node(category="image", version=3, title="Mix pictures", renamed={"pictures": "images"})
def mix(
    images: list[Image],
    mask: Image | None = None,
    weights: Annotated[list[float], Field(max_length=3)] = [],  # noqa: B006
    amount: Annotated[float, Field(ge=0, le=1, multiple_of=0.1)] = 0.5,
    mode: Literal["add", "screen"] = "add",
    size: Annotated[int, Field(multiple_of=8)] | None = None,
    schedule: Schedule | None = None,
    path: Path = Path("out.png"),
    anything: Any = None,
) -> Image:
    """Lay pictures over each other.

    Args:
        amount: how much of the second one shows.
    """
    raise AssertionError(images, mask, weights, amount, mode, size, schedule, path, anything)


@node(category="image")
def blank(width: int) -> Image:
    """A picture of one colour."""
    raise AssertionError(width)


SPECS = (spec_of(mix, "image"), spec_of(blank, "image"))
SCHEMA = json_schema(SPECS)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def faults(data):
    return [error.message for error in VALIDATOR.iter_errors(data)]


def mixed(**inputs):
    return {"nodeflow": 1, "nodes": {"m": {"type": "image.mix", "version": 3, "inputs": inputs}}}


def test_it_is_a_schema_and_plain_json():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_without_any_node_it_is_a_schema_still():
    validator = jsonschema.Draft202012Validator(json_schema(()))
    validator.check_schema(validator.schema)
    assert validator.is_valid(mixed(what="ever"))


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"images": {"$from": "a"}},
        {"images": [{"$from": "a"}, {"$from": "b.x"}]},
        {"pictures": {"$from": "a"}},
        {"mask": None},
        {"weights": [0.5, {"$from": "a"}, 1]},
        {"amount": 0.3},
        {"amount": {"$from": "a.number"}},
        {"mode": "screen"},
        {"size": 64},
        {"size": None},
        {"schedule": {"steps": 3, "curves": [{"power": 2, "next": {"power": 1, "next": None}}]}},
        {"path": "cat.png"},
        {"anything": {"$from": "a"}},
        {"anything": [{"$from": "a"}]},
    ],
)
def test_what_nodeflow_takes_the_schema_takes(inputs):
    assert [] == faults(mixed(**inputs))


@pytest.mark.parametrize(
    "inputs",
    [
        {"image": {"$from": "a"}},
        {"images": "cat.png"},
        {"images": ["cat.png"]},
        {"images": {"$from": "a b"}},
        {"images": {"$from": "a", "x": 1}},
        {"weights": [1, 2, 3, 4]},
        {"weights": 1},
        {"amount": 1.5},
        {"amount": "0.5"},
        {"mode": "multiply"},
        {"size": 65},
        {"schedule": {"steps": 0}},
        {"schedule": {"steps": 3, "curves": [{"power": 2, "next": {"power": -1}}]}},
        {"path": 3},
        {"mask": "cat.png"},
    ],
)
def test_what_nodeflow_refuses_at_an_input_the_schema_refuses(inputs):
    assert [] != faults(mixed(**inputs))


@pytest.mark.parametrize(
    "change",
    [
        {"nodeflow": 2},
        {"nodes": []},
        {"nodes": {"a b": {"type": "image.blank"}}},
        {"nodes": {"a": {}}},
        {"nodes": {"a": {"type": 3}}},
        {"nodes": {"a": {"type": "image.blank", "version": 0}}},
        {"nodes": {"a": {"type": "absent.node", "inputs": []}}},
        {"nodes": {"a": {"type": "absent.node", "mode": "mute"}}},
        {"parameters": {"p": "node"}},
        {"outputs": {"o": "node."}},
        {"graphs": {"g": {}}},
        {"graphs": {"g": {"nodes": {"a": {"type": "image.blank", "inputs": {"width": "wide"}}}}}},
        {"view": []},
        {"title": 1},
    ],
)
def test_a_file_of_the_wrong_form_is_refused(change):
    assert [] != faults({"nodeflow": 1, "nodes": {}, **change})


def test_nodes_of_absent_plugins_and_unknown_keys_pass():
    node = {"type": "absent.node", "version": 7, "inputs": {"x": {"any": ["thing"]}}, "muted": True}
    assert [] == faults({"nodeflow": 1, "nodes": {"a": node, "g": {"type": "graph:up.json"}}, "licence": "CC0"})


def test_what_the_engine_writes_is_valid():
    text = """{"nodeflow": 1, "title": "t", "parameters": {"w": "b.width"}, "outputs": {"o": "m", "p": "m.out"},
        "nodes": {"b": {"type": "image.blank", "mode": "muted"},
            "m": {"type": "image.mix", "inputs": {"images": [{"$from": "b"}]}}},
        "graphs": {"g": {"nodes": {}}}, "view": {"nodes": {"b": [0, 0]}}}"""
    assert [] == faults(json.loads(write(parse(text))))


def test_an_input_says_what_it_is_for_and_what_it_is_without():
    ports = SCHEMA["$defs"]["image.mix"]["properties"]["inputs"]["properties"]
    assert ("amount", "how much of the second one shows. (float)", 0.5) == tuple(
        ports["amount"][key] for key in ("title", "description", "default")
    )
    assert ("(list[Image])", False) == (ports["images"]["description"], "default" in ports["images"])
    assert ports["pictures"]["deprecated"]


def test_types_are_listed_with_their_titles_and_help():
    listed = SCHEMA["$defs"]["node"]["properties"]["type"]["anyOf"]
    assert [
        {"const": "image.blank", "title": "Blank", "description": "A picture of one colour."},
        {"const": "image.mix", "title": "Mix pictures", "description": "Lay pictures over each other."},
    ] == listed[:2]


def test_the_order_of_plugins_changes_nothing():
    assert json.dumps(json_schema(SPECS)) == json.dumps(json_schema(reversed(SPECS)))
