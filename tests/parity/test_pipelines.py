"""Whole pipelines: a folder that diffusers writes, opened by name, gives diffusers' latents after a guided loop."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_codebooks.nodes import decode
from nodeflow_codebooks.nodes import encode as encode_picture
from nodeflow_diffusion.checkpoint_nodes import edit, inpaint_condition, load_checkpoint
from nodeflow_diffusion.nodes import condition, empty, guide
from nodeflow_diffusion.perturbed_nodes import perturb
from nodeflow_diffusion.sampling_nodes import sample, schedule
from nodeflow_diffusion.shown_nodes import depth_condition, unclip_condition
from nodeflow_text.clip_pictures import prepared
from nodeflow_text.nodes import encode
from nodeflow_text.published_nodes import encode_pair
from nodeflow_text.vision_nodes import encode_image, load_vision

from nodeflow import Image, Latent, Mask

PROMPT, NEGATIVE = "a cab (red:1.4)", "dull"
SIDE, STEPS, SCALE = 64, 5, 6.0
LETTERS = "abcdefghijklmnopqrstuvwxyz()!:.14"


@pytest.fixture
def diffusers() -> Any:
    reason = "diffusers and transformers are not installed: pip install 'nodeflow-engine[parity]'"
    pytest.importorskip("transformers", reason=reason)
    return pytest.importorskip("diffusers", reason=reason)


def tokenizer(folder: Path, pad: str) -> Any:
    from transformers import CLIPTokenizer

    folder.mkdir()
    pieces = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, pad_token=pad, model_max_length=77)


def text_encoder(filled: Any, width: int, activation: str, projection: int | None = None) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=2 * len(LETTERS) + 2, hidden_size=width, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=2, hidden_act=activation, projection_dim=projection or 16, bos_token_id=2 * len(LETTERS),
        eos_token_id=2 * len(LETTERS) + 1, pad_token_id=1,
    )  # fmt: skip
    return filled((CLIPTextModelWithProjection if projection else CLIPTextModel)(config))


def common(diffusers: Any, filled: Any, scale: float, **unet: Any) -> dict[str, Any]:
    """The parts that both pipelines have."""
    shape = {"block_out_channels": (32, 64), "layers_per_block": 1, "norm_num_groups": 8}
    return {
        "unet": filled(diffusers.UNet2DConditionModel(**shape, **unet)),
        "vae": filled(
            diffusers.AutoencoderKL(
                block_out_channels=(16,) * 4, layers_per_block=1, norm_num_groups=8, latent_channels=4,
                down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
                scaling_factor=scale,
            )
        ),
        "scheduler": diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            timestep_spacing="trailing", set_alpha_to_one=True,
        ),
    }  # fmt: skip


def sd1(
    diffusers: Any, filled: Any, folder: Path, kind: str = "StableDiffusionPipeline", channels: int = 4, **more: Any
) -> Any:
    down, up = ["CrossAttnDownBlock2D", "DownBlock2D"], ["UpBlock2D", "CrossAttnUpBlock2D"]
    return getattr(diffusers, kind)(
        **common(
            diffusers, filled, 0.18215, down_block_types=down, up_block_types=up, cross_attention_dim=32,
            attention_head_dim=8, in_channels=channels, sample_size=64,
        ),
        text_encoder=text_encoder(filled, 32, "quick_gelu"), tokenizer=tokenizer(folder / "one", "<|endoftext|>"),
        **({"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False} | more),
    )  # fmt: skip


def sdxl(diffusers: Any, filled: Any, folder: Path, kind: str = "StableDiffusionXLPipeline") -> Any:
    down, up = ["DownBlock2D", "CrossAttnDownBlock2D"], ["CrossAttnUpBlock2D", "UpBlock2D"]
    return getattr(diffusers, kind)(
        **common(
            diffusers, filled, 0.13025, down_block_types=down, up_block_types=up, cross_attention_dim=72,
            attention_head_dim=[2, 4], transformer_layers_per_block=[1, 2], use_linear_projection=True,
            addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=24 + 48,
        ),
        text_encoder=text_encoder(filled, 32, "quick_gelu"), text_encoder_2=text_encoder(filled, 40, "gelu", 24),
        tokenizer=tokenizer(folder / "one", "<|endoftext|>"), tokenizer_2=tokenizer(folder / "two", "!"),
        add_watermarker=False,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # diffusers' own
@pytest.mark.parametrize("make", [sd1, sdxl])
def test_a_pipeline_of_diffusers_is_followed_to_its_end(
    make: Any, diffusers: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = make(diffusers, filled, tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained("pipeline")
    noise = drawn(1, 4, SIDE // 8, SIDE // 8)
    with torch.no_grad():
        expected, pictures = (
            pipeline(**ASKED, latents=noise, height=SIDE, width=SIDE, output_type=kind).images
            for kind in ("latent", "pt")
        )
        parts = load_checkpoint("pipeline")
        encoder = plainly(parts.encoder)
        guided = guide(parts.denoiser, encode(encoder, PROMPT), encode(encoder, NEGATIVE), scale=SCALE)
        found = walked(guided, noise)
        agree(expected, found, 1e-4)
        agree(pictures, decode(parts.autoencoder, Latent(found, guided.space)).pixels, 1e-4)


@pytest.fixture
def opened(diffusers: Any, filled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a variant of Stable Diffusion 1, and opens the folder that it writes."""

    def make(kind: str, channels: int) -> tuple[Any, Any]:
        monkeypatch.chdir(tmp_path)
        pipeline = sd1(diffusers, filled, tmp_path, kind, channels)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.save_pretrained("pipeline")
        parts = load_checkpoint("pipeline")
        return pipeline, parts._replace(encoder=plainly(parts.encoder))

    return make


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


