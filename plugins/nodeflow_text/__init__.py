"""Tokenizers and text encoders."""

from collections.abc import Callable, Sequence
from typing import Any

from nodeflow import hook


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    from nodeflow_text import (  # deferred: training imports the mathematics alone
        adapter_nodes,
        nodes,
        published_nodes,
        reading_nodes,
        training_nodes,
        vision_nodes,
    )

    return (
        *nodes.NODES,
        *published_nodes.PUBLISHED_NODES,
        *vision_nodes.VISION_NODES,
        *adapter_nodes.ADAPTER_NODES,
        *reading_nodes.READING_NODES,
        *training_nodes.TRAINING_NODES,
    )
