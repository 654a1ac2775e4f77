"""The training graphs are the recipes of the shipped weights, and train as the plain loop does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_codebooks import training_nodes
from nodeflow_codebooks.autoencoder import Autoencoder
from nodeflow_codebooks.losses import ReconstructionConfig, reconstruction_loss
from nodeflow_nn.weights import read_header
from nodeflow_shapes.nodes import dataset
from nodeflow_shapes.render import render
from nodeflow_shapes.scenes import scene
from nodeflow_train.fit import FitConfig
from nodeflow_train.fit import fit as plain_fit
from nodeflow_train.nodes import fit, optimiser

from nodeflow import find_weights
from nodeflow.document import Document, parse, read
from nodeflow.testing import RecordingContext

GRAPHS = Path(__file__).parents[2] / "graphs" / "train"
NAMES = ("autoencoder", "transformer", "unet")


def typed_in(graph: Document, node: str) -> dict[str, Any]:
    return dict(graph.nodes[node].inputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_describes_the_shipped_model(name: str) -> None:
    header, graph = read_header(find_weights(f"shapes:{name}")), read(GRAPHS / f"{name}.json")
    model = typed_in(graph, "model")
    renamed = {"picture": "size"}
    times = {1000.0: "flow", 1.0: "steps"}
    for key, value in header.config.items():
        if key == "time_scale":
            assert times[value] == model["times"]
        elif key != "channels" or name != "autoencoder":
            assert value == model[renamed.get(key, key)], key


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_trains_as_the_shipped_model_was_trained(name: str) -> None:
    provenance = read_header(find_weights(f"shapes:{name}")).provenance
    if "graph_text" in provenance:
        made = parse(provenance["graph_text"], name)
        (graph,) = (read(path) for path in GRAPHS.glob("*.json") if read(path).title == made.title)
        assert {node: (entry.type, dict(entry.inputs)) for node, entry in made.nodes.items()} == {
            node: (entry.type, dict(entry.inputs)) for node, entry in graph.nodes.items()
        }
        return
    recipe, graph = provenance["recipe"], read(GRAPHS / f"{name}.json")
    here = typed_in(graph, "optimiser") | typed_in(graph, "train")
    told = {key: value for key, value in recipe["fit"].items() if key not in ("adam_betas", "steps", "decay_fraction")}
    assert told == {key: here[key] for key in told}
    data = recipe["data"]
    assert data["prepare"]["scene_seed"] == typed_in(graph, "scenes")["seed"]
    assert data["prepare"]["pictures"] == typed_in(graph, "scenes")["count"]
    assert data["batch_seed"] == typed_in(graph, "latents")["seed"]


def test_the_node_trains_as_the_plain_loop_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_nodes, "MEASURED", 32)
    trainable = training_nodes.new_autoencoder(
        width=16, heads=2, encoder_depth=1, decoder_depth=1, detail_width=8, detail_depth=1, latent_channels=4
    )
    torch.manual_seed(5)
    model = Autoencoder(trainable.config)
    config = FitConfig(steps=4, batch=4, ema=0.9, warmup=2, seed=1, newton_schulz=4, dtype=torch.float32)
    batches = [render([scene(0, step * 4 + place) for place in range(4)]) for step in range(4)]
    judged = ReconstructionConfig()
    list(plain_fit({"m": model}, lambda b, g: reconstruction_loss(model, b, judged, g), batches.__getitem__, config))
    loaded: list[Any] = []
    ctx = RecordingContext(tmp_path)
    monkeypatch.setattr(ctx, "load", lambda recipe: loaded.append(recipe.assemble(ctx_load)) or loaded[-1])
    chosen = optimiser(ema=0.9, warmup=2, newton_schulz=4)
    loss = training_nodes.reconstruction_loss(trainable)
    fit(loss, dataset(64), chosen, 4, 4, seed=1, first_seed=5, precision="float32", ctx=ctx)
    trained = dict(loaded[0].modules["autoencoder"].named_parameters())
    assert all(torch.equal(weight, trained[name]) for name, weight in model.named_parameters())


def ctx_load(recipe: Any) -> Any:
    return recipe.assemble(ctx_load)
