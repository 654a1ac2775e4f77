"""Adapters of a latent U-Net as they lie on disk."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

from nodeflow_nn import published
from nodeflow_nn.adapter_settings import settings_of
from nodeflow_nn.adapters import Adapter, Stems
from nodeflow_nn.merging import File, Merge, merging
from nodeflow_nn.published import Shape

from nodeflow import ModelError, Patch
from nodeflow_diffusion.latent_unet import LatentUNetConfig
from nodeflow_diffusion.latent_unet_adapters import for_unet, unet_stems
from nodeflow_diffusion.latent_unet_outline import Outline


def merged(config: LatentUNetConfig, patches: Sequence[Patch]) -> AbstractContextManager[Merge | None]:
    """Within the block: what the patches change of such a U-Net; None if there are none."""
    return merging([_file(patch) for patch in patches], *_known(config), for_unet) if patches else nullcontext()


def fitted(config: LatentUNetConfig, patch: Patch) -> Adapter:
    """What a patch does to such a U-Net, by its header.

    Raises:
        ModelError: it does not fit.
    """
    try:
        return _file(patch).fit(*_known(config), for_unet)
    except ValueError as error:
        raise ModelError(f"{error}\n    name an adapter that was trained for this model") from error


def _file(patch: Patch) -> File:
    found = patch.checkpoint()
    settings = settings_of(found.metadata, found.config)
    return File(published.Checkpoint.of(found), settings, patch.strength)


@lru_cache(maxsize=4)  # each adapter asks, when it is chosen and when it is read
def _known(config: LatentUNetConfig) -> tuple[Stems, Mapping[str, Shape]]:
    """What adapters may call the modules of such a U-Net, and the shapes of its tensors."""
    outline = Outline(config)
    return unet_stems(outline), outline.shapes
