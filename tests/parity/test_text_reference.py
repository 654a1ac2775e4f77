"""Text encoders against transformers itself: every hidden state, every layout that is published, every token."""

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_nn.published import faults
from nodeflow_text import clip_names, t5_names
from nodeflow_text.clip import ClipTextConfig
from nodeflow_text.outlines import t5_shapes, text_shapes
from nodeflow_text.published_nodes import load_clip, load_t5
from nodeflow_text.t5 import T5Config
from nodeflow_text.vision_recipes import ClipVisionModel
from nodeflow_text.vocabularies import Vocabulary, byte_signs, clip_vocabulary, installed_clip, t5_vocabulary
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodeflow import QUIET, TextEncoder

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers: Any = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install 'nodeflow-engine[parity]'"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
TEXT = {
    "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 2,
    "projection_dim": 48,
}  # fmt: skip
SENTENCES = (
    "A photograph of an astronaut riding a horse on the moon. It's what we've seen; they'll be, I'd say they're ok!",
    "masterpiece, best quality, 8k, ultra-detailed; an oil painting of a corgi's café in 1890 (naïve art)",
    "Der schnelle braune Fuchs springt über den faulen Hund. Ça va? Привет, мир! 日本語のテキスト 你好 안녕하세요",
    'numbers 0 1 22 333 4444 and signs + - * / = % $ # @ & [brackets] {curly} <tags> "quotes" `ticks` ~ ^ | \\ _',
)
STRANGE = (
    "", " ", "  two   spaces\tand\ttabs\nlines  ", "UPPER lower MiXeD",
    "e\u0301 \u00e9 \ufb01 \u212b \u0130stanbul \u1e9e",
    "😀👩‍👩‍👧 🇩🇪 emoji", "\u200bzero\u200dwidth\ufeff", "don't can't we'll I'm you're he's they'd've", "x" * 300,
    "'s 're 'S 'LL", "3.14159 1,000,000 ½ ² ③ Ⅷ", "a_b-c.d/e\\f", "\u00a0nbsp\u3000ideographic", "مرحبا שלום ไทย हिन्दी",
    "𝓯𝓪𝓷𝓬𝔂 ｆｕｌｌ", "...!!!???", "\x00\x01control\x7f", f"{BEGIN}inside{END} of", "▁ already ▁marked", "\r\n\r\n",
)  # fmt: skip


def strings(count: int = 400) -> list[str]:
    """The strange ones, and pieces of all of them in any order."""
    draw = random.Random(0)
    words = [word for text in (*SENTENCES, *STRANGE) for word in re.split(r"( )", text)]
    return [*STRANGE, *("".join(draw.choices(words, k=draw.randint(1, 40))) for _ in range(count))]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def vocabularies() -> str:
    """A folder with vocab.json and merges.txt, and with spiece.model, learnt from the sentences."""
    from sentencepiece import SentencePieceTrainer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    folder = Path("vocabulary")
    folder.mkdir()
    learning = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learning.normalizer = normalizers.Lowercase()
    learning.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    signs = byte_signs()
    trainer = trainers.BpeTrainer(
        vocab_size=900, end_of_word_suffix="</w>", initial_alphabet=signs, show_progress=False
    )
    learning.train_from_iterator(SENTENCES * 3, trainer)
    merges = [tuple(pair) for pair in json.loads(learning.to_str())["model"]["merges"]]
    pieces = [*signs, *(sign + "</w>" for sign in signs), *("".join(pair) for pair in merges), BEGIN, END]
    numbers = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    (folder / "vocab.json").write_text(json.dumps(numbers), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n", "utf-8")
    SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 3), model_prefix=str(folder / "spiece"), vocab_size=180,
        model_type="unigram", hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        normalization_rule_name="nmt_nfkc", minloglevel=2,
    )  # fmt: skip
    return "vocabulary"


def module_of(recipe: TextEncoder) -> Any:
    return QUIET.load(recipe).encoder.module


