"""Pictures as codes: of VQGANs with random weights in the layout of taming-transformers."""

from pathlib import Path

import pytest
import torch
from nodeflow_codebooks.code_nodes import decode_codes, encode_codes
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoder, LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_names import sources
from nodeflow_codebooks.nodes import decode, encode
from nodeflow_codebooks.nodes import load as load_own
from nodeflow_codebooks.vae_nodes import load_vae, tile
from nodeflow_image.pictures import write_png
from safetensors.torch import save_file

from nodeflow import QUIET, Codes, Engine, Image, ModelError, build, find_checkpoint, open_catalog
from nodeflow.document import parse, with_values
from nodeflow.kinds import kind_of
from nodeflow.plan.walk import Planner
from nodeflow.testing import assert_deterministic

GRAPHS = Path(__file__).parents[2] / "graphs" / "published"
VQ = LatentAutoencoderConfig(
    latent_channels=6, widths=(32, 64), layers=1, attended=(False, True), codes=16, code_width=6
)  # fmt: skip
GUMBEL = LatentAutoencoderConfig(**{**vars(VQ), "gumbel": True})
CONFIGS = {"vq": VQ, "gumbel": GUMBEL}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(kind: str = "vq", **changed: torch.Tensor) -> str:
    torch.manual_seed(0)
    module = LatentAutoencoder(CONFIGS[kind])
    named = sources(module, "ldm")
    found = {
        name: part.clone().contiguous()
        for ours, value in module.state_dict().items()
        for name, part in zip(named[ours], value.chunk(len(named[ours])), strict=True)
    }
    save_file(found | {"loss.discriminator.main.0.weight": torch.ones(1)} | changed, f"{kind}.safetensors")
    return kind


def picture(width: int = 16, height: int = 24, count: int = 1) -> Image:
    return Image(torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("kind", CONFIGS)
def test_codes_go_out_and_come_back_as_latents_do(kind: str) -> None:
    vae = load_vae(saved(kind))
    codes = assert_deterministic(encode_codes, autoencoder=vae, image=picture(count=2))
    assert (2, 12, 8) == codes.indices.shape
    assert torch.int64 == codes.indices.dtype
    assert kind == codes.codebook
    assert len(codes.indices.unique()) > 1
    found = decode_codes(vae, codes).pixels
    assert torch.equal(decode(vae, encode(vae, picture(count=2))).pixels, found)
    assert (2, 3, 24, 16) == found.shape


def test_a_gumbel_code_is_the_one_that_is_rated_highest() -> None:
    vae = load_vae(saved("gumbel"))
    module = QUIET.load(vae).module
    rated = module.rate(module.encode(picture().pixels * 2 - 1))
    assert torch.equal(rated.softmax(1).argmax(1), encode_codes(vae, picture()).indices)


@pytest.mark.parametrize("kind", CONFIGS)
def test_either_is_told_by_its_header(kind: str) -> None:
    assert "vqgan" == kind_of(find_checkpoint(saved(kind)))


@pytest.mark.parametrize("kind", CONFIGS)
def test_large_pictures_in_tiles(kind: str) -> None:
    vae = load_vae(saved(kind))
    tiled = tile(vae, 64, 0)
    image = picture(128, 64)
    codes = encode_codes(tiled, image)
    halves = [encode_codes(vae, Image(half)).indices for half in image.pixels.chunk(2, -1)]
    assert torch.equal(torch.cat(halves, -1), codes.indices)
    parts = [decode_codes(vae, Codes(half, kind)).pixels for half in codes.indices.chunk(2, -1)]
    torch.testing.assert_close(torch.cat(parts, -1), decode_codes(tiled, codes).pixels)


def test_codes_of_something_else() -> None:
    vae = load_vae(saved())
    with pytest.raises(ValueError, match=r"expected codes of vq but got codes of dvae\n    load the autoencoder dvae"):
        decode_codes(vae, Codes(torch.zeros(1, 2, 2, dtype=torch.int64), "dvae"))
    for wrong in (-1, 16):
        with pytest.raises(ValueError, match=r"the codes are .*, but the codebook has 16, from 0 on\n"):
            decode_codes(vae, Codes(torch.full((1, 2, 2), wrong), "vq"))
    with pytest.raises(ValueError, match=r"alpha channel.*\n    flatten it first"):
        encode_codes(vae, Image(torch.zeros(1, 4, 16, 16)))
    with pytest.raises(ValueError, match=r"no codebook\n    load a VQGAN"):
        encode_codes(load_own(), picture())


def test_a_gumbel_vqgan_without_what_rates_its_codes() -> None:
    saved("gumbel")
    with pytest.raises(ModelError, match=r"quantize.proj.weight \[1\] make"):
        load_vae(saved("gumbel", **{"quantize.proj.weight": torch.ones(1)}))


def test_the_graph_of_a_vqgan_runs_and_is_planned() -> None:
    saved()
    write_png(Path("picture.png"), picture().pixels[0], "")
    document = parse((GRAPHS / "vqgan.json").read_text("utf-8"), "vqgan.json")
    graph = build(with_values(document, {"model": "vq", "width": 32, "height": 48}), open_catalog(), folder=GRAPHS)
    *events, last = Engine().run(graph)
    assert [] == [event for event in events if type(event).__name__ == "Failed"]
    assert (1, 3, 48, 32) == last.outputs["image"].pixels.shape  # type: ignore[attr-defined]
    plan = Planner(graph, "cpu").run()
    assert [] == plan.problems
    assert {} == {node.id: node.unknown for node in plan.nodes if node.unknown}
    decoded = next(node for node in plan.nodes if node.id == "decode").outputs["out"].tensors["pixels"]
    assert (1, 3, 48, 32) == decoded[1]
