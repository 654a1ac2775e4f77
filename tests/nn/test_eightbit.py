"""Weights held in 8 bits are what e4m3 can hold of them, channel by channel, and nothing else of a module changes."""

from pathlib import Path

import pytest
import torch
from nodeflow_nn.eightbit import EIGHT, Held, held_in, hold, in_eight
from nodeflow_nn.placing import WithoutMemory, placed
from nodeflow_nn.published import Checkpoint, filled, shapes_of
from safetensors.torch import save_file
from torch import Tensor, nn

NEAR = 2.0**-4
"""e4m3 has three bits behind the point: a number is off by half of the last at most, a part in 16 of itself."""


class Small(nn.Module):
    """Layers that hold, and what does not: a norm, an embedding, a bias, weights that two layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.norm = nn.GroupNorm(2, 8)
        self.last = nn.Linear(8, 8)
        self.tied, self.tied_too = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.tied_too.weight = self.tied.weight

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.last(self.norm(self.first(x)).mean((2, 3)))
        return h


@pytest.fixture
def module() -> Small:
    torch.manual_seed(0)
    return Small().eval().requires_grad_(False)


@pytest.fixture
def file(module: Small, tmp_path: Path) -> Path:
    state = {name: value.clone() for name, value in module.state_dict().items() if name != "tied_too.weight"}
    save_file(state, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (torch.float32, 1e-30), (torch.bfloat16, 1e-30), (torch.float16, 0.01),
        *((dtype, size) for dtype in (torch.float32, torch.bfloat16, torch.float16) for size in (1.0, 447.0, 449.0)),
    ],
)  # fmt: skip
def test_a_weight_comes_back_within_what_three_bits_can_tell(dtype: torch.dtype, size: float) -> None:
    torch.manual_seed(0)
    weight = size * (1 + torch.rand(16, 30)) * torch.randn(16, 30).sign()
    eight, scale = in_eight(weight, dtype)
    assert (EIGHT, dtype, (16, 1)) == (eight.dtype, scale.dtype, tuple(scale.shape))
    back = (eight.to(dtype) * scale).float()
    assert ((back - weight).abs() <= NEAR * weight.abs()).all()


def test_scaling_rounds_nothing(module: Small) -> None:
    exact = torch.tensor([[1.0, -1.75, 448.0, 0.015625], [0.0, 3.5, -120.0, 1.125]]) * torch.tensor(
        [[2.0**9], [2.0**-20]]
    )
    eight, scale = in_eight(exact, torch.float32)
    assert torch.equal(exact, eight.float() * scale)


def test_channels_of_different_size_do_not_disturb_each_other() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 100) * 10.0 ** torch.arange(-9.0, 3.0, 2.0).unsqueeze(1)
    eight, scale = in_eight(weight, torch.float32)
    off = (eight.float() * scale - weight).norm(dim=1) / weight.norm(dim=1)
    assert (off < 0.04).all(), off  # each as good as the largest


def test_zeros_stay_zeros() -> None:
    eight, scale = in_eight(torch.zeros(4, 5), torch.float16)
    assert torch.equal(torch.zeros(4, 5), eight.float() * scale.float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_file_is_placed_in_8_bits_and_all_else_as_it_was(module: Small, file: Path, dtype: torch.dtype) -> None:
    found = placed(Small, file, "cpu", dtype, eight=True)
    assert isinstance(found, Small)
    assert (EIGHT, EIGHT) == (found.first.eight.dtype, found.last.eight.dtype)
    assert found.tied.weight is found.tied_too.weight
    for name in ("norm.weight", "norm.bias", "first.bias", "last.bias", "tied.weight"):
        assert torch.equal(module.get_parameter(name).to(dtype), found.get_parameter(name)), name
    assert dtype == found.first.weight.dtype
    assert torch.equal(found.first.weight, (found.first.eight.to(dtype) * found.first.scale))
    x = torch.randn(2, 3, 8, 8)
    expected, actual = module(x), found(x.to(dtype))
    assert dtype == actual.dtype
    assert 1e-4 < float((actual.float() - expected).norm() / expected.norm()) < 0.05


def test_published_tensors_are_filled_in_8_bits_as_a_file_is_placed(module: Small, file: Path) -> None:
    shapes = {name: shape for name, shape in shapes_of(module).items() if name != "tied_too.weight"}
    theirs = Checkpoint(file, dict.fromkeys(shapes, file), shapes)
    sources = {name: (name,) for name in shapes} | {"tied_too.weight": ("tied.weight",)}
    found = filled(Small, sources, theirs, "cpu", torch.bfloat16, eight=True)
    expected = placed(Small, file, "cpu", torch.bfloat16, eight=True)
    for name, value in expected.state_dict().items():
        assert torch.equal(value.float(), found.state_dict()[name].float()), name


def test_what_it_takes_is_known_by_shapes_alone() -> None:
    with WithoutMemory():
        plain, module = (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(8, 5)) for _ in range(2))
    held = held_in(shapes_of(plain))
    assert Held(3 * 8 * 9 + 40, 13) == held
    assert ["0.weight", "1.weight"] == list(hold(module, torch.bfloat16))
    biases = sum(value.nbytes for name, value in module.named_parameters() if name.endswith("bias"))
    assert held.numbers + 2 * held.scales + biases == sum(value.nbytes for value in module.state_dict().values())
    count = [sum(value.numel() for value in one.parameters()) for one in (plain, module)]
    assert count[0] == count[1]  # as many parameters, whatever they are held in


def test_channels_last_keeps_the_type(file: Path) -> None:
    found = placed(Small, file, "cpu", torch.float32, eight=True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert EIGHT == found.first.eight.dtype
    assert found.first.weight.is_contiguous(memory_format=torch.channels_last)
