"""The whole of it, small: words, pictures, denoiser, loop."""

import pytest
import torch
from nodeflow_codebooks.autoencoder import Autoencoder, AutoencoderConfig
from nodeflow_codebooks.losses import ReconstructionConfig, reconstruction_loss
from nodeflow_diffusion.training_losses import captioned_flow_loss
from nodeflow_diffusion.transformer import DiffusionTransformer, TransformerConfig
from nodeflow_diffusion.unet import UNet, UNetConfig
from nodeflow_text.encoder import TextEncoder, TextEncoderConfig
from nodeflow_train.fit import FitConfig, fit

WORDS = ("red", "blue", "green", "circle")
TEXT = TextEncoderConfig(WORDS, length=4, width=32, heads=2, depth=1, pooled_width=16)


@pytest.mark.parametrize("kind", ["transformer", "unet"])
def test_a_denoiser_learns_one_batch(kind: str) -> None:
    torch.manual_seed(0)
    text = TextEncoder(TEXT)
    if kind == "transformer":
        model = DiffusionTransformer(
            TransformerConfig(channels=4, grid=4, width=64, depth=2, heads=2, context_width=32, pooled_width=16)
        )
    else:
        model = UNet(UNetConfig(channels=4, widths=(32, 32), head_width=16, context_width=32, pooled_width=16))
    x_0 = torch.randn(4, 4, 1, 1).expand(4, 4, 4, 4)
    ids = text.tokenizer.encode([f"{colour} circle" for colour in (*WORDS[:3], "")])

    def loss(_: object, generator: torch.Generator) -> torch.Tensor:
        repeated = x_0.repeat(4, 1, 1, 1), ids.repeat(4, 1)
        return captioned_flow_loss(model, text, *repeated, generator, drop=0.0)

    config = FitConfig(steps=80, batch=16, warmup=5, report_every=10, dtype=torch.float32)
    losses = [p.loss for p in fit({"denoiser": model, "text": text}, loss, lambda step: None, config)]
    assert losses[-1] < losses[0] / 5


def test_an_autoencoder_learns_one_batch() -> None:
    torch.manual_seed(0)
    model = Autoencoder(
        AutoencoderConfig(
            picture=16, patch=4, latent_channels=8, width=48, heads=2, encoder_depth=1, decoder_depth=1, detail_width=16
        )
    )
    pictures = torch.rand(8, 3, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)

    def loss(_: object, generator: torch.Generator) -> torch.Tensor:
        return reconstruction_loss(model, pictures, ReconstructionConfig(), generator)

    config = FitConfig(steps=60, batch=8, warmup=5, report_every=5, dtype=torch.float32)
    losses = [p.loss for p in fit({"autoencoder": model}, loss, lambda step: None, config)]
    assert losses[-1] < losses[0] / 5
