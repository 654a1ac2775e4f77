"""Autoencoders: pictures to latents and back."""

from collections.abc import Callable, Sequence
from typing import Any

from nodeflow import hook


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    from nodeflow_codebooks import (  # deferred: training imports the mathematics alone
        code_nodes,
        latent_nodes,
        nodes,
        pixel_nodes,
        training_nodes,
        vae_nodes,
    )

    return (
        *nodes.NODES,
        *vae_nodes.VAE_NODES,
        *code_nodes.CODE_NODES,
        *latent_nodes.LATENT_NODES,
        *pixel_nodes.PIXEL_NODES,
        *training_nodes.TRAINING_NODES,
    )
