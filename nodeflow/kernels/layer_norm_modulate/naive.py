"""Layer normalisation and modulation in plain torch: the specification."""

import torch
from torch import Tensor
from torch.nn import functional as F


def layer_norm_modulate(x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """layer_norm(x) * (1 + scale) + shift, see `nodeflow.kernels.layer_norm_modulate`."""
    own = weight if weight is None else weight.to(x.dtype)
    normal = F.layer_norm(x, x.shape[-1:], own, None, eps)
    per_row = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
    scale, shift = scale.to(normal.dtype).reshape(per_row), shift.to(normal.dtype).reshape(per_row)
    return torch.addcmul(shift, normal, 1 + scale).contiguous()
