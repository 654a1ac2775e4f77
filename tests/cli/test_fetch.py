"""`nodeflow run` with models of the hub: fetched when the call asks for them, and never by a check or a plan."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent.parent / "plugins_for_tests"))
from hub_server import Hub, serving

from nodeflow.plan import ceilings
from nodeflow.plan.ceilings import Ceilings

Call = Callable[..., Any]
WEIGHTS = Path(__file__).parents[2] / "plugins" / "nodeflow_shapes" / "weights"
NAME = "hf://me/scenes/autoencoder.safetensors"
GRAPH = {
    "nodeflow": 1,
    "parameters": {"model": "load.model"},
    "outputs": {"image": "decode"},
    "nodes": {
        "load": {"type": "codebooks.load", "version": 1, "inputs": {"model": NAME}},
        "paint": {"type": "image.colour", "version": 1, "inputs": {"colour": "#3366cc", "width": 64, "height": 64}},
        "encode": {"type": "codebooks.encode", "version": 1, "inputs": {
            "autoencoder": {"$from": "load"}, "image": {"$from": "paint"}
        }},
        "decode": {"type": "codebooks.decode", "version": 1, "inputs": {
            "autoencoder": {"$from": "load"}, "latent": {"$from": "encode"}
        }},
    },
}  # fmt: skip


@pytest.fixture
def hub(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model, an empty cache, and a graph that names the model."""
    pytest.importorskip("huggingface_hub")
    for name in ("NODEFLOW_FETCH", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(surroundings / "models of the hub"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr(ceilings, "measure", lambda device: Ceilings(1e-5, 1e11, 1e-5, 1e11, 1e-4, 1e10, 1e9))
    (surroundings / "named.json").write_text(json.dumps(GRAPH), "utf-8")
    shipped = json.dumps(GRAPH).replace(NAME, "shapes:autoencoder")
    (surroundings / "shipped.json").write_text(shipped, "utf-8")
    data = {"autoencoder.safetensors": (WEIGHTS / "autoencoder.safetensors").read_bytes(), "README.md": b""}
    with serving(Hub({"me/scenes": data})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def test_a_graph_of_a_stranger_fetches_nothing(nodeflow: Call, hub: Hub) -> None:
    assert 0 == nodeflow("check", "named.json").code
    said = nodeflow("run", "named.json")
    assert 1 == said.code
    assert f'node "load", input "model": "{NAME}" is not fetched yet\n    nodeflow run --fetch' in said.err
    assert [] == hub.asked


def test_a_plan_says_what_is_not_fetched_yet_and_fetches_nothing(
    nodeflow: Call, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEFLOW_FETCH", "1")
    said = nodeflow("plan", "named.json", "--device", "cpu")
    assert f'load: not known before it runs: it names "{NAME}", which is not fetched yet' in said.out
    assert (0, []) == (said.code, hub.asked)


@pytest.mark.parametrize(
    "arguments", [("named.json", "--fetch"), ("shipped.json", "--set", f"model={NAME}")], ids=["--fetch", "--set"]
)
def test_a_call_that_asks_for_it_fetches_with_progress_and_later_without_a_network(
    nodeflow: Call, hub: Hub, arguments: tuple[str, ...]
) -> None:
    said = nodeflow("run", *arguments, "--json")
    assert 0 == said.code, said.out + said.err
    events = [json.loads(line) for line in said.out.splitlines()]
    fetched = [event for event in events if event["event"] == "fetched"]
    assert {"load"} == {event["node"] for event in fetched}
    size = (WEIGHTS / "autoencoder.safetensors").stat().st_size
    assert (0, size, size) == (fetched[0]["done"], fetched[-1]["done"], fetched[-1]["total"])
    assert events.index(fetched[-1]) < next(at for at, event in enumerate(events) if event["event"] == "started")
    asked = len(hub.asked)
    assert 0 == nodeflow("run", "named.json", "--no-cache").code  # what is there needs no leave
    assert asked == len(hub.asked)


def test_pipes_are_told_when_it_begins_and_when_it_is_there(nodeflow: Call, hub: Hub) -> None:
    lines = nodeflow("run", "named.json", "--fetch").out.splitlines()
    assert ["fetching", "fetched"] == [line.split()[1] for line in lines[:2]]


def test_a_failed_fetch_ends_its_node_once(nodeflow: Call, hub: Hub) -> None:
    said = nodeflow("run", "named.json", "--set", "model=hf://me/absent")
    assert 1 == said.code
    assert 1 == said.err.count("there is no hf://me/absent")
    assert 1 == sum("api/models" in line for line in hub.asked)
    assert not Path("outputs", "named.png").exists()


@pytest.mark.parametrize(("use_first", "files"), [(True, []), (False, ["autoencoder.safetensors"])])
def test_a_model_behind_a_choice_is_fetched_only_if_it_is_chosen(
    nodeflow: Call, hub: Hub, use_first: bool, files: list[str]
) -> None:
    nodes = GRAPH["nodes"] | {  # type: ignore[operator]
        "chosen": {"type": "image.switch", "version": 1, "inputs": {
            "first": {"$from": "paint"}, "second": {"$from": "decode"}, "use_first": use_first
        }},
    }  # fmt: skip
    Path("choice.json").write_text(json.dumps(GRAPH | {"nodes": nodes, "outputs": {"image": "chosen"}}), "utf-8")
    said = nodeflow("run", "choice.json", "--fetch")
    assert (0, files) == (said.code, hub.files), said.err
