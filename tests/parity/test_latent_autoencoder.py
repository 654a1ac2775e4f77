"""The latent autoencoder gives the numbers of the reference implementations, from every layout that is published."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_codebooks.code_nodes import decode_codes, encode_codes
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoder, LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_names import sources
from nodeflow_codebooks.nodes import decode, encode
from nodeflow_codebooks.vae_nodes import load_vae
from nodeflow_nn.placing import WithoutMemory
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodeflow import QUIET, Codes, Image, Latent, LatentSpace

KL = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": (16, 32, 32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "norm_num_groups": 8,
}
VQ = {
    **KL,
    "latent_channels": 3,
    "block_out_channels": (16, 32),
    "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
    "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
    "num_vq_embeddings": 32,
    "vq_embed_dim": 3,
}
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
LDM = {
    r"(en|de)coder\.conv_norm_out": r"\1coder.norm_out",
    r"mid_block\.resnets\.0": "mid.block_1",
    r"mid_block\.resnets\.1": "mid.block_2",
    r"mid_block\.attentions\.0": "mid.attn_1",
    r"down_blocks\.(\d)\.resnets\.(\d)": r"down.\1.block.\2",
    r"down_blocks\.(\d)\.downsamplers\.0": r"down.\1.downsample",
    r"up_blocks\.(\d)\.resnets\.(\d)": lambda found: f"up.{3 - int(found[1])}.block.{found[2]}",
    r"up_blocks\.(\d)\.upsamplers\.0": lambda found: f"up.{3 - int(found[1])}.upsample",
    r"conv_shortcut": "nin_shortcut",
    r"attn_1\.group_norm": "attn_1.norm",
    r"attn_1\.to_out\.0": "attn_1.proj_out",
    r"attn_1\.to_([qkv])": r"attn_1.\1",
}
"""diffusers' names -> those of a single file, for four levels."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def diffusers() -> Any:
    return pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'nodeflow-engine[parity]'")


@pytest.fixture
def picture() -> Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def write(folder: str, weights: dict[str, Tensor], **config: Any) -> None:
    Path(folder).mkdir()
    save_file(weights, f"{folder}/diffusion_pytorch_model.safetensors")
    (Path(folder) / "config.json").write_text(json.dumps(config))


def module_of(name: str) -> LatentAutoencoder:
    module = QUIET.load(load_vae(name)).module
    assert isinstance(module, LatentAutoencoder)
    return module


def test_the_kept_numbers_of_a_kl_autoencoder(kept: Any, agree: Any) -> None:
    numbers = kept("unet2d_vae_vq")
    write("vae", numbers.weights("vae.m"), _class_name="AutoencoderKL", norm_num_groups=8)
    module, image = module_of("vae"), numbers.given("vae.im")
    mean, log_variance = module.moments(image)
    agree(numbers.expected("vae.mean"), mean)
    assert log_variance is not None
    agree(numbers.expected("vae.logvar"), log_variance)
    agree(numbers.expected("vae.rec"), module.decode(mean))


def test_the_kept_numbers_of_a_vq_autoencoder(kept: Any, agree: Any) -> None:
    numbers = kept("unet2d_vae_vq")
    write("vq", numbers.weights("vqmodel.m"), _class_name="VQModel", norm_num_groups=8)
    module = module_of("vq")
    h, nothing = module.moments(numbers.given("vqmodel.im"))
    assert nothing is None
    agree(numbers.expected("vqmodel.h"), h)
    codes = module.codes(h)
    assert torch.equal(numbers.expected("vqmodel.idx").flatten().long(), codes.flatten())
    assert module.codebook is not None
    agree(numbers.expected("vqmodel.zq"), module.codebook(codes).movedim(-1, 1))
    agree(numbers.expected("vqmodel.rec"), module.decode(h))


