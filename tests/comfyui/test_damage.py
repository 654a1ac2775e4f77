"""Whatever stands in a file: it is refused with a sentence, or becomes a graph that can be read again."""

import copy
import json
import random
import time
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


def refusal(data: Any) -> str:
    with pytest.raises(UnreadableError) as caught:
        translate(json.dumps(data).encode())
    return str(caught.value)


def editors(nodes: list[Any], links: list[Any], *subgraphs: Any) -> dict[str, Any]:
    """A file of the editor's."""
    return {"version": 1, "nodes": nodes, "links": links, "definitions": {"subgraphs": list(subgraphs)}}


def test_thousands_of_nodes_of_one_number_are_all_kept() -> None:
    began = time.monotonic()
    found = translate(json.dumps(editors([{"id": 1, "type": "Unknown"}] * 15_000, [])).encode())
    assert found is not None
    assert 15_000 == len(found.graph["nodes"])
    assert time.monotonic() - began < 20


def test_subgraphs_that_multiply_are_refused_before_they_are_many() -> None:
    deeper = [{"id": f"s{depth}", "nodes": [{"id": n, "type": f"s{depth + 1}"} for n in range(10)]}
              for depth in range(20)]  # fmt: skip
    began = time.monotonic()
    assert "with what its subgraphs hold, the workflow has more than 20,000 nodes" in refusal(
        editors([{"id": n, "type": "s0"} for n in range(10)], [], *deeper)
    )
    hollow = {"id": "s0", "nodes": [], "links": [[n, 1, 0, 1, 0, "*"] for n in range(1_000)]}
    assert "with what its subgraphs hold" in refusal(
        editors([{"id": n, "type": "s0"} for n in range(15_000)], [], hollow)
    )
    assert time.monotonic() - began < 30


def test_a_long_row_of_subgraphs_is_wired_through() -> None:
    """Each passes on what it is given; one of them is given what comes out of itself."""
    passing = {
        "id": "s", "inputs": [{"name": "a"}], "outputs": [{"name": "b"}], "nodes": [],
        "links": [{"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": -20, "target_slot": 0}],
    }  # fmt: skip
    count = 3_000

    def standing(number: int) -> dict[str, Any]:
        inputs, outputs = [{"name": "a", "type": "*", "link": number}], [{"name": "b", "type": "*"}]
        return {"id": number, "type": "s", "inputs": inputs, "outputs": outputs}

    nodes = [{"id": 0, "type": "First", "outputs": [{"name": "x", "type": "*"}]}]
    nodes += [standing(number) for number in range(1, count)]
    nodes += [{"id": count, "type": "Last", "inputs": [{"name": "y", "type": "*", "link": count}]}]
    links = [
        {"id": n, "origin_id": n - 1, "origin_slot": 0, "target_id": n, "target_slot": 0} for n in range(count + 1)
    ]
    began = time.monotonic()
    found = translate(json.dumps(editors(nodes, links, passing)).encode())
    assert found is not None
    (last,) = (node for node in found.graph["nodes"].values() if node["type"] == "comfyui:Last")
    (first,) = (name for name, node in found.graph["nodes"].items() if node["type"] == "comfyui:First")
    assert {"$from": f"{first}.x"} == last["inputs"]["y"]
    assert time.monotonic() - began < 20
    links[1]["origin_id"] = count - 1  # round in a circle
    found = translate(json.dumps(editors(nodes, links, passing)).encode())
    assert found is not None
    (last,) = (node for node in found.graph["nodes"].values() if node["type"] == "comfyui:Last")
    assert {} == last["inputs"]


@pytest.mark.parametrize("prompt", ["(" * 200_000 + ")" * 200_000, "(a:1.1)[x]" * 100_000, "embedding:a " * 100_000])
def test_a_prompt_beyond_all_measure_takes_no_time(prompt: str) -> None:
    began = time.monotonic()
    steps = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": prompt}},
    }
    found = translate(json.dumps(steps).encode())
    assert found is not None
    assert [prompt] == [
        node["inputs"]["prompt"] for node in found.graph["nodes"].values() if "prompt" in node["inputs"]
    ]
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("width", "height", "of"), [(0, 64, "EmptyLatentImage"), (64, -5, "EmptyLatentImage"), (64, 0, "EmptyImage")]
)
def test_latents_without_a_size_are_left_as_they_are(width: int, height: int, of: str) -> None:
    made = {"class_type": of, "inputs": {"width": width, "height": height, "batch_size": 1, "color": 0}}
    vae = {"class_type": "VAELoader", "inputs": {"vae_name": "a"}}
    encoded = {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 0], "vae": ["2", 0]}}
    more = {"upscale_method": "area", "width": 0, "height": 7, "crop": "disabled"}
    source = ["1", 0] if of == "EmptyLatentImage" else ["3", 0]
    resized = {"class_type": "LatentUpscale", "inputs": {"samples": source, **more}}
    found = translate(json.dumps({"1": made, "2": vae, "3": encoded, "4": resized}).encode())
    assert found is not None
    assert "pixels is not possible" in " ".join(remark.message for remark in found.left)
