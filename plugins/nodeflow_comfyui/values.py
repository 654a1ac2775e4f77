"""What travels on ComfyUI's wires, as it is made of our nodes: mostly one of our wires, and what goes with it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Wire(NamedTuple):
    """An output of one of our nodes."""

    node: str
    output: str = "out"

    @property
    def text(self) -> str:
        """As a file has it."""
        return self.node if self.output == "out" else f"{self.node}.{self.output}"


@dataclass(frozen=True)
class Model:
    """A MODEL. source: as it is read, if by one of our nodes. name: of its file. preview: an autoencoder beside it.
    prediction: what it is told to predict, "" for what the file says. rescale: of the guidance. zero_snr, spacing: of
    the schedule.
    """

    wire: Wire
    source: Wire | None = None
    name: str = ""
    preview: Wire | None = None
    prediction: str = ""
    rescale: float = 0.0
    zero_snr: bool = False
    spacing: str = ""


@dataclass(frozen=True)
class Clip:
    """A CLIP. skip: layers left out; None for what is usual."""

    wire: Wire
    skip: int | None = None


@dataclass(frozen=True)
class Control:
    """A ControlNet on a text: the node that set it, its values, and whether the other text gets it as well."""

    node: str
    image: Wire
    model: str
    strength: float
    start: float
    stop: float
    both: bool


@dataclass(frozen=True)
class Painting:
    """What an inpainting model sees beside the noise."""

    vae: Wire
    image: Wire
    mask: Wire


@dataclass(frozen=True)
class Text:
    """A CONDITIONING. wire: None if there is nothing of ours for it. node: of ComfyUI's, that made it. sizes: what XL
    is told, by the names of diffusion.size_condition.
    """

    wire: Wire | None
    node: str
    sizes: dict[str, Any] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    painting: Painting | None = None


@dataclass(frozen=True)
class Pixels:
    """An IMAGE. side: width and height where they are known."""

    wire: Wire
    side: tuple[int, int] | None = None


@dataclass(frozen=True)
class Samples:
    """A LATENT. wire: None for the empty one, which is made where its model is known. side: of the pictures, in pixels.
    mask: where to paint. painting: what an inpainting model shall see of it. node: of ComfyUI's, that made it.
    """

    wire: Wire | None
    node: str
    side: tuple[int, int] | None = None
    count: int = 1
    mask: Wire | None = None
    painting: Painting | None = None
    unfinished: int = 0
    """Steps that a sampler left for another one; 0 for none."""


class File(NamedTuple):
    """A model that our nodes take by its name: CONTROL_NET, UPSCALE_MODEL."""

    name: str


class Noise(NamedTuple):
    """NOISE: the seed, or None for no noise."""

    seed: int | None


class Sampler(NamedTuple):
    """SAMPLER: its name, and settings of diffusion.sample."""

    name: str
    settings: dict[str, Any]


class Sigmas(NamedTuple):
    """SIGMAS: settings of diffusion.schedule; the steps, and how much of the way they are. differs: from ComfyUI's."""

    settings: dict[str, Any]
    steps: int
    denoise: float
    differs: str = ""


@dataclass(frozen=True)
class Guider:
    """GUIDER: a model with its texts."""

    model: Model
    positive: Text
    negative: Text | None
    scale: float
