"""Published autoencoders, written here with random weights in the layouts they have, and opened by the node."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoder, LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_names import Layout, sources
from nodeflow_codebooks.nodes import decode, encode
from nodeflow_codebooks.nodes import load as load_own
from nodeflow_codebooks.vae_nodes import load_vae, tile
from nodeflow_codebooks.vae_recipes import WHOLE, LatentAutoencoderModel
from safetensors.torch import save_file
from torch import Tensor

from nodeflow import QUIET, Image, LatentSpace, ModelError
from nodeflow.testing import assert_deterministic

SD = LatentAutoencoderConfig(widths=(32, 32, 32, 32), layers=1)
VQ = LatentAutoencoderConfig(
    latent_channels=3, widths=(32, 64), layers=1, attended=(False, True), codes=16, code_width=3
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def published(config: LatentAutoencoderConfig = SD, layout: Layout = "ldm", prefix: str = "") -> dict[str, Tensor]:
    """A random autoencoder's tensors as they are published."""
    torch.manual_seed(0)
    module = LatentAutoencoder(config)
    named = sources(module, layout, prefix)
    return {
        name: part.clone().contiguous()
        for ours, value in module.state_dict().items()
        for name, part in zip(named[ours], value.chunk(len(named[ours])), strict=True)
    }


def saved(name: str = "vae", config: LatentAutoencoderConfig = SD, **changed: Tensor) -> None:
    save_file(published(config) | changed, f"{name}.safetensors")


def folder(name: str, tensors: dict[str, Tensor], **config: Any) -> None:
    Path(name).mkdir()
    save_file(tensors, f"{name}/diffusion_pytorch_model.safetensors")
    (Path(name) / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", **config}))


def picture(width: int = 16, height: int = 16, count: int = 1) -> Image:
    return Image(torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0)))


def test_a_recipe_says_its_space_its_size_and_its_precision() -> None:
    saved()
    vae = load_vae("vae")
    assert isinstance(vae, LatentAutoencoderModel)
    assert LatentSpace("sd15", 4, 8) == vae.space
    weights = sum(value.numel() for value in published().values())
    assert 4 * weights == vae.size
    half = load_vae("vae", precision="bf16")
    assert vae != half
    assert 2 * weights == half.size  # type: ignore[attr-defined]


def test_pictures_go_in_and_come_out() -> None:
    saved()
    vae = load_vae("vae")
    latent = assert_deterministic(encode, autoencoder=vae, image=picture(24, 16, 2))
    assert (2, 4, 2, 3) == latent.samples.shape
    image = assert_deterministic(decode, autoencoder=vae, latent=latent)
    assert (2, 3, 16, 24) == image.pixels.shape
    alone = encode(vae, Image(picture(24, 16, 2).pixels[1:]))
    torch.testing.assert_close(latent.samples[1:], alone.samples, rtol=1e-4, atol=1e-5)


def test_latents_are_drawn_by_seed() -> None:
    saved()
    vae, image = load_vae("vae"), picture()
    first, again, other = (encode(vae, image, draw=True, seed=seed).samples for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, encode(vae, image).samples)


def test_codes_decode_to_the_nearest_entries() -> None:
    folder("vq", published(VQ, "diffusers"), _class_name="VQModel", scaling_factor=1.0)
    vae = load_vae("vq")
    assert LatentSpace("vq", 3, 2) == vae.space
    module = QUIET.load(vae).module
    codes = torch.randint(16, (1, 4, 4), generator=torch.Generator().manual_seed(0))
    entries = module.codebook(codes).movedim(-1, 1)
    assert torch.equal(codes, module.codes(entries))
    assert torch.equal(module.decode_codes(codes), module.decode(entries + 1e-4))
    with pytest.raises(ValueError, match="has one latent for each picture"):
        encode(vae, picture(), draw=True)