ASKED = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": SCALE, "num_inference_steps": STEPS}


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_an_inpainting_pipeline(opened: Any, agree: Any) -> None:
    pipeline, parts = opened("StableDiffusionInpaintPipeline", 9)
    noise, picture, mask = drawn(1, 4, 8, 8), drawn(1, 3, SIDE, SIDE).sigmoid(), torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 12:37, 20:51] = 1  # across cells
    masked = torch.where(mask < 0.5, 2 * picture - 1, torch.zeros(()))
    # the pipeline draws these latents; their mean is what can be compared
    seen = pipeline.vae.encode(masked).latent_dist.mode() * pipeline.vae.config.scaling_factor
    expected = pipeline(
        **ASKED, image=picture, mask_image=mask, masked_image_latents=seen, latents=noise, strength=1.0,
        height=SIDE, width=SIDE, output_type="latent",
    ).images  # fmt: skip
    shown = inpaint_condition(parts.denoiser, parts.autoencoder, Image(picture), Mask(mask))
    guided = guide(shown, encode(parts.encoder, PROMPT), encode(parts.encoder, NEGATIVE), scale=SCALE)
    agree(expected, walked(guided, noise), 1e-4)


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_an_editing_pipeline(opened: Any, agree: Any) -> None:
    pipeline, parts = opened("StableDiffusionInstructPix2PixPipeline", 8)
    noise, picture = drawn(1, 4, 8, 8), drawn(1, 3, SIDE, SIDE).sigmoid()
    expected = pipeline(
        **ASKED, image=picture, image_guidance_scale=1.7, latents=noise, output_type="latent"
    ).images  # fmt: skip
    latent = encode_picture(parts.autoencoder, Image(picture))
    texts = encode(parts.encoder, PROMPT), encode(parts.encoder, NEGATIVE)
    agree(expected, walked(edit(parts.denoiser, latent, *texts, SCALE, 1.7), noise), 1e-4)


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_pipeline_that_sees_depth(
    diffusers: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parts = {name: part for name, part in sd1(diffusers, filled, tmp_path, channels=5).components.items() if part}
    pipeline = diffusers.StableDiffusionDepth2ImgPipeline(**parts, depth_estimator=None, feature_extractor=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained("pipeline")
    noise, depth = drawn(1, 4, 8, 8), drawn(1, 1, SIDE, SIDE).sigmoid()
    monkeypatch.setattr(pipeline, "prepare_latents", lambda *_, **__: noise)
    expected = pipeline(
        **ASKED, image=torch.zeros(1, 3, SIDE, SIDE), depth_map=depth[:, 0], strength=1.0, output_type="latent"
    ).images  # fmt: skip
    ours = load_checkpoint("pipeline")
    texts = [encode(plainly(ours.encoder), text) for text in (PROMPT, NEGATIVE)]
    shown = depth_condition(ours.denoiser, Image(depth.expand(-1, 3, -1, -1)))
    agree(expected, walked(guide(shown, *texts, scale=SCALE), noise), 1e-4)


def unclip(diffusers: Any, filled: Any, folder: Path) -> Any:
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    down, up = ["CrossAttnDownBlock2D", "DownBlock2D"], ["UpBlock2D", "CrossAttnUpBlock2D"]
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=7,
        projection_dim=24, hidden_act="gelu",
    )  # fmt: skip
    return diffusers.StableUnCLIPImg2ImgPipeline(
        **common(
            diffusers, filled, 0.18215, down_block_types=down, up_block_types=up, cross_attention_dim=32,
            attention_head_dim=[2, 4], use_linear_projection=True, class_embed_type="projection",
            projection_class_embeddings_input_dim=48, sample_size=8,
        ),
        text_encoder=text_encoder(filled, 32, "gelu"), tokenizer=tokenizer(folder / "one", "!"),
        image_encoder=filled(CLIPVisionModelWithProjection(vision)), feature_extractor=None,
        image_normalizer=filled(StableUnCLIPImageNormalizer(24)),
        image_noising_scheduler=diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_pipeline_that_makes_variations_of_a_picture(
    diffusers: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = unclip(diffusers, filled, tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained("pipeline")
    noise, picture = drawn(1, 4, 8, 8), drawn(1, 3, 50, 40, seed=2).sigmoid()
    expected = pipeline(
        **ASKED, image=prepared(picture, 28), noise_level=300, generator=torch.Generator().manual_seed(7),
        latents=noise, output_type="latent",
    ).images  # fmt: skip
    ours = load_checkpoint("pipeline")
    texts = [encode(plainly(ours.encoder), text) for text in (PROMPT, NEGATIVE)]
    embedding = encode_image(load_vision("pipeline"), Image(picture))
    shown = unclip_condition(ours.denoiser, embedding, *texts, noise_level=300, seed=7)
    agree(expected, walked(guide(ours.denoiser, *shown, scale=SCALE), noise), 1e-4)


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_two_prompts_for_the_two_encoders_of_xl(
    diffusers: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = sdxl(diffusers, filled, tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained("pipeline")
    noise = drawn(1, 4, 8, 8)
    expected = pipeline(
        **ASKED, prompt_2="a dog", negative_prompt_2="fog", latents=noise, height=SIDE, width=SIDE, output_type="latent"
    ).images  # fmt: skip
    ours = load_checkpoint("pipeline")
    texts = [encode_pair(plainly(ours.encoder), *pair) for pair in ((PROMPT, "a dog"), (NEGATIVE, "fog"))]
    agree(expected, walked(guide(ours.denoiser, *texts, scale=SCALE), noise), 1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("guidance", [SCALE, 1.0])
@pytest.mark.parametrize(
    ("make", "kind"), [(sd1, "StableDiffusionPAGPipeline"), (sdxl, "StableDiffusionXLPAGPipeline")]
)
@torch.no_grad()
def test_a_pipeline_guided_by_perturbed_attention(
    make: Any, kind: str, guidance: float, diffusers: Any, filled: Any, agree: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    make(diffusers, filled, tmp_path).save_pretrained("pipeline")
    pipeline = getattr(diffusers, kind).from_pretrained("pipeline")
    pipeline.set_progress_bar_config(disable=True)
    noise = drawn(1, 4, 8, 8)
    asked = ASKED | {"guidance_scale": guidance}
    expected, other = (
        pipeline(**asked, latents=noise, pag_scale=scale, height=SIDE, width=SIDE, output_type="latent").images
        for scale in (3.0, 0.0)
    )
    assert float((expected - other).abs().max()) > 1e-2
    ours = load_checkpoint("pipeline")
    texts = [encode(plainly(ours.encoder), text) for text in (PROMPT, NEGATIVE)]
    told = guide(ours.denoiser, *texts, scale=guidance) if guidance > 1 else condition(ours.denoiser, texts[0])
    agree(expected, walked(perturb(told, 3.0), noise), 1e-4)


def walked(denoiser: Any, noise: torch.Tensor) -> torch.Tensor:
    way, begin = schedule("scaled_linear", "trailing"), Latent(noise, denoiser.space)
    return sample(denoiser, empty(denoiser, SIDE, SIDE), way, begin, steps=STEPS, method="ddim").samples


def plainly(encoder: Any) -> Any:
    """The encoder with brackets taken as they are, as diffusers takes them."""
    if hasattr(encoder, "first"):
        return replace(encoder, first=plainly(encoder.first), second=plainly(encoder.second))
    return replace(encoder, syntax="plain")
