"""Attention by torch's own kernels, each by its name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor
from torch.backends import cuda
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from nodeflow.kernels.attention.naive import additive, allowed

KERNELS: dict[str, SDPBackend] = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
CAN_USE: dict[str, Callable[..., bool]] = {
    "cudnn": cuda.can_use_cudnn_attention,
    "flash": cuda.can_use_flash_attention,
    "efficient": cuda.can_use_efficient_attention,
}


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    causal: bool,
    scale: float,
    *,
    kernel: str | None = None,
) -> Tensor:
    """`naive.attention` by `scaled_dot_product_attention`: by the kernel of that name, or by torch's own choice."""
    term, idle = _terms(q, k, bias, mask, causal)
    only: AbstractContextManager[None] = nullcontext() if kernel is None else sdpa_kernel(KERNELS[kernel])
    with only:
        y = scaled_dot_product_attention(
            q, k, v, attn_mask=term, is_causal=causal and term is None, scale=scale, enable_gqa=_grouped(q, k)
        )
    return y if idle is None else y.masked_fill(idle, 0.0)


def cannot(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    causal: bool,
    scale: float,
    *,
    kernel: str,
) -> str | None:
    """Why torch's kernel of that name does not take these, or None if it does."""
    del scale
    if q.device.type != "cuda":
        return f"a tensor on {q.device.type}"
    if kernel not in CAN_USE:
        return None
    if kernel == "flash" and (bias is not None or mask is not None):
        return "a bias or a mask"
    # the term's shape and type is all that is looked at
    term = None if bias is None and mask is None else q.new_empty(1).expand(*q.shape[:3], k.shape[2])
    asked = cuda.SDPAParams(q, k, v, term, 0.0, causal and term is None, _grouped(q, k))
    return None if CAN_USE[kernel](asked) else "torch says that it cannot"


def _grouped(q: Tensor, k: Tensor) -> bool:
    # a branch, since torch takes no symbolic bool here, and the compiler may have made the heads symbolic
    if q.shape[1] != k.shape[1]:  # noqa: SIM103
        return True
    return False


def _terms(
    q: Tensor, k: Tensor, bias: Tensor | None, mask: Tensor | None, causal: bool
) -> tuple[Tensor | None, Tensor | None]:
    """One mask for torch, and which queries are idle.

    Not all of torch's kernels give those zeros, nor finite gradients: an idle query is let attend to everything, and
    its result is wiped. On a CPU they do.
    """
    if bias is None and mask is None:
        return None, None
    attended = allowed(mask, causal, q.shape[2], k.shape[2], q.device)
    if bias is None:
        assert attended is not None
        if q.device.type == "cpu":
            return attended, None
        idle = ~attended.any(-1, keepdim=True)
        return attended | idle, idle
    term = additive(bias, attended, q.dtype)
    assert term is not None
    if q.device.type == "cpu":
        return term, None
    idle = term.isneginf().all(-1, keepdim=True)
    return term.masked_fill(idle, 0.0), idle
