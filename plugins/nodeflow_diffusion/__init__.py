"""Schedules, denoisers and what they predict, guidance, samplers."""

from collections.abc import Callable, Sequence
from typing import Any

from nodeflow import hook


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    from nodeflow_diffusion import (  # deferred: training imports the mathematics alone
        nodes,
        sampling_nodes,
        training_nodes,
    )

    return [*nodes.NODES, *sampling_nodes.NODES, *training_nodes.TRAINING_NODES]
