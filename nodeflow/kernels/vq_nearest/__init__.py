"""Vector quantisation: the nearest entry of a codebook, without a matrix of all distances."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from nodeflow.kernels.dispatch import Candidate, Operation, always
from nodeflow.kernels.layouts import bucket, expect_floats, expect_shape, told, unfused
from nodeflow.kernels.operators import called, operator
from nodeflow.kernels.vq_nearest import naive

TILES = ((64, 64), (128, 64))
FOLDER = Path(__file__).parent


def vq_nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """The number of the codebook's entry that is nearest to each z (VQ-VAE; van den Oord et al. 2017, eq. 1).

    Distances are Euclidean, computed in float32 (float64 for float64); of entries equally near as computed, the
    lowest number. There are never N x K distances in memory. A z with a NaN gets 0. No gradient flows through a choice.

    Args:
        z: [..., D].
        codebook: [K, D], of any floating point type.

    Returns: [...] int64, 0 to K - 1, contiguous.

    Raises:
        TypeError: a tensor is of no floating point type.
        ValueError: the last dimensions differ, or the codebook is empty or not [K, D].
    """
    arguments = bind(z, codebook)
    y: Tensor = called(OPERATION, _vq_nearest, naive.by_products, arguments)
    return y


def bind(z: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """The arguments, judged, without their gradients."""
    expect_floats(z=z, codebook=codebook)
    if codebook.ndim != 2 or 0 in codebook.shape:
        raise ValueError(f"codebook has shape {list(codebook.shape)}, but expected [K, D] with at least one entry")
    if z.ndim == 0:
        raise ValueError("z has no dimension, but expected [..., D]")
    expect_shape("codebook", codebook, (codebook.shape[0], z.shape[-1]))
    return z.detach(), codebook.detach()


def _legal(z: Tensor, codebook: Tensor) -> str | None:
    return unfused(z, codebook)


def _key(z: Tensor, codebook: Tensor) -> str:
    return told(z.dtype, codebook.dtype, bucket(z.numel() // z.shape[-1]), bucket(codebook.shape[0]), z.shape[-1])


def _fused(z: Tensor, codebook: Tensor, high: int, wide: int) -> Tensor:
    from nodeflow.kernels.vq_nearest.triton import vq_nearest

    return vq_nearest(z, codebook, high, wide)


OPERATION = Operation(
    "vq_nearest",
    (
        Candidate("torch products", "torch", always, naive.by_products),
        Candidate("torch distances", "torch", always, naive.vq_nearest),
        *(
            Candidate(
                f"triton {high}x{wide}",
                "triton",
                _legal,
                partial(_fused, high=high, wide=wide),
                {"rows": high, "entries": wide},
            )
            for high, wide in TILES
        ),
    ),
    bind,
    _key,
    FOLDER,
)


def _like(z: Tensor, codebook: Tensor) -> Tensor:
    del codebook
    return z.new_empty(z.shape[:-1], dtype=torch.int64)


_vq_nearest = operator("(Tensor z, Tensor codebook) -> Tensor", naive.by_products, _like, OPERATION)