def test_spaces_are_told_or_chosen() -> None:
    saved()
    assert "sdxl" == load_vae("vae", space="sdxl").space.name
    with pytest.raises(
        ModelError, match="4 channels in cells of 8 pixels, so it is not of flux\n    choose auto, or sd15 or sdxl"
    ):
        load_vae("vae", space="flux")
    whole = published(prefix="first_stage_model.")
    save_file(whole | {"conditioner.embedders.0.w": torch.zeros(1)}, "xl.safetensors")
    assert "sdxl" == load_vae("xl").space.name
    with pytest.raises(ModelError, match="its own files say that its latents are of sdxl, not of sd15"):
        load_vae("xl", space="sd15")
    wide = LatentAutoencoderConfig(latent_channels=16, widths=SD.widths, layers=1, quant=False, post_quant=False)
    saved("wide", wide)
    with pytest.raises(ModelError, match="its shapes are those of sd3 and of flux\n    choose the space"):
        load_vae("wide")
    assert LatentSpace("flux", 16, 8) == load_vae("wide", space="flux").space
    saved("f4", LatentAutoencoderConfig(widths=(32, 32, 32), layers=1, attended=(False,) * 3))
    with pytest.raises(
        ModelError, match="nothing tells how its latents of 4 channels, in cells of 4 pixels, are scaled"
    ):
        load_vae("f4")


def test_latents_of_another_space_are_refused() -> None:
    saved()
    latent = encode(load_vae("vae", space="sdxl"), picture())
    with pytest.raises(
        ValueError, match=r"expected Latent\[sd15\] but got Latent\[sdxl\]\n    load an autoencoder of sdxl"
    ):
        decode(load_vae("vae"), latent)


def test_tensors_that_are_missing_left_over_or_odd_are_listed() -> None:
    odd = {"encoder.mid.odd": torch.zeros(1), "decoder.norm_out.bias": torch.zeros(7)}
    tensors = published() | odd
    del tensors["decoder.conv_out.bias"]
    save_file(tensors, "vae.safetensors")
    with pytest.raises(ModelError) as caught:
        load_vae("vae")
    for fault in (
        "3 tensors do not fit", "missing decoder.conv_out.bias", "left over encoder.mid.odd",
        "decoder.norm_out.bias [7] make [7], not [32]",
    ):  # fmt: skip
        assert fault in str(caught.value)
    save_file({"x": torch.zeros(1)}, "other.safetensors")
    with pytest.raises(ModelError, match="there is no latent autoencoder among its 1 tensors"):
        load_vae("other")
    with pytest.raises(
        ModelError, match=r'"vae", but expected nodeflow autoencoder\n    open it by codebooks.load_vae'
    ):
        load_own("vae")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"latent_channels": 8}, "latent_channels is 8, but its tensors have 4"),
        ({"_class_name": "AsymmetricAutoencoderKL"}, "_class_name is 'AsymmetricAutoencoderKL'"),
        ({"latents_mean": [0, 0, 0, 0]}, "latents_mean is"),
        ({"norm_num_groups": 5}, "5 groups do not divide the widths"),
        ({"norm_num_groups": "x"}, "vae: "),
        ({"scaling_factor": "x"}, "scaling_factor or shift_factor is no number"),
        ({"block_out_channels": [32, 32]}, "block_out_channels is"),
    ],
)
def test_a_config_that_contradicts_the_tensors(config: dict[str, Any], words: str) -> None:
    folder("vae", published(layout="diffusers"), **config)
    with pytest.raises(ModelError, match=words):
        load_vae("vae")


