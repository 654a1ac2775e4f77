"""What published checkpoints call the tensors of CLIP's ResNets, and which ResNet a checkpoint holds: tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile

from nodeflow_nn.published import Piece, Sources

from nodeflow_text.clip_names import UNUSED, Shapes
from nodeflow_text.clip_resnet import ClipResNetConfig

PREFIXES = ("visual.", "embedder.model.visual.", "")
"""What may stand before the names: OpenAI's archives and open_clip, files of unCLIP, a tower of its own."""
NORM = {"weight": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}
LAYERS = ("layer1", "layer2", "layer3", "layer4")
COUNTERS = ".num_batches_tracked"
"""How the names end of what only training needed: batches seen."""


@dataclass(frozen=True)
class ResNet:
    """A ResNet in a checkpoint. prefix: of its names."""

    prefix: str

    def sources(self, config: ClipResNetConfig) -> Sources:
        """For each tensor of ours those of the checkpoint."""
        found = dict(self._convolution(number, "", "") for number in (1, 2, 3))
        for number in (1, 2, 3):
            found |= self._norm(f"norm{number}.", f"bn{number}.")
        for level, blocks in enumerate(config.layers):
            for index in range(blocks):
                found |= self._block(level, index)
        found["pool.positions"] = (f"{self.prefix}attnpool.positional_embedding",)
        for leaf in ("weight", "bias"):
            found[f"pool.qkv.{leaf}"] = tuple(f"{self.prefix}attnpool.{part}_proj.{leaf}" for part in "qkv")
            found[f"pool.out.{leaf}"] = (f"{self.prefix}attnpool.c_proj.{leaf}",)
        return found

    def owns(self, name: str) -> bool:
        """Whether a tensor is this tower's, so that it must be used."""
        return name.startswith(self.prefix) and not name.endswith(COUNTERS) and not UNUSED.fullmatch(name)

    def _block(self, level: int, index: int) -> dict[str, tuple[Piece, ...]]:
        ours, theirs = f"layers.{level}.{index}.", f"{LAYERS[level]}.{index}."
        found = dict(self._convolution(number, ours, theirs) for number in (1, 2, 3))
        for number in (1, 2, 3):
            found |= self._norm(f"{ours}norm{number}.", f"{theirs}bn{number}.")
        if index == 0:  # of each layer the first alone changes the channels
            found[f"{ours}skip.weight"] = (f"{self.prefix}{theirs}downsample.0.weight",)
            found |= self._norm(f"{ours}skip_norm.", f"{theirs}downsample.1.")
        return found

    def _convolution(self, number: int, ours: str, theirs: str) -> tuple[str, tuple[Piece, ...]]:
        return f"{ours}conv{number}.weight", (f"{self.prefix}{theirs}conv{number}.weight",)

    def _norm(self, ours: str, theirs: str) -> dict[str, tuple[Piece, ...]]:
        return {f"{ours}{name}": (f"{self.prefix}{theirs}{published}",) for name, published in NORM.items()}


def find(shapes: Shapes) -> ResNet | None:
    """The ResNet in a checkpoint, if there is one."""
    marks = ("layer1.0.conv1.weight", "attnpool.k_proj.weight")
    prefixes = (prefix for prefix in PREFIXES if all(prefix + mark in shapes for mark in marks))
    return next((ResNet(prefix) for prefix in prefixes), None)


def config_of(resnet: ResNet, shapes: Shapes) -> ClipResNetConfig:
    """Which ResNet it is: shapes tell all of it, as its heads are of 64 channels.

    Raises:
        ValueError: a tensor that tells it is absent or odd.
    """

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        found = shapes.get(resnet.prefix + name, ())
        if len(found) != dimensions or 0 in found:
            told = f"{resnet.prefix}{name} is {list(found) or 'absent'}"
            raise ValueError(f"{told}, but expected a tensor of {dimensions} dimensions")
        return found

    width = shape("conv3.weight", 4)[0]
    layers = tuple(sum(1 for _ in _blocks(resnet, layer, shapes)) for layer in LAYERS)
    if 0 in layers:
        raise ValueError(f"its layers have {layers} blocks, but expected one at least in each")
    grid = round((shape("attnpool.positional_embedding", 2)[0] - 1) ** 0.5)
    projection = shape("attnpool.c_proj.weight", 2)[0]
    return ClipResNetConfig(32 * grid, width, layers, max(1, width // 2), projection)  # type: ignore[arg-type]


def _blocks(resnet: ResNet, layer: str, shapes: Shapes) -> Iterator[int]:
    return takewhile(lambda index: f"{resnet.prefix}{layer}.{index}.conv1.weight" in shapes, count())
