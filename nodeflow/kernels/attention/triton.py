"""Attention as fused kernels: no [N, M] matrix in memory (Dao 2023, "FlashAttention-2", algorithms 1 and 2).

A head dimension is the sum of two powers of two (`tiles.parts`), each with operands and accumulators of its own. Scores
stay in the units of q @ k and enter exp2 through one multiplication. Strides come divided by UNIT, so that the compiler
knows what they are multiples of: an unknown head stride, 40 elements say, would cost it its 16-byte loads.
"""
# fmt: off

from dataclasses import replace
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from nodeflow.kernels.attention.launch import VECTOR, Call, dense
from nodeflow.kernels.attention.tiles import TARGETS, Tiles, backward_tiles, forward_tiles, parts
from nodeflow.kernels.compiled import Compiled

OPERANDS = ("q", "k", "v", "bias", "mask", "gradient")
SIZES = ("queries", "keys", "heads", "group")
PLAIN = [*SIZES, *(f"{operand}_{axis}" for operand in OPERANDS for axis in ("batch", "head", "row"))]
"""Numbers of which no special case is compiled: a size of 1 or a multiple of 16 would be a kernel of its own."""
HEADS = (40, 64, 80, 128, 160)
FLAGS: dict[int, dict[str, Any]] = {
    40: {"MASK": 1, "TAIL": True},
    64: {"CAUSAL": True, "TAIL": True, "LSE": True},
    80: {"BIAS": 2, "TAIL": True},
}
LOWEST = tl.constexpr(-1e30)
"""A bias below it counts as this: float32's least number times log2(e) would be -inf, which means masked."""


@triton.jit
def _part(matrix, start, local, stride, limit, at: tl.constexpr, WIDTH: tl.constexpr, HEAD: tl.constexpr,
          UNIT: tl.constexpr, CHECK: tl.constexpr, WIDEN: tl.constexpr):
    """Columns at..at+WIDTH of rows start+local; zeros beyond HEAD columns and, if CHECK, beyond `limit` rows."""
    columns = (at + tl.arange(0, WIDTH))[None, :]
    where = matrix + start * stride * UNIT + local[:, None] * stride * UNIT + columns
    if CHECK:
        x = tl.load(where, mask=((start + local)[:, None] < limit) & (columns < HEAD), other=0.0)
    elif at + WIDTH > HEAD:
        x = tl.load(where, mask=(columns < HEAD) & (local[:, None] >= 0), other=0.0)
    else:
        x = tl.load(where)
    if WIDEN:  # the interpreter multiplies bit patterns of bf16
        x = x.to(tl.float32)
    return x


@triton.jit
def _pair(matrix, start, local, stride, limit, HEAD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr,
          UNIT: tl.constexpr, CHECK: tl.constexpr, WIDEN: tl.constexpr):
    """Both parts of rows start+local; the second is the first once more where there is none."""
    x1 = _part(matrix, start, local, stride, limit, 0, FIRST, HEAD, UNIT, CHECK, WIDEN)
    x2 = x1
    if SECOND > 0:
        x2 = _part(matrix, start, local, stride, limit, FIRST, SECOND, HEAD, UNIT, CHECK, WIDEN)
    return x1, x2


