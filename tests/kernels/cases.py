"""Arguments that are hard on a kernel, for the interpreter and for a GPU; each is compared with float64.

Run as a process of its own, `cases.py OPERATION DEVICE THIN`, since the interpreter has to be asked for before triton
is imported; prints the errors as JSON. Shapes are odd on purpose.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor

KINDS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
MEANS = {"fp32": 1e4, "fp16": 500.0, "bf16": 100.0}
FAR = 2**31 + 2**10
"""Numbers apart, more than an int32 counts."""
ROOM = 32 * 2**30
"""Bytes that a GPU must have free for tensors whose parts are so far apart: several of 4 GB each."""


class Case(NamedTuple):
    name: str
    fused: Callable[[], Any]
    exact: Callable[[], Any]


def error(got: Tensor, exact: Tensor) -> float:
    """Frobenius error relative to the exact result; not a number if it was left unwritten."""
    assert got.shape == exact.shape
    got, exact = got.double(), exact.to(got.device)
    return float((got - exact).norm() / exact.norm().clamp_min(1e-300))


def results(value: Any) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


@contextlib.contextmanager
def poisoned() -> Iterator[None]:
    """Memory that a kernel is to fill holds NaN, or a number far out, before it does."""

    def spoilt(make: Any) -> Any:
        def made(*args: Any, **kwargs: Any) -> Tensor:
            tensor: Tensor = make(*args, **kwargs)
            return tensor.fill_(float("nan") if tensor.is_floating_point() else -(2**40))

        return made

    like = mock.patch.object(torch, "empty_like", spoilt(torch.empty_like))
    with like, mock.patch.object(torch, "empty", spoilt(torch.empty)):
        yield


def doubled(*values: Any) -> tuple[Any, ...]:
    return tuple(value.double() if isinstance(value, Tensor) else value for value in values)


class Numbers:
    """Normal numbers of one type on one device, the same in every run."""

    def __init__(self, kind: str, device: str) -> None:
        self.dtype, self.device = KINDS[kind], device
        self.generator = torch.Generator().manual_seed(7)
        room = device == "cpu" or torch.cuda.mem_get_info()[0] > ROOM
        self.reaches_far = kind == "bf16" and room

    def __call__(self, *shape: int, mean: float = 0.0) -> Tensor:
        return (torch.randn(*shape, generator=self.generator) + mean).to(self.device, self.dtype)

    def far(self, *shape: int) -> Tensor:
        """The first dimension's last part lies FAR behind its first, by strides that an int32 holds.

        A CPU takes no memory for what is between.
        """
        near, stride = self(*shape), FAR // (shape[0] - 1)
        between = torch.empty(stride * (shape[0] - 1) + near[0].numel(), dtype=self.dtype, device=self.device)
        return between.as_strided(shape, (stride, *near.stride()[1:])).copy_(near)


def geglu(kind: str, device: str) -> Iterator[Case]:
    from nodeflow.kernels.geglu import naive
    from nodeflow.kernels.geglu import triton as fused

    number = Numbers(kind, device)
    for name, x in {
        "odd": number(5, 7, 2 * 613),
        "strided rows": number(9, 1300)[::2, 100:500],
        "heads": number(2, 5, 3, 64).transpose(1, 2),
        "one": number(1, 2),
        "large": 30 * number(3, 256),
        **({"far apart": number.far(5, 3, 40)} if number.reaches_far else {}),
    }.items():
        gradient = number(*x.shape[:-1], x.shape[-1] // 2)
        yield Case(f"forward {name}", lambda x=x: fused.geglu(x, 512), lambda x=x: naive.geglu(x.double()))
        yield Case(
            f"backward {name}",
            lambda x=x, g=gradient: fused.geglu_backward(g, x, 512),
            lambda x=x, g=gradient: naive.geglu_backward(g.double(), x.double()),
        )


def rms_norm(kind: str, device: str) -> Iterator[Case]:
    from nodeflow.kernels.rms_norm import naive
    from nodeflow.kernels.rms_norm import triton as fused

    number = Numbers(kind, device)
    heads = number(2, 11, 3 * 4 * 40).chunk(3, -1)[1].unflatten(-1, (4, 40)).transpose(1, 2)
    for name, x, weight in (
        ("odd", number(37, 63), number(63)),
        ("heads of a qkv", heads, number(40)),
        ("no weight", number(3, 1500), None),
        ("float32 weight", number(6, 320), number(320).float()),
        ("one", number(3, 1), number(1)),
        ("small", 1e-3 * number(5, 65), number(65)),
        *([("far apart", number.far(33, 2, 40), number(40))] if number.reaches_far else []),
    ):
        for tile in (1024, 4096):
            yield Case(
                f"{name} {tile}",
                lambda x=x, w=weight, tile=tile: fused.rms_norm(x, w, 1e-6, tile),
                lambda x=x, w=weight: naive.rms_norm(*doubled(x, w), 1e-6),
            )


def layer_norm_modulate(kind: str, device: str) -> Iterator[Case]:
    from nodeflow.kernels.layer_norm_modulate import naive
    from nodeflow.kernels.layer_norm_modulate import triton as fused

    number = Numbers(kind, device)
    table = number(3, 6, 72)
    for name, x, weight, scale, shift in (
        ("odd", number(3, 7, 61), number(61), number(3, 61), number(3, 61)),
        ("rows of a table", number(3, 5, 72), None, table[:, 1], table[:, 3]),
        ("large mean", number(2, 9, 320, mean=MEANS[kind]), number(320), number(2, 320), number(2, 320)),
        ("strided", number(2, 9, 900)[:, ::2, 100:420], None, number(2, 320), number(2, 320)),
        ("no rows between", number(4, 1100), number(1100), number(4, 1100), number(4, 1100).T.contiguous().T),
        *([("far apart", number.far(5, 3, 40), None, number(5, 40), number(5, 40))] if number.reaches_far else []),
    ):
        yield Case(
            name,
            lambda a=(x, weight, scale, shift): fused.layer_norm_modulate(*a, 1e-5, 1024),
            lambda a=(x, weight, scale, shift): naive.layer_norm_modulate(*doubled(*a), 1e-5),
        )


def guided_step(kind: str, device: str) -> Iterator[Case]:
    from nodeflow.kernels.guided_step import naive
    from nodeflow.kernels.guided_step import triton as fused

    number = Numbers(kind, device)
    shape = (2, 5, 17, 13)
    cond, uncond, x, noise = (number(*shape) for _ in range(4))
    last = cond.contiguous(memory_format=torch.channels_last)
    both = number(4, 5, 17, 13).chunk(2)
    weights = (7.5, 0.98, -0.13, 0.07)
    for name, arguments in {
        "whole": (cond, uncond, x, noise, *weights, None),
        "clipped": (cond, uncond, x, noise, *weights, 0.8),
        "no guidance": (cond, None, x, noise, *weights, 0.8),
        "no noise": (cond, uncond, x, None, 7.5, 0.98, -0.13, 0.0, None),
        "one batch of both": (*both, x, noise, *weights, None),
        "channels-last network": (last, last, x, noise, *weights, 2.0),
        "every other picture": (number(4, 5, 17, 13)[::2], uncond, x, noise, *weights, 1),
        "float32 sample": (cond, uncond, x.float(), noise.float(), *weights, None),
        "flat": (*(t.flatten() for t in (cond, uncond, x, noise)), *weights, 1.5),
        **(
            {"far apart": (*(number.far(5, 3, 17)[:, None], *number(3, 5, 1, 3, 17)), *weights, None)}
            if number.reaches_far
            else {}
        ),
    }.items():
        yield Case(
            name,
            lambda a=arguments: fused.guided_step(*a, block=256),
            lambda a=arguments: naive.guided_step(*doubled(*a)),
        )


def vq_nearest(kind: str, device: str) -> Iterator[Case]:
    """Compared by number; far from the origin, where several may be as near, by the distance of what was chosen."""
    from nodeflow.kernels.vq_nearest import naive
    from nodeflow.kernels.vq_nearest import triton as fused

    number = Numbers(kind, device)
    # whole numbers around 0, so that no arithmetic rounds and equal distances are equal in every order of summing
    whole = (2 * number(35, 8)).round().clamp(-4, 4)
    twice = torch.cat([whole, -whole]).repeat(2, 1)
    for name, z, codebook in (
        ("odd", number(3, 23, 37), number(131, 37)),
        ("thin", number(150, 3), number(65, 3)),
        ("deep", number(70, 150), number(70, 150)),
        ("one entry", number(5, 4), number(1, 4)),
        ("equal entries", (2 * number(100, 8)).round().clamp(-4, 4), twice),
        ("equal distances", number(9, 8) * 0, torch.ones_like(twice)),
    ):
        yield Case(
            name,
            lambda z=z, c=codebook: fused.vq_nearest(z, c, 64, 64).double() + 1,
            lambda z=z, c=codebook: naive.vq_nearest(z.double(), c.double()).double() + 1,
        )
    z, codebook = number(90, 16, mean=MEANS[kind]), number(100, 16, mean=MEANS[kind])

    def distance(chosen: Tensor) -> Tensor:
        return (z.double() - codebook.double()[chosen]).norm(dim=1)

    yield Case(
        "far away",
        lambda: distance(fused.vq_nearest(z, codebook, 128, 64)),
        lambda: distance(naive.vq_nearest(z.double(), codebook.double())),
    )


def group_norm_act(kind: str, device: str) -> Iterator[Case]:
    from nodeflow.kernels.group_norm_act import naive
    from nodeflow.kernels.group_norm_act import triton as fused

    numbers = Numbers(kind, device)
    for name, x, parameters, groups, act in _normed(numbers, MEANS[kind]):
        arguments = (x, *parameters, groups, 1e-5, act)
        for one in (True, False):
            if one and not fused.fits_one(x, groups):
                continue
            yield Case(
                f"{'one' if one else 'split'} {name}",
                lambda a=arguments, one=one: fused.group_norm_act(*a, one=one),
                lambda a=arguments: naive.group_norm_act(*doubled(*a)),
            )
        gradient = numbers(*x.shape)
        yield Case(
            f"backward {name}",
            lambda a=arguments, g=gradient: fused.group_norm_act_backward(g, *a),
            lambda a=arguments, g=gradient: naive.group_norm_act_backward(*doubled(g, *a)),
        )


def _normed(number: Numbers, mean: float) -> Iterator[tuple[str, Tensor, tuple[Tensor | None, ...], int, str]]:
    def last(x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)

    def parameters(batch: int, channels: int) -> tuple[Tensor, ...]:
        return number(channels), number(channels), number(batch, channels), number(batch, channels)

    odd, wide = number(2, 40, 9, 7), number(1, 6, 67, 65)
    yield "odd", odd, parameters(2, 40), 4, "silu"
    yield "odd channels-last", last(odd), parameters(2, 40), 4, "silu"
    yield "pieces", wide, parameters(1, 6), 2, "silu"
    yield "pieces channels-last", last(wide), parameters(1, 6), 2, "none"
    yield "large mean", number(2, 12, 8, 9, mean=mean), parameters(2, 12), 3, "silu"
    yield "large mean channels-last", last(number(2, 12, 8, 9, mean=mean)), parameters(2, 12), 3, "silu"
    yield "no parameters", odd, (None,) * 4, 5, "none"
    yield "a part of each", odd, (None, number(40), number(2, 40), None), 8, "silu"
    yield "float32 parameters", odd, tuple(t.float() for t in parameters(2, 40)), 8, "silu"
    yield "some channels", number(2, 60, 5, 6)[:, 8:48], parameters(2, 40), 4, "silu"
    yield "some channels, last", last(number(2, 60, 5, 6))[:, 8:48], parameters(2, 40), 4, "silu"
    yield "every other picture", number(4, 40, 5, 6)[::2], parameters(2, 40), 4, "silu"
    yield "a line", number(2, 20, 33), (number(20), number(20), *number(2, 2, 20).unbind(1)), 5, "silu"
    yield "one place", number(2, 30, 1, 1), parameters(2, 30), 5, "silu"
    if number.reaches_far:
        yield "pictures far apart", number.far(5, 12, 9), parameters(5, 12), 3, "silu"
        yield "channels far apart", number.far(12, 2, 9).transpose(0, 1), parameters(2, 12), 3, "silu"
        yield "places far apart", number.far(9, 2, 12).permute(1, 2, 0), parameters(2, 12), 3, "silu"


OPERATIONS = {
    made.__name__: made for made in (geglu, group_norm_act, guided_step, layer_norm_modulate, rms_norm, vq_nearest)
}


def measured(operation: str, device: str, thin: int = 1) -> Iterator[tuple[str, str, int, float]]:
    """Type, case, number of the result, error: of the cases of an operation; of float16 only each `thin`-th."""
    for kind in KINDS:
        for case in list(OPERATIONS[operation](kind, device))[:: thin if kind == "fp16" else 1]:
            with poisoned():
                got = results(case.fused())
            for number, (one, exact) in enumerate(zip(got, results(case.exact()), strict=True)):
                assert one.dtype in (KINDS[kind], torch.float32, torch.float64)
                yield kind, case.name, number, error(one, exact)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(list(measured(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
