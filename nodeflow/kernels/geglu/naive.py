"""GEGLU in plain torch: the specification."""

import torch
from torch import Tensor
from torch.nn import functional as F

from nodeflow.kernels.layouts import wants_gradient


def geglu(x: Tensor) -> Tensor:
    """A * gelu(b) of [..., 2 D] = (a, b), with the exact, erf form of GELU (Shazeer 2020, eq. 6)."""
    a, b = x.chunk(2, -1)
    gate = F.gelu(b)
    return (a * gate if wants_gradient(x) else gate.mul_(a)).contiguous()


def geglu_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient of x [..., 2 D] from that of the result [..., D]."""
    a, b = x.chunk(2, -1)
    return torch.cat([gradient * F.gelu(b), torch.ops.aten.gelu_backward(gradient * a, b)], -1)
