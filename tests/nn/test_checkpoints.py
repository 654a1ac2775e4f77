"""Weights files of strangers are judged by their header, and refused with the fault and the cure."""

import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from nodeflow_nn.checkpoints import build, describe
from nodeflow_nn.weights import from_config, save_weights
from nodeflow_text.encoder import TextEncoder, TextEncoderConfig
from safetensors.torch import save_file

BUILDERS = {"text_encoder": from_config(TextEncoder, TextEncoderConfig)}
CONFIG = TextEncoderConfig(("a", "red"), length=4, width=8, heads=2, depth=1, pooled_width=6)


class WeightsFault(Exception):
    pass


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    save_weights(path, TextEncoder(CONFIG), "text_encoder", CONFIG, {"seed": 1})
    return path


def refused(path: Path, words: str) -> None:
    for judge in (describe, lambda *rest: build(*rest[:2], "cpu", rest[2])):
        with pytest.raises(WeightsFault, match=words) as caught:
            judge(path, BUILDERS, WeightsFault)
        assert str(path) in str(caught.value)


def test_a_header_tells_what_memory_is_needed(good: Path) -> None:
    found = describe(good, BUILDERS)
    assert "text_encoder" == found.header.architecture
    assert {"seed": 1} == found.header.provenance
    module = build(good, BUILDERS, "cpu")
    assert found.bytes == sum(4 * value.numel() for value in module.state_dict().values())
    assert not module.training
    assert not any(weight.requires_grad for weight in module.parameters())


def test_a_network_is_laid_out_without_importing_a_compiler() -> None:
    """torch's meta device asks sympy and dynamo for sums and random numbers: two CPU seconds of every first run."""
    script = """if True:
        import sys
        from nodeflow import find_weights
        from nodeflow_codebooks.recipes import BUILDERS as autoencoders
        from nodeflow_diffusion.recipes import BUILDERS as denoisers
        from nodeflow_nn.checkpoints import describe
        from nodeflow_text.recipes import BUILDERS as encoders
        for name in ("autoencoder", "text", "transformer", "unet"):
            describe(find_weights(f"shapes:{name}"), {**autoencoders, **denoisers, **encoders})
        print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "[]" == told.stdout.strip()


def test_what_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "absent.safetensors", "cannot be opened: No such file or directory\n    check the name")


def test_what_is_cut_off(good: Path) -> None:
    whole = good.read_bytes()
    for size in (0, 5, 100, len(whole) - 1):
        good.write_bytes(whole[:size])
        refused(good, "cut off")


def test_what_is_pickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("a pickle was opened",))

    for name in ("old.ckpt", "renamed.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        refused(tmp_path / name, "pickled checkpoint; those are refused.*\n    convert it")
    with zipfile.ZipFile(tmp_path / "zip.safetensors", "w") as file:
        file.writestr("data.pkl", pickle.dumps(Bomb()))
    refused(tmp_path / "zip.safetensors", "pickled")


def test_what_is_of_another_architecture(good: Path) -> None:
    save_weights(good, TextEncoder(CONFIG), "clip", CONFIG, {})
    with pytest.raises(WeightsFault, match="architecture 'clip', but expected text_encoder\n    load it with the node"):
        describe(good, BUILDERS, WeightsFault)


def test_what_says_nothing_of_itself(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "plain.safetensors")
    refused(tmp_path / "plain.safetensors", "no architecture, config, provenance in its header")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 2}, "does not fit its own config in .* tensors: blocks.1"),
        ({"width": 16}, "does not fit its own config"),
        ({"heads": 3}, "no text_encoder can be made of its config: 3 heads do not divide width 8"),
        ({"depth": 10**9}, "a number outside 0..8192"),
        ({"length": -1}, "a number outside 0..8192"),
        ({"colour": 1}, "no text_encoder can be made of its config"),
    ],
)
def test_a_config_that_lies_is_found_before_a_tensor_is_read(good: Path, change: dict[str, int], words: str) -> None:
    module = TextEncoder(CONFIG)
    config = {"words": list(CONFIG.words), "length": 4, "width": 8, "heads": 2, "depth": 1, "pooled_width": 6} | change
    about = {"architecture": "text_encoder", "config": json.dumps(config), "provenance": "{}"}
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, good, about)
    with pytest.raises(WeightsFault, match=words):
        describe(good, BUILDERS, WeightsFault)
