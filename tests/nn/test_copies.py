"""Weights are copied once on their way in, and beside them nothing as large as two of them is ever there."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoder, LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_names import sources as autoencoder_sources
from nodeflow_diffusion.latent_unet import LatentUNet, LatentUNetConfig
from nodeflow_diffusion.latent_unet_names import sources as unet_sources
from nodeflow_nn.published import Checkpoint, filled
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

UNET = LatentUNetConfig(widths=(32, 64), layers=1, depths=(1, 0), heads=(2, 2), context_width=24, groups=8)
VAE = LatentAutoencoderConfig(widths=(32, 64), layers=1, attended=(False, False))
MADE: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], dict[str, tuple[str, ...]]]]] = {
    "unet": (lambda: LatentUNet(UNET), lambda module: unet_sources(module, "diffusers")),
    "autoencoder": (lambda: LatentAutoencoder(VAE), lambda module: autoencoder_sources(module, "diffusers")),
}


class Ledger(TorchDispatchMode):
    """Counts the numbers that are copied, and the bytes of memory that tensors made within it take."""

    def __init__(self) -> None:
        super().__init__()
        self.copied, self.peak = 0, 0
        self.there: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "copy_":
            self.copied += args[0].numel()
        elif name in ("clone", "_to_copy") and found.numel() > 2:  # least and greatest of each are looked at
            self.copied += found.numel()
        if name in ("empty", "clone", "_to_copy", "add", "mul") and not found.is_meta:
            self.took(found)
        return found

    def took(self, value: Tensor) -> None:
        key = id(value)
        self.there[key] = value.numel() * value.element_size()
        weakref.finalize(value, self.there.pop, key, None)
        self.peak = max(self.peak, sum(self.there.values()))


def published(module: nn.Module, named: dict[str, tuple[str, ...]], path: Path) -> Checkpoint:
    weights: dict[str, Tensor] = {}
    for ours, value in module.state_dict().items():
        names = named[ours]
        rows = [len(value) // len(names)] * len(names)
        if isinstance(module, LatentUNet) and ours.startswith("times."):
            rows = module.shift_widths
        elif isinstance(module, LatentUNet) and ours.startswith("words."):
            rows = [width for width, _ in module.readers for _ in range(2)]
        weights |= {name: part.contiguous() for name, part in zip(names, value.split(rows), strict=True)}
    save_file(weights, path)
    return Checkpoint(path, dict.fromkeys(weights, path), {name: tuple(part.shape) for name, part in weights.items()})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", MADE)
def test_each_weight_is_copied_once_and_main_memory_holds_the_model_and_little_more(
    kind: str, last: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    make, names = MADE[kind]
    torch.manual_seed(0)
    module = make()
    named = names(module)
    checkpoint = published(module, named, tmp_path / "model.safetensors")
    ledger = Ledger()
    with torch.no_grad(), ledger:
        found = filled(make, named, checkpoint, "cpu", dtype, channels_last=last)
    sizes = [value.numel() * dtype.itemsize for value in found.parameters()]
    assert sum(value.numel() for value in found.parameters()) == ledger.copied
    assert sum(sizes) <= ledger.peak <= sum(sizes) + max(sizes)
    kernels = [value for value in found.parameters() if value.ndim == 4 and 1 not in value.shape[1:]]
    assert all(value.is_contiguous(memory_format=torch.channels_last) == last for value in kernels)
    # what is laid out already is not copied for it again
    if last:
        before = {name: value.data_ptr() for name, value in found.named_parameters()}
        found.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        assert before == {name: value.data_ptr() for name, value in found.named_parameters()}
    expected = module.state_dict()
    assert all(torch.equal(expected[name].to(dtype), value) for name, value in found.state_dict().items())
