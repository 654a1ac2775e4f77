"""Weights reach a device as they are in the file, whatever a module makes of them beside."""

from pathlib import Path

import pytest
import torch
from nodeflow_nn.checkpoints import build
from nodeflow_nn.placing import Staging, placed
from nodeflow_nn.weights import load_weights
from safetensors.torch import save_file
from torch import Tensor, nn


class Odd(nn.Module):
    """Shares a weight, and keeps what it computed: a buffer that is not saved, and an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 5, bias=False)
        self.second = nn.Linear(3, 5)
        self.second.weight = self.first.weight
        self.register_buffer("seen", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("falling", torch.ones(4).cumsum(0), persistent=False)
        self.table = torch.arange(3.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    module = Odd()
    module.seen += 7
    path = tmp_path / "odd.safetensors"
    save_file({name: value.clone().contiguous() for name, value in module.state_dict().items()}, path)
    return path


def test_shared_saved_computed_and_plain_tensors_are_all_there(file: Path) -> None:
    module = placed(Odd, file, "cpu", None)
    assert module.first.weight is module.second.weight
    assert [7, 7] == module.seen.tolist()
    assert [1, 2, 3, 4] == module.falling.tolist()
    assert [0, 1, 2] == module.table.tolist()
    assert not module.training
    assert not any(weight.requires_grad for weight in module.parameters())


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_a_type_is_kept_or_changed_and_counts_stay_counts(file: Path, dtype: torch.dtype | None) -> None:
    module = placed(Odd, file, "cpu", dtype)
    assert (dtype or torch.float32) == module.first.weight.dtype
    assert torch.int64 == module.seen.dtype


def test_no_first_weights_are_drawn(file: Path) -> None:
    state = torch.get_rng_state()
    placed(lambda: nn.ModuleDict({"first": nn.Linear(3, 5, bias=False)}), file, "cpu", None)
    assert torch.equal(state, torch.get_rng_state())


def test_every_shipped_network_is_placed_as_it_was_loaded_before() -> None:
    from nodeflow_codebooks.recipes import BUILDERS as AUTOENCODERS
    from nodeflow_diffusion.recipes import BUILDERS as DENOISERS
    from nodeflow_text.recipes import BUILDERS as ENCODERS

    from nodeflow import find_weights

    builders = {**AUTOENCODERS, **DENOISERS, **ENCODERS}
    for name in ("autoencoder", "text", "transformer", "unet"):
        path = find_weights(f"shapes:{name}")
        wanted, found = load_weights(path, builders), build(path, builders, "cpu")
        for group in ("named_parameters", "named_buffers"):
            expected = dict(getattr(wanted, group)())
            actual = dict(getattr(found, group)())
            assert expected.keys() == actual.keys()
            assert all(torch.equal(expected[key], actual[key]) for key in expected), name
            assert all(expected[key].dtype == actual[key].dtype for key in expected), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("length", [0, 1, 8, 15, 16, 17, 100])
def test_staging_copies_in_pieces_and_converts_at_the_other_end(dtype: torch.dtype, length: int) -> None:
    source = torch.randn(length).to(dtype)
    target = torch.full((length,), torch.nan)
    Staging(torch.device("cpu"), pinned=False, piece=64).copy(source, target)
    assert torch.equal(source.float(), target)


class Wide(nn.Module):
    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ParameterList(torch.empty(size) for size in sizes)

    def total(self) -> Tensor:
        return torch.stack([weight.double().sum() for weight in self.layers]).sum()


@pytest.mark.gpu
def test_on_a_gpu_the_memory_taken_is_the_weights_and_a_piece(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here: staging through pinned memory was not run")
    sizes = (3, 2**20 + 1, 2**25)
    path = tmp_path / "wide.safetensors"
    save_file({f"layers.{at}": torch.randn(size).half() for at, size in enumerate(sizes)}, path)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    module = placed(lambda: Wide(sizes), path, "cuda:0", torch.float32)
    assert torch.cuda.max_memory_allocated() - before <= 4 * sum(sizes) + 2 * 32 * 2**20 + 2**21
    assert module.total().item() == placed(lambda: Wide(sizes), path, "cpu", torch.float32).total().item()
