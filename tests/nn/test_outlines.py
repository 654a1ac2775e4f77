"""What is said of a published model before it is made is what it then is: names and shapes of all its tensors."""

from dataclasses import replace

import pytest
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoder, LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_outline import outline
from nodeflow_diffusion.control import ControlNet
from nodeflow_diffusion.control_names import Control
from nodeflow_diffusion.latent_unet import LatentUNet, LatentUNetConfig
from nodeflow_diffusion.latent_unet_families import FAMILIES
from nodeflow_diffusion.latent_unet_outline import MOST, Outline
from nodeflow_nn.published import outlined
from nodeflow_text.clip import ClipTextConfig, ClipTextTower, ClipVisionConfig, ClipVisionTower
from nodeflow_text.outlines import t5_shapes, text_shapes, vision_shapes
from nodeflow_text.t5 import T5Config, T5Encoder

ODD = LatentUNetConfig(
    channels_in=9, channels_out=8, widths=(32, 32, 64), layers=3, depths=(2, 0, 1), middle_depth=0, heads=(1, 2, 4),
    context_width=48, vector_width=20, groups=8,
)  # fmt: skip
CONFIGS = {family.name: family.config for family in FAMILIES} | {"odd": ODD, "deep": replace(ODD, middle_depth=3)}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_outline_of_a_latent_unet_is_its_state(name: str) -> None:
    config = CONFIGS[name]
    told = Outline(config)
    assert outlined(lambda: LatentUNet(config)) == told.shapes
    tiny = replace(config, widths=(32,) * len(config.widths), heads=(1,) * len(config.widths), groups=8)
    module = LatentUNet(tiny)
    assert Outline.of(module).shift_widths == module.shift_widths
    assert Outline.of(module).reader_widths == [width for width, _ in module.readers]


@pytest.mark.parametrize(("channels", "widths"), [(3, (16, 32, 96, 256)), (4, (8, 16))])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_outline_of_a_controlnet_is_its_state(name: str, channels: int, widths: tuple[int, ...]) -> None:
    config = CONFIGS[name]
    found = Control(config, True, channels, widths, "ldm", "")
    told = found.shapes(config)
    assert outlined(lambda: ControlNet(config, channels, widths)) == told
    assert told.keys() == found.sources(config).keys()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"heads": (3, 2, 4)}, "3 heads do not divide width 32"),
        ({"heads": (1, 2, 5)}, "5 heads do not divide width 64"),
        ({"groups": 7}, "7 groups do not divide the widths"),
        ({"layers": 10**9}, "blocks"),
        ({"depths": (1, 10**9, 0)}, "blocks"),
        ({"middle_depth": MOST}, "blocks"),
    ],
)
def test_a_unet_that_cannot_be_made_has_no_outline(changed: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Outline(replace(ODD, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        LatentAutoencoderConfig(),
        LatentAutoencoderConfig(latent_channels=16, quant=False, post_quant=False, middle=False),
        LatentAutoencoderConfig(layers=3, widths=(32, 64), attended=(False, True), codes=16, code_width=3),
    ],
)
def test_the_outline_of_a_latent_autoencoder_is_its_state(config: LatentAutoencoderConfig) -> None:
    assert outlined(lambda: LatentAutoencoder(config)) == outline(config)


def test_the_outlines_of_text_encoders_are_their_states() -> None:
    clip = ClipTextConfig(width=128, heads=2, hidden=96, depth=3)
    for config in (ClipTextConfig(), clip, replace(clip, projection=24)):
        assert outlined(lambda config=config: ClipTextTower(config)) == text_shapes(config)
    for t5 in (T5Config(), T5Config(vocabulary=40, heads=2, head_width=24, width=32, gated=False, depth=2)):
        assert outlined(lambda t5=t5: T5Encoder(t5)) == t5_shapes(t5)
    for vision in (ClipVisionConfig(), ClipVisionConfig(side=32, patch=8, width=64, depth=2, heads=2, projection=24)):
        assert outlined(lambda vision=vision: ClipVisionTower(vision)) == vision_shapes(vision)


def test_a_tower_that_cannot_be_made_has_no_outline() -> None:
    with pytest.raises(ValueError, match="5 heads do not divide width 768"):
        text_shapes(ClipTextConfig(heads=5))
    with pytest.raises(ValueError, match="patches of 14 pixels do not divide a side of 225"):
        vision_shapes(ClipVisionConfig(side=225))
