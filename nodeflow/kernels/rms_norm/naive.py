"""Root-mean-square normalisation in plain torch: the specification."""

import torch
from torch import Tensor

from nodeflow.kernels.layouts import accumulator, of_type


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """X / sqrt(mean(x^2) + eps) * weight over the last dimension."""
    wide = x.to(accumulator(x.dtype))
    y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype).contiguous()


def torchs_own(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """The same by `torch.nn.functional.rms_norm`, which has a fused kernel on CUDA from torch 2.9 on."""
    own = weight if weight is None else of_type(x.dtype, weight)
    return torch.rms_norm(x, x.shape[-1:], own, eps).contiguous()
