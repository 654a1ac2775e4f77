"""Tokenizers and text encoders."""

from collections.abc import Callable, Sequence
from typing import Any

from nodeflow import hook


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    from nodeflow_text import nodes, published_nodes, training_nodes  # deferred: training imports the mathematics alone

    return (*nodes.NODES, *published_nodes.PUBLISHED_NODES, *training_nodes.TRAINING_NODES)
