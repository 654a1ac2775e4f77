"""What adapters make the change of a weight of: products of low rank, of Hadamard (LoHa), of Kronecker (LoKr).

Each is a function of the parts that a file has of one module, and gives a matrix or the whole weight.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Part = Literal[
    "down", "up", "mid", "alpha", "magnitude", "scale", "diff", "diff_b",
    "hada_w1_a", "hada_w1_b", "hada_t1", "hada_w2_a", "hada_w2_b", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
]  # fmt: skip
"""down and up: the two matrices of LoRA. mid: what LoCon puts between them (Tucker). alpha: by which, over the rank,
their product is multiplied. magnitude: DoRA's lengths of the rows (Liu et al. 2024); scale: likewise, or of the
columns, as its shape tells. diff, diff_b: the change itself, of weight and of bias. hada_, lokr_: as in LyCORIS.
"""
Parts = Mapping[Part, Tensor]
Shape = tuple[int, ...]
Shapes = Mapping[Part, Shape]


class Made(NamedTuple):
    """A change before alpha. rank: over which alpha is; None for a product of whole factors, which has none."""

    weight: Tensor
    rank: int | None


class Kind(NamedTuple):
    """A way to make a change. mark: what the names of its parts begin with. needs: of each of these, parts that must be
    there together, one must be whole. shape: of what is made, ValueError in words if it cannot be. make: it.
    """

    mark: tuple[str, ...]
    needs: tuple[tuple[tuple[Part, ...], ...], ...]
    shape: Callable[[Shapes], Shape]
    make: Callable[[Parts], Made]


def low_rank(parts: Parts) -> Made:
    """LoRA (Hu et al. 2022): up [out, r] times down [r, in]; LoCon has kernels, and maybe a middle [r, r, h, w]."""
    down, up = parts["down"], parts["up"].flatten(1)
    if "mid" in parts:
        return Made(torch.einsum("oa,abhw,bi->oihw", up, parts["mid"], down.flatten(1)), len(down))
    return Made(up @ down.flatten(1), len(down))


def hadamard(parts: Parts) -> Made:
    """LoHa (Hyeon-Woo et al. 2022, FedPara): two products of low rank, multiplied number by number.

    Each is a [out, r] times b [r, in h w]; with a core t [r, r, h, w] (Tucker) of a [r, out] and b [r, in].
    """
    first, second = (
        tucker(parts[core], parts[a], parts[b]) if core in parts else parts[a] @ parts[b] for a, b, core in HADAMARD
    )
    return Made(first * second, len(parts["hada_w1_b"]))


def kronecker(parts: Parts) -> Made:
    """LoKr (Yeh et al. 2024): the Kronecker product of a small factor [a, b] and a large one [c, d], or [c, d, h, w].

    Either may be a product of low rank, the large one with a core t [r, r, h, w] as well. The rank is that of the large
    one, or else of the small one.
    """
    rank = None
    if (first := parts.get("lokr_w1")) is None:
        first, rank = parts["lokr_w1_a"] @ parts["lokr_w1_b"], len(parts["lokr_w1_b"])
    if (second := parts.get("lokr_w2")) is None:
        a, b = parts["lokr_w2_a"], parts["lokr_w2_b"]
        second, rank = tucker(parts["lokr_t2"], a, b) if "lokr_t2" in parts else a @ b, len(b)
    # torch.kron views what it is given, and a core's product is not contiguous
    return Made(torch.kron(first.reshape(*first.shape, *[1] * (second.ndim - 2)), second.contiguous()), rank)


def tucker(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A core [r, s, h, w] between a [r, out] and b [s, in] -> [out, in, h, w]."""
    return torch.einsum("rs...,ro,si->oi...", core, a, b)


HADAMARD: tuple[tuple[Part, Part, Part], ...] = (
    ("hada_w1_a", "hada_w1_b", "hada_t1"),
    ("hada_w2_a", "hada_w2_b", "hada_t2"),
)

WHOLE: Mapping[Part, tuple[Part, ...]] = {
    "lokr_w1": ("lokr_w1_a", "lokr_w1_b"),
    "lokr_w2": ("lokr_w2_a", "lokr_w2_b", "lokr_t2"),
}


