"""The ways to compute attention, among which the dispatcher chooses, and the operators that tracing sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodeflow.kernels.attention import naive, sdpa
from nodeflow.kernels.attention.arguments import Arguments, bind
from nodeflow.kernels.attention.launch import Call, dense
from nodeflow.kernels.attention.tiles import LARGEST_HEAD, Tiles, backward_tiles, every, forward_tiles
from nodeflow.kernels.dispatch import Candidate, Operation, always, dispatcher
from nodeflow.kernels.layouts import accumulator, bucket, told, unfused
from nodeflow.kernels.operators import operator

FOLDER = Path(__file__).parent
Listed = Callable[[int, int, str], tuple[Tiles, ...]]


def unfusable(*arguments: Any) -> str | None:
    """Why no fused kernel takes these arguments, or None if one does."""
    q, k, v, bias, _, _, scale = arguments
    if reason := unfused(q, k, v, bias):
        return reason
    if q.shape[-1] > LARGEST_HEAD:
        return f"heads of {q.shape[-1]} columns; it takes up to {LARGEST_HEAD}"
    return None if scale > 0 else f"a scale of {scale}; it takes positive ones"


def _tiles_unfit(*arguments: Any, tiles: Tiles, listed: Listed) -> str | None:
    if reason := unfusable(*arguments):
        return reason
    q: Tensor = arguments[0]
    fitting = listed(q.shape[-1], q.element_size(), _target(q.device.index or 0))
    return None if tiles in fitting else "tiles for other heads, types or devices"


@cache
def _target(index: int) -> str:
    if torch.version.hip is not None:
        return "gfx942"
    return "sm_90" if torch.cuda.get_device_capability(index) >= (9, 0) else "sm_80"


def _fused(*arguments: Any, tiles: Tiles | None) -> Tensor:
    from nodeflow.kernels.attention.triton import forward

    return forward(Call.of(*arguments), tiles)[0]


def _fused_forward(*arguments: Any, tiles: Tiles | None) -> tuple[Tensor, Tensor]:
    from nodeflow.kernels.attention.triton import forward

    y, lse = forward(Call.of(*arguments), tiles, keep_lse=True)
    assert lse is not None
    return y, lse


def _fused_backward(gradient: Tensor, out: Tensor, lse: Tensor, *arguments: Any, tiles: Tiles | None) -> Any:
    from nodeflow.kernels.attention.triton import backward

    return backward(Call.of(*arguments), gradient, out, lse, tiles)


def laid(y: Tensor) -> Tensor:
    """The same in the layout that all forms give, [B, N, H, d] underneath; most of them give it already."""
    _, h, n, d = y.shape
    wanted = (n * h * d, d, h * d, 1)
    if all(size == 1 or own == want for size, own, want in zip(y.shape, y.stride(), wanted, strict=True)):
        return y.as_strided(y.shape, wanted)
    return dense(y).copy_(y)


def _theirs(*arguments: Any, kernel: str | None) -> Tensor:
    return laid(sdpa.attention(*arguments, kernel=kernel))


def _naive(*arguments: Any) -> Tensor:
    q, k, v, bias, mask, causal, scale = arguments
    return laid(naive.attention(q, k, v, bias=bias, mask=mask, causal=causal, scale=scale))


def _naive_forward(*arguments: Any) -> tuple[Tensor, Tensor]:
    y, lse = naive.forward(*arguments)
    return laid(y), lse.contiguous()


def _naive_backward(gradient: Tensor, out: Tensor, lse: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    q, k, v, *rest = arguments
    return tuple(map(laid, naive.backward(gradient, q, k, v, out, lse, *rest)))


def _trained(*arguments: Any, form: Callable[..., Tensor]) -> tuple[Tensor, ...]:
    """Forward and backward, to be measured as one."""
    with torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in arguments[:3]]
        y = form(*leaves, *arguments[3:])
        return torch.autograd.grad(y, leaves, torch.ones_like(y))


def trainable(*arguments: Any) -> Tensor:
    """The fused form with its backward: an operator that autograd knows."""
    y: Tensor = _forward(*arguments)[0]
    return y


def _key(*arguments: Any) -> str:
    q, k, v, bias, mask, causal, _ = arguments
    sizes = (bucket(q.shape[0]), q.shape[1], k.shape[1], bucket(q.shape[2]), bucket(k.shape[2]), q.shape[3])
    # what a wide load needs, and what says whether rows lie side by side
    lying = [f"{int(all(s % 8 == 0 for s in x.stride()[:3]))}{int(x.stride(2) == x.shape[3])}" for x in (q, k, v)]
    kinds = ["-" if x is None else f"{int(x.shape[2] > 1)}" for x in (bias, mask)]
    return told(q.dtype, *sizes, "".join(lying), *kinds, "causal" if causal else "all")


def _backward_key(gradient: Tensor, out: Tensor, lse: Tensor, *arguments: Any) -> str:
    del out, lse
    return told(_key(*arguments), gradient.stride(2) == gradient.shape[3])


def _configured(tiles: Tiles) -> dict[str, int | str]:
    return dict(tiles._asdict())


def _by_tiles(run: Callable[..., Any], listed: Listed, *, skip: int = 0) -> tuple[Candidate, ...]:
    """A candidate for each of the tiles; `skip`: how many arguments stand before attention's own."""

    def legal(tiles: Tiles) -> Callable[..., str | None]:
        return lambda *arguments: _tiles_unfit(*arguments[skip:], tiles=tiles, listed=listed)

    return tuple(
        Candidate(f"triton {tiles}", "triton", legal(tiles), partial(run, tiles=tiles), _configured(tiles))
        for tiles in every(listed)
    )


