"""Data, optimisers and the training loop."""

from collections.abc import Callable, Sequence
from typing import Any

from nodeflow import hook


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    from nodeflow_train import begin_nodes, card_nodes, nodes  # deferred: training imports the mathematics alone

    return (*nodes.NODES, *begin_nodes.NODES, *card_nodes.NODES)
