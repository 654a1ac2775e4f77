"""The plain forms against torch's own functions in float64, what they refuse, and what `explain` says on a CPU."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from nodeflow_diffusion.samplers import ddim, ddpm
from torch import Tensor
from torch.nn import functional as F

from nodeflow import kernels
from nodeflow.kernels import (
    explain,
    geglu,
    group_norm_act,
    guided_step,
    layer_norm_modulate,
    rms_norm,
    vq_nearest,
)
from nodeflow.kernels.group_norm_act.naive import SUMMED
from nodeflow.kernels.layouts import bucket, images, rows


def number(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(got: Tensor, expected: Tensor, bound: float = 1e-14) -> bool:
    assert got.shape == expected.shape
    return float((got - expected).norm()) <= bound * float(expected.norm())


def test_geglu() -> None:
    x = number(3, 5, 14)
    assert close(geglu(x), x[..., :7] * x[..., 7:] * 0.5 * (1 + torch.erf(x[..., 7:] / 2**0.5)))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_group_norm_act(memory: torch.memory_format) -> None:
    x = number(2, 12, 5, 3).contiguous(memory_format=memory)
    weight, bias, scale, shift = number(12, seed=1), number(12, seed=2), number(2, 12, seed=4), number(2, 12, seed=5)
    grouped = x.reshape(2, 4, -1)
    normal = (grouped - grouped.mean(2, keepdim=True)) / (grouped.var(2, correction=0, keepdim=True) + 1e-3).sqrt()
    h = normal.view(2, 12, 5, 3) * weight[:, None, None] + bias[:, None, None]
    modulated = h * (1 + scale[:, :, None, None]) + shift[:, :, None, None]

    y = group_norm_act(x, weight, bias, 4, eps=1e-3, scale=scale, shift=shift)
    assert close(y, modulated * torch.sigmoid(modulated))
    assert y.is_contiguous(memory_format=memory)
    assert close(group_norm_act(x, weight, bias, 4, eps=1e-3, act="none"), h)
    only = group_norm_act(x, weight, bias, 4, eps=1e-3, act="none", shift=shift)
    assert close(only, h + shift[:, :, None, None])
    only = group_norm_act(x, weight, bias, 4, eps=1e-3, act="none", scale=scale)
    assert close(only, h * (1 + scale[:, :, None, None]))


@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("groups", [16, 32])
def test_groups_of_one_or_two_channels_are_normalised_by_sums(groups: int, mean: float) -> None:
    x = (number(2, 32, 33, 32) + mean).contiguous(memory_format=torch.channels_last)
    assert x.numel() >= SUMMED
    weight, bias, shift = number(32, seed=1), number(32, seed=2), number(2, 32, seed=4)
    for parameters in ((None, None), (weight, None), (weight, bias)):
        for given in ({}, {"shift": shift}):
            h = F.group_norm(x.contiguous(), groups, *parameters, eps=1e-5)
            h = h + shift[:, :, None, None] if given else h
            y = group_norm_act(x, *parameters, groups, eps=1e-5, **given)
            assert close(y, F.silu(h), 1e-10)
            assert y.is_contiguous(memory_format=torch.channels_last)
    exact = F.silu(F.group_norm(x.float().double(), groups, weight, bias))
    single = group_norm_act(x.float(), weight.float(), bias.float(), groups, eps=1e-5)
    assert close(single.double(), exact, 1e-6)


def test_what_a_backward_reads_is_not_overwritten() -> None:
    x = number(2, 6, 5, 4)
    for form in (lambda x: group_norm_act(x, None, None, 3, eps=1e-5), lambda x: geglu(x.permute(0, 2, 3, 1))):
        before = x.clone()
        form(x)
        assert torch.equal(before, x)
        assert torch.autograd.gradcheck(form, (x.clone().requires_grad_(),))


def test_rms_norm() -> None:
    x, weight = number(3, 4, 9), number(9, seed=1)
    assert close(rms_norm(x, weight, 1e-3), F.rms_norm(x, (9,), weight, 1e-3))
    assert close(rms_norm(x, None, 1e-3), F.rms_norm(x, (9,), None, 1e-3))


def test_layer_norm_modulate() -> None:
    x, weight, scale, shift = number(3, 4, 9), number(9, seed=1), number(3, 9, seed=2), number(3, 9, seed=4)
    expected = F.layer_norm(x, (9,), weight, None, 1e-3) * (1 + scale[:, None]) + shift[:, None]
    assert close(layer_norm_modulate(x, weight, scale, shift, 1e-3), expected)
    assert close(layer_norm_modulate(x, weight, scale[:, None], shift[:, None], 1e-3), expected)


def test_guided_step() -> None:
    cond, uncond, x, noise = (number(2, 3, 4, 5, seed=seed) for seed in range(4))
    p = (uncond + 7.5 * (cond - uncond)).clamp(-2, 2)
    step = guided_step(cond, uncond, x, noise, guidance=7.5, c_x=0.9, c_eps=-0.2, c_noise=0.1, clip=2.0)
    assert close(step, 0.9 * x - 0.2 * p + 0.1 * noise)
    assert close(guided_step(cond, None, x, None, guidance=7.5, c_x=0.9, c_eps=-0.2, c_noise=0.0), 0.9 * x - 0.2 * cond)


@pytest.mark.parametrize("sampler", [ddim, ddpm])
def test_guided_step_is_a_step_of_the_samplers(sampler: Callable[..., Tensor]) -> None:
    """With x_0 predicted: DDIM for eta = 0, and DDPM, by the weights that their equations give."""
    x_0, x, noise = number(2, 3, 4, 4), number(2, 3, 4, 4, seed=1), number(2, 3, 4, 4, seed=2)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (0.6, 0.8), (0.8, 0.6)
    expected = sampler(lambda *_: x_0, x, [((alpha_t, sigma_t), (alpha_s, sigma_s))], noise=lambda: noise)
    if sampler is ddim:
        c_x, c_eps, c_noise = sigma_s / sigma_t, alpha_s - sigma_s / sigma_t * alpha_t, 0.0
    else:
        ratio = alpha_t / alpha_s
        variance = sigma_t**2 - ratio**2 * sigma_s**2
        c_x, c_eps = ratio * sigma_s**2 / sigma_t**2, alpha_s * variance / sigma_t**2
        c_noise = variance**0.5 * sigma_s / sigma_t
    assert close(guided_step(x_0, None, x, noise, guidance=1, c_x=c_x, c_eps=c_eps, c_noise=c_noise), expected)


def test_vq_nearest_and_its_two_plain_forms_agree() -> None:
    from nodeflow.kernels.vq_nearest import naive

    z, codebook = number(4, 30, 6), number(50, 6, seed=1)
    expected = (z[..., None, :] - codebook).square().sum(-1).argmin(-1)
    assert torch.equal(expected, vq_nearest(z, codebook))
    assert torch.equal(expected, naive.vq_nearest(z, codebook))
    moved = naive.by_products((z + 1e3).float(), (codebook + 1e3).float())
    away = [(z - codebook[chosen]).norm(dim=-1) for chosen in (moved, expected)]
    assert close(*away, bound=1e-4)  # at 1e3 float32 itself is 6e-5 apart


def test_vq_nearest_gives_the_lowest_of_equals_and_holds_no_matrix_of_all_distances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nodeflow.kernels.vq_nearest import naive

    whole = number(10, 4).mul(2).round()
    codebook, z = torch.cat([whole, -whole]).repeat(3, 1), number(33, 4, seed=1).mul(2).round()
    expected = torch.stack([(row - codebook).square().sum(1) for row in z])
    lowest = torch.tensor([row.tolist().index(row.min().item()) for row in expected])
    monkeypatch.setattr(naive, "MOST", 200)  # three rows of z at a time
    assert torch.equal(lowest, vq_nearest(z.float(), codebook.float()))
    assert torch.equal(lowest, naive.vq_nearest(z, codebook))
    assert (0,) == vq_nearest(z[:0], codebook).shape


@pytest.mark.parametrize(("kind", "bound"), [(torch.float32, 1e-6), (torch.bfloat16, 8e-3)])
def test_plain_forms_in_other_types_stay_close_to_float64(kind: torch.dtype, bound: float) -> None:
    # bfloat16: norm, modulation and activation each round once, 2^-8 at most
    x, weight, scale = number(2, 8, 6, 6, dtype=kind), number(8, dtype=kind, seed=1), number(2, 8, dtype=kind, seed=2)
    wide = (weight.double(), weight.double(), 2)
    calls = {
        "geglu": (geglu(x), geglu(x.double())),
        "group": (
            group_norm_act(x, weight, weight, 2, eps=1e-5, scale=scale),
            group_norm_act(x.double(), *wide, eps=1e-5, scale=scale.double()),
        ),
        "rms": (rms_norm(x, weight[:6], 1e-6), rms_norm(x.double(), wide[0][:6], 1e-6)),
        "layer": (
            layer_norm_modulate(x, None, scale[:, :6], scale[:, 2:], 1e-5),
            layer_norm_modulate(x.double(), None, scale[:, :6].double(), scale[:, 2:].double(), 1e-5),
        ),
    }
    for name, (got, exact) in calls.items():
        assert got.dtype == kind
        assert close(got.double(), exact, bound), name


X, D = number(2, 8, 4, 4), number(2, 8)
REFUSED: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (geglu, (number(3, 7),), {}, ValueError, r"x has shape \[3, 7\], but expected an even last dimension"),
    (geglu, (torch.ones(2, 2, dtype=torch.int64),), {}, TypeError, "x is of int64"),
    (geglu, ([1.0, 2.0],), {}, TypeError, "x is a list, but expected a tensor"),
    (group_norm_act, (X, None, None, 3), {"eps": 1e-5}, ValueError, "3 groups do not divide 8 channels"),
    (group_norm_act, (X, None, None, 0), {"eps": 1e-5}, ValueError, "0 groups"),
    (group_norm_act, (D, None, None, 2), {"eps": 1e-5}, ValueError, r"expected \[B, C, ...\]"),
    (group_norm_act, (X, D, None, 2), {"eps": 1e-5}, ValueError, r"weight has shape \[2, 8\], but expected \[8\]"),
    (group_norm_act, (X, None, None, 2), {"eps": 1e-5, "scale": D[0]}, ValueError, r"scale .* expected \[2, 8\]"),
    (group_norm_act, (X, None, None, 2), {"eps": 1e-5, "act": "tanh"}, ValueError, "act is 'tanh'"),
    (group_norm_act, (X, None, D[0].to("meta"), 2), {"eps": 1e-5}, ValueError, "bias is on meta, but expected cpu"),
    (rms_norm, (X, D[0], 1e-6), {}, ValueError, r"weight has shape \[8\], but expected \[4\]"),
    (layer_norm_modulate, (X, None, D, D, 1e-6), {}, ValueError, r"scale has shape \[2, 8\], but expected \[2, 4\]"),
    (vq_nearest, (D, number(5, 7)), {}, ValueError, r"codebook has shape \[5, 7\], but expected \[5, 8\]"),
    (vq_nearest, (D, number(0, 8)), {}, ValueError, "at least one entry"),
]
STEP = {"guidance": 2.0, "c_x": 1.0, "c_eps": 1.0, "c_noise": 0.0}
REFUSED += [
    (guided_step, (X, D, X, None), STEP, ValueError, r"uncond has shape \[2, 8\], but expected \[2, 8, 4, 4\]"),
    (guided_step, (X, X, X, None), STEP | {"c_noise": 0.1}, ValueError, "expected 0 without noise"),
    (guided_step, (X, X, X, None), STEP | {"clip": 0.0}, ValueError, "clip is 0.0, but expected a number above 0"),
]


@pytest.mark.parametrize(("op", "args", "named", "kind", "message"), REFUSED)
def test_nonsense_is_refused_by_name(
    op: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        op(*args, **named)
    with pytest.raises(kind, match=message):
        explain(op, *args, **named)


def test_explain_on_a_cpu_names_every_rival_and_why_it_is_none() -> None:
    choice = explain(geglu, number(2, 4))
    assert ("geglu", "torch", "rule") == (choice.operation, choice.implementation, choice.source)
    assert "tensors on a CPU are always computed by torch" == choice.reason
    assert [("triton 512", "a tensor on cpu")] == [(rival.name, rival.reason) for rival in choice.rivals][:1]
    assert choice == explain("geglu", number(2, 4))
    with pytest.raises(ValueError, match="there is no operation 'gegl'; there are"):
        explain("gegl", number(2, 4))


def test_the_public_names_are_sorted_and_explained_by_the_same_arguments() -> None:
    assert sorted(kernels.__all__, key=lambda name: (name.islower(), name)) == kernels.__all__
    for name, operation in kernels.OPERATIONS.items():
        assert name in kernels.__all__
        home = getattr(kernels, name)
        public, bound = (inspect.signature(form, eval_str=True) for form in (home, operation.bind))
        assert public.parameters == bound.parameters


def test_sizes_fall_into_two_buckets_an_octave() -> None:
    assert [1, 2, 3, 4, 6, 6, 8, 8, 12, 4096, 6144] == [
        bucket(size) for size in (1, 2, 3, 4, 5, 6, 7, 8, 9, 4096, 4097)
    ]


def test_layouts_that_kernels_take_and_those_they_do_not() -> None:
    x = torch.empty(2, 6, 5, 4)
    last = x.contiguous(memory_format=torch.channels_last)
    assert (20, 120, 20, 1) == images(x)
    assert (20, 120, 1, 6) == images(last)
    assert (20, 120, 20, 1) == images(x[:, 1:3])
    assert None is images(x[..., ::2])
    assert None is images(x.transpose(2, 3))
    assert None is images(x[:, :, :1, :1].expand(2, 6, 5, 4))
    assert ((1, 1, 60), (0, 0, 4)) == rows(x)
    assert ((1, 1, 12), (0, 0, 20)) == rows(x[:, :, 0])
    assert ((1, 2, 3), (0, 120, 20)) == rows(x[:, 1:4, 0])
    assert None is rows(x.transpose(1, 3))
