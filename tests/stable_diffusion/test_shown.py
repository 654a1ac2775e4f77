"""Models that are shown a map of depth or a picture beside noise and words, and guidance by perturbed attention."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint, load_unet
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.guidance import rescaled
from nodeflow_diffusion.nodes import condition, guide
from nodeflow_diffusion.nodes import load as load_own
from nodeflow_diffusion.perturbed_nodes import perturb
from nodeflow_diffusion.picture_vectors import picture_vector
from nodeflow_diffusion.recipes import run_as
from nodeflow_diffusion.shown_nodes import depth_condition, unclip_condition
from nodeflow_diffusion.threshold_nodes import clamp
from nodeflow_text.nodes import encode, encode_many, load_encoder
from nodeflow_text.vision_nodes import encode_image, load_vision
from torch import Tensor

from nodeflow import QUIET, Image, ImageEmbedding, ModelError

Write = Callable[..., str]


def close(expected: Tensor, found: Tensor) -> None:
    assert float((expected - found).abs().max()) < 1e-4 * max(1.0, float(expected.abs().max()))


def x_of(count: int = 1) -> Tensor:
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def denoised(denoiser: Any, count: int = 1) -> Tensor:
    with torch.no_grad():
        found: Tensor = QUIET.load(denoiser)(x_of(count), 0.6, 0.8)
    return found


def slope(count: int = 1) -> Image:
    """Nearer from left to right, the second picture from right to left."""
    ramp = torch.linspace(0.2, 0.7, 64).expand(1, 3, 64, 64)
    return Image(torch.cat([ramp, ramp.flip(-1)])[:count])


def test_only_what_is_nearer_counts_in_a_map_of_depth(file: Write) -> None:
    file("sd2", channels=5)
    parts = load_checkpoint("model", prediction="eps")
    text = encode(parts.encoder, "a cab")
    seen = depth_condition(parts.denoiser, slope())
    found = denoised(condition(seen, text))
    brighter = depth_condition(parts.denoiser, Image(slope().pixels * 0.5 + 0.4))
    close(found, denoised(condition(brighter, text)))
    other = denoised(condition(depth_condition(parts.denoiser, slope(2)), text), 2)
    close(found[0], other[0])
    assert float((other[1] - found[0]).abs().max()) > 1e-2
    grey = depth_condition(parts.denoiser, Image(slope().pixels[:, :1]))
    close(found, denoised(condition(grey, text)))


def test_what_is_no_map_of_depth(file: Write) -> None:
    file("sd2", channels=5)
    file("sd2", "plain")
    parts = load_checkpoint("model", prediction="eps")
    with pytest.raises(ValueError, match=r"sees beside the latents a map of depth\n    put diffusion.depth_condition"):
        denoised(condition(parts.denoiser, encode(parts.encoder, "")))
    with pytest.raises(ValueError, match=r"not trained to see depth.*\n    diffusion.control makes any"):
        depth_condition(load_unet("plain", "eps"), slope())
    with pytest.raises(ValueError, match=r"same everywhere\n    give one"):
        depth_condition(parts.denoiser, Image(torch.full((1, 1, 64, 64), 0.3)))
    with pytest.raises(ValueError, match=r"60 x 64, which are no multiples of 8\n    resize it"):
        depth_condition(parts.denoiser, Image(torch.rand(1, 1, 64, 60)))
    with pytest.raises(ValueError, match=r"alpha channel\n    flatten it"):
        depth_condition(parts.denoiser, Image(torch.rand(1, 4, 64, 64)))


@pytest.fixture(params=["file", "folder"])
def unclip(request: pytest.FixtureRequest, file: Write, folder: Write) -> Any:
    """An unCLIP, its two texts, and a picture as it sees it; as a single file, and as a folder."""
    name = file("sd2_unclip_h") if request.param == "file" else folder("sd2_unclip_h", prediction_type="v_prediction")
    parts = load_checkpoint(name)
    picture = Image(torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(1)))
    return parts, encode(parts.encoder, "a cab"), encode(parts.encoder, ""), encode_image(load_vision(name), picture)


def test_a_picture_is_bound_to_the_wanted_text_alone(unclip: Any) -> None:
    parts, text, nothing, picture = unclip
    positive, negative = unclip_condition(parts.denoiser, picture, text, nothing, noise_level=40, seed=3)
    mean, deviation = QUIET.load(parts.denoiser.pictures)
    assert (32,) == mean.shape == deviation.shape
    noise = torch.randn(1, 32, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(picture_vector(picture.vectors, mean, deviation, 40, noise), positive.pooled)
    assert not negative.pooled.any()
    found = denoised(guide(parts.denoiser, positive, negative, scale=3))
    split = run_as(guide(parts.denoiser, positive, negative, scale=3), Execution(batch_guidance=False))
    close(found, denoised(split))
    other = unclip_condition(parts.denoiser, ImageEmbedding(-picture.vectors), text, nothing, 40, 3)
    assert float((denoised(guide(parts.denoiser, *other, scale=3)) - found).abs().max()) > 1e-2


def test_several_pictures_or_several_texts(unclip: Any) -> None:
    parts, text, nothing, picture = unclip
    two = ImageEmbedding(torch.cat([picture.vectors, -picture.vectors]))
    positive, negative = unclip_condition(parts.denoiser, two, text, nothing, noise_level=40, seed=3)
    second = ImageEmbedding(two.vectors[1:])
    alone = unclip_condition(parts.denoiser, second, text, nothing, noise_level=40, seed=4).positive.pooled
    assert torch.equal(alone, positive.pooled[1:])
    assert (2, 64) == positive.pooled.shape
    assert 2 == len(positive.tokens)
    assert (2, 4, 8, 8) == denoised(guide(parts.denoiser, positive, negative), 2).shape
    texts = encode_many(parts.encoder, ["a cab", "a dog", "fog"])
    assert (3, 64) == unclip_condition(parts.denoiser, picture, texts, nothing).positive.pooled.shape
    with pytest.raises(ValueError, match=r"there are 2 pictures, but 3 texts\n    give as many"):
        unclip_condition(parts.denoiser, two, texts, nothing)


def test_what_an_unclip_is_shown_by_mistake(unclip: Any, file: Write) -> None:
    parts, text, nothing, picture = unclip
    with pytest.raises(
        ValueError, match=r"reads a picture beside the words \(unCLIP\).*\n    put diffusion.unclip_con"
    ):
        denoised(guide(parts.denoiser, text, nothing))
    with pytest.raises(ValueError, match=r"a vector of 20 numbers, but this denoiser reads one of 32\n"):
        unclip_condition(parts.denoiser, ImageEmbedding(torch.ones(1, 20)), text, nothing)
    plain = load_unet(file("sd2", "plain"), "eps")
    with pytest.raises(ValueError, match=r"reads no picture beside its texts.*\n    leave this node out"):
        unclip_condition(plain, picture, text, nothing)


def test_a_folder_of_unclip_that_is_damaged(folder: Write) -> None:
    name = folder("sd2_unclip_h", prediction_type="v_prediction")
    bare = load_unet(f"{name}/unet", "v")
    with pytest.raises(ValueError, match=r"comes without the statistics of pictures.*\n    load the whole model"):
        unclip_condition(bare, ImageEmbedding(torch.ones(1, 32)), *[encode(load_checkpoint(name).encoder, "")] * 2)
    noise = Path(name, "image_noising_scheduler")
    noise.mkdir()
    (noise / "scheduler_config.json").write_text(json.dumps({"beta_schedule": "linear"}))
    with pytest.raises(ModelError, match='beta_schedule is "linear", but expected "squaredcos_cap_v2"'):
        load_unet(name)
    (noise / "scheduler_config.json").write_text("[]")
    with pytest.raises(ModelError, match=r"holds \[\], but expected a JSON object"):
        load_unet(name)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
@pytest.mark.parametrize("rescale", [0.0, 0.7])
def test_perturbed_attention_leads_away_from_what_it_finds(family: str, rescale: float, file: Write) -> None:
    file(family)
    parts = load_checkpoint("model")
    text, nothing = encode(parts.encoder, "a cab"), encode(parts.encoder, "fog")
    conditional = denoised(condition(parts.denoiser, text))
    guided = denoised(guide(parts.denoiser, text, nothing, scale=4))
    worse = conditional - (denoised(perturb(condition(parts.denoiser, text), 1.0)) - conditional)
    assert float((worse - conditional).abs().max()) > 1e-2
    expected = guided + 2.5 * (conditional - worse)
    expected = rescaled(expected, conditional, rescale) if rescale else expected
    told = guide(parts.denoiser, text, nothing, scale=4, rescale=rescale)
    found = perturb(told, 2.5)
    close(expected, denoised(found))
    close(expected, denoised(run_as(found, Execution(batch_guidance=False, read_once=False))))
    close(denoised(told), denoised(perturb(told, 0.0)))
    outside = guide(parts.denoiser, text, nothing, scale=4, stop=0.9)  # where guidance by texts does not act
    close(conditional + 2.5 * (conditional - worse), denoised(perturb(outside, 2.5)))


def test_the_network_perturbed_is_the_same_model_in_memory(file: Write) -> None:
    parts = load_checkpoint(file())
    text = encode(parts.encoder, "a cab")
    loaded: list[Any] = []

    def load(recipe: Any) -> Any:
        if hasattr(recipe, "assemble"):
            return recipe.assemble(load)
        loaded.append(recipe)
        return QUIET.load(recipe)

    load(perturb(guide(parts.denoiser, text, text), 2.0))
    assert 2 == len(loaded)
    assert loaded[0] == loaded[1]


def test_where_attention_cannot_be_perturbed(file: Write) -> None:
    parts = load_checkpoint(file())
    text = encode(parts.encoder, "")
    with pytest.raises(ValueError, match=r"has to follow the wanted text\n    put diffusion.perturb right behind"):
        perturb(parts.denoiser)
    with pytest.raises(ValueError, match="has to follow the wanted text"):
        perturb(clamp(guide(parts.denoiser, text, text)))
    with pytest.raises(
        ValueError, match=r"cannot be perturbed; that of Stable Diffusion.*\n    leave diffusion.perturb"
    ):
        perturb(condition(load_own(), encode(load_encoder("shapes:text_unet"), "")))
