"""Attention that is hard on a kernel, for the interpreter and for a GPU; each is compared with float64.

Run as a process of its own, `attention_cases.py DEVICE THIN`: prints type, case, result and error as JSON.
"""

import json
import sys
from collections.abc import Iterator
from itertools import cycle
from typing import NamedTuple

import torch
from cases import KINDS, Numbers, error, poisoned
from torch import Tensor

from nodeflow.kernels.attention.tiles import Tiles, backward_tiles, every, forward_tiles

RESULTS = ("out", "lse", "dq", "dk", "dv")


class Asked(NamedTuple):
    """One call of attention."""

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor | None = None
    mask: Tensor | None = None
    causal: bool = False
    scale: float | None = None


def heads(x: Tensor, head: int) -> Tensor:
    """A view: [B, N, H * d] -> [B, H, N, d]."""
    return x.unflatten(-1, (-1, head)).transpose(1, 2)


def joined(number: Numbers, batch: int, rows: int, parts: int, count: int, head: int) -> tuple[Tensor, ...]:
    """What one projection gives, as views: q, k, v of a self-attention, k and v of a cross-attention."""
    return tuple(heads(part, head) for part in number(batch, rows, parts * count * head).chunk(parts, -1))


def cases(kind: str, device: str) -> Iterator[tuple[str, Asked]]:
    number = Numbers(kind, device)
    drawn = torch.Generator().manual_seed(3)

    def some(*shape: int) -> Tensor:
        return (torch.rand(*shape, generator=drawn) > 0.4).to(device)

    yield "views of a qkv, d40", Asked(*joined(number, 1, 130, 3, 2, 40))
    absent = some(2, 77)
    absent[0] = False
    q = heads(number(2, 130, 80), 80)
    yield "absent words, d80", Asked(q, *joined(number, 2, 77, 2, 1, 80), mask=absent[:, None, None])
    grouped = joined(number, 1, 77, 2, 2, 64)
    yield "causal, grouped, d64", Asked(heads(number(1, 77, 256), 64), *grouped, causal=True)
    yield "one query, one key head, d8", Asked(number(2, 3, 1, 8), number(2, 1, 130, 8), number(2, 1, 130, 8))
    pairs = some(1, 1, 77, 77)
    pairs[:, :, 5:9] = False
    extra = number(1, 1, 1, 77).float()
    yield "idle queries, d160", Asked(*joined(number, 1, 77, 3, 1, 160), bias=extra, mask=pairs)
    near = number(1, 2, 77, 130)
    wide = (number(1, 2, 77, 120), number(1, 2, 130, 120), number(1, 2, 130, 120))
    yield "bias, causal, more keys, d120", Asked(*wide, bias=near, causal=True)
    few = (number(2, 1, 17, 33), number(2, 1, 5, 33), number(2, 1, 5, 33))
    yield "causal, more queries, uneven rows, d33", Asked(*few, causal=True, scale=0.3)
    sides = some(1, 1, 70, 1)
    sides[0, 0, 0] = False
    small = (number(1, 1, 70, 16), number(1, 1, 66, 16), number(1, 1, 66, 16))
    yield "one mask and bias for all keys, d16", Asked(*small, bias=number(1, 1, 70, 1), mask=sides)
    hard = number(1, 1, 70, 66)
    hard[..., 30:, :7], hard[..., 3, :], hard[..., 4, 1:] = -torch.inf, -torch.inf, torch.finfo(hard.dtype).min
    yield "bias of -inf, d96", Asked(number(1, 1, 70, 96), number(1, 1, 66, 96), number(1, 1, 66, 96), bias=hard)
    # whole numbers: logits of up to 1e4 in steps of 256, so that each is exact, and equal ones are equal
    large = [16 * x.clamp(-3, 3).round() for x in (number(1, 1, 130, 32), number(1, 1, 77, 32))]
    yield "logits of 1e4, d32", Asked(*large, number(1, 1, 77, 32), scale=1.0)
    yield "fills its tiles, d128", Asked(*joined(number, 1, 128, 3, 1, 128))
    if number.reaches_far:
        for name, shape in (("pictures", (2, 17)), ("rows", (17, 2))):
            apart = number.far(*shape, 3 * 2 * 16)
            apart = apart if name == "pictures" else apart.transpose(0, 1)
            yield f"{name} far apart, d16", Asked(*(heads(part, 16) for part in apart.chunk(3, -1)))
        yield "a far bias, d16", Asked(number(2, 1, 9, 16), *number(2, 2, 1, 8, 16), bias=number.far(2, 1, 9, 8))


def tiled(number: Numbers) -> Iterator[tuple[str, Asked, Tiles, Tiles]]:
    """All tiles that a device may be given, forward and backward, where rows fill none of them."""
    shared = number(1, 1, 140, 20), number(1, 1, 140, 20)
    mask = torch.arange(140, device=number.device) % 5 > 0
    asked = Asked(number(1, 2, 150, 20), *shared, mask=mask[None, None, None], causal=True)
    # warps and stages change no number
    forward, backward = ({tiles[:2]: tiles for tiles in every(listed)} for listed in (forward_tiles, backward_tiles))
    for there, back in zip(cycle(forward.values()), backward.values(), strict=False):
        yield f"{there} and back {back}", asked, there, back


def fused(asked: Asked, gradient: Tensor, there: Tiles | None = None, back: Tiles | None = None) -> tuple[Tensor, ...]:
    from nodeflow.kernels.attention.launch import Call
    from nodeflow.kernels.attention.triton import backward, forward

    scale = asked.q.shape[-1] ** -0.5 if asked.scale is None else asked.scale
    call = Call.of(*asked[:6], scale)
    out, lse = forward(call, there, keep_lse=True)
    assert lse is not None
    return out, lse, *backward(call, gradient, out, lse, back)


def exact(asked: Asked, gradient: Tensor) -> tuple[Tensor, ...]:
    from nodeflow.kernels.attention import naive

    q, k, v = leaves = [x.double().requires_grad_() for x in asked[:3]]
    scale = q.shape[-1] ** -0.5 if asked.scale is None else asked.scale
    bias = None if asked.bias is None else asked.bias.double()
    out = naive.attention(q, k, v, bias=bias, mask=asked.mask, causal=asked.causal, scale=scale)
    _, lse = naive.forward(q, k, v, bias, asked.mask, asked.causal, scale)
    return out.detach(), lse.detach(), *torch.autograd.grad(out, leaves, gradient.double())


def measured(device: str, thin: int) -> Iterator[tuple[str, str, str, float]]:
    """Type, case, result, error; of float16 only each `thin`-th case, and all tiles in float32."""
    for kind in KINDS:
        asked = [(name, asked, None, None) for name, asked in cases(kind, device)]
        also = list(tiled(Numbers(kind, device))) if kind == "fp32" else []
        for name, one, there, back in [*asked[:: thin if kind == "fp16" else 1], *also]:
            yield from ((kind, name, *figure) for figure in judged(one, Numbers(kind, device), there, back))


def judged(asked: Asked, number: Numbers, there: Tiles | None, back: Tiles | None) -> Iterator[tuple[str, float]]:
    """Each result of a case and its error."""
    gradient = number(*asked.q.shape)
    with poisoned():
        got = fused(asked, gradient, there, back)
    for result, one, true in zip(RESULTS, got, exact(asked, gradient), strict=True):
        if result == "lse":
            idle = true.isinf()
            assert torch.equal(one.isinf(), idle)
            one, true = one.masked_fill(idle, 0.0), true.masked_fill(idle, 0.0)
        yield result, error(one, true)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(list(measured(sys.argv[1], int(sys.argv[2])))))
