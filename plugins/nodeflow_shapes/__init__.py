"""Captioned scenes of simple shapes, their pictures, and the oracle that checks them.

The mathematics (`scenes`, `render`, `oracle`) knows no node and no engine: it imports torch and the standard library.
"""

from collections.abc import Callable, Sequence
from typing import Any

from nodeflow import hook


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    from nodeflow_shapes import nodes  # deferred: training imports the mathematics alone

    return nodes.NODES
