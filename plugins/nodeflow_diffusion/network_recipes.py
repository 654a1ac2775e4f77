"""What recipes of networks have in common: they are run as an execution says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from nodeflow_nn import published
from nodeflow_nn.eightbit import Held
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.soundness import unloaded
from torch import nn

from nodeflow import Checkpoint, Model, ModelError
from nodeflow_diffusion.execution import NOTHING, Execution

AS_EVER = Execution()
Make = Callable[[], nn.Module]


@dataclass(frozen=True)
class Executed(Model):
    """A network, and how it is run. held: what of its weights can be held in 8 bits.

    It stands before the class that says where the weights are, whose size is what they take as float32.
    """

    execution: Execution = field(default=AS_EVER, kw_only=True)
    held: Held = field(default=NOTHING, kw_only=True)

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.execution.bytes(super().size, self.held)  # type: ignore[safe-super]

    def judge(self, device: torch.device | str) -> None:
        """Refuses a device that cannot run it so."""
        self.execution.judge(device)

    def filled(
        self,
        make: Make,
        sources: published.Sources,
        checkpoint: Checkpoint,
        device: torch.device | str,
        merging: AbstractContextManager[published.Merge | None] | None = None,
    ) -> nn.Module:
        """The module on `device` with published weights that were judged to fit it (see `published.filled`).

        merging: within it, what changes the weights on their way.

        Raises:
            ModelError: they cannot be read, are no numbers, or are beyond what the precision can hold.
            Unsuited: the device cannot run it so.
        """
        self.judge(device)
        how = self.execution
        try:
            with merging or nullcontext() as merge:
                module = published.filled(
                    make, sources, published.Checkpoint.of(checkpoint), device, how.dtype, merge,
                    channels_last=how.lays_channels_last(device), eight=how.eight,
                )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(unloaded(checkpoint.path, error)) from error
        return how.arranged(module, device)

    def laid_out(self, make: Make) -> nn.Module:
        """The module without memory, its tensors of the types that they will have."""
        with WithoutMemory():
            module = make()
        return self.execution.laid_out(module.eval().requires_grad_(False))
