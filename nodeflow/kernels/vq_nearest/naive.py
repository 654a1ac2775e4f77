"""The nearest entry of a codebook in plain torch: the specification, and a form by matrix products."""

import torch
from torch import Tensor

from nodeflow.kernels.layouts import accumulator

MOST = 2**22
"""Distances held at once: 16 MB of float32, whatever N and K are."""


def vq_nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """argmin_k |z - codebook_k|, the lowest k of equals; [..., D], [K, D] -> [...] int64."""
    exact = accumulator(z.dtype)
    flat, entries = z.detach().reshape(-1, z.shape[-1]).to(exact), codebook.detach().to(exact)
    parts = [
        torch.cdist(part, entries, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        for part in _parts(flat, entries)
    ]
    return torch.cat(parts).view(z.shape[:-1])


def by_products(z: Tensor, codebook: Tensor) -> Tensor:
    """The same from |codebook_k|^2 / 2 - z codebook_k, both less the codebook's mean, which leaves distances alone."""
    flat, entries, half = centred(z, codebook)
    parts = [torch.addmm(half, part, entries.T, alpha=-1).argmin(1) for part in _parts(flat, entries)]
    return torch.cat(parts).view(z.shape[:-1])


def _parts(flat: Tensor, entries: Tensor) -> list[Tensor]:
    high = max(1, MOST // len(entries))
    return [flat[low : low + high] for low in range(0, max(len(flat), 1), high)]


def centred(z: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[N, D] and [K, D] less the mean of the codebook, and half the squares [K] of its entries; float32 or float64.

    Far from the origin the products would cancel: at a mean of 1e3 they would leave four digits fewer.
    """
    exact = accumulator(z.dtype)
    entries = codebook.detach().to(exact)
    middle = entries.mean(0)
    flat, entries = z.detach().reshape(-1, z.shape[-1]).to(exact) - middle, entries - middle
    return flat, entries, entries.square().sum(1) / 2