def test_a_file_that_is_cut_off_or_changes_later() -> None:
    saved()
    vae = load_vae("vae")
    whole = Path("vae.safetensors").read_bytes()
    Path("vae.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ModelError, match="has a damaged header"):
        load_vae("vae")
    saved("vae", SD, **{"decoder.conv_out.bias": torch.ones(3)})
    with pytest.raises(ModelError, match="has changed since the graph looked at it"):
        QUIET.load(vae)


@pytest.mark.parametrize("size", [(20, 16), (16, 4)])
def test_sides_that_are_no_multiples_of_a_cell(size: tuple[int, int]) -> None:
    saved()
    with pytest.raises(ValueError, match=r"cannot be cut into cells of 8 pixels\n    resize it to 16 x (16|8)"):
        encode(load_vae("vae"), picture(*size))


def test_half_precision_is_close() -> None:
    saved()
    whole, half = (load_vae("vae", precision=precision) for precision in ("fp32", "bf16"))
    latent = encode(whole, picture())
    found = encode(half, picture())
    assert torch.float32 == found.samples.dtype
    assert float((latent.samples - found.samples).abs().max()) < 0.05 * float(latent.samples.abs().max())
    assert float((decode(whole, latent).pixels - decode(half, latent).pixels).std()) < 0.02  # 0.014 measured
    with pytest.raises(ModelError, match="fp16 on a CPU is slower than fp32"):
        encode(load_vae("vae", precision="fp16"), picture())


def test_values_that_fp16_cannot_hold_are_refused() -> None:
    saved()
    loaded = QUIET.load(load_vae("vae"))
    loaded.recipe = load_vae("vae", space="sdxl", precision="fp16")
    loaded.module.decoder.last.bias.fill_(float("inf"))
    with pytest.raises(
        ValueError, match="sdxl's autoencoder is known to go beyond what fp16 can hold\n    choose bf16"
    ):
        loaded.decode(torch.zeros(1, 4, 2, 2))


@pytest.mark.parametrize(
    ("side", "encoded", "decoded"),
    [(128, 0.2, 0.1), (256, 0.05, 0.02)],  # measured: 0.15 of the latents' spread and 0.083; 0.037 and 0.015
)
def test_tiles_differ_less_from_the_whole_the_larger_they_are(side: int, encoded: float, decoded: float) -> None:
    """Each tile has norms and an attention of its own, which random weights of one channel a group feel the most."""
    saved()
    vae, image = load_vae("vae"), picture(320, 192)
    tiled = tile(vae, side=side, overlap=64)
    assert vae.space == tiled.space
    whole, parts = encode(vae, image), encode(tiled, image)
    assert whole.samples.shape == parts.samples.shape
    assert float((whole.samples - parts.samples).std()) < encoded * float(whole.samples.std())
    assert float((decode(vae, whole).pixels - decode(tiled, whole).pixels).std()) < decoded


def test_what_fits_into_a_tile_is_not_cut() -> None:
    saved()
    vae, small = load_vae("vae"), picture(128, 64)
    tiled = tile(tile(vae, side=64, overlap=0), side=128, overlap=64)  # the last one asked for counts
    assert torch.equal(encode(vae, small).samples, encode(tiled, small).samples)
    with pytest.raises(ValueError, match="tiles of 64 cannot share 64 pixels"):
        tile(vae, side=64, overlap=64)


def test_a_picture_of_16k_goes_through_in_tiles() -> None:
    saved()
    vae = load_vae("vae")
    assert isinstance(vae, LatentAutoencoderModel)
    loaded, seen = vae.lay_out(), list[tuple[int, ...]]()

    def of_size(channels: int, scale: float) -> Any:
        def shaped(x: Tensor) -> Tensor:
            seen.append(tuple(x.shape))
            return x.new_empty(1, channels, *(int(side * scale) for side in x.shape[2:]))

        return shaped

    loaded.module.decoder.forward, loaded.module.encoder.forward = of_size(3, 8), of_size(8, 1 / 8)
    y = loaded.decode(torch.empty(1, 4, 2048, 2048, device="meta"))
    assert (1, 3, 16384, 16384) == y.shape
    assert {(1, 4, 128, 128)} == set(seen)
    assert (1, 4, 2048, 2048) == loaded.encode(y).shape
    assert {(1, 4, 128, 128), (1, 3, 1024, 1024)} == set(seen)
    assert 16384 * 16384 > WHOLE > 1024 * 1024
