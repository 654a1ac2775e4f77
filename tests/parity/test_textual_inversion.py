"""Learnt words of several vectors, as diffusers and transformers read them."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from nodeflow_text.adapter_nodes import textual_inversion
from nodeflow_text.nodes import encode
from nodeflow_text.published_nodes import load_clip
from safetensors.torch import save_file

from nodeflow import QUIET

pytestmark = pytest.mark.filterwarnings("ignore")  # the reference libraries' own
LETTERS = "abcdefghijklmnopqrs"


@pytest.fixture
def diffusers() -> Any:
    reason = "diffusers and transformers are not installed: pip install 'nodeflow-engine[parity]'"
    pytest.importorskip("transformers", reason=reason)
    return pytest.importorskip("diffusers", reason=reason)


@pytest.mark.parametrize("key", ["emb_params", "<toy>"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_learnt_word(
    key: str, count: int, diffusers: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers.loaders import TextualInversionLoaderMixin
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    monkeypatch.chdir(tmp_path)
    Path("clip").mkdir()
    pieces = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    Path("clip/vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    Path("clip/merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained("clip", model_max_length=77)
    config = CLIPTextConfig(
        vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2,
        bos_token_id=38, eos_token_id=39, pad_token_id=39, hidden_act="quick_gelu",
    )  # fmt: skip
    encoder = filled(CLIPTextModel(config))
    encoder.save_pretrained("clip")
    vectors = torch.randn(count, 32, generator=torch.Generator().manual_seed(3))
    save_file({key: vectors}, "toy.safetensors")

    class Reader(TextualInversionLoaderMixin):
        """The least that diffusers' loader wants."""

        components: ClassVar[dict[str, Any]] = {}
        hf_device_map = None

    reader = Reader()
    reader.tokenizer, reader.text_encoder = tokenizer, encoder
    reader.load_textual_inversion("toy.safetensors", token="<toy>", tokenizer=tokenizer, text_encoder=encoder)
    prompt = "a cab of <toy> in a bag"
    ids = tokenizer(
        reader.maybe_convert_prompt(prompt, tokenizer), padding="max_length", max_length=77, return_tensors="pt"
    ).input_ids
    with torch.inference_mode():
        wanted = encoder(ids).last_hidden_state

    recipe = textual_inversion(load_clip("clip", syntax="plain"), "toy", "<toy>")
    loaded = QUIET.load(recipe).encoder
    assert ids.tolist() == loaded.rows([prompt]).ids[0].tolist()
    assert torch.equal(vectors, loaded.module.tokens.weight[-count:])
    agree(wanted, encode(recipe, prompt).tokens)