@pytest.mark.parametrize("title", ["taming_vqgan", "taming_gumbel"])
def test_the_kept_numbers_of_taming_transformers(title: str, kept: Any, agree: Any) -> None:
    numbers = kept("taming")
    training = {"loss.discriminator.main.0.weight": torch.zeros(16, 3, 4, 4), "loss.logvar": torch.zeros(())}
    folder = Path("f16/checkpoints")
    folder.mkdir(parents=True)
    save_file(numbers.weights(f"{title}.m") | training, folder / "last.safetensors")
    vae = load_vae("f16/checkpoints/last")
    assert "f16" == vae.space.name
    picture = Image(numbers.given(f"{title}.im") / 2 + 0.5)
    codes = encode_codes(vae, picture)
    module = QUIET.load(vae).module
    kept_codes = numbers.expected(f"{title}.idx").long().reshape(1, 16, 16)
    if title == "taming_vqgan":  # the other's were drawn
        assert torch.equal(kept_codes, codes.indices)
        z, quantised = module.encode(numbers.given(f"{title}.im")), numbers.expected(f"{title}.quant")
        agree(numbers.expected(f"{title}.emb_loss"), 1.25 * (quantised - z).square().mean())
    agree(numbers.expected(f"{title}.quant"), module.looked_up(kept_codes))
    agree(numbers.expected(f"{title}.rec"), module.decode_codes(kept_codes))
    pixels = decode_codes(vae, Codes(kept_codes, "f16")).pixels
    agree((numbers.expected(f"{title}.rec") / 2 + 0.5).clamp(0, 1), pixels)
    assert torch.equal(decode_codes(vae, codes).pixels, decode(vae, encode(vae, picture)).pixels)


def test_the_kept_choice_of_codes_by_gumbel_softmax(kept: Any, agree: Any) -> None:
    """The reference drew its codes; with the same draws the highest rated are those, and its loss follows."""
    numbers = kept("taming")
    save_file(numbers.weights("taming_gumbel.m"), "gumbel.safetensors")
    module = module_of("gumbel")
    assert module.rate is not None
    logits = module.rate(module.encode(numbers.given("taming_gumbel.im")))
    shares = logits.softmax(1)
    loss = 1e-8 * (shares * (shares * 64 + 1e-10).log()).sum(1).mean()
    expected = numbers.expected("taming_gumbel.emb_loss")
    assert abs(float(loss / expected) - 1) < 1e-5
    torch.manual_seed(0)
    torch.rand(721811)
    drawn = logits - torch.empty(1, 64, 16, 16).exponential_().log()
    chosen = drawn.argmax(1).flatten() == numbers.expected("taming_gumbel.idx").long()
    if bool(chosen.float().mean() < 0.5):
        pytest.skip("this machine's stream of exponential_ is another one")
    assert bool(chosen.all())


def test_the_kept_numbers_of_latent_diffusion(kept: Any, agree: Any) -> None:
    numbers = kept("ldm")
    weights = {
        f"{side}.{name}": value
        for side in ("encoder", "decoder")
        for name, value in numbers.weights(f"ldm_vae.{side}").items()
    }
    write("ldm", weights, _class_name="AutoencoderKL")
    module = module_of("ldm")
    moments = torch.cat(module.moments(numbers.given("ldm_vae.im")), 1)  # type: ignore[arg-type]
    agree(numbers.expected("ldm_vae.moments"), moments)
    agree(numbers.expected("ldm_vae.rec"), module.decode(moments[:, :4]))


@pytest.mark.parametrize("scaling", [0.18215, 0.13025, 0.3])
def test_a_folder_of_diffusers(scaling: float, diffusers: Any, filled: Any, agree: Any, picture: Tensor) -> None:
    reference = filled(diffusers.AutoencoderKL(**KL, scaling_factor=scaling, shift_factor=None))
    reference.save_pretrained("tiny/vae")
    vae = load_vae("tiny")
    name = {0.18215: "sd15", 0.13025: "sdxl"}.get(scaling, "tiny")
    assert LatentSpace(name, 4, 8) == vae.space
    gaussian = reference.encode(picture * 2 - 1).latent_dist
    latent = encode(vae, Image(picture))
    agree(gaussian.mean * scaling, latent.samples)
    noise = torch.randn(gaussian.mean.shape, generator=torch.Generator().manual_seed(5))
    agree((gaussian.mean + gaussian.std * noise) * scaling, encode(vae, Image(picture), draw=True, seed=5).samples)
    expected = (reference.decode(latent.samples / scaling).sample / 2 + 0.5).clamp(0, 1)
    agree(expected, decode(vae, latent).pixels)


