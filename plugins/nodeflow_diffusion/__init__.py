"""Schedules, denoisers and what they predict, guidance, samplers."""

from collections.abc import Callable, Sequence
from typing import Any

from nodeflow import hook


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    from nodeflow_diffusion import (  # deferred: training imports the mathematics alone
        adapter_nodes,
        adm_nodes,
        adm_training_nodes,
        checkpoint_nodes,
        nodes,
        perturbed_nodes,
        sampling_nodes,
        shown_nodes,
        threshold_nodes,
        training_nodes,
    )

    return [
        *nodes.NODES,
        *checkpoint_nodes.CHECKPOINT_NODES,
        *shown_nodes.SHOWN_NODES,
        *perturbed_nodes.PERTURBED_NODES,
        *adapter_nodes.ADAPTER_NODES,
        *adm_nodes.ADM_NODES,
        *adm_training_nodes.ADM_TRAINING_NODES,
        *sampling_nodes.NODES,
        *threshold_nodes.THRESHOLD_NODES,
        *training_nodes.TRAINING_NODES,
    ]
