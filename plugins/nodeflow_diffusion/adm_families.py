"""Which network of improved or guided diffusion a file holds: told from the names and shapes of its tensors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal, NamedTuple

from nodeflow_diffusion.adm_unet import AdmConfig
from nodeflow_diffusion.schedules import ScheduleName

Shapes = Mapping[str, tuple[int, ...]]
Kind = Literal["u-net", "classifier"]
PICTURE = 3
"""Channels of the pictures."""
HEAD_WIDTH = 64
"""Channels of an attention head in most published files; the others have 4 heads each, or 1."""


@dataclass(frozen=True)
class Noise:
    """How a network was trained: the schedule, its steps, and whether the network's times are scaled to a thousand."""

    schedule: ScheduleName = "linear"
    steps: int = 1000
    rescaled: bool = False

    @property
    def per_step(self) -> float:
        """What a step's number is multiplied with to be the network's time."""
        return 1000 / self.steps if self.rescaled else 1.0


@dataclass(frozen=True)
class Family:
    """A published network. config: with no classes. side: of its pictures, in pixels. noise: it was trained with."""

    name: str
    kind: Kind
    config: AdmConfig
    side: int
    noise: Noise = Noise()


class Measured(NamedTuple):
    """What shapes tell. config: its heads are ones. pooled: cells that a classifier pools along a side; else 0."""

    kind: Kind
    config: AdmConfig
    pooled: int


class Settings(NamedTuple):
    """What shapes do not tell; None for what is asked of the table.

    heads: of each attention. head_width: channels of a head, instead. mixed: see `AdmConfig`.
    """

    heads: int | None = None
    head_width: int | None = None
    mixed: bool | None = None
    schedule: ScheduleName | None = None
    steps: int | None = None
    rescaled: bool | None = None


class Found(NamedTuple):
    """What a file holds. family: "" if it is none of `FAMILIES`. side: of the pictures, 0 if that is not known. own:
    whether its tensors are called as in our module.
    """

    family: str
    kind: Kind
    config: AdmConfig
    pooled: int
    side: int
    noise: Noise
    own: bool = False


