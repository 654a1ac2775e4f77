"""What a node may ask of the run: steps, noise, models, previews, files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nodeflow.values import Composition, Image, Model, Recipe

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class Context:
    """The quiet context: no listener, no cache of models, the working directory for files.

    A node called as a plain function gets this one; the runner passes its own subclass, with the same promises.
    """

    device: str = "cpu"
    """Where this node computes: "cpu", "cuda", "cuda:1", ..."""

    about: str = ""
    """The graph that is running, as the text of its file; a saved picture carries it. Empty in a plain call."""

    def steps(
        self, items: Iterable[T], *, total: int | None = None, preview: Callable[[], Image] | None = None
    ) -> Iterator[T]:
        """Owns a node's loop: progress, time left, previews, and the place where a cancel takes effect.

        Args:
            items: what to loop over.
            total: how many there are, when `items` cannot say.
            preview: draws the present state; called only when somebody looks.

        Raises:
            Cancelled: at the next item after somebody stopped the run.
        """
        del total, preview
        yield from items

    def say(self, text: str) -> None:
        """A line on how the work stands ("loss 0.213"), shown beside the node's progress."""

    def preview(self, image: Image) -> None:
        """Shows a picture of the work so far, if anybody looks."""

    def noise(self, seed: int, shape: tuple[int, ...]) -> Tensor:
        """Standard normal float32 noise, drawn on the CPU and moved: one seed, one picture, on every device."""
        import torch  # deferred: a graph without noise never pays for it

        generator = torch.Generator("cpu").manual_seed(seed)
        return torch.randn(shape, generator=generator, dtype=torch.float32).to(self.device)

    def load(self, recipe: Recipe) -> Any:
        """Makes a recipe callable, its models on this node's device."""
        if isinstance(recipe, Model):
            return recipe.build(self.device)
        if isinstance(recipe, Composition):
            return recipe.assemble(self.load)
        raise TypeError(f"{type(recipe).__name__} is neither a Model nor a Composition, so it cannot be loaded")

    def read(self, path: str | Path) -> Path:
        """The file at `path`, if it may be read.

        Raises:
            PermissionError: it lies outside the folders that this run may read.
        """
        return Path(path)

    def write(self, name: str | Path) -> Path:
        """Where a file called `name` goes, below the output folder; folders on the way are made.

        Raises:
            PermissionError: `name` leads out of the output folder.
        """
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


QUIET = Context()
"""The default of every node's `ctx`."""


def count(items: Iterable[Any], total: int | None) -> int | None:
    """How many steps there will be, where that can be known."""
    return total if total is not None else len(items) if isinstance(items, Sized) else None