def ids_of(size: int, end: int, count: int = 2, length: int = 77) -> Tensor:
    ids = torch.randint(0, size, (count, length), generator=torch.Generator().manual_seed(1))
    ids[ids == end] = 0
    ids[0, 9:], ids[1, -1] = end, end
    return ids


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("shards", [False, True])
def test_every_state_of_the_text_tower(
    filled: Any, agree: Any, vocabularies: str, activation: str, shards: bool
) -> None:
    size = len(json.loads(Path("vocabulary/vocab.json").read_text("utf-8")))
    config = transformers.CLIPTextConfig(
        vocab_size=size, hidden_act=activation, bos_token_id=size - 2, eos_token_id=size - 1, **TEXT
    )
    theirs = filled(transformers.CLIPTextModelWithProjection(config))
    theirs.save_pretrained("clip", max_shard_size="200KB" if shards else "5GB")
    assert shards == Path("clip/model.safetensors.index.json").exists()
    ours, ids = module_of(load_clip("clip", vocabularies)), ids_of(size, size - 1)
    with torch.no_grad():
        expected = theirs(ids, output_hidden_states=True)
    for state, found in zip(expected.hidden_states, ours.states(ids), strict=True):
        agree(state, found)
    agree(expected.last_hidden_state, ours(ids).tokens)
    agree(expected.text_embeds, ours(ids).projected)
    with torch.no_grad():
        normed = theirs.text_model.final_layer_norm(expected.hidden_states[-2])
    agree(normed, ours(ids, skip=1).tokens)


def test_every_state_of_the_vision_tower(filled: Any, agree: Any) -> None:
    config = transformers.CLIPVisionConfig(
        hidden_size=128, intermediate_size=192, num_hidden_layers=3, num_attention_heads=2, image_size=56,
        patch_size=14, projection_dim=48, hidden_act="gelu",
    )  # fmt: skip
    theirs = filled(transformers.CLIPVisionModelWithProjection(config))
    theirs.save_pretrained("clip")
    ours, x = QUIET.load(ClipVisionModel.named("clip")).module, torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        expected = theirs(x, output_hidden_states=True)
    for state, found in zip(expected.hidden_states, ours.states(x), strict=True):
        agree(state, found)
    agree(expected.image_embeds, ours(x).projected)


NAMES = {
    r"embeddings\.token_embedding": "token_embedding",
    r"embeddings\.position_embedding\.weight": "positional_embedding",
    "final_layer_norm": "ln_final", "layer_norm": "ln_", r"encoder\.layers": "transformer.resblocks",
    r"self_attn\.out_proj": "attn.out_proj", r"mlp\.fc1": "mlp.c_fc", r"mlp\.fc2": "mlp.c_proj",
}  # fmt: skip