def test_a_folder_with_shift_and_without_quantising_convolutions(
    diffusers: Any, filled: Any, agree: Any, picture: Tensor
) -> None:
    settings = {**KL, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
    reference = filled(diffusers.AutoencoderKL(**settings, scaling_factor=1.5305, shift_factor=0.0609))
    reference.save_pretrained("tiny")
    vae = load_vae("tiny")
    assert "sd3" == vae.space.name
    samples = (reference.encode(picture * 2 - 1).latent_dist.mean - 0.0609) * 1.5305
    latent = encode(vae, Image(picture))
    agree(samples, latent.samples)
    expected = (reference.decode(samples / 1.5305 + 0.0609).sample / 2 + 0.5).clamp(0, 1)
    agree(expected, decode(vae, latent).pixels)


def test_a_vq_folder_of_diffusers_with_attention_at_a_level(
    diffusers: Any, filled: Any, agree: Any, picture: Tensor
) -> None:
    reference = filled(diffusers.VQModel(**VQ, scaling_factor=0.5))
    reference.save_pretrained("tiny")
    vae = load_vae("tiny")
    assert LatentSpace("tiny", 3, 2) == vae.space
    latent = encode(vae, Image(picture))
    agree(reference.encode(picture * 2 - 1).latents * 0.5, latent.samples)
    expected = (reference.decode(latent.samples / 0.5).sample / 2 + 0.5).clamp(0, 1)
    agree(expected, decode(vae, latent).pixels)


def ldm_names(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        theirs = name
        for pattern, put in LDM.items():
            theirs = re.sub(pattern, put, theirs)
        attention = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", theirs)
        renamed[prefix + theirs] = value[:, :, None, None].contiguous() if attention else value
    return renamed


def test_every_layout_of_the_same_weights_gives_the_same_latents(diffusers: Any, filled: Any, picture: Tensor) -> None:
    wide = {**KL, "norm_num_groups": 32, "block_out_channels": (32, 32, 64, 64)}  # a file tells no number of groups
    reference = filled(diffusers.AutoencoderKL(**wide))
    reference.save_pretrained("folder")
    reference.save_pretrained("sharded", max_shard_size="200KB")
    reference.save_pretrained("variant", variant="fp32")
    assert len(list(Path("sharded").glob("*.safetensors"))) > 2
    weights = load_file("folder/diffusion_pytorch_model.safetensors")
    old = {re.sub("to_out.0|to_[qkv]", lambda found: OLD[found[0]], name): value for name, value in weights.items()}
    save_file(old, "old.safetensors")
    save_file(weights, "new.safetensors")
    save_file(ldm_names(weights, ""), "ldm.safetensors")
    training = {"loss.logvar": torch.zeros(1), "model_ema.decay": torch.ones(())}
    save_file(ldm_names(weights, "") | training, "trained.safetensors")
    others = {"cond_stage_model.w": torch.zeros(1), "model.diffusion_model.w": torch.zeros(1)}
    save_file(ldm_names(weights, "first_stage_model.") | others, "whole.safetensors")
    expected = encode(load_vae("folder"), Image(picture))
    pixels = decode(load_vae("folder"), expected).pixels
    for name in ("sharded", "variant", "old", "new", "ldm", "trained", "whole"):
        vae = load_vae(name)
        found = encode(vae, Image(picture))
        assert expected.space == found.space, name
        assert torch.equal(expected.samples, found.samples), name
        assert torch.equal(pixels, decode(vae, Latent(expected.samples, vae.space)).pixels), name


@pytest.mark.parametrize("layout", ["ldm", "diffusers", "diffusers_old"])
def test_the_autoencoder_of_stable_diffusion_has_its_published_size(layout: Any) -> None:
    with WithoutMemory():
        module = LatentAutoencoder(LatentAutoencoderConfig())
    named = [name for names in sources(module, layout, "first_stage_model.").values() for name in names]
    assert 83_653_863 == sum(value.numel() for value in module.parameters())
    assert 248 == len(named) == len(set(named))


def test_every_published_key_is_used_at_full_size(diffusers: Any) -> None:
    with torch.device("meta"):
        reference = diffusers.AutoencoderKL(
            **{**KL, "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "norm_num_groups": 32}
        )
    with WithoutMemory():
        module = LatentAutoencoder(LatentAutoencoderConfig())
    named = sources(module, "diffusers")
    assert set(reference.state_dict()) == {name for names in named.values() for name in names}
    assert set(ldm_names(reference.state_dict(), "")) == {
        name for names in sources(module, "ldm").values() for name in names
    }
