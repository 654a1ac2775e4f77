"""A typed node-graph engine for image generation.

Plugins need only the names below. They are loaded on first use, so that the command line starts without pydantic.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
"""As `typing` has it, whose import alone takes ten times as long as all of this file."""
if TYPE_CHECKING:
    from typing import Any

    from nodeflow.catalog import Catalog, open_catalog
    from nodeflow.checkpoints import Checkpoint
    from nodeflow.context import QUIET, Context
    from nodeflow.document import Document
    from nodeflow.errors import Cancelled, GraphError, ModelError, NodeflowError, PluginError, RunError, WorkerDied
    from nodeflow.files import (
        CheckpointModel,
        FileModel,
        Patch,
        checkpoint_identity,
        file_identity,
        find_checkpoint,
        find_folder,
        find_weights,
        weights_identity,
    )
    from nodeflow.foreign import Foreign, Remark
    from nodeflow.graph import Graph, build
    from nodeflow.hooks import hook
    from nodeflow.kinds import expecting
    from nodeflow.nodes import Seed, Ui, node
    from nodeflow.runner import Engine
    from nodeflow.values import (
        Autoencoder,
        Codes,
        Composition,
        Dataset,
        Denoiser,
        Image,
        ImageEmbedding,
        ImageEncoder,
        Labels,
        Latent,
        LatentSpace,
        Mask,
        Model,
        Objective,
        Recipe,
        SavedFile,
        Table,
        TextEmbedding,
        TextEncoder,
        Tokens,
        Trainable,
        Upscaler,
        Video,
    )

__version__ = "0.1.0"

_HOMES = {
    "catalog": ("Catalog", "open_catalog"),
    "checkpoints": ("Checkpoint",),
    "context": ("QUIET", "Context"),
    "document": ("Document",),
    "errors": ("Cancelled", "GraphError", "ModelError", "NodeflowError", "PluginError", "RunError", "WorkerDied"),
    "files": (
        "CheckpointModel", "FileModel", "Patch", "checkpoint_identity", "file_identity", "find_checkpoint",
        "find_folder", "find_weights", "weights_identity",
    ),
    "foreign": ("Foreign", "Remark"),
    "graph": ("Graph", "build"),
    "hooks": ("hook",),
    "kinds": ("expecting",),
    "nodes": ("Seed", "Ui", "node"),
    "runner": ("Engine",),
    "values": (
        "Autoencoder", "Codes", "Composition", "Dataset", "Denoiser", "Image", "ImageEmbedding", "ImageEncoder",
        "Labels", "Latent", "LatentSpace", "Mask", "Model", "Objective", "Recipe", "SavedFile", "Table",
        "TextEmbedding", "TextEncoder", "Tokens", "Trainable", "Upscaler", "Video",
    ),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "QUIET",
    "Autoencoder",
    "Cancelled",
    "Catalog",
    "Checkpoint",
    "CheckpointModel",
    "Codes",
    "Composition",
    "Context",
    "Dataset",
    "Denoiser",
    "Document",
    "Engine",
    "FileModel",
    "Foreign",
    "Graph",
    "GraphError",
    "Image",
    "ImageEmbedding",
    "ImageEncoder",
    "Labels",
    "Latent",
    "LatentSpace",
    "Mask",
    "Model",
    "ModelError",
    "NodeflowError",
    "Objective",
    "Patch",
    "PluginError",
    "Recipe",
    "Remark",
    "RunError",
    "SavedFile",
    "Seed",
    "Table",
    "TextEmbedding",
    "TextEncoder",
    "Tokens",
    "Trainable",
    "Ui",
    "Upscaler",
    "Video",
    "WorkerDied",
    "build",
    "checkpoint_identity",
    "expecting",
    "file_identity",
    "find_checkpoint",
    "find_folder",
    "find_weights",
    "hook",
    "node",
    "open_catalog",
    "weights_identity",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'nodeflow' has no attribute {name!r}")
    return getattr(import_module(f"nodeflow.{home}"), name)
