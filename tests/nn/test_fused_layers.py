"""Layers against their formulas in plain torch, value and gradient: what they call may be fused, what it means may not.

Differences are those of the order of float32 sums: 1e-5 of the whole.
"""

from collections.abc import Callable

import pytest
import torch
from nodeflow_nn.attention import Attention, HeadNorm
from nodeflow_nn.convolution import NormAct, ResidualBlock
from nodeflow_nn.transformer import AdaptiveBlock, Block
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow import kernels

MASK = torch.tensor([[True, True, True, False], [True, False, False, False]])


def number(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def drawn(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for seed, weight in enumerate(module.parameters(), 10):
            weight.copy_(number(*weight.shape, seed=seed) / max(1, weight[0].numel()) ** 0.5)
    return module


def head_norm(layer: HeadNorm, x: Tensor) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * layer.weight


def attention(layer: Attention, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    def heads(part: Tensor) -> Tensor:
        return part.unflatten(-1, (layer.heads, -1)).transpose(1, 2)

    q, *kv = map(heads, layer.qkv(x).chunk(1 if layer.cross else 3, -1))
    if context is not None:
        assert layer.context_kv is not None
        theirs = [heads(part) for part in layer.context_kv(context).chunk(2, -1)]
        if mask is not None and not layer.cross:
            mask = torch.cat([mask, torch.ones(x.shape[:2], dtype=torch.bool)], 1)
        kv = theirs if layer.cross else [torch.cat(pair, 2) for pair in zip(theirs, kv, strict=True)]
    k, v = kv
    allowed = None if mask is None else mask[:, None, None]
    q, k = head_norm(layer.norm_q, q), head_norm(layer.norm_k, k)
    return layer.out(F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2).flatten(2))


def residual_block(layer: ResidualBlock, x: Tensor, time: Tensor | None = None) -> Tensor:
    def norm(own: nn.GroupNorm, h: Tensor) -> Tensor:
        return F.group_norm(h, own.num_groups, own.weight, own.bias, own.eps)

    h = norm(layer.norm2, layer.conv1(F.silu(norm(layer.norm1, x))))
    if layer.film is not None and time is not None:
        scale, shift = layer.film(F.silu(time))[:, :, None, None].chunk(2, 1)
        h = h * (1 + scale) + shift
    return layer.skip(x) + layer.conv2(F.silu(h))


def adaptive_block(
    layer: AdaptiveBlock, x: Tensor, modulation: Tensor, context: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + layer.table)[:, :, None].unbind(1)
    h = F.layer_norm(x, x.shape[-1:]) * (1 + scale1) + shift1
    x = x + gate1 * attention(layer.attention, h, context, mask)
    return x + gate2 * layer.mlp(F.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2)


def block(layer: Block, x: Tensor, mask: Tensor | None = None) -> Tensor:
    x = x + attention(layer.attention, layer.norm1(x), mask=mask)
    return x + layer.mlp(layer.norm2(x))


WORDS = (number(2, 6, 16), number(2, 4, 12, seed=1), MASK)
PICTURE = number(2, 16, 5, 6)
CASES: dict[str, tuple[nn.Module, Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "head norm": (HeadNorm(8), head_norm, (number(2, 3, 4, 8),)),
    "norm and activation": (NormAct(4, 16), lambda layer, x: F.silu(nn.GroupNorm.forward(layer, x)), (PICTURE,)),
    "self-attention": (Attention(16, 2), attention, (number(2, 6, 16),)),
    "joint attention": (Attention(16, 2, 12), attention, WORDS),
    "joint attention, all words": (Attention(16, 2, 12), attention, WORDS[:2]),
    "cross-attention": (Attention(16, 2, 12, cross=True), attention, WORDS),
    "residual block": (ResidualBlock(16), residual_block, (PICTURE,)),
    "residual block, other width": (ResidualBlock(16, 24, groups=4), residual_block, (PICTURE,)),
    "residual block with time": (ResidualBlock(16, 24, 10), residual_block, (PICTURE, number(2, 10))),
    "channels last": (
        ResidualBlock(16, 24, 10),
        residual_block,
        (PICTURE.contiguous(memory_format=torch.channels_last), number(2, 10)),
    ),
    "block": (Block(16, 2), block, (number(2, 4, 16), MASK)),
    "adaptive block": (AdaptiveBlock(16, 2, 12), adaptive_block, (WORDS[0], number(2, 6, 16, seed=2), *WORDS[1:])),
}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_its_formula(name: str) -> None:
    layer, formula, arguments = CASES[name]
    drawn(layer)
    leaves = [part.clone().requires_grad_() if part.is_floating_point() else part for part in arguments]
    wanted = [*(leaf for leaf in leaves if leaf.requires_grad), *layer.parameters()]
    y, expected = layer(*leaves), formula(layer, *leaves)
    upstream = number(*y.shape, seed=9)
    found, exact = (torch.autograd.grad(part, wanted, upstream, allow_unused=True) for part in (y, expected))
    for mine, theirs in zip((y, *found), (expected, *exact), strict=True):
        assert (mine is None) == (theirs is None)
        if theirs is not None:
            assert (mine - theirs).norm() <= 1e-5 * theirs.norm()
    with torch.no_grad():
        torch.testing.assert_close(layer(*arguments), y)


SPIED = ("attention", "group_norm_act", "layer_norm_modulate", "rms_norm")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_calls_the_kernels(name: str, training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    called = set[str]()
    for spied in SPIED:
        function = getattr(kernels, spied)

        def told(*args, function=function, spied=spied, **kwargs):
            called.add(spied)
            return function(*args, **kwargs)

        for module in ("attention", "convolution", "transformer"):
            monkeypatch.setattr(f"nodeflow_nn.{module}.{spied}", told, raising=False)
    layer, _, arguments = CASES[name]
    with torch.set_grad_enabled(training):
        layer(*arguments)
    expected = {"head norm": {"rms_norm"}, "adaptive block": {"attention", "layer_norm_modulate", "rms_norm"}}
    attends = "attention" in name or name == "block"
    assert expected.get(name, {"attention", "rms_norm"} if attends else {"group_norm_act"}) == called
