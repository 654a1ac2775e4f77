"""Group normalisation, FiLM and activation.

"one": a program for each group that fits in registers: one read, one write. "split": moments of each channel over
pieces of the places, so that a batch of two fills a large chip; their combination; then the result: two reads, one
write. Moments are of x minus the group's first number, by Chan's formula: a mean of 1e4 costs no accuracy.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from nodeflow.kernels.compiled import Compiled
from nodeflow.kernels.group_norm_act.naive import folded, group_means
from nodeflow.kernels.layouts import channels_last, images

TILE, WARPS = 2048, 8
"""Numbers of a tile, eight in each thread: with 32, triton 3.6 spills 195 registers on sm_90, with 16, ten on sm_80."""
PROGRAMS = 1024
"""Programs that should be there: seven for each of 132 processors."""
MOST_PIECES = 64


@triton.jit
def _affine(weight, bias, scale, shift, b, c, inside, scale_b, shift_b, HAS: tl.constexpr):
    """Slope and offset of each channel: weight, bias, scale and shift, those whose bit is set in HAS."""
    slope = tl.full(c.shape, 1.0, tl.float32)
    if HAS & 4:
        slope += tl.load(scale + b * scale_b + c, inside, 0.0).to(tl.float32)
    offset = tl.zeros(c.shape, tl.float32)
    if HAS & 2:
        offset += slope * tl.load(bias + c, inside, 0.0).to(tl.float32)
    if HAS & 8:
        offset += tl.load(shift + b * shift_b + c, inside, 0.0).to(tl.float32)
    if HAS & 1:
        slope *= tl.load(weight + c, inside, 0.0).to(tl.float32)
    return slope, offset


@triton.jit
def _tile(p, c, stride_p, stride_c):
    return p.to(tl.int64)[:, None] * stride_p + c.to(tl.int64)[None, :] * stride_c


@triton.jit
def _one(
    x, y, weight, bias, scale, shift, C, P, SIZE, eps, xb, xc, xp, yb, yc, yp, scale_b, shift_b,
    HAS: tl.constexpr, SILU: tl.constexpr, BP: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    groups = C // SIZE
    b = (tl.program_id(0) // groups).to(tl.int64)
    first = tl.program_id(0) % groups * SIZE
    p, i = tl.arange(0, BP), tl.arange(0, BC)
    c = first + i
    inside = (p < P)[:, None] & (i < SIZE)[None, :]
    start = x + b * xb
    pivot = tl.load(start + first.to(tl.int64) * xc).to(tl.float32)
    v = tl.load(start + _tile(p, c, xp, xc), inside, 0.0).to(tl.float32)
    v = tl.where(inside, v - pivot, 0.0)
    count = P * 1.0 * SIZE
    mean = tl.sum(tl.sum(v, 0), 0) / count
    v = tl.where(inside, v - mean, 0.0)
    variance = tl.sum(tl.sum(v * v, 0), 0) / count
    slope, offset = _affine(weight, bias, scale, shift, b, c, i < SIZE, scale_b, shift_b, HAS)
    h = v * (1.0 / tl.sqrt_rn(variance + eps)) * slope[None, :] + offset[None, :]
    if SILU:
        h = h * tl.sigmoid(h)
    tl.store(y + b * yb + _tile(p, c, yp, yc), h.to(y.dtype.element_ty), inside)


@triton.jit
def _moments(
    x, means, squares, C, P, SIZE, pieces, piece, xb, xc, xp, BP: tl.constexpr, BC: tl.constexpr
):  # fmt: skip
    b = (tl.program_id(0) // pieces).to(tl.int64)
    low = tl.program_id(0) % pieces * piece
    high = tl.minimum(low + piece, P)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    start = x + b * xb
    pivot = tl.load(start + (c // SIZE * SIZE).to(tl.int64) * xc, c < C, 0.0).to(tl.float32)
    mean = tl.zeros([BC], tl.float32)
    square = tl.zeros([BC], tl.float32)
    for at in range(low, high, BP):
        p = at + tl.arange(0, BP)
        inside = (p < high)[:, None] & (c < C)[None, :]
        v = tl.load(start + _tile(p, c, xp, xc), inside, 0.0).to(tl.float32) - pivot[None, :]
        v = tl.where(inside, v, 0.0)
        before = (at - low) * 1.0
        fresh = tl.minimum(high - at, BP) * 1.0
        fresh_mean = tl.sum(v, 0) * (1.0 / fresh)
        away = tl.where(inside, v - fresh_mean[None, :], 0.0)
        delta = fresh_mean - mean
        mean += delta * (fresh / (before + fresh))
        square += tl.sum(away * away, 0) + delta * delta * (before * fresh / (before + fresh))
    out = tl.program_id(0).to(tl.int64) * C + c
    tl.store(means + out, mean, c < C)
    tl.store(squares + out, square, c < C)


@triton.jit
def _combined(means, squares, statistics, C, P, SIZE, pieces, piece, eps, BC: tl.constexpr):
    groups = C // SIZE
    b = (tl.program_id(0) // groups).to(tl.int64)
    i = tl.arange(0, BC)
    c = tl.program_id(0) % groups * SIZE + i
    mean = tl.zeros([BC], tl.float32)
    square = tl.zeros([BC], tl.float32)
    for s in range(pieces):
        at = (b * pieces + s) * C + c
        before = s * piece * 1.0
        fresh = tl.minimum(P - s * piece, piece) * 1.0
        delta = tl.load(means + at, i < SIZE, 0.0) - mean
        mean += delta * (fresh / (before + fresh))
        square += tl.load(squares + at, i < SIZE, 0.0) + delta * delta * (before * fresh / (before + fresh))
    whole = tl.sum(mean, 0) / SIZE
    away = tl.where(i < SIZE, mean - whole, 0.0)
    variance = (tl.sum(square, 0) / P + tl.sum(away * away, 0)) / SIZE
    out = statistics + tl.program_id(0).to(tl.int64) * 2
    tl.store(out, whole)
    tl.store(out + 1, 1.0 / tl.sqrt_rn(variance + eps))


@triton.jit
def _normal(x, statistics, b, p, c, C, P, SIZE, xb, xc, xp):
    """The normalised x of a tile, 0 outside; 1 / sqrt(variance + eps) of each channel."""
    start = x + b * xb
    pivot = tl.load(start + (c // SIZE * SIZE).to(tl.int64) * xc, c < C, 0.0).to(tl.float32)
    own = statistics + (b * (C // SIZE) + c // SIZE) * 2
    mean, inverse = tl.load(own, c < C, 0.0), tl.load(own + 1, c < C, 0.0)
    inside = (p < P)[:, None] & (c < C)[None, :]
    v = tl.load(start + _tile(p, c, xp, xc), inside, 0.0).to(tl.float32)
    return tl.where(inside, ((v - pivot[None, :]) - mean[None, :]) * inverse[None, :], 0.0), inverse


@triton.jit
def _apply(
    x, y, statistics, weight, bias, scale, shift, C, P, SIZE, pieces, xb, xc, xp, yb, yc, yp, scale_b, shift_b,
    HAS: tl.constexpr, SILU: tl.constexpr, BP: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    b = (tl.program_id(0) // pieces).to(tl.int64)
    p = tl.program_id(0) % pieces * BP + tl.arange(0, BP)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    v, _ = _normal(x, statistics, b, p, c, C, P, SIZE, xb, xc, xp)
    slope, offset = _affine(weight, bias, scale, shift, b, c, c < C, scale_b, shift_b, HAS)
    h = v * slope[None, :] + offset[None, :]
    if SILU:
        h = h * tl.sigmoid(h)
    inside = (p < P)[:, None] & (c < C)[None, :]
    tl.store(y + b * yb + _tile(p, c, yp, yc), h.to(y.dtype.element_ty), inside)


@triton.jit
def _before_act(gradient, v, slope, offset, b, p, c, C, P, gb, gc, gp, SILU: tl.constexpr):
    """The gradient before the activation, 0 outside."""
    inside = (p < P)[:, None] & (c < C)[None, :]
    g = tl.load(gradient + b * gb + _tile(p, c, gp, gc), inside, 0.0).to(tl.float32)
    if SILU:
        h = v * slope[None, :] + offset[None, :]
        bent = tl.sigmoid(h)
        g *= bent * (1.0 + h * (1.0 - bent))
    return g


@triton.jit
def _sums(
    gradient, x, statistics, slopes, offsets, plain, weighted, C, P, SIZE, pieces, piece, gb, gc, gp, xb, xc, xp,
    SILU: tl.constexpr, BP: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    b = (tl.program_id(0) // pieces).to(tl.int64)
    low = tl.program_id(0) % pieces * piece
    high = tl.minimum(low + piece, P)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    slope = tl.load(slopes + b * C + c, c < C, 0.0)
    offset = tl.load(offsets + b * C + c, c < C, 0.0)
    first = tl.zeros([BC], tl.float32)
    second = tl.zeros([BC], tl.float32)
    for at in range(low, high, BP):
        p = at + tl.arange(0, BP)
        v, _ = _normal(x, statistics, b, p, c, C, high, SIZE, xb, xc, xp)
        g = _before_act(gradient, v, slope, offset, b, p, c, C, high, gb, gc, gp, SILU)
        first += tl.sum(g, 0)
        second += tl.sum(g * v, 0)
    out = tl.program_id(0).to(tl.int64) * C + c
    tl.store(plain + out, first, c < C)
    tl.store(weighted + out, second, c < C)


@triton.jit
def _backward(
    gradient, x, dx, statistics, slopes, offsets, firsts, seconds, C, P, SIZE, pieces,
    gb, gc, gp, xb, xc, xp, yb, yc, yp,
    SILU: tl.constexpr, BP: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    b = (tl.program_id(0) // pieces).to(tl.int64)
    p = tl.program_id(0) % pieces * BP + tl.arange(0, BP)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    slope = tl.load(slopes + b * C + c, c < C, 0.0)
    offset = tl.load(offsets + b * C + c, c < C, 0.0)
    v, inverse = _normal(x, statistics, b, p, c, C, P, SIZE, xb, xc, xp)
    g = _before_act(gradient, v, slope, offset, b, p, c, C, P, gb, gc, gp, SILU)
    own = b * (C // SIZE) + c // SIZE
    first, second = tl.load(firsts + own, c < C, 0.0), tl.load(seconds + own, c < C, 0.0)
    d = (g * slope[None, :] - first[None, :] - v * second[None, :]) * inverse[None, :]
    inside = (p < P)[:, None] & (c < C)[None, :]
    tl.store(dx + b * yb + _tile(p, c, yp, yc), d.to(dx.dtype.element_ty), inside)


def fits_one(x: Tensor, groups: int) -> bool:
    """Whether a group fits in the registers of one program."""
    places, size = x[0, 0].numel(), x.shape[1] // groups
    return bool(triton.next_power_of_2(places) * triton.next_power_of_2(size) <= 4 * TILE)


def group_norm_act(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    groups: int,
    eps: float,
    act: str,
    *,
    one: bool,
) -> Tensor:
    """The fused form: `one` program for each group, or several kernels that split the places."""
    y = _empty_like(x)
    channels, (places, *strides), (_, *into) = x.shape[1], _images(x), _images(y)
    has = sum(1 << bit for bit, t in enumerate((weight, bias, scale, shift)) if t is not None)
    scale, shift = _dense(scale), _dense(shift)
    given = [x if t is None else t for t in (weight, bias, scale, shift)]
    batch_strides = [0 if t is None else t.stride(0) for t in (scale, shift)]
    size, flags = channels // groups, {"HAS": has, "SILU": act == "silu"}
    if one:
        block = {"BP": triton.next_power_of_2(places), "BC": triton.next_power_of_2(size)}
        numbers = (channels, places, size, eps, *strides, *into, *batch_strides)
        warps = max(1, min(16, block["BP"] * block["BC"] // 512))
        _one[(x.shape[0] * groups,)](x, y, *given, *numbers, **flags, **block, num_warps=warps)
        return y
    statistics, block = _statistics(x, groups, eps)
    pieces = triton.cdiv(places, block["BP"])
    grid = (x.shape[0] * pieces, triton.cdiv(channels, block["BC"]))
    numbers = (channels, places, size, pieces, *strides, *into, *batch_strides)
    _apply[grid](x, y, statistics, *given, *numbers, **flags, **block | {"num_warps": _apply_warps(block["BC"])})
    return y


def _apply_warps(wide: int) -> int:
    """Four where channels lie side by side: with eight, triton 3.6 spills 21 registers of float16 on sm_80."""
    return WARPS if wide == 1 else 4


def group_norm_act_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    groups: int,
    eps: float,
    act: str,
) -> tuple[Tensor, Tensor]:
    """The gradient of x, and [2, B, C] sums; see `naive.group_norm_act_backward`. Computes the statistics anew."""
    gradient = gradient if images(gradient) else gradient.contiguous()
    dx = _empty_like(x)
    (batch, channels), (places, *strides), (_, *into) = x.shape[:2], _images(x), _images(dx)
    _, *coming = _images(gradient)
    statistics, block = _statistics(x, groups, eps)
    slope, offset = folded(weight, bias, scale, shift, x, torch.float32)
    pieces, piece = _pieces(batch, channels, places, block)
    parts = torch.empty(2, batch, pieces, channels, dtype=torch.float32, device=x.device)
    tiles, size, silu = triton.cdiv(channels, block["BC"]), channels // groups, act == "silu"
    _sums[(batch * pieces, tiles)](
        gradient, x, statistics, slope, offset, parts[0], parts[1], channels, places, size, pieces, piece,
        *coming, *strides, SILU=silu, **block,
    )  # fmt: skip
    sums = parts.sum(2)
    first, second = group_means(sums, slope, groups, places)
    pieces = triton.cdiv(places, block["BP"])
    _backward[(batch * pieces, tiles)](
        gradient, x, dx, statistics, slope, offset, first.contiguous(), second.contiguous(), channels, places, size,
        pieces, *coming, *strides, *into, SILU=silu, **block,
    )  # fmt: skip
    return dx, sums


def _statistics(x: Tensor, groups: int, eps: float) -> tuple[Tensor, dict[str, int]]:
    """[B, groups, 2]: mean less the pivot, and 1 / sqrt(variance + eps); the tile that suits x."""
    (batch, channels), (places, *strides) = x.shape[:2], _images(x)
    wide = min(triton.next_power_of_2(channels), 128) if strides[1] == 1 else 1
    tall = min(triton.next_power_of_2(places), TILE // wide)
    block = {"BP": tall, "BC": min(triton.next_power_of_2(channels), max(wide, TILE // tall)), "num_warps": WARPS}
    pieces, piece = _pieces(batch, channels, places, block)
    parts = torch.empty(2, batch, pieces, channels, dtype=torch.float32, device=x.device)
    statistics = torch.empty(batch, groups, 2, dtype=torch.float32, device=x.device)
    size, tiles = channels // groups, triton.cdiv(channels, block["BC"])
    _moments[(batch * pieces, tiles)](
        x, parts[0], parts[1], channels, places, size, pieces, piece, *strides, **block
    )  # fmt: skip
    _combined[(batch * groups,)](
        parts[0], parts[1], statistics, channels, places, size, pieces, piece, eps, BC=triton.next_power_of_2(size)
    )  # fmt: skip
    return statistics, block


def _pieces(batch: int, channels: int, places: int, block: dict[str, int]) -> tuple[int, int]:
    """How many pieces the places are split into, each a whole number of tiles, and their length."""
    tiles = triton.cdiv(places, block["BP"])
    wanted = triton.cdiv(PROGRAMS, batch * triton.cdiv(channels, block["BC"]))
    piece = triton.cdiv(tiles, max(1, min(tiles, wanted, MOST_PIECES))) * block["BP"]
    return triton.cdiv(places, piece), piece


def _images(x: Tensor) -> tuple[int, int, int, int]:
    lying = images(x)
    assert lying is not None
    return lying


def _empty_like(x: Tensor) -> Tensor:
    form = torch.channels_last if channels_last(x) else torch.contiguous_format
    return torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=form)


def _dense(per_channel: Tensor | None) -> Tensor | None:
    return per_channel if per_channel is None or per_channel.stride(1) == 1 else per_channel.contiguous()


def _compiled(name: str, fn: Any, kind: str, pointers: str, fp32: str, numbers: str, **constants: object) -> Compiled:
    """An entry; strides are int64, sizes int32, and the constants stand last."""
    signature = dict.fromkeys(pointers.split(), f"*{kind}") | dict.fromkeys(fp32.split(), "*fp32")
    for name_of_number in numbers.split():
        wide = "_" in name_of_number or len(name_of_number) == 2
        signature[name_of_number] = "fp32" if name_of_number == "eps" else "i64" if wide else "i32"
    order = [parameter for parameter in fn.arg_names if parameter in signature]
    assert len(order) == len(signature)
    ordered = {parameter: signature[parameter] for parameter in order} | dict.fromkeys(constants, "constexpr")
    warps = {_one: 16, _combined: 4, _apply: _apply_warps(int(str(constants["BC"])))}.get(fn, WARPS)
    return Compiled(f"{name} {kind}", fn, ordered, constants, warps)


LAST = {"BP": 16, "BC": 128}
FIRST = {"BP": 2048, "BC": 1}
ALL = {"HAS": 15, "SILU": True}
X, Y, G = "xb xc xp", "yb yc yp", "gb gc gp"
COMPILED = [
    entry
    for kind in ("bf16", "fp16", "fp32")
    for entry in (
        _compiled("one", _one, kind, "x y weight bias scale shift", "",
                  f"C P SIZE eps {X} {Y} scale_b shift_b", **ALL, BP=128, BC=64),
        _compiled("combined", _combined, kind, "", "means squares statistics",
                  "C P SIZE pieces piece eps", BC=64),
        *(
            item
            for place, tile in (("channels last", LAST), ("channels first", FIRST))
            for item in (
                _compiled(f"moments {place}", _moments, kind, "x", "means squares",
                          f"C P SIZE pieces piece {X}", **tile),
                _compiled(f"apply {place}", _apply, kind, "x y weight bias scale shift", "statistics",
                          f"C P SIZE pieces {X} {Y} scale_b shift_b", **ALL, **tile),
                _compiled(f"sums {place}", _sums, kind, "gradient x", "statistics slopes offsets plain weighted",
                          f"C P SIZE pieces piece {G} {X}", SILU=True, **tile),
                _compiled(f"backward {place}", _backward, kind, "gradient x dx",
                          "statistics slopes offsets firsts seconds",
                          f"C P SIZE pieces {G} {X} {Y}", SILU=True, **tile),
            )
        ),
    )
]  # fmt: skip