def _torchs(run: Callable[..., Callable[..., Any]]) -> tuple[Candidate, ...]:
    """What torch chooses itself, each of its kernels, and the plain form."""
    return (
        Candidate("sdpa", "torch", always, run(partial(_theirs, kernel=None))),
        *(
            Candidate(f"sdpa {name}", "torch", partial(sdpa.cannot, kernel=name), run(partial(_theirs, kernel=name)))
            for name in sdpa.KERNELS
        ),
        Candidate("naive", "torch", always, run(_naive)),
    )


def _limited(operation: Operation) -> dict[str, Operation]:
    """The operation with all its candidates, and with those of one kind."""
    kinds = {
        kind: replace(
            operation,
            name=f"{operation.name}_{kind}",
            candidates=tuple(candidate for candidate in operation.candidates if candidate.kind == kind),
        )
        for kind in ("torch", "triton")
    }
    return {"auto": operation, **kinds}


OPERATION = Operation("attention", (*_torchs(lambda form: form), *_by_tiles(_fused, forward_tiles)), bind, _key, FOLDER)
TRAINING = Operation(
    "attention_training",
    (
        *_torchs(lambda form: partial(_trained, form=form)),
        Candidate("triton", "triton", unfusable, partial(_trained, form=trainable)),
    ),
    bind,
    _key,
    FOLDER,
)
FORWARD = Operation(
    "attention_forward",
    (Candidate("naive", "torch", always, _naive_forward), *_by_tiles(_fused_forward, forward_tiles)),
    bind,
    _key,
    FOLDER,
)
BACKWARD = Operation(
    "attention_backward",
    (Candidate("naive", "torch", always, _naive_backward), *_by_tiles(_fused_backward, backward_tiles, skip=3)),
    lambda *arguments: arguments,
    _backward_key,
    FOLDER,
)
INFERRED, TRAINED = _limited(OPERATION), _limited(TRAINING)

TENSORS = "Tensor q, Tensor k, Tensor v, Tensor? bias, Tensor? mask, bool causal, float scale"


def _like(q: Tensor, *rest: Any) -> Tensor:
    del rest
    return dense(q)


def _forward_like(q: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    del rest
    return dense(q), q.new_empty(q.shape[:3], dtype=accumulator(q.dtype))


def _backward_like(gradient: Tensor, out: Tensor, lse: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    del gradient, out, lse
    return tuple(dense(x) for x in arguments[:3])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    given = Arguments(*inputs)
    ctx.causal, ctx.scale = given.causal, given.scale
    ctx.save_for_backward(*output, *given[:5])
    ctx.mark_non_differentiable(output[1])


def _gradient(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    dq, dk, dv = _backward(gradient, *ctx.saved_tensors, ctx.causal, ctx.scale)
    return dq, dk, dv, None, None, None, None


OPERATORS = {
    backend: operator(f"({TENSORS}) -> Tensor", partial(_theirs, kernel=None), _like, operation)
    for backend, operation in INFERRED.items()
}
_forward = operator(f"({TENSORS}) -> (Tensor, Tensor)", _naive_forward, _forward_like, FORWARD)
_backward = operator(
    f"(Tensor gradient, Tensor out, Tensor lse, {TENSORS}) -> (Tensor, Tensor, Tensor)",
    _naive_backward,
    _backward_like,
    BACKWARD,
)
_forward.register_autograd(_gradient, setup_context=_keep)


def choose_training(backend: str, *arguments: Any) -> str:
    """The candidate of `TRAINING` that is to compute these."""
    return dispatcher().choose(TRAINED[backend], *arguments).implementation
