"""Training as nodes: tiny models, a few steps."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_codebooks import nodes as codebooks
from nodeflow_codebooks import training_nodes as new_codebooks
from nodeflow_diffusion import nodes as diffusion
from nodeflow_diffusion import training_nodes as new_diffusion
from nodeflow_nn.weights import read_header, save_weights
from nodeflow_shapes.nodes import dataset
from nodeflow_shapes.recipes import SceneDataset, Scenes
from nodeflow_text import nodes as text
from nodeflow_text import training_nodes as new_text
from nodeflow_train.begin_nodes import begin_with
from nodeflow_train.card import card, main
from nodeflow_train.card_nodes import attest
from nodeflow_train.curve import draw, log_ticks, thinned, ticks
from nodeflow_train.nodes import Fitted, fit, optimiser, part, prepare, summary
from safetensors.torch import load_file, save_file

from nodeflow import Cancelled, Dataset, Objective, Table, Trainable
from nodeflow.testing import RecordingContext, check_plugin


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_codebooks, "MEASURED", 32)


def autoencoder() -> Trainable:
    return new_codebooks.new_autoencoder(
        width=16, heads=2, encoder_depth=1, decoder_depth=1, detail_width=8, detail_depth=1, latent_channels=4
    )


def encoder() -> Trainable:
    return new_text.new_encoder(dataset(), width=16, heads=2, depth=1, pooled_width=16)


def transformer(**changed: Any) -> Trainable:
    sizes = {"channels": 4, "width": 16, "depth": 1, "heads": 1, "context_width": 16, "pooled_width": 16}
    return new_diffusion.new_transformer(**sizes | changed)


def reconstruction() -> Objective:
    return new_codebooks.reconstruction_loss(autoencoder())


def train(ctx: RecordingContext, steps: int = 4, **changed: Any) -> Fitted:
    given = {"optimiser": optimiser(warmup=2, decay=0.0), "batch": 4, "name": "ae", "precision": "float32"} | changed
    with torch.no_grad():  # as a run does
        return fit(reconstruction(), dataset(64), steps=steps, ctx=ctx, **given)


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, RecordingContext]:
    ctx = RecordingContext(tmp_path_factory.mktemp("latents"))
    new_codebooks.MEASURED, before = 32, new_codebooks.MEASURED
    trained = train(ctx)
    new_codebooks.MEASURED = before
    data = prepare(dataset(20), codebooks.load(trained.weights, ctx=ctx), encoder(), batch=8, ctx=ctx)
    return data.data, ctx


def test_plugins_are_in_order() -> None:
    for name in ("nodeflow_train", "nodeflow_codebooks", "nodeflow_text", "nodeflow_diffusion"):
        check_plugin(name)


def test_training_writes_weights_that_the_loader_reads(tmp_path: Path) -> None:
    trained = train(RecordingContext(tmp_path))
    loaded = codebooks.load(trained.weights, ctx=RecordingContext(tmp_path)).build("cpu")
    pictures = dataset().assemble(lambda recipe: recipe).batch(0, 8)["pictures"]
    assert pictures.shape == loaded.decode(loaded.encode(pictures)).shape
    assert {torch.float16} == {tensor.dtype for tensor in load_file(trained.weights).values()}


def test_trained_latents_are_measured(tmp_path: Path) -> None:
    trained = train(RecordingContext(tmp_path))
    loaded = codebooks.load(trained.weights, ctx=RecordingContext(tmp_path)).build("cpu")
    samples = loaded.encode(dataset().assemble(lambda recipe: recipe).batch(1, 32)["pictures"])
    assert pytest.approx(1.0, rel=0.02) == float(samples.std((0, 2, 3), correction=0).mean())


def test_a_resumed_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = train(RecordingContext(tmp_path / "whole"), steps=6)
    ctx = RecordingContext(tmp_path / "parts")
    train(ctx, steps=3)
    resumed = train(ctx, steps=6)
    one, other = load_file(whole.weights), load_file(resumed.weights)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.losses.rows == resumed.losses.rows
    assert [1, 2, 3, 4, 5, 6] == [row[0] for row in resumed.losses.rows]


def test_a_cancelled_training_can_be_taken_up(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        train(RecordingContext(tmp_path, cancel_after=2), steps=6)
    assert 6 == len(train(RecordingContext(tmp_path), steps=6).losses.rows)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    ctx = RecordingContext(tmp_path)
    train(ctx, steps=2)
    with pytest.raises(ValueError, match="other models, data, batch or seeds"):
        train(ctx, steps=3, seed=5)
    with pytest.raises(ValueError, match="2 steps already"):
        train(ctx, steps=1)
    assert 1 == len(train(ctx, steps=1, seed=5, resume=False).losses.rows)


def test_the_seed_of_the_first_weights_decides_and_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    one, other = (
        train(RecordingContext(tmp_path / str(seed)), steps=1, first_seed=seed).losses.rows[0][1] for seed in (0, 1)
    )
    assert one != other
    assert torch.equal(before, torch.get_rng_state())


def test_weights_say_where_they_come_from(tmp_path: Path) -> None:
    ctx = RecordingContext(tmp_path)
    ctx.about = '{"title": "Tiny training"}'
    path = Path(train(ctx, seed=3).weights)
    told = read_header(path).provenance
    expected = {"graph": "Tiny training", "data_seed": 0, "pictures": 16, "steps": 4, "seed": 3}
    assert expected | {"licence": "Apache-2.0"} == {name: told[name] for name in (*expected, "licence")}
    assert {"graph_digest", "cpu_minutes", "torch", "machine", "loss"} <= told.keys()
    main([str(path)])
    written = path.with_suffix(".md").read_text()
    assert card(path) == written
    assert all(text in written for text in ("Tiny training", "Apache-2.0", "## Limits", "pictures seen | 16"))


def test_a_card_sets_groups_of_questions_side_by_side(tmp_path: Path) -> None:
    accuracy = {"one_object": {"shape": 96.5, "all": 96.0}, "two_objects": {"all": 41.0}, "steps": 20}
    config = SceneDataset(Scenes(0, 0, 1, "test", "one"))
    save_weights(tmp_path / "x.safetensors", torch.nn.Linear(2, 2), "unet", config, {"accuracy": accuracy})
    shown = card(tmp_path / "x.safetensors")
    assert "| question | one object | two objects |" in shown
    assert "| all | 96 | 41 |" in shown
    assert "| steps | 20 |" in shown


def test_a_denoiser_and_its_text_encoder_are_trained_together(latents: tuple[Dataset, RecordingContext]) -> None:
    data, ctx = latents
    loss = new_diffusion.flow_loss(transformer(), encoder())
    with torch.no_grad():
        trained = fit(loss, data, steps=3, batch=4, name="flow", precision="float32", ctx=ctx)
    denoiser = diffusion.load(trained.weights, ctx=ctx)
    assert "ae" == denoiser.space.name
    words = text.encode(text.load_encoder(part(trained.files), ctx=ctx), "a red circle")
    x = torch.randn(2, 4, 8, 8)
    assert x.shape == ctx.load(diffusion.condition(denoiser, words))(x, 0.5, 0.5).shape
    with torch.no_grad():
        again = fit(loss, data, steps=4, batch=4, name="other", precision="float32", ctx=ctx)
    other = text.encode(text.load_encoder(part(again.files), ctx=ctx), "a red circle")
    assert words.space.startswith("flow ")
    with pytest.raises(ValueError, match=r'expected a text of the encoder "flow .* got one of "other '):
        diffusion.condition(denoiser, other)


def test_a_frozen_text_encoder_stays_as_it_is(latents: tuple[Dataset, RecordingContext]) -> None:
    data, ctx = latents
    first = fit(new_diffusion.flow_loss(transformer(), encoder()), data, steps=1, batch=4, name="first", ctx=ctx)
    frozen = new_text.reopen_encoder(part(first.files), ctx=ctx)
    unet = new_diffusion.new_unet(
        channels=4, widths=[16], head_width=16, context_width=16, pooled_width=16, times="steps"
    )
    loss = new_diffusion.schedule_loss(unet, frozen, prediction="v")
    second = fit(loss, data, steps=2, batch=4, name="second", ctx=ctx)
    assert 1 == len(second.files)
    denoiser = diffusion.load(second.weights, ctx=ctx)
    assert "v" == denoiser.prediction
    assert text.load_encoder(part(first.files), ctx=ctx).space == denoiser.text_space != ""
    with pytest.raises(ValueError, match="no weights of a part"):
        part(second.files)


def test_misfits_are_told_by_name(latents: tuple[Dataset, RecordingContext]) -> None:
    data, ctx = latents
    loss = new_diffusion.flow_loss(transformer(), encoder())
    with pytest.raises(ValueError, match=r"train\.prepare"):
        fit(loss, dataset(8), steps=1, batch=2, name="misfit", ctx=ctx)
    wide = new_diffusion.flow_loss(transformer(channels=16), encoder())
    with pytest.raises(ValueError, match="16 channels, but the data set's have 4"):
        fit(wide, data, steps=1, batch=2, name="misfit2", ctx=ctx)
    with pytest.raises(ValueError, match="other times"):
        new_diffusion.schedule_loss(transformer(), encoder())
    with pytest.raises(ValueError, match="context_width"):
        new_diffusion.flow_loss(transformer(context_width=32), encoder())
    with pytest.raises(ValueError, match="for autoencoders"):
        new_codebooks.reconstruction_loss(transformer())
    with pytest.raises(ValueError, match="colon"):
        train(ctx, name="a:b")


def test_the_loss_curve_is_drawn(tmp_path: Path) -> None:
    pixels = train(RecordingContext(tmp_path)).curve.pixels
    assert (1, 3, 600, 960) == pixels.shape
    assert 0 <= float(pixels.min()) < float(pixels.max()) <= 1
    blue = (pixels[:, 2] - pixels[:, 0] > 0.3).sum()
    assert blue > 500


@pytest.mark.parametrize("points", [[(1.0, 1.0)], [(0.0, -1.0), (5.0, 2.0)], [(1.0, 0.5), (2.0, 0.5)]])
def test_odd_curves_are_drawn_too(points: list[tuple[float, float]]) -> None:
    assert torch.isfinite(draw(points, "odd", "x", "y")).all()


def test_ticks_are_round_and_within() -> None:
    assert [0, 200, 400, 600, 800, 1000] == ticks(0, 1000)
    assert [0.2, 0.5, 1.0, 2.0] == log_ticks(0.15, 3)
    assert [(2, 1.5), (3, 3.0)] == thinned([(1, 1.0), (2, 2.0), (3, 3.0)], 2)


def test_a_summary_has_mean_least_and_largest() -> None:
    table = Table("losses", ("name", "loss"), (("a", 1), ("b", 4.0)))
    assert (("loss", 2.5, 1.0, 4.0),) == summary(table).rows


def test_what_was_measured_stands_in_the_file_and_on_its_card(tmp_path: Path) -> None:
    ctx = RecordingContext(tmp_path)
    weights = train(ctx).weights
    tables = [
        Table(title, ("question", "right, %"), (("all", share),)) for title, share in (("one", 96.0), ("two", 41.5))
    ]
    attested = attest(weights, tables, "best", ctx=ctx)
    assert {"one": {"all": 96.0}, "two": {"all": 41.5}} == read_header(Path(attested.weights)).provenance["accuracy"]
    assert "| all | 96 | 41.5 |" in (tmp_path / "best.md").read_text()
    before, after = load_file(weights), load_file(attested.weights)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_decoder_learns_on_while_the_latents_stay(tmp_path: Path) -> None:
    ctx = RecordingContext(tmp_path)
    first = train(ctx).weights
    objective = new_codebooks.reconstruction_loss(begin_with(autoencoder(), first, ctx=ctx), learn="decoder")
    with torch.no_grad():
        second = fit(objective, dataset(64), optimiser(warmup=0), 4, 4, name="on", ctx=ctx).weights
    before, after = load_file(first), load_file(second)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    encoder = ("patches_in", "encoder", "latents_out", "latent_mean", "latent_std")
    assert not [name for name in moved if name.startswith(encoder)]
    assert {name for name in before if name.startswith(("decoder", "detail", "pixels_out"))} <= moved
    assert first == read_header(Path(second)).provenance["began_with"]["weights"]


def test_training_goes_on_from_weights_only_where_they_fit(tmp_path: Path) -> None:
    ctx = RecordingContext(tmp_path)
    weights = train(ctx).weights
    with pytest.raises(ValueError, match=r"of architecture autoencoder, but the model is a transformer"):
        begin_with(transformer(), weights, ctx=ctx)
    with pytest.raises(ValueError, match=r"other sizes: width 24 \(the file: 16\)"):
        begin_with(new_codebooks.new_autoencoder(
            width=24, heads=2, encoder_depth=1, decoder_depth=1, detail_width=8, detail_depth=1, latent_channels=4
        ), weights, ctx=ctx)  # fmt: skip


def test_a_decoder_that_learns_on_stays_in_its_latent_space(tmp_path: Path) -> None:
    ctx = RecordingContext(tmp_path)
    weights = Path(train(ctx).weights)
    header, space = read_header(weights), {"name": "pictures", "channels": 4, "factor": 8}
    told = {"config": json.dumps(header.config), "provenance": json.dumps({**header.provenance, "space": space})}
    save_file(load_file(weights), weights, {"architecture": header.architecture, **told})
    begun = begin_with(autoencoder(), str(weights), ctx=ctx)
    assert space == new_codebooks.reconstruction_loss(begun, learn="decoder").notes["space"]
    assert "space" not in new_codebooks.reconstruction_loss(begun).notes


def test_a_file_whose_header_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    path = Path(train(RecordingContext(tmp_path)).weights)
    header, tensors = read_header(path), load_file(path)
    for padding in range(0, 256, 8):
        told = {"config": json.dumps(header.config), "provenance": json.dumps({"note": "x" * padding})}
        save_file(tensors, path, {"architecture": header.architecture, **told})
        if path.read_bytes()[0] == 0x80:
            break
    assert 0x80 == path.read_bytes()[0]
    codebooks.load(str(path), ctx=RecordingContext(tmp_path))
