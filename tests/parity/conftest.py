"""Numbers to agree with: kept ones in `fixtures`, and those of diffusers and transformers where they are installed."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(__file__).parent / "fixtures"
FILLS: dict[str, Callable[[Tensor], Tensor]] = {
    "fan_in": lambda r: r / max(1, math.prod(r.shape[1:])) ** 0.5,
    "embedding": lambda r: 0.5 * r,
    "scale": lambda r: 1 + 0.1 * r,
    "shift": lambda r: 0.1 * r,
    "var": lambda r: 1 + 0.1 * r.abs(),
}


@dataclass(frozen=True)
class Kept:
    """A file of kept numbers: see fixtures/README.md."""

    specs: dict[str, Any]
    tensors: dict[str, Tensor]

    def weights(self, model: str) -> dict[str, Tensor]:
        """The state of the reference's model, "<title>.<model>"."""
        start = f"w:{model}."
        stored = {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}
        return {name: drawn(name, spec) for name, spec in self.specs.get(model, {}).items()} | stored

    def given(self, name: str) -> Tensor:
        """An input, "<title>.<key>"."""
        return self.tensors[f"i:{name}"]

    def expected(self, name: str) -> Tensor:
        """An output, "<title>.<key>"."""
        return self.tensors[f"o:{name}"]


def drawn(name: str, spec: dict[str, Any]) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(f"{spec['seed']}:{name}".encode()).digest()[:7], "big")
    drawn = torch.randn(tuple(spec["shape"]), generator=torch.Generator().manual_seed(seed))
    return FILLS[spec["fill"]](drawn).to(getattr(torch, spec["dtype"]))


@pytest.fixture(scope="session")
def kept() -> Callable[[str], Kept]:
    """Opens a file of kept numbers by its name."""
    return lambda name: Kept(
        json.loads((FOLDER / f"{name}.json").read_text("utf-8")), load_file(FOLDER / f"{name}.safetensors")
    )


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Whether a result is the expected one, relative to its largest number (at least 1)."""

    def judge(expected: Tensor, found: Tensor, tolerance: float = 2e-5) -> None:
        assert expected.shape == found.shape
        error = float((expected.double() - found.double()).abs().max())
        assert error <= tolerance * max(1.0, float(expected.abs().max())), f"differs by {error:.1e}"

    return judge


@pytest.fixture
def filled() -> Callable[[torch.nn.Module], torch.nn.Module]:
    """Fills a module of a reference library so that every layer counts: weights of 1 / sqrt(fan-in), none zero."""

    @torch.no_grad()
    def fill(module: torch.nn.Module) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(0)
        for name, value in module.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            matrix = value.ndim > 1
            value.copy_(noise / math.prod(value.shape[1:]) ** 0.5 if matrix else 0.1 * noise + name.endswith("weight"))
        return module.eval().requires_grad_(False)

    return fill
