"""Weights held in 8 bits (float8 e4m3) and computed with in the working type: half the memory of bf16, layer by layer.

Those of linear layers and convolutions only, each output channel with a scale of its own. Scales are powers of two, so
that scaling rounds nothing, and all that is lost is lost by e4m3's three bits of mantissa.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

EIGHT = torch.float8_e4m3fn
LARGEST = 448.0
"""What e4m3 can hold (Micikevicius et al. 2022, table 1)."""
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Held:
    """What of a model can be held in 8 bits. numbers: how many. scales: of all of them."""

    numbers: int = 0
    scales: int = 0


def held_in(shapes: Mapping[str, tuple[int, ...]]) -> Held:
    """By the shapes of a module's tensors, in which every matrix called weight is a layer's."""
    found = [shape for name, shape in shapes.items() if name.endswith(".weight") and len(shape) > 1]
    return Held(sum(map(math.prod, found)), sum(shape[0] for shape in found))


def hold(module: nn.Module, dtype: torch.dtype) -> dict[str, nn.Module]:
    """Changes a module without memory so that its layers hold their weights in 8 bits; they have yet to be filled.

    Weights that several layers share stay as they are.

    Args:
        module: laid out, on the meta device.
        dtype: which the layers compute in.

    Returns:
        The layers, by the names that their weights had.
    """
    owners = Counter(id(value) for layer in module.modules() for value in layer._parameters.values())
    found: dict[str, nn.Module] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, LAYERS) and owners[id(layer.weight)] == 1:
            weight = layer._parameters.pop("weight")
            assert weight is not None
            scale = torch.empty(len(weight), *[1] * (weight.ndim - 1), dtype=dtype, device=weight.device)
            layer.eight = nn.Parameter(torch.empty_like(weight, dtype=EIGHT), requires_grad=False)
            layer.register_buffer("scale", scale)
            kind: type[nn.Module] = type(layer)
            layer.__class__ = _holding(kind)  # type: ignore[assignment, arg-type]
            found[f"{name}.weight"] = layer
    return found


def in_eight(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A weight [out, ...] as e4m3, and its scales [out, 1, ...] of type dtype: their product is nearly the weight."""
    most = weight.abs().flatten(1).amax(1).float()
    scale = torch.exp2(torch.ceil(torch.log2(most.clamp(min=2.0**-120) / LARGEST)))
    scale = scale.clamp(torch.finfo(dtype).tiny, torch.finfo(dtype).max).view(-1, *[1] * (weight.ndim - 1))
    return (weight.float() / scale).clamp(-LARGEST, LARGEST).to(EIGHT), scale.to(dtype)


@cache
def _holding(kind: type[nn.Module]) -> type[nn.Module]:
    """The layer whose `weight` is made of what it holds whenever it is asked for."""

    class Holding(kind):  # type: ignore[valid-type, misc]
        @property
        def weight(self) -> Tensor:
            eight: Any = self.eight
            scale: Any = self.scale
            product: Tensor = eight.to(scale.dtype) * scale
            return product

    Holding.__name__ = Holding.__qualname__ = f"{kind.__name__}InEightBits"
    return Holding