def _low_rank(shapes: Shapes) -> Shape:
    down, up, mid = shapes["down"], shapes["up"], shapes.get("mid")
    kernel = down[2:] if mid is None else mid[2:]
    inner = {up[1:2], down[:1], *([] if mid is None else [mid[:1], mid[1:2]])}
    if len(up) < 2 or len(down) < 2 or len(inner) != 1 or any(side != 1 for side in up[2:]):
        raise ValueError(f"{list(up)} times {list(down)}")
    return (up[0], down[1], *kernel)


def _hadamard(shapes: Shapes) -> Shape:
    first, second = (_factor(shapes.get(core), shapes[a], shapes[b]) for a, b, core in HADAMARD)
    if first != second:
        raise ValueError(f"{list(first)} times {list(second)}, number by number")
    return first


def _kronecker(shapes: Shapes) -> Shape:
    for whole, pieces in WHOLE.items():
        if whole in shapes and (twice := [piece for piece in pieces if piece in shapes]):
            raise ValueError(f"{whole} and {', '.join(twice)}, of which one or the other is expected")
    if (first := shapes.get("lokr_w1")) is None:
        first = _factor(None, shapes["lokr_w1_a"], shapes["lokr_w1_b"])
    if (second := shapes.get("lokr_w2")) is None:
        second = _factor(shapes.get("lokr_t2"), shapes["lokr_w2_a"], shapes["lokr_w2_b"])
    if len(first) != 2 or len(second) < 2:
        raise ValueError(f"{list(first)} in Kronecker's product with {list(second)}")
    return (first[0] * second[0], first[1] * second[1], *second[2:])


def _factor(core: Shape | None, a: Shape, b: Shape) -> Shape:
    """Of a [o, r] times b [r, i], or of a core [r, s, ...] between a [r, o] and b [s, i]."""
    if core is None:
        if len(a) != 2 or len(b) != 2 or a[1] != b[0]:
            raise ValueError(f"{list(a)} times {list(b)}")
        return (a[0], b[1])
    if len(a) != 2 or len(b) != 2 or (a[0], b[0]) != core[:2]:
        raise ValueError(f"{list(a)} and {list(b)} around {list(core)}")
    return (a[1], b[1], *core[2:])


LOW_RANK = Kind(("down", "up", "mid"), ((("down",),), (("up",),)), _low_rank, low_rank)
KINDS = (
    Kind(
        ("hada_",), tuple(((part,),) for pair in HADAMARD for part in pair[:2]), _hadamard, hadamard
    ),
    Kind(
        ("lokr_",),
        ((("lokr_w1",), ("lokr_w1_a", "lokr_w1_b")), (("lokr_w2",), ("lokr_w2_a", "lokr_w2_b"))),
        _kronecker, kronecker,
    ),
    LOW_RANK,
)  # fmt: skip


def kind_of(parts: Mapping[Part, object]) -> Kind:
    """How such parts make a change; that of LoRA where nothing tells another."""
    return next((kind for kind in KINDS if any(part.startswith(kind.mark) for part in parts)), LOW_RANK)


def lacking(parts: Mapping[Part, object]) -> str:
    """What is missing of a change, "down and up"; "" if it is whole."""
    gaps = [ways for ways in kind_of(parts).needs if not any(all(part in parts for part in way) for way in ways)]
    return " and ".join(" or ".join(" with ".join(way) for way in ways) for ways in gaps)


def strangers(parts: Mapping[Part, object]) -> list[Part]:
    """Parts of another way to make a change than the one that is taken."""
    kind = kind_of(parts)
    marks = tuple(mark for other in KINDS for mark in other.mark if other is not kind)
    return [part for part in parts if part.startswith(marks)]


def misfit(shapes: Shapes, wanted: Shape) -> str:
    """Why parts that are there do not make a change of that shape, "[4, 2] times [3, 8]"; "" if they do.

    Matrices may stand for kernels, whose inputs, rows and columns are then one row.
    """
    try:
        made = kind_of(shapes).shape(shapes)
    except ValueError as error:
        return str(error)
    flat = len(made) == 2 or made[2:] == (1, 1)
    fits = made == wanted or (flat and made[:2] == (wanted[0], math.prod(wanted[1:])))
    if fits:
        return ""
    if kind_of(shapes) is LOW_RANK:
        return f"{list(shapes['up'])} times {list(shapes['down'])}"
    return f"{list(made)}"
