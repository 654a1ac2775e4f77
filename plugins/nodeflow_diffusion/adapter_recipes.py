"""Denoisers with adapters and ControlNets: each a recipe made of another."""

from __future__ import annotations

from dataclasses import replace

from nodeflow import Denoiser, Patch
from nodeflow_diffusion.control_recipes import Control
from nodeflow_diffusion.latent_unet_recipes import PublishedDenoiser, leaf_of
from nodeflow_diffusion.patch_recipes import fitted
from nodeflow_diffusion.recipes import Around


def within(denoiser: Denoiser, what: str) -> PublishedDenoiser:
    """The published U-Net within whatever stands around it.

    Raises:
        ValueError: there is another network within.
    """
    found = leaf_of(denoiser)
    if found is None:
        raise ValueError(
            f"{what} changes U-Nets of Stable Diffusion, and there is none in this denoiser\n"
            "    load one by diffusion.load_checkpoint or diffusion.load_unet"
        )
    return found


def patched(denoiser: Denoiser, patch: Patch) -> Denoiser:
    """A denoiser whose U-Net is a model of its own, with other weights; the same one if nothing changes.

    Raises:
        ModelError: the patch does not fit the U-Net.
        ValueError: the denoiser has no U-Net of a published kind.
    """
    inner = within(denoiser, "a LoRA")
    adapter = fitted(inner.network.outline().config, patch)
    if not adapter.changes or patch.strength == 0:
        return denoiser
    network = replace(inner.network, patches=(*inner.network.patches, patch))
    return _with(denoiser, replace(inner, network=network))


def controlled(denoiser: Denoiser, control: Control) -> Denoiser:
    """A denoiser with one more ControlNet beside its U-Net; failures as `within`."""
    inner = within(denoiser, "a ControlNet")
    return _with(denoiser, replace(inner, controls=(*inner.controls, control)))


def _with(denoiser: Denoiser, inner: PublishedDenoiser) -> Denoiser:
    return replace(denoiser, denoiser=_with(denoiser.denoiser, inner)) if isinstance(denoiser, Around) else inner