def openai_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers' names -> those of OpenAI and open_clip."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        short = name.removeprefix("text_model.")
        if fused := re.fullmatch(r"(.*)self_attn\.q_proj\.(\w+)", short):
            three = [weights[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            short, value = f"{fused[1]}attn.in_proj_{fused[2]}", torch.cat(three)
        elif re.search(r"self_attn\.[kv]_proj", short):
            continue
        elif short == "text_projection.weight":
            short, value = "text_projection", value.T.contiguous()
        for theirs, other in NAMES.items():
            short = re.sub(theirs, other, short)
        found[short] = value
    return found


@pytest.mark.parametrize(
    ("prefix", "skip", "norm"),
    [
        ("", 0, True),
        ("text.", 0, True),
        ("cond_stage_model.model.", 1, True),
        ("conditioner.embedders.0.model.", 1, False),
        ("conditioner.embedders.1.model.", 1, False),
    ],
)
def test_the_names_of_open_clip(filled: Any, agree: Any, vocabularies: str, prefix: str, skip: int, norm: bool) -> None:
    size = len(json.loads(Path("vocabulary/vocab.json").read_text("utf-8")))
    config = transformers.CLIPTextConfig(vocab_size=size, hidden_act="gelu", eos_token_id=size - 1, **TEXT)
    theirs = filled(transformers.CLIPTextModelWithProjection(config))
    theirs.save_pretrained("clip")
    weights = {prefix + name: value for name, value in openai_names(load_file("clip/model.safetensors")).items()}
    extra = {f"{prefix}logit_scale": torch.ones(()), f"{prefix}attn_mask": torch.ones(77, 77)}
    save_file(
        weights | extra | {"first_stage_model.x": torch.ones(1)} if prefix else weights | extra, "file.safetensors"
    )
    recipe = load_clip("file", vocabularies, activation="gelu")
    assert (skip, norm) == (recipe.skip, recipe.norm)
    ids = ids_of(size, size - 1)
    with torch.no_grad():
        expected = theirs(ids, output_hidden_states=True)
    ours = module_of(recipe)
    agree(expected.text_embeds, ours(ids).projected)
    for state, found in zip(expected.hidden_states, ours.states(ids), strict=True):
        agree(state, found)


@pytest.mark.parametrize(
    "prefix",
    [
        "cond_stage_model.transformer.text_model.",
        "cond_stage_model.transformer.",
        "conditioner.embedders.0.transformer.text_model.",
    ],
)
def test_the_names_of_stable_diffusions_files(filled: Any, agree: Any, vocabularies: str, prefix: str) -> None:
    size = len(json.loads(Path("vocabulary/vocab.json").read_text("utf-8")))
    config = transformers.CLIPTextConfig(vocab_size=size, eos_token_id=size - 1, **TEXT | {"hidden_act": "quick_gelu"})
    theirs = filled(transformers.CLIPTextModel(config))
    theirs.save_pretrained("clip")
    weights = {
        prefix + name.removeprefix("text_model."): value for name, value in load_file("clip/model.safetensors").items()
    }
    weights[f"{prefix}embeddings.position_ids"] = torch.arange(77)[None]
    save_file(weights, "file.safetensors")
    ids = ids_of(size, size - 1)
    found = module_of(load_clip("file", vocabularies, activation="quick_gelu"))(ids)
    with torch.no_grad():
        expected = theirs(ids)
    agree(expected.last_hidden_state, found.tokens)
    agree(expected.pooler_output, found.pooled)


@pytest.mark.parametrize("kind", ["relu", "gated-gelu"])
@pytest.mark.parametrize("shards", [False, True])
def test_every_state_of_t5(filled: Any, agree: Any, vocabularies: str, kind: str, shards: bool) -> None:
    config = transformers.T5Config(
        vocab_size=180, d_model=64, d_kv=24, d_ff=96, num_layers=3, num_heads=4, feed_forward_proj=kind
    )
    theirs = filled(transformers.T5EncoderModel(config))
    theirs.save_pretrained("t5", max_shard_size="60KB" if shards else "5GB")
    ours = module_of(load_t5("t5", vocabularies))
    ids = torch.randint(0, 180, (2, 300), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(300) < torch.tensor([[300], [40]])
    with torch.no_grad():
        expected = theirs(ids, mask, output_hidden_states=True)
    states = ours.states(ids, mask)
    for state, found in zip(expected.hidden_states[:-1], states[:-1], strict=True):
        agree(state, found)
    agree(expected.last_hidden_state, ours(ids, mask))


def shapes_of(model: Any) -> dict[str, tuple[int, ...]]:
    """As published files have them: transformers writes older names than it uses."""
    found = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    return {
        f"text_model.{name}" if name.startswith(("embeddings.", "encoder.layers", "final_layer_norm")) else name: shape
        for name, shape in found.items()
    }


FULL = {
    "L": (768, 12, 12, 3072, None),
    "H": (1024, 24, 16, 4096, None),
    "H without the skipped layer": (1024, 23, 16, 4096, None),
    "bigG": (1280, 32, 20, 5120, 1280),
}


@pytest.mark.parametrize("size", FULL)
def test_every_tensor_of_a_full_text_tower_is_used(size: str) -> None:
    width, depth, heads, hidden, projection = FULL[size]
    config = transformers.CLIPTextConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=hidden,
        projection_dim=projection or 768, hidden_act="gelu" if width > 768 else "quick_gelu",
    )  # fmt: skip
    with torch.device("meta"):
        theirs = (transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel)(config)
    shapes = shapes_of(theirs)
    (tower,) = clip_names.towers(shapes)
    found = clip_names.text_config(tower, shapes, None)
    expected = ClipTextConfig(49408, 77, width, depth, heads, hidden, config.hidden_act, projection, 49407)
    assert expected == found
    with torch.device("meta"):
        assert [] == faults(text_shapes(found), tower.sources(depth), shapes, tower.owns)
    assert 4 + 16 * depth + bool(projection) == len(shapes)


def test_every_tensor_of_t5_xxl_is_used() -> None:
    config = transformers.T5Config(
        d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu"
    )
    with torch.device("meta"):
        shapes = shapes_of(transformers.T5EncoderModel(config))
    found = t5_names.detect(shapes, "", {"feed_forward_proj": "gated-gelu"})
    assert T5Config() == found
    with torch.device("meta"):
        named = t5_names.sources(found, "", shapes)
        assert [] == faults(t5_shapes(found), named, shapes, lambda name: t5_names.owns("", name))


def test_the_tokens_that_openai_kept(kept: Any) -> None:
    folder = installed_clip()
    if folder is None:
        pytest.skip("OpenAI's merges are not installed: pip install --no-deps open_clip_torch")
    expected = kept("openai_clip").expected("clip_bpe.ids").tolist()
    assert expected == clip_vocabulary(folder).ids("A photo of a <b>corgi's</b> naïve café, 1234!! 😀")
    assert 49408 == clip_vocabulary(folder).size


def expect_same(vocabulary: Vocabulary, theirs: Any) -> None:
    different = [
        (text, expected, found)
        for text in strings()
        if (expected := theirs(text, add_special_tokens=False)["input_ids"]) != (found := vocabulary.ids(text))
    ]
    assert [] == different[:3], f"{len(different)} differ"


def test_the_tokens_of_clip(vocabularies: str) -> None:
    theirs = transformers.CLIPTokenizer.from_pretrained(vocabularies)
    ours = clip_vocabulary(Path(vocabularies))
    expect_same(ours, theirs)
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (ours.begin, ours.end, ours.pad)
    theirs.save_pretrained("saved")
    for name in ("vocab.json", "merges.txt"):
        Path("saved", name).unlink(missing_ok=True)
    expect_same(clip_vocabulary(Path("saved")), theirs)


def test_the_rows_of_clip(filled: Any, vocabularies: str) -> None:
    theirs = transformers.CLIPTokenizer.from_pretrained(vocabularies)
    size = len(theirs)
    transformers.CLIPTextModel(
        transformers.CLIPTextConfig(vocab_size=size, eos_token_id=size - 1, **TEXT)
    ).save_pretrained("clip")
    prompts = ["", "a photo of a corgi's café", "the very long " * 3]
    expected = theirs(prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt")["input_ids"]
    loaded = QUIET.load(load_clip("clip", vocabularies, syntax="plain"))
    assert torch.equal(expected[:, None], loaded.encoder.rows(prompts).ids)


def test_the_tokens_of_t5(vocabularies: str) -> None:
    theirs = transformers.T5Tokenizer.from_pretrained(vocabularies, extra_ids=0)
    ours = t5_vocabulary(Path(vocabularies))
    expect_same(ours, theirs)
    assert (theirs.eos_token_id, theirs.pad_token_id) == (ours.end, ours.pad)
    theirs.save_pretrained("saved")
    Path("saved/spiece.model").unlink(missing_ok=True)
    expect_same(t5_vocabulary(Path("saved")), theirs)
