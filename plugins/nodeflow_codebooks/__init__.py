"""Autoencoders: pictures to latents and back."""

from collections.abc import Callable, Sequence
from typing import Any

from nodeflow import hook


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    from nodeflow_codebooks import nodes, training_nodes, vae_nodes  # deferred: training imports the mathematics alone

    return (*nodes.NODES, *vae_nodes.VAE_NODES, *training_nodes.TRAINING_NODES)
