"""Whatever stands in a file: it is refused with a sentence, or becomes a graph that can be read again."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nodeflow_comfyui.translation import translate
from nodeflow_comfyui.workflow import UnreadableError

from nodeflow.document import parse

WORKFLOWS = sorted((Path(__file__).parent / "workflows").glob("*.json"))
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 10**400, 1.5, float("nan"), "", "x", "\ud800", "\0", "../../x", [], {}, [1], ["4", 0],
    ["4", 99], [["4", 0]], {"a": {}}, {"$from": "x"}, {"__value__": ["4", 0]}, [[[[[[1]]]]]], "-10", "KSampler",
)  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from places(item)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_damaged_workflow_is_refused_or_becomes_a_graph(path: Path) -> None:
    whole, chance, refused = json.loads(path.read_text("utf-8")), random.Random(path.stem), 0
    for _ in range(250):
        data = copy.deepcopy(whole)
        for _ in range(chance.choice((1, 1, 2, 5))):
            if not (spots := list(places(data))):
                break
            container, key = chance.choice(spots)
            if chance.random() < 0.3:
                del container[key]
            else:
                container[key] = copy.deepcopy(chance.choice(ODD))
        try:
            found = translate(json.dumps(data).encode())
        except UnreadableError as error:
            refused += 1
            assert str(error)  # noqa: PT017 # both endings are in order
            continue
        if found is not None:
            parse(json.dumps({"nodeflow": 1, **found.graph}))
    assert refused < 125