@triton.jit
def _keep(matrix, x1, x2, rows, stride, limit, HEAD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Writes both parts."""
    columns = tl.arange(0, FIRST)[None, :]
    inside = rows[:, None] < limit
    corner = matrix + rows[:, None] * stride
    tl.store(corner + columns, x1.to(matrix.dtype.element_ty), mask=inside & (columns < HEAD))
    if SECOND > 0:
        columns = (FIRST + tl.arange(0, SECOND))[None, :]
        tl.store(corner + columns, x2.to(matrix.dtype.element_ty), mask=inside & (columns < HEAD))


@triton.jit
def _products(a1, a2, b1, b2, SECOND: tl.constexpr, PRECISION: tl.constexpr):
    """A @ b.T over both parts, in float32."""
    s = tl.dot(a1, tl.trans(b1), input_precision=PRECISION)
    if SECOND > 0:
        s = tl.dot(a2, tl.trans(b2), s, input_precision=PRECISION)
    return s


@triton.jit
def _hidden(s, i, j, bias, bias_row, mask, mask_row, queries, keys, unscale, BIAS: tl.constexpr, MASK: tl.constexpr,
            CAUSAL: tl.constexpr, GRAIN: tl.constexpr, CHECK: tl.constexpr):
    """Scores of queries i and keys j (one a row, one a column) with the bias, and -inf where j is not attended to.

    BIAS, MASK: 0 none, 1 the same for all queries, 2 of its own for each.
    """
    if BIAS > 0:
        if BIAS == 1:
            added = tl.load(bias + j, mask=j < keys, other=0.0).to(tl.float32)
        else:
            added = tl.load(bias + i * bias_row * GRAIN + j, mask=(i < queries) & (j < keys), other=0.0).to(tl.float32)
        s += tl.where(added == float("-inf"), added, tl.maximum(added, LOWEST) * unscale)
    if CHECK:
        s = tl.where(j < keys, s, float("-inf"))
        if CAUSAL:
            s = tl.where(i >= j, s, float("-inf"))
    if MASK == 1:
        s = tl.where(tl.load(mask + j, mask=j < keys, other=0) != 0, s, float("-inf"))
    if MASK == 2:
        allowed = tl.load(mask + i * mask_row * GRAIN + j, mask=(i < queries) & (j < keys), other=0)
        s = tl.where(allowed != 0, s, float("-inf"))
    return s


@triton.jit
def _fold(acc1, acc2, top, total, s, v1, v2, scale, SECOND: tl.constexpr, WHOLE: tl.constexpr,
          PRECISION: tl.constexpr):
    """One step of the running softmax: the largest score so far, the sum below it, the weighted values."""
    best = tl.maximum(top, tl.max(s, 1) * scale)
    base = best
    if not WHOLE:  # a query that has met no key yet: -inf - -inf would be no number
        base = tl.where(best == float("-inf"), 0.0, best)
    p = tl.exp2(s * scale - base[:, None])
    fade = tl.exp2(top - base)
    total = total * fade + tl.sum(p, 1)
    p = p.to(v1.dtype)
    acc1 = tl.dot(p, v1, acc1 * fade[:, None], input_precision=PRECISION)
    if SECOND > 0:
        acc2 = tl.dot(p, v2, acc2 * fade[:, None], input_precision=PRECISION)
    return acc1, acc2, best, total


@triton.jit
def _place(blocks, heads):
    """Block, batch and head of a program; the last two in int64, as all that is multiplied by strides."""
    program = tl.program_id(0)
    which = (program // blocks).to(tl.int64)
    return program % blocks, which // heads, which % heads


@triton.jit(do_not_specialize=PLAIN)
def _forward(
    q, k, v, bias, mask, out, lse, queries, keys, heads, group, scale, unscale,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row,
    bias_batch, bias_head, bias_row, mask_batch, mask_head, mask_row,
    HEAD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
    UNIT: tl.constexpr, GRAIN: tl.constexpr, BIAS: tl.constexpr, MASK: tl.constexpr, CAUSAL: tl.constexpr,
    TAIL: tl.constexpr, LSE: tl.constexpr, WIDEN: tl.constexpr, PRECISION: tl.constexpr,
):
    blocks = tl.cdiv(queries, QUERIES)
    block, batch, head = _place(blocks, heads)
    if CAUSAL:  # the longest first
        block = blocks - 1 - block
    start = block * QUERIES
    q += (batch * q_batch + head * q_head) * UNIT
    k += (batch * k_batch + head // group * k_head) * UNIT
    v += (batch * v_batch + head // group * v_head) * UNIT
    q_row, k_row, v_row = q_row.to(tl.int64), k_row.to(tl.int64), v_row.to(tl.int64)
    if BIAS > 0:
        bias += (batch * bias_batch + head * bias_head) * GRAIN
    if MASK > 0:
        mask += (batch * mask_batch + head * mask_head) * GRAIN
    local, column = tl.arange(0, QUERIES), tl.arange(0, KEYS)
    i = (start + local)[:, None].to(tl.int64)
    q1, q2 = _pair(q, start, local, q_row, queries, HEAD, FIRST, SECOND, UNIT, True, WIDEN)
    top = tl.full([QUERIES], float("-inf"), tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    acc1 = tl.zeros([QUERIES, FIRST], tl.float32)
    acc2 = tl.zeros([QUERIES, SECOND if SECOND > 0 else 16], tl.float32)
    WHOLE: tl.constexpr = BIAS == 0 and MASK == 0
    end = keys
    full = keys // KEYS * KEYS
    if CAUSAL:
        end = tl.minimum(keys, start + QUERIES)
        full = tl.minimum(keys, start + 1) // KEYS * KEYS
    for at in range(0, full, KEYS):
        k1, k2 = _pair(k, at, column, k_row, keys, HEAD, FIRST, SECOND, UNIT, False, WIDEN)
        s = _products(q1, q2, k1, k2, SECOND, PRECISION)
        s = _hidden(s, i, (at + column)[None, :], bias, bias_row, mask, mask_row, queries, keys, unscale,
                    BIAS, MASK, CAUSAL, GRAIN, False)
        v1, v2 = _pair(v, at, column, v_row, keys, HEAD, FIRST, SECOND, UNIT, False, WIDEN)
        acc1, acc2, top, total = _fold(acc1, acc2, top, total, s, v1, v2, scale, SECOND, WHOLE, PRECISION)
    if TAIL:
        for at in range(full, end, KEYS):
            k1, k2 = _pair(k, at, column, k_row, keys, HEAD, FIRST, SECOND, UNIT, True, WIDEN)
            s = _products(q1, q2, k1, k2, SECOND, PRECISION)
            s = _hidden(s, i, (at + column)[None, :], bias, bias_row, mask, mask_row, queries, keys, unscale,
                        BIAS, MASK, CAUSAL, GRAIN, True)
            v1, v2 = _pair(v, at, column, v_row, keys, HEAD, FIRST, SECOND, UNIT, True, WIDEN)
            acc1, acc2, top, total = _fold(acc1, acc2, top, total, s, v1, v2, scale, SECOND, False, PRECISION)
    share = 1.0 / tl.where(total == 0.0, 1.0, total)
    rows = (start + local).to(tl.int64)
    out += (batch * queries * heads + head) * HEAD
    _keep(out, acc1 * share[:, None], acc2 * share[:, None], rows, heads * HEAD, queries, HEAD, FIRST, SECOND)
    if LSE:  # of an idle query +inf, so that backward finds weights of 0
        level = tl.where(total == 0.0, float("inf"), top + tl.log2(tl.where(total == 0.0, 1.0, total)))
        tl.store(lse + (batch * heads + head) * queries + rows, level, mask=rows < queries)


@triton.jit(do_not_specialize=PLAIN)
def _delta(out, gradient, delta, queries, heads, gradient_batch, gradient_head, gradient_row,
           HEAD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, QUERIES: tl.constexpr, UNIT: tl.constexpr):
    """The sum of out * gradient over a head: what each slope of the softmax is measured against."""
    block, batch, head = _place(tl.cdiv(queries, QUERIES), heads)
    out += (batch * queries * heads + head) * HEAD
    gradient += (batch * gradient_batch + head * gradient_head) * UNIT
    start, local = block * QUERIES, tl.arange(0, QUERIES)
    own, row = (heads * HEAD).to(tl.int64), gradient_row.to(tl.int64)
    y1, y2 = _pair(out, start, local, own, queries, HEAD, FIRST, SECOND, 1, True, False)
    g1, g2 = _pair(gradient, start, local, row, queries, HEAD, FIRST, SECOND, UNIT, True, False)
    total = tl.sum(y1.to(tl.float32) * g1.to(tl.float32), 1)
    if SECOND > 0:
        total += tl.sum(y2.to(tl.float32) * g2.to(tl.float32), 1)
    rows = (start + local).to(tl.int64)
    tl.store(delta + (batch * heads + head) * queries + rows, total, mask=rows < queries)


@triton.jit(do_not_specialize=PLAIN)
def _backward_keys(
    q, k, v, bias, mask, gradient, lse, delta, dk, dv, queries, keys, heads, group, scale, unscale, slope,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row,
    bias_batch, bias_head, bias_row, mask_batch, mask_head, mask_row, gradient_batch, gradient_head, gradient_row,
    HEAD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
    UNIT: tl.constexpr, GRAIN: tl.constexpr, BIAS: tl.constexpr, MASK: tl.constexpr, CAUSAL: tl.constexpr,
    TAIL: tl.constexpr, WIDEN: tl.constexpr, PRECISION: tl.constexpr,
):
    block, batch, shared = _place(tl.cdiv(keys, KEYS), heads // group)
    start, local, column = block * KEYS, tl.arange(0, KEYS), tl.arange(0, QUERIES)
    q_row, k_row, v_row = q_row.to(tl.int64), k_row.to(tl.int64), v_row.to(tl.int64)
    gradient_row = gradient_row.to(tl.int64)
    k += (batch * k_batch + shared * k_head) * UNIT
    v += (batch * v_batch + shared * v_head) * UNIT
    k1, k2 = _pair(k, start, local, k_row, keys, HEAD, FIRST, SECOND, UNIT, True, WIDEN)
    v1, v2 = _pair(v, start, local, v_row, keys, HEAD, FIRST, SECOND, UNIT, True, WIDEN)
    SIDE: tl.constexpr = SECOND if SECOND > 0 else 16
    dk1, dk2 = tl.zeros([KEYS, FIRST], tl.float32), tl.zeros([KEYS, SIDE], tl.float32)
    dv1, dv2 = tl.zeros([KEYS, FIRST], tl.float32), tl.zeros([KEYS, SIDE], tl.float32)
    first = 0
    if CAUSAL:
        first = start // QUERIES * QUERIES
    for member in range(group):
        head = shared * group + member
        here = (batch * heads + head) * queries
        queries_here = q + (batch * q_batch + head * q_head) * UNIT
        gradient_here = gradient + (batch * gradient_batch + head * gradient_head) * UNIT
        bias_here, mask_here = bias, mask
        if BIAS > 0:
            bias_here = bias + (batch * bias_batch + head * bias_head) * GRAIN
        if MASK > 0:
            mask_here = mask + (batch * mask_batch + head * mask_head) * GRAIN
        for at in range(first, queries, QUERIES):
            q1, q2 = _pair(queries_here, at, column, q_row, queries, HEAD, FIRST, SECOND, UNIT, TAIL, WIDEN)
            i = (at + column)[None, :].to(tl.int64)
            s = _products(k1, k2, q1, q2, SECOND, PRECISION)
            s = _hidden(s, i, (start + local)[:, None], bias_here, bias_row, mask_here, mask_row, queries, keys,
                        unscale, BIAS, MASK, CAUSAL, GRAIN, TAIL)
            p = tl.exp2(s * scale - tl.load(lse + here + i, mask=i < queries, other=float("inf")))
            g1, g2 = _pair(gradient_here, at, column, gradient_row, queries, HEAD, FIRST, SECOND, UNIT, TAIL, WIDEN)
            dv1 = tl.dot(p.to(g1.dtype), g1, dv1, input_precision=PRECISION)
            dp = _products(v1, v2, g1, g2, SECOND, PRECISION)
            ds = (p * (dp - tl.load(delta + here + i, mask=i < queries, other=0.0))).to(q1.dtype)
            dk1 = tl.dot(ds, q1, dk1, input_precision=PRECISION)
            if SECOND > 0:
                dv2 = tl.dot(p.to(g1.dtype), g2, dv2, input_precision=PRECISION)
                dk2 = tl.dot(ds, q2, dk2, input_precision=PRECISION)
    rows = (start + local).to(tl.int64)
    width = heads // group * HEAD
    corner = batch * keys * width + shared * HEAD
    _keep(dk + corner, dk1 * slope, dk2 * slope, rows, width, keys, HEAD, FIRST, SECOND)
    _keep(dv + corner, dv1, dv2, rows, width, keys, HEAD, FIRST, SECOND)


@triton.jit(do_not_specialize=PLAIN)
def _backward_queries(
    q, k, v, bias, mask, gradient, lse, delta, dq, queries, keys, heads, group, scale, unscale, slope,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row,
    bias_batch, bias_head, bias_row, mask_batch, mask_head, mask_row, gradient_batch, gradient_head, gradient_row,
    HEAD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
    UNIT: tl.constexpr, GRAIN: tl.constexpr, BIAS: tl.constexpr, MASK: tl.constexpr, CAUSAL: tl.constexpr,
    TAIL: tl.constexpr, WIDEN: tl.constexpr, PRECISION: tl.constexpr,
):
    block, batch, head = _place(tl.cdiv(queries, QUERIES), heads)
    start, local, column = block * QUERIES, tl.arange(0, QUERIES), tl.arange(0, KEYS)
    q += (batch * q_batch + head * q_head) * UNIT
    k += (batch * k_batch + head // group * k_head) * UNIT
    v += (batch * v_batch + head // group * v_head) * UNIT
    gradient += (batch * gradient_batch + head * gradient_head) * UNIT
    q_row, k_row, v_row = q_row.to(tl.int64), k_row.to(tl.int64), v_row.to(tl.int64)
    gradient_row = gradient_row.to(tl.int64)
    if BIAS > 0:
        bias += (batch * bias_batch + head * bias_head) * GRAIN
    if MASK > 0:
        mask += (batch * mask_batch + head * mask_head) * GRAIN
    q1, q2 = _pair(q, start, local, q_row, queries, HEAD, FIRST, SECOND, UNIT, True, WIDEN)
    g1, g2 = _pair(gradient, start, local, gradient_row, queries, HEAD, FIRST, SECOND, UNIT, True, WIDEN)
    rows = (start + local).to(tl.int64)
    here = (batch * heads + head) * queries + rows
    level = tl.load(lse + here, mask=rows < queries, other=float("inf"))[:, None]
    against = tl.load(delta + here, mask=rows < queries, other=0.0)[:, None]
    dq1 = tl.zeros([QUERIES, FIRST], tl.float32)
    dq2 = tl.zeros([QUERIES, SECOND if SECOND > 0 else 16], tl.float32)
    end = keys
    if CAUSAL:
        end = tl.minimum(keys, start + QUERIES)
    for at in range(0, end, KEYS):
        k1, k2 = _pair(k, at, column, k_row, keys, HEAD, FIRST, SECOND, UNIT, TAIL, WIDEN)
        s = _products(q1, q2, k1, k2, SECOND, PRECISION)
        s = _hidden(s, rows[:, None], (at + column)[None, :], bias, bias_row, mask, mask_row, queries, keys, unscale,
                    BIAS, MASK, CAUSAL, GRAIN, TAIL)
        v1, v2 = _pair(v, at, column, v_row, keys, HEAD, FIRST, SECOND, UNIT, TAIL, WIDEN)
        dp = _products(g1, g2, v1, v2, SECOND, PRECISION)
        ds = (tl.exp2(s * scale - level) * (dp - against)).to(k1.dtype)
        dq1 = tl.dot(ds, k1, dq1, input_precision=PRECISION)
        if SECOND > 0:
            dq2 = tl.dot(ds, k2, dq2, input_precision=PRECISION)
    dq += (batch * queries * heads + head) * HEAD
    _keep(dq, dq1 * slope, dq2 * slope, rows, heads * HEAD, queries, HEAD, FIRST, SECOND)


# fmt: on
def forward(call: Call, tiles: Tiles | None = None, *, keep_lse: bool = False) -> tuple[Tensor, Tensor | None]:
    """[B, H, N, d] laid out as [B, N, H, d], and with keep_lse log2 of each query's sum of weights, [B, H, N]."""
    tiles = tiles or forward_tiles(call.head, call.q.element_size())[0]
    out = dense(call.q)
    lse = torch.empty(call.q.shape[:3], dtype=torch.float32, device=call.q.device) if keep_lse else None
    constants = _constants(call, tiles, call.causal or call.keys % tiles.step != 0) | _sides(tiles.rows, tiles.step)
    grid = (triton.cdiv(call.queries, tiles.rows) * call.heads * call.batch,)
    _forward[grid](*call.tensors, out, lse, *call.sizes, *call.strides, **constants, LSE=keep_lse)
    return out, lse


def backward(
    call: Call, gradient: Tensor, out: Tensor, lse: Tensor, tiles: Tiles | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v, laid out as `forward` does, from that of its result."""
    rows, step, warps, _ = tiles = tiles or backward_tiles(call.head, call.q.element_size())[0]
    call, gradient = call.with_gradient(gradient)
    delta = torch.empty_like(lse)
    dq, dk, dv = dense(call.q), dense(call.k), dense(call.v)
    tail = call.causal or any(size % side for size in (call.queries, call.keys) for side in (rows, step))
    constants = _constants(call, tiles, tail)
    split = {name: constants[name] for name in ("HEAD", "FIRST", "SECOND", "UNIT")}
    by_query = (triton.cdiv(call.queries, rows) * call.heads * call.batch,)
    by_key = (triton.cdiv(call.keys, rows) * call.k.shape[1] * call.batch,)
    _delta[by_query](
        out, gradient, delta, call.queries, call.heads, *call.strides[-3:], **split, QUERIES=rows, num_warps=warps
    )
    given = (*call.tensors, gradient, lse, delta)
    rest = (*call.sizes, call.scale, *call.strides)
    _backward_keys[by_key](*given, dk, dv, *rest, **constants, **_sides(step, rows))
    _backward_queries[by_query](*given, dq, *rest, **constants, **_sides(rows, step))
    return dq, dk, dv


def _constants(call: Call, tiles: Tiles, tail: bool) -> dict[str, Any]:
    widen = bool(triton.knobs.runtime.interpret) and call.q.dtype == torch.bfloat16
    launch = {"num_warps": tiles.warps, "num_stages": tiles.stages}
    return {**call.constants, **_split(call.head), "TAIL": tail, "WIDEN": widen, **launch}


def _split(head: int) -> dict[str, Any]:
    first, second = parts(head)
    return {"HEAD": head, "FIRST": first, "SECOND": second, "PRECISION": "ieee"}


def _sides(queries: int, keys: int) -> dict[str, int]:
    return {"QUERIES": queries, "KEYS": keys}


def _compiled(fn: Any, head: int, tiles: Tiles, target: str, kind: str = "bf16", **flags: Any) -> Compiled:
    named = " ".join([fn.__name__[1:], kind, f"d{head}", str(tiles), *map(str.lower, flags)])
    flags = {"BIAS": 0, "MASK": 0, "CAUSAL": False, "TAIL": False, "LSE": fn is not _forward} | flags
    rows, step, warps, stages = tiles
    sides = _sides(step, rows) if fn is _backward_keys else _sides(rows, step)
    constants: dict[str, Any] = {**_split(head), **sides, **flags, "UNIT": VECTOR, "GRAIN": VECTOR, "WIDEN": False}
    constants |= {operand: None for operand in ("bias", "mask", "lse") if not flags[operand.upper()]}
    types = dict.fromkeys(("q", "k", "v", "bias", "out", "gradient", "dq", "dk", "dv"), f"*{kind}")
    types |= {"lse": "*fp32", "delta": "*fp32", "mask": "*u8", "scale": "fp32", "unscale": "fp32", "slope": "fp32"}
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in fn.arg_names}
    constexprs = {name: constants[name] for name, kind in signature.items() if kind == "constexpr"}
    return Compiled(named, fn, signature, constexprs, warps, stages, (target,))


def _table() -> list[Compiled]:
    """All tiles of forward, the first of backward, and each flag once; each for the devices that use it."""
    made: dict[str, Compiled] = {}
    for target in TARGETS:
        pairs = [(head, tiles) for head in HEADS for tiles in forward_tiles(head, 2, target)]
        entries = [_compiled(_forward, *pair, target) for pair in pairs]
        for fn in (_delta, _backward_keys, _backward_queries):
            entries += [_compiled(fn, head, backward_tiles(head, 2, target)[0], target) for head in HEADS]
        for head, flags in FLAGS.items():
            entries.append(_compiled(_forward, head, forward_tiles(head, 2, target)[0], target, **flags))
        for fn, listed in ((_forward, forward_tiles), (_backward_keys, backward_tiles)):
            entries.append(_compiled(fn, 64, listed(64, 4, target)[0], target, "fp32"))
        for entry in entries:
            before = made[entry.name].targets if entry.name in made else ()
            made[entry.name] = replace(entry, targets=(*before, target))
    return list(made.values())


COMPILED = _table()
