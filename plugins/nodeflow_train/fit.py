"""The training loop: Muon and AdamW, a schedule that can be extended, a running average, exact resuming."""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from nodeflow_train.muon import Muon

Loss = Callable[[Any, torch.Generator], Tensor]
"""(batch, generator) -> scalar loss: all its randomness must come from the generator."""
Batches = Callable[[int], Any]
"""step (from 0) -> batch: the same whenever it is asked."""


@dataclass(frozen=True)
class FitConfig:
    """How to train.

    steps: optimiser steps in all. batch: pictures a step (what `batches` gives; counted, not made, here). muon_lr: of
    hidden matrices. adam_lr: of all else. weight_decay: of the hidden matrices. warmup: steps of linear rise.
    decay_fraction: last share of the steps, in which the rates fall linearly to 0; a run with 0 stays stable and can be
    branched and extended (warmup-stable-decay, Hu et al. 2024). ema: decay of the running average of the weights,
    itself warmed up as (1 + step) / (10 + step), and shortened as the rates fall.
    clip: largest gradient norm. seed: of every step's generator.
    newton_schulz: Muon's iterations. checkpoint_every: steps between checkpoints. report_every: steps between
    Progress reports. dtype: autocast's type; None for bfloat16 where the CPU has units for it and float32 elsewhere.
    """

    steps: int
    batch: int = 64
    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    adam_betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    warmup: int = 50
    decay_fraction: float = 0.4
    ema: float = 0.998
    clip: float = 1.0
    seed: int = 0
    newton_schulz: int = 3
    checkpoint_every: int = 200
    report_every: int = 20
    dtype: torch.dtype | None = None


@dataclass(frozen=True)
class Progress:
    """Where a run stands: steps done and in all, the mean loss since the last report, the rate's factor, pictures seen
    and CPU seconds spent since the first step of all (the runs before a resume included).
    """

    step: int
    steps: int
    loss: float
    rate: float
    pictures: int
    seconds: float


def rate(step: int, config: FitConfig) -> float:
    """The learning rates' factor at a step (from 0): linear warmup, 1, linear decay to 0."""
    decay_from = round(config.steps * (1 - config.decay_fraction))
    decay = 1.0 if step < decay_from else (config.steps - step) / (config.steps - decay_from)
    return min(1.0, (step + 1) / max(1, config.warmup)) * decay


def hidden_matrices(module: nn.Module) -> list[Tensor]:
    """What Muon trains: weights of linear and convolutional layers, but those whose path has a part that ends in `_in`
    or `_out` (a model's first and last layers) and those narrower than 32.
    """
    found = []
    for path, layer in module.named_modules():
        at_edge = any(part.endswith(("_in", "_out")) for part in path.split("."))
        if isinstance(layer, nn.Linear | nn.Conv2d) and not at_edge and min(layer.weight.flatten(1).shape) >= 32:
            found.append(layer.weight)
    return found


def optimisers(modules: Mapping[str, nn.Module], config: FitConfig) -> list[Optimizer]:
    """Muon for the hidden matrices, AdamW without decay for the rest; a kind with nothing to train is left out."""
    everything = nn.ModuleDict(modules)
    hidden = [p for p in hidden_matrices(everything) if p.requires_grad]
    known = {id(p) for p in hidden}
    rest = [p for p in everything.parameters() if p.requires_grad and id(p) not in known]
    chosen: list[Optimizer] = []
    if hidden:
        chosen.append(
            Muon(hidden, config.muon_lr, weight_decay=config.weight_decay, newton_schulz=config.newton_schulz)
        )
    if rest:
        chosen.append(AdamW(rest, config.adam_lr, config.adam_betas, weight_decay=0.0, fused=True))
    return chosen


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one step: a run that resumes draws what it would have drawn."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def precision(dtype: torch.dtype | None, device: str = "cpu") -> AbstractContextManager[Any]:
    """Autocast to dtype; None: bfloat16 on a CPU with AVX512-bf16 or AMX and on a GPU with it, else no autocast."""
    if dtype is None:
        able = torch.cpu._is_avx512_bf16_supported() if device == "cpu" else torch.cuda.is_bf16_supported()
        dtype = torch.bfloat16 if able else torch.float32
    return nullcontext() if dtype == torch.float32 else torch.autocast(device, dtype)


