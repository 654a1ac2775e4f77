"""Published text encoders: found, loaded, and encoding by the same nodes as our own."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import pytest
import torch
from nodeflow_text import clip_names, vocabulary_recipes
from nodeflow_text.clip import ClipTextConfig, ClipTextTower
from nodeflow_text.nodes import encode, encode_many
from nodeflow_text.published_nodes import join_encoders, load_clip, load_t5
from nodeflow_text.published_recipes import ClipEncoder
from nodeflow_text.t5 import T5Config, scaled
from nodeflow_text.vocabularies import ARCHIVE
from safetensors.torch import save_file

from nodeflow import QUIET, Engine, ModelError, TextEmbedding, TextEncoder, build, open_catalog
from nodeflow.document import parse
from nodeflow.plan.walk import Planner
from nodeflow.testing import RecordingContext, assert_deterministic, check_plugin

Write = Callable[..., Path]


def close(first: torch.Tensor, second: torch.Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)


def clip_recipe(recipe: TextEncoder) -> ClipEncoder:
    assert isinstance(recipe, ClipEncoder)
    return recipe


def test_the_plugin_is_in_order() -> None:
    found = {spec.id for spec in check_plugin("nodeflow_text")}
    assert {"text.load_clip", "text.load_t5", "text.join_encoders"} <= found


@pytest.mark.parametrize("shards", [1, 3])
def test_a_prompt_becomes_77_words(clip: Write, shards: int) -> None:
    clip(shards=shards)
    found = assert_deterministic(encode, encoder=load_clip("clip"), prompt="a cab")
    assert (1, 77, 64) == found.tokens.shape
    assert found.mask.all()
    assert (1, 24) == found.pooled.shape


def test_the_empty_prompt_is_begin_end_and_filling(clip: Write) -> None:
    clip()
    rows = QUIET.load(load_clip("clip")).encoder.rows([""])
    assert [38, 39, *[39] * 75] == rows.ids[0, 0].tolist()


def test_long_prompts_go_in_rows_of_75(clip: Write) -> None:
    clip()
    loaded = QUIET.load(load_clip("clip"))
    rows = loaded.encoder.rows(["a " * 160, "b"])
    assert (2, 3, 77) == rows.ids.shape
    assert [77, 77, 12, 3, 2, 2] == rows.real.sum(-1).flatten().tolist()
    found = loaded(["a " * 160, "b"])
    assert (2, 231, 64) == found.tokens.shape
    close(found.tokens[1, :77], loaded(["b"]).tokens[0])
    close(found.tokens[1, 77:154], loaded([""]).tokens[0])
    close(found.pooled[1:], loaded(["b"]).pooled)


def test_break_begins_a_row(clip: Write) -> None:
    clip()
    loaded = QUIET.load(load_clip("clip"))
    found, one, two = loaded(["a BREAK b"]), loaded(["a"]), loaded(["b"])
    close(found.tokens, torch.cat([one.tokens, two.tokens], 1))
    close(found.pooled, one.pooled)


def test_plain_prompts_have_no_signs(clip: Write) -> None:
    clip()
    plain = QUIET.load(load_clip("clip", syntax="plain")).encoder.rows(["(a:2) BREAK b"])
    assert not plain.weighted
    assert (1, 1, 77) == plain.ids.shape
    assert plain.real.sum() > 8


def test_weights_keep_the_mean_and_count_for_their_words_alone(clip: Write) -> None:
    clip()
    loaded = QUIET.load(load_clip("clip"))
    plain, weighted = loaded(["a b c"]), loaded(["a (b:1.5) c"])
    close(plain.tokens.mean(), weighted.tokens.mean())
    ratio = (weighted.tokens / plain.tokens)[0, :, 0]
    close(torch.tensor(1.5), ratio[2] / ratio[1])
    close(ratio[1], ratio[3])
    close(plain.pooled, weighted.pooled)
    assert torch.equal(plain.tokens, loaded(["a (b:1) c"]).tokens)


def test_weights_may_begin_at_the_empty_prompt(clip: Write) -> None:
    clip()
    loaded = QUIET.load(load_clip("clip", emphasis="empty"))
    plain, empty = loaded(["a b c"]).tokens, loaded([""]).tokens
    close(plain, loaded(["a (b:1) c"]).tokens)
    expected = plain.clone()
    expected[0, 2] = empty[0, 2] + 1.5 * (plain[0, 2] - empty[0, 2])
    close(expected, loaded(["a (b:1.5) c"]).tokens)
    assert loaded(["(a:0)"]).tokens.isfinite().all()


def test_all_weights_zero_is_no_division_by_zero(clip: Write) -> None:
    clip()
    loaded = QUIET.load(load_clip("clip"))
    assert loaded(["(a b:0)", "(a:-1)"]).tokens.isfinite().all()


def test_skipped_layers_and_the_norm_are_options(clip: Write) -> None:
    clip()
    recipe = clip_recipe(load_clip("clip", skip=1, norm=False))
    module = QUIET.load(recipe).encoder.module
    rows = QUIET.load(recipe).encoder.rows(["a"]).ids[0]
    close(module.states(rows)[-2], encode(recipe, "a").tokens)
    close(module.norm(module.states(rows)[-2]), encode(replace(recipe, norm=True), "a").tokens)
    with pytest.raises(ModelError, match="has 3 layers; 4 cannot be skipped\n    skip fewer"):
        load_clip("clip", skip=4)


def test_the_two_encoders_of_sdxl_stand_side_by_side(clip: Write, here: Path) -> None:
    clip("xl/text_encoder", ClipTextConfig(40, 77, 64, 3, 2, 96, "quick_gelu", None, 39), vocabulary=False)
    clip("xl/text_encoder_2", ClipTextConfig(40, 77, 128, 2, 2, 96, "gelu", 24, 39), vocabulary=False)
    clip("words")
    for number in ("", "_2"):
        tokenizer = here / f"xl/tokenizer{number}"
        tokenizer.mkdir()
        for file in ("vocab.json", "merges.txt"):
            (tokenizer / file).write_bytes((here / "words" / file).read_bytes())
    (here / "xl/tokenizer_2/special_tokens_map.json").write_text('{"pad_token": "!"}')
    (here / "xl/model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    first, second = clip_recipe(load_clip("xl")), clip_recipe(load_clip("xl", number=2))
    assert (1, False) == (first.skip, first.norm) == (second.skip, second.norm)
    assert 18 == QUIET.load(second).encoder.rows([""]).ids[0, 0, -1]
    found = encode(join_encoders(first, second), "a cab")
    close(found.tokens, torch.cat([encode(first, "a cab").tokens, encode(second, "a cab").tokens], -1))
    close(found.pooled, encode(second, "a cab").pooled)


def test_encoders_of_other_lengths_do_not_join(clip: Write, t5: Write) -> None:
    clip()
    t5()
    with pytest.raises(ValueError, match="give 77 and 20 words for one prompt"):
        encode(join_encoders(load_clip("clip"), load_t5("t5", length=20)), "a")


def test_every_home_of_a_text_tower_is_found(clip: Write, here: Path) -> None:
    config = ClipTextConfig(40, 77, 64, 3, 1, 96, projection=24, end=39)  # files say nothing of heads: 64 channels each
    module = QUIET.load(load_clip(str(clip("clip", config)))).encoder.module
    for home in clip_names.TEXT_HOMES:
        prefix = home.prefix.replace("N", "0")
        tower = clip_names.Tower(
            "text", home._replace(prefix=prefix, beside=home.beside and home.beside.replace("N", "0")), True
        )
        weights = {}
        for ours, value in module.state_dict().items():
            pieces = tower.sources(3)[ours]
            for piece, part in zip(pieces, value.chunk(len(pieces)), strict=True):
                turned = not isinstance(piece, str)
                weights[piece.name if turned else piece] = (part.T if turned else part).contiguous().clone()
        save_file(weights, here / "file.safetensors")
        recipe = clip_recipe(load_clip("file", "clip", activation="quick_gelu", skip=0, norm=True))
        rows = torch.randint(0, 40, (1, 77), generator=torch.Generator().manual_seed(0))
        close(module(rows).tokens, QUIET.load(recipe).encoder.module(rows).tokens)


def test_a_file_of_7_gb_is_known_by_its_header(clip: Write, here: Path, clip_vocabulary: Callable[..., None]) -> None:
    config = ClipTextConfig(49408, 77, 1280, 32, 20, 5120, "gelu", 1280)
    home = clip_names.TEXT_HOMES[-1]
    tower = clip_names.Tower("text", home._replace(prefix=home.prefix.replace("N", "1")), True)
    with torch.device("meta"):
        state = ClipTextTower(config).state_dict()
    at = 5 * 10**9
    header: dict[str, Any] = {"model.x": {"dtype": "F16", "shape": [at // 2], "data_offsets": [0, at]}}
    for ours, pieces in tower.sources(config.depth).items():
        (piece,) = pieces
        turned = not isinstance(piece, str)
        size, shape = 2 * state[ours].numel(), state[ours].shape
        told = {"dtype": "F16", "shape": list(shape[::-1] if turned else shape), "data_offsets": [at, at + size]}
        header[piece.name if turned else piece] = told
        at += size
    text = json.dumps(header).encode()
    with open(here / "xl.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    clip_vocabulary(here)
    began = process_time()
    recipe = clip_recipe(load_clip("xl"))
    assert process_time() - began < 0.5  # 0.03 s as measured; a loaded machine counts more
    assert (config, 1, False) == (recipe.lay_out().encoder.module.config, recipe.skip, recipe.norm)
    assert 694_659_840 == recipe.bytes // 4


def test_known_widths_tell_the_activation() -> None:
    assert {512: "quick_gelu", 768: "quick_gelu", 1024: "gelu", 1280: "gelu"}.items() <= {
        known.width: known.activation for known in clip_names.KNOWN
    }.items()


def test_t5_reads_up_to_its_length_and_tells_what_it_does_not(t5: Write, here: Path) -> None:
    t5()
    encoder = load_t5("t5", length=6)
    context = RecordingContext(here)
    found = encode(encoder, "ab cd ef", ctx=context)
    assert (1, 6, 32) == found.tokens.shape
    assert found.pooled is None
    assert ["not read: d, ef"] == context.said
    short = encode_many(encoder, ["", "a"])
    assert [[True, *[False] * 5], [True, True, True, *[False] * 3]] == short.mask.tolist()


def test_t5_takes_weights(t5: Write) -> None:
    t5()
    loaded = QUIET.load(load_t5("t5", length=8))
    plain, weighted = loaded(["a b"]).tokens, loaded(["a (b:2)"]).tokens
    close(plain.mean(), weighted.mean())
    assert not torch.allclose(plain, weighted)


def test_the_weights_of_the_whole_t5_are_taken_without_its_decoder(t5: Write) -> None:
    t5(**{"decoder.block.0.x": torch.ones(1), "lm_head.weight": torch.ones(40, 32)})
    assert isinstance(encode(load_t5("t5"), "a"), TextEmbedding)


@pytest.mark.parametrize("gated", [False, True])
def test_t5_does_not_overflow_in_fp16(t5: Write, gated: bool) -> None:
    t5(config=T5Config(40, 32, 4, 8, 48, 2, gated), wide=40.0)
    loaded = QUIET.load(load_t5("t5", precision="fp16", length=8))
    exact = QUIET.load(load_t5("t5", length=8))
    rows = exact.encoder.rows(["a b"])
    assert exact.encoder.module.states(rows.ids[:, 0])[-1].abs().max() > 65504
    found, expected = loaded(["a b"]).tokens, exact(["a b"]).tokens
    assert found.isfinite().all()
    assert (found - expected).abs().mean() < 0.05 * expected.abs().mean()


def test_linear_layers_in_fp16_take_and_give_any_size() -> None:
    linear = torch.nn.Linear(64, 64, bias=False).requires_grad_(False)
    x = torch.randn(3, 64) * torch.tensor([[1e-6], [1.0], [1e7]])
    expected = linear(x)
    found = scaled(linear.half(), x)
    assert ((found - expected).norm(dim=-1) <= 2e-3 * expected.norm(dim=-1)).all()
    assert not scaled(linear, torch.zeros(1, 64)).any()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_precisions_take_so_many_bytes(clip: Write, precision: Any) -> None:
    clip()
    recipe = clip_recipe(load_clip("clip", precision=precision))
    module = QUIET.load(recipe).encoder.module
    assert recipe.size == sum(value.nbytes for value in module.state_dict().values())
    assert torch.float32 == encode(recipe, "a").tokens.dtype


def test_a_plan_knows_the_words_without_a_weight(clip: Write, t5: Write) -> None:
    clip()
    t5()
    nodes = {
        "clip": {"type": "text.load_clip", "inputs": {"model": "clip"}},
        "t5": {"type": "text.load_t5", "inputs": {"model": "t5"}},
        "both": {"type": "text.join_encoders", "inputs": {"first": {"$from": "t5"}, "second": {"$from": "clip"}}},
        "text": {"type": "text.encode", "inputs": {"encoder": {"$from": "both"}, "prompt": "a (b:1.2)"}},
    }
    graph = build(parse(json.dumps({"nodeflow": 1, "nodes": nodes, "outputs": {"text": "text"}})), open_catalog())
    plan = Planner(graph, "cpu").run()
    assert [] == plan.problems
    found = next(node for node in plan.nodes if node.id == "text")
    told = found.outputs["out"].tensors
    assert {"tokens": (1, 77, 96), "mask": (1, 77), "pooled": (1, 24)} == {
        name: shape for name, (_, shape) in told.items()
    }
    *_, last = Engine().run(graph)
    assert (1, 77, 96) == last.outputs["text"].tokens.shape


def test_another_vocabulary_is_another_result(clip: Write, clip_vocabulary: Callable[..., None]) -> None:
    folder = clip()
    nodes = {
        "clip": {"type": "text.load_clip", "inputs": {"model": "clip"}},
        "text": {"type": "text.encode", "inputs": {"encoder": {"$from": "clip"}, "prompt": "ab"}},
    }
    document, engine = parse(json.dumps({"nodeflow": 1, "nodes": nodes, "outputs": {"text": "text"}})), Engine()
    found = []
    for pad in ("<|endoftext|>", "!", "!"):
        clip_vocabulary(folder, pad)
        *_, last = engine.run(build(document, open_catalog()))
        found.append(last.outputs["text"].tokens)
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[1], found[2])


def test_the_merges_of_an_installed_package_are_read(clip: Write, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = here / "package"
    package.mkdir()
    with gzip.open(package / ARCHIVE, "wt", encoding="utf-8") as file:
        file.write('"bpe_simple_vocab"\na b</w>\nc ab</w>\n')
    monkeypatch.setattr(vocabulary_recipes, "installed_clip", lambda: package)
    clip("clip", ClipTextConfig(516, 77, 64, 1, 2, 96, end=515), vocabulary=False)
    rows = QUIET.load(load_clip("clip")).encoder.rows(["CAB a"])
    assert [514, 513, 320, 515] == rows.ids[0, 0, :4].tolist()
