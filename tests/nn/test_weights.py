"""Weights files: round trip, rounding, refusals."""

from pathlib import Path

import pytest
import torch
from nodeflow_codebooks.autoencoder import Autoencoder, AutoencoderConfig
from nodeflow_diffusion.unet import UNet, UNetConfig
from nodeflow_nn.weights import from_config, load_weights, read_header, save_weights, write_tensors
from nodeflow_text.encoder import TextEncoder, TextEncoderConfig
from safetensors.torch import load_file, save_file

SMALL = AutoencoderConfig(
    picture=16, patch=4, latent_channels=3, width=24, heads=2, encoder_depth=1, decoder_depth=1, detail_width=8
)
BUILDERS = {
    "autoencoder": from_config(Autoencoder, AutoencoderConfig),
    "unet": from_config(UNet, UNetConfig),
    "text_encoder": from_config(TextEncoder, TextEncoderConfig),
}
MODELS = {
    "autoencoder": lambda: Autoencoder(SMALL),
    "unet": lambda: UNet(UNetConfig(channels=4, widths=(16, 24), head_width=8, context_width=12, pooled_width=6)),
    "text_encoder": lambda: TextEncoder(TextEncoderConfig(("a", "red"), width=16, heads=2, depth=1)),
}


@pytest.mark.parametrize("name", MODELS)
def test_float32_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    save_weights(tmp_path / "w.safetensors", model, name, model.config, {"seed": 3}, dtype=torch.float32)
    loaded = load_weights(tmp_path / "w.safetensors", BUILDERS)
    assert model.config == loaded.config
    for path, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[path]), path


def test_float16_is_rounded_once(tmp_path: Path) -> None:
    model = MODELS["autoencoder"]()
    file = tmp_path / "w.safetensors"
    save_weights(file, model, "autoencoder", SMALL, {})
    loaded = load_weights(file, BUILDERS)
    for path, value in model.state_dict().items():
        assert torch.equal(value.half().float(), loaded.state_dict()[path]), path
    assert torch.float16 == load_file(file)["patches_in.weight"].dtype


def test_header_tells_where_the_weights_come_from(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_weights(file, MODELS["autoencoder"](), "autoencoder", SMALL, {"pictures": 57600, "seed": 0})
    header = read_header(file)
    assert ("autoencoder", 16) == (header.architecture, header.config["picture"])
    assert {"pictures": 57600, "seed": 0} == header.provenance


def test_refusals_name_the_keys(tmp_path: Path) -> None:
    file, model = tmp_path / "w.safetensors", MODELS["autoencoder"]()
    save_weights(file, model, "autoencoder", SMALL, {})
    with pytest.raises(ValueError, match="'autoencoder' is none of unet"):
        load_weights(file, {"unet": BUILDERS["unet"]})
    wrong = MODELS["text_encoder"]()
    save_weights(file, wrong, "autoencoder", SMALL, {})
    with pytest.raises(ValueError, match=r"missing encoder_positions.*left over positions"):
        load_weights(file, BUILDERS)
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="no architecture, config, provenance"):
        load_weights(file, BUILDERS)


def test_weights_are_for_whoever_may_read_other_files(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    write_tensors(tmp_path / "a.safetensors", {"x": torch.ones(2)})
    assert other.stat().st_mode == (tmp_path / "a.safetensors").stat().st_mode


def test_weights_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    shared = torch.ones(4)
    with pytest.raises(RuntimeError, match="share memory"):
        write_tensors(tmp_path / "a.safetensors", {"x": shared, "y": shared})
    assert [] == list(tmp_path.iterdir())
