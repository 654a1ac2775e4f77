"""Layer normalisation and modulation in plain torch: the specification."""

import torch
from torch import Tensor

from nodeflow.kernels.layouts import of_type


def layer_norm_modulate(x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """layer_norm(x) * (1 + scale) + shift, see `nodeflow.kernels.layer_norm_modulate`."""
    own = weight if weight is None else of_type(x.dtype, weight)
    normal = torch.layer_norm(x, x.shape[-1:], own, None, eps)
    per_row = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
    slope, start = 1 + of_type(normal.dtype, scale), of_type(normal.dtype, shift)
    return torch.addcmul(start.reshape(per_row), normal, slope.reshape(per_row)).contiguous()