def _unet(
    base: int, multiples: Sequence[float], layers: int, attends: Sequence[int], *, heads: int = 0, **more: object
) -> AdmConfig:
    """A config by channel multiples, the levels with attention, and its number of heads; 0 for heads of 64 channels."""
    widths = tuple(int(base * multiple) for multiple in multiples)
    each = tuple(heads or width // HEAD_WIDTH for width in widths)
    told = tuple(level in attends for level in range(len(widths)))
    return replace(AdmConfig(base=base, widths=widths, layers=layers, attends=told, heads=each), **more)  # type: ignore[arg-type]


SIDE_64, SIDE_128, SIDE_256 = (1, 2, 3, 4), (1, 1, 2, 3, 4), (1, 1, 2, 2, 4, 4)
SIDE_512 = (0.5, 1, 1, 2, 2, 4, 4)
TWICE = 2 * PICTURE
OLD = Noise("cosine", 4000)
RESCALED = Noise("cosine", 4000, rescaled=True)


def _classifier(side: int, multiples: Sequence[float], first: int, layers: int = 2) -> Family:
    levels = range(first, len(multiples))
    config = _unet(128, multiples, layers, levels, channels_out=1000)
    return Family(f"classifier of {side}", "classifier", config, side, Noise("cosine" if side == 64 else "linear"))


def _improved(
    name: str, side: int, base: int, multiples: Sequence[float], layers: int, attends: Sequence[int], noise: Noise,
    *, heads: int = 4, **more: object,
) -> Family:  # fmt: skip
    config = _unet(base, multiples, layers, attends, heads=heads, resize="convolution", **more)
    return Family(f"improved diffusion, {name}", "u-net", config, side, noise)


FAMILIES = (
    Family("64", "u-net", _unet(192, SIDE_64, 3, (1, 2, 3), mixed=False), 64, Noise("cosine")),
    Family("128", "u-net", _unet(256, SIDE_128, 2, (2, 3, 4), heads=4), 128),
    Family("256", "u-net", _unet(256, SIDE_256, 2, (3, 4, 5)), 256),
    Family("512", "u-net", _unet(256, SIDE_512, 2, (4, 5, 6)), 512),
    Family("upsampler to 256", "u-net", _unet(192, SIDE_256, 2, (3, 4, 5), heads=4, channels_in=TWICE), 256),
    Family("upsampler to 512", "u-net", _unet(192, SIDE_256, 2, (4, 5), channels_in=TWICE), 512),
    _classifier(64, SIDE_64, 1, layers=4),
    _classifier(128, SIDE_128, 2),
    _classifier(256, SIDE_256, 3),
    _classifier(512, SIDE_512, 4),
    _improved("CIFAR-10", 32, 128, (1, 2, 2, 2), 3, (1, 2), RESCALED),
    _improved("ImageNet 64", 64, 128, SIDE_64, 3, (2, 3), RESCALED),
    _improved("ImageNet 64 by class", 64, 192, SIDE_64, 3, (2, 3), OLD),
    _improved("upsampler to 256", 256, 192, SIDE_256, 2, (4, 5), Noise("linear", 4000), channels_in=TWICE),
    _improved("LSUN", 256, 128, SIDE_256, 2, (4,), Noise(), heads=1, film=False),
)
"""By their publishers' flags. Each fits its shapes with a class as without: so were some of them trained on."""


def known(shapes: Shapes, settings: Settings = Settings()) -> Found:  # noqa: B008 # it cannot be changed
    """Which network it is.

    Args:
        shapes: of the file's tensors.
        settings: what somebody said of it; that counts.

    Raises:
        ValueError: there is no such network among these, or nothing tells what shapes do not; with what was found.
    """
    kind, config, pooled = measure(shapes)
    plain = replace(config, classes=0)
    family = next((one for one in FAMILIES if one.kind == kind and _alike(one.config) == plain), None)
    if family is not None and family.kind == "classifier" and pooled != _pooled(family):
        family = None
    said = settings._asdict()
    if settings.heads or settings.head_width:
        heads = tuple(settings.heads or width // (settings.head_width or 1) for width in config.widths)
    else:
        heads = family.config.heads if family else ()
    mixed = family.config.mixed if family and settings.mixed is None else settings.mixed
    noise = family.noise if family else Noise()
    if not heads or mixed is None or (family is None and settings.schedule is None):
        raise ValueError(_question(kind, config, heads=bool(heads), mixed=mixed, schedule=settings.schedule))
    noise = replace(noise, **{name: said[name] for name in vars(noise) if said[name] is not None})
    side = pooled * 2 ** (len(config.widths) - 1) or (family.side if family else 0)
    return Found(family.name if family else "", kind, replace(config, heads=heads, mixed=mixed), pooled, side, noise)


def _alike(config: AdmConfig) -> AdmConfig:
    """A config with nothing in it that shapes do not tell."""
    return replace(config, heads=(1,) * len(config.widths), mixed=True)


def _pooled(family: Family) -> int:
    return family.side >> (len(family.config.widths) - 1)


def _question(kind: Kind, config: AdmConfig, *, heads: bool, mixed: bool | None, schedule: str | None) -> str:
    parts = {
        "heads (of each attention), or head_channels (64 in most)": heads,
        'order ("legacy" unless it was trained with use_new_attention_order)': mixed is not None,
        "schedule (the noise it was trained with)": schedule is not None,
    }
    asked = "; ".join(name for name, told in parts.items() if not told)
    found = ", ".join(f"{name} {value}" for name, value in vars(config).items() if name not in ("heads", "mixed"))
    return (
        f"this {kind} is none of those published: it has {found}\n"
        f"    shapes do not tell all of it; choose what its training had: {asked}"
    )


class Step(NamedTuple):
    """A part of one side of the U: a residual block, with attention behind it or not, or a convolution between levels.

    resize: on the way up, what leads to the next level behind it.
    """

    width: int
    given: int
    attends: bool
    resize: str = ""


def measure(shapes: Shapes) -> Measured:
    """What the shapes tell of such a network.

    Raises:
        ValueError: there is none, or one that ours is not.
    """
    for name in ("input_blocks.0.0.weight", "time_embed.0.weight", "middle_block.1.qkv.weight"):
        if name not in shapes:
            some = ", ".join(sorted(shapes)[:4])
            raise ValueError(
                f"there is no U-Net of improved or guided diffusion among its {len(shapes)} tensors ({some}, ...): "
                f'no "{name}"\n    name a file as these publish it; diffusion.load_unet opens those of latent diffusion'
            )
    pool = shapes.get("out.2.positional_embedding")
    down, up = list(_down(shapes)), list(_up(shapes))
    if not down or not (up or pool):
        raise ValueError("its blocks are not whole: it has no way up, and no attention that pools\n    fetch it again")
    ops = [place for place, step in enumerate(down) if step.resize]
    resize: Literal["residual", "convolution"] = "convolution" if ops or _ups(up) == {"convolution"} else "residual"
    layers = _layers(down, up, bool(ops))
    by_level = [down[at : at + layers] for at in range(0, len(down), layers + 1)]
    first, told = shapes["input_blocks.0.0.weight"], shapes.get("input_blocks.1.0.emb_layers.1.weight", (0,))[0]
    if pool and "out.2.c_proj.weight" not in shapes:
        raise ValueError('its last layer is missing, "out.2.c_proj.weight"\n    fetch it again, or name another file')
    out = shapes["out.2.c_proj.weight"] if pool else shapes.get("out.2.weight", (0,))
    config = AdmConfig(
        channels_in=first[1],
        channels_out=out[0],
        base=shapes["time_embed.0.weight"][1],
        widths=tuple(level[0].width for level in by_level),
        layers=layers,
        attends=tuple(level[0].attends for level in by_level),
        heads=(1,) * len(by_level),
        film=told == 2 * by_level[0][0].width,
        resize=resize,
        classes=shapes.get("label_emb.weight", (0,))[0],
    )
    if pool:
        return Measured("classifier", config, round((pool[1] - 1) ** 0.5))
    return Measured("u-net", config, 0)


def _down(shapes: Shapes) -> Iterator[Step]:
    for step in count(1):
        here = f"input_blocks.{step}"
        if (op := shapes.get(f"{here}.0.op.weight")) is not None:
            yield Step(op[0], op[1], False, "convolution")
        elif (conv := shapes.get(f"{here}.0.in_layers.2.weight")) is not None:
            yield Step(conv[0], conv[1], f"{here}.1.qkv.weight" in shapes)
        else:
            return


def _up(shapes: Shapes) -> Iterator[Step]:
    for step in count():
        here = f"output_blocks.{step}"
        conv = shapes.get(f"{here}.0.in_layers.2.weight")
        if conv is None:
            return
        attends = f"{here}.1.qkv.weight" in shapes
        behind = f"{here}.{1 + attends}"
        kinds = {"residual": f"{behind}.in_layers.2.weight", "convolution": f"{behind}.conv.weight"}
        yield Step(conv[0], conv[1], attends, next((kind for kind, name in kinds.items() if name in shapes), ""))


def _ups(up: Sequence[Step]) -> set[str]:
    return {step.resize for step in up} - {""}


def _layers(down: Sequence[Step], up: Sequence[Step], convolved: bool) -> int:
    """Residual blocks a level: what makes all levels alike, and lies between levels where that is marked.

    The residual blocks that halve look as all others; but they never change the width, and no attention follows them.
    """
    total = len(down) + 1
    fitting = [
        layers for layers in range(1, total) if total % (layers + 1) == 0 and _even(down, layers, convolved=convolved)
    ]
    if up:
        levels = 1 + sum(bool(step.resize) for step in up)
        fitting = [layers for layers in fitting if total == levels * (layers + 1) == len(up)]
    if len(fitting) != 1:
        told = ", ".join(f"{step.given}-{step.width}{' with attention' if step.attends else ''}" for step in down)
        raise ValueError(
            f"its blocks do not make levels of equally many{', or in several ways' if fitting else ''}: {told}\n"
            "    name a file as improved or guided diffusion publish it"
        )
    return fitting[0]


def _even(down: Sequence[Step], layers: int, *, convolved: bool) -> bool:
    for at in range(0, len(down), layers + 1):
        level, between = down[at : at + layers], down[at + layers : at + layers + 1]
        if len({(step.width, step.attends, step.resize) for step in level}) != 1 or level[0].resize:
            return False
        if any(step.given != step.width for step in level[1:]):
            return False
        if any(step.attends or step.given != step.width or bool(step.resize) != convolved for step in between):
            return False
        if between and between[0].width != level[0].width:
            return False
    return True
