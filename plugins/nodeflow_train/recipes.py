"""Data sets and optimisers as recipes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from nodeflow_nn.weights import fill, read_tensors

from nodeflow import Dataset, LatentSpace, Recipe, SavedFile, Trainable, file_identity, find_weights
from nodeflow_train.fit import FitConfig
from nodeflow_train.prepare import Prepared, load_prepared


@dataclass(frozen=True)
class Optimiser:
    """How weights are moved; the fields are FitConfig's, `decay` its decay_fraction."""

    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 50
    decay: float = 0.4
    ema: float = 0.998
    clip: float = 1.0
    newton_schulz: int = 3

    def config(self, steps: int, batch: int, seed: int, dtype: torch.dtype | None) -> FitConfig:
        """All that the training loop wants to know; it reports every step, so that a run can be stopped at each."""
        return FitConfig(
            steps,
            batch,
            muon_lr=self.muon_lr,
            adam_lr=self.adam_lr,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            decay_fraction=self.decay,
            ema=self.ema,
            clip=self.clip,
            seed=seed,
            newton_schulz=self.newton_schulz,
            report_every=1,
            dtype=dtype,
        )


@dataclass(frozen=True)
class PreparedDataset(Dataset):
    """Latents and caption numbers in a file, made from `source` by `autoencoder`. seed: of the order they come in.
    full: share of visits that bring the full caption, whatever the phrasings.
    """

    source: Dataset
    file: SavedFile
    autoencoder: str
    space: LatentSpace
    seed: int
    full: float = 0.0

    @property
    def words(self) -> tuple[str, ...]:
        return self.source.words

    @property
    def answers(self) -> Mapping[str, tuple[str, ...]]:
        return self.source.answers

    @property
    def notes(self) -> Mapping[str, Any]:
        own = {"autoencoder": self.autoencoder, "space": asdict(self.space), "order_seed": self.seed}
        own["full_captions"] = self.full
        return {**self.source.notes, **own}

    def assemble(self, load: object) -> "PreparedBatches":
        del load  # it is all in the file
        if not self.file.stands():
            raise ValueError(f"{self.file.path} is gone or has changed\n    run the graph again: it is prepared anew")
        return PreparedBatches(Path(self.file.path), self.seed, self.full)


@dataclass(frozen=True)
class PreparedBatches:
    """A PreparedDataset, loaded."""

    path: Path
    seed: int
    full: float

    @cached_property
    def _held(self) -> Prepared:
        return load_prepared(self.path)

    @property
    def count(self) -> int:
        return len(self._held.latents)

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """Latents, the numbers of one phrasing each and what regions there are, in a new order each time round."""
        return dict(self._held.batch(step, size, self.seed, self.full))


@dataclass(frozen=True)
class Begun(Trainable):
    """A model that begins with the weights of that name and content instead of first weights. told: what their file
    says of how they were made.
    """

    model: Trainable
    weights: str
    digest: str
    told: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)

    @property
    def architecture(self) -> str:  # type: ignore[override]
        """That of the model."""
        return self.model.architecture

    @property
    def config(self) -> Any:
        """That of the model."""
        return self.model.config

    @property
    def notes(self) -> Mapping[str, Any]:
        kept = {name: self.told[name] for name in ("space", "graph", "graph_digest", "pictures") if name in self.told}
        return {"began_with": {"weights": self.weights, "digest": self.digest, **kept}}

    def assemble(self, load: Callable[[Recipe], Any]) -> Any:
        """The module, filled."""
        path = find_weights(self.weights)
        if file_identity(path) != self.digest:
            raise ValueError(f"{path} has changed since the graph looked at it\n    run the graph again")
        module = load(self.model)
        fill(module, read_tensors(path), source=str(path))
        return module