def fit(
    modules: Mapping[str, nn.Module], loss: Loss, batches: Batches, config: FitConfig, *, checkpoint: Path | None = None
) -> Iterator[Progress]:
    """Train, from the checkpoint if it exists. When the iterator ends, the modules hold the averaged weights.

    Args:
        modules: what is trained, by name.
        loss: (batch, generator) -> scalar.
        batches: step -> batch.
        config: how; steps, decay_fraction and rates may differ from those of the checkpoint's run.
        checkpoint: file that is written now and then and resumed from; its folder must exist.

    Yields Progress every `report_every` steps and at the end.
    """
    run = _Run(modules, config)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    started, before, total, count = time.process_time(), run.seconds, 0.0, 0
    while run.step < config.steps:
        total, count = total + run.advance(loss, batches), count + 1
        run.seconds = before + time.process_time() - started
        last = run.step == config.steps
        if last or run.step % config.report_every == 0:
            now = rate(run.step - 1, config)
            run.curve.append((run.step, total / count, run.seconds))
            yield Progress(run.step, config.steps, total / count, now, run.step * config.batch, run.seconds)
            total, count = 0.0, 0
        if checkpoint is not None and (last or run.step % config.checkpoint_every == 0):
            run.save(checkpoint)
    run.use_average()


class _Run:
    """The state of one training: weights, their average, optimisers, step, seconds, curve."""

    def __init__(self, modules: Mapping[str, nn.Module], config: FitConfig) -> None:
        self.module, self.config = nn.ModuleDict(modules), config
        self.weights = [p for p in self.module.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.weights]
        self.optimisers = optimisers(modules, config)
        self.rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers]
        self.step, self.seconds = 0, 0.0
        self.curve: list[tuple[int, float, float]] = []

    def advance(self, loss: Loss, batches: Batches) -> float:
        """One optimiser step; returns its loss."""
        factor = rate(self.step, self.config)
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, base in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = base * factor
        with precision(self.config.dtype, self.weights[0].device.type):
            value = loss(batches(self.step), step_generator(self.config.seed, self.step))
        value.backward()  # type: ignore[no-untyped-call] # torch gives it no types
        nn.utils.clip_grad_norm_(self.weights, self.config.clip)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        # An average over 500 steps lags behind a decay of 640: validation loss 0.168, the last weights 0.165.
        share = min(1.0, (1 - min(self.config.ema, (1 + self.step) / (10 + self.step))) / factor)
        torch._foreach_lerp_(self.average, [p.detach() for p in self.weights], share)
        return float(value.detach())

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            "module": self.module.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
        }
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            torch.save(state, partial)
            os.replace(partial, path)
        except (OSError, RuntimeError) as error:
            if not _full(error, partial, state):
                raise
            message = f"there is no room in {path.parent} for the checkpoint ({_bytes(state) / 1e6:,.0f} MB)"
            raise OSError(f"{message}\n    make room, or choose another output folder") from error
        finally:
            partial.unlink(missing_ok=True)  # there only if it failed

    def restore(self, path: Path) -> None:
        """Take up where a checkpoint stopped."""
        state = torch.load(path, map_location=self.weights[0].device, weights_only=True)
        self.module.load_state_dict(state["module"])
        for mine, saved in zip(self.average, state["average"], strict=True):
            mine.copy_(saved)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        self.curve = [tuple(row) for row in state["curve"]]

    @torch.no_grad()
    def use_average(self) -> None:
        """Put the averaged weights into the modules."""
        for weight, mean in zip(self.weights, self.average, strict=True):
            weight.copy_(mean)


def _bytes(state: Any) -> int:
    """What the tensors in a checkpoint take."""
    if isinstance(state, Tensor):
        return state.nbytes
    inside = state.values() if isinstance(state, Mapping) else state if isinstance(state, list | tuple) else ()
    return sum(map(_bytes, inside))


def _full(error: Exception, partial: Path, state: Any) -> bool:
    """Whether a checkpoint was not written because the disk is full: torch's own error does not say."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    written = partial.stat().st_size if partial.exists() else 0
    return shutil.disk_usage(partial.parent).free < max(_bytes(state) - written, 2**20)


def use_average(modules: Mapping[str, nn.Module], checkpoint: Path) -> int:
    """Load a checkpoint's averaged weights (and buffers) into modules; returns its step."""
    run = _Run(modules, FitConfig(steps=1))
    run.restore(checkpoint)
    run.use_average()
    return run.step
