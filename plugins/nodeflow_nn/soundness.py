"""Whether weights are numbers at all: NaN and infinity are looked for while weights are read, and named."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

TOLD = 12
"""Names that a message lists."""


class Soundness:
    """Looks at weights one after another, and judges them all at once: a device is asked a single question."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._ends: list[Tensor] = []

    def look(self, name: str, value: Tensor) -> None:
        """Takes in a tensor, wherever it is.

        Its least and greatest number are enough: NaN is both of any that has one. That takes a quarter of the time of
        the copy into its place, where `isfinite` takes nine times as much as the copy (on one core).
        """
        if not value.is_floating_point() or not value.numel():
            return
        if value.ndim == 4 and not value.is_contiguous():
            value = value.movedim(1, -1)  # of channels last: a view in the order of its memory, where others are copied
        self._names.append(name)
        self._ends.append(torch.stack(torch.aminmax(value if value.element_size() > 1 else value.float())).double())

    def unsound(self) -> list[str]:
        """The names of tensors with numbers that are not finite."""
        if not self._ends:
            return []
        fine = torch.stack(self._ends).isfinite().all(1).tolist()
        return [name for name, is_fine in zip(self._names, fine, strict=True) if not is_fine]

    def judge(
        self, published: Mapping[str, Iterable[str]], read: Callable[[str], Tensor], dtype: torch.dtype | None
    ) -> None:
        """Refuses what is not finite.

        Args:
            published: by name of a tensor that was looked at, those of the file that it is made of.
            read: gives one of these.
            dtype: what they were converted to.

        Raises:
            ValueError: it names the tensors of the file; or it says that numbers are beyond what `dtype` can hold.
        """
        names = [name for ours in self.unsound() for name in published[ours]]
        odd = [name for name in names if not bool(read(name).float().isfinite().all())]
        if odd:
            more = f" and {len(odd) - TOLD} more" if len(odd) > TOLD else ""
            raise ValueError(f"{', '.join(odd[:TOLD])}{more}: not finite; NaN and infinity are no weights")
        if names:
            kind = str(dtype).removeprefix("torch.")
            raise ValueError(f"{names[0]} goes beyond what {kind} can hold\n    choose bf16 or fp32 as its precision")


def unloaded(path: Path, error: Exception) -> str:
    """What to say of a checkpoint that cannot be loaded; an error without a cure of its own gets one."""
    return f"{path} cannot be loaded: {error}" + ("" if "\n" in str(error) else "\n    fetch it again")
