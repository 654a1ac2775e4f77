"""ESRGAN in all the layouts it is published in, against its equations; pictures of any size, whole and in tiles."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_image.upscaler_names import Found, Layout, detect, shapes_of, sources
from nodeflow_image.upscaler_nodes import load_upscaler, upscale_with
from nodeflow_image.upscaler_recipes import UpscalerModel
from nodeflow_image.upscalers import RRDBNet, UpscalerConfig, folded
from nodeflow_nn.published import outlined
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from nodeflow import QUIET, Context, Image, ModelError
from nodeflow.testing import assert_deterministic

TINY = UpscalerConfig(width=8, depth=2, growth=4)
CASES: list[tuple[UpscalerConfig, Layout, str]] = [
    (TINY, "numbered", ""),
    (UpscalerConfig(width=8, depth=1, growth=4, doublings=0), "numbered", ""),
    (UpscalerConfig(width=8, depth=1, growth=4, doublings=1), "numbered", ""),
    (UpscalerConfig(width=8, depth=1, growth=4, doublings=3), "numbered", "module."),
    (TINY, "named", ""),
    (TINY, "basicsr", "params_ema."),
    (UpscalerConfig(width=8, depth=2, growth=4, fold=2), "basicsr", ""),
    (UpscalerConfig(width=8, depth=1, growth=4, fold=4), "basicsr", "params."),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights(config: UpscalerConfig, layout: Layout, prefix: str) -> dict[str, Tensor]:
    """Random weights under published names, so that features neither die nor grow."""
    draw, found = torch.Generator().manual_seed(0), dict[str, Tensor]()
    named = sources(Found(config, layout, prefix))
    for ours, shape in shapes_of(config).items():
        (name,) = named[ours]
        noise = torch.randn(shape, generator=draw)
        found[name] = noise / noise[0].numel() ** 0.5 if len(shape) == 4 else 0.1 * noise + (ours == "last.bias") * 0.5
    return found


def picture(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


PUBLISHED = {  # first, dense block, trunk, those of each doubling, the two at the end
    "named": ("conv_first", "RRDB_trunk.{}.RDB{}.conv{}", "trunk_conv", ["upconv1", "upconv2"], "HRconv", "conv_last"),
    "basicsr": ("conv_first", "body.{}.rdb{}.conv{}", "conv_body", ["conv_up1", "conv_up2"], "conv_hr", "conv_last"),
    "numbered0": ("model.0", "model.1.sub.{}.RDB{}.conv{}.0", "model.1.sub.1", [], "model.2", "model.4"),
    "numbered1": ("model.0", "model.1.sub.{}.RDB{}.conv{}.0", "model.1.sub.1", ["model.3"], "model.5", "model.7"),
    "numbered2": (
        "model.0", "model.1.sub.{}.RDB{}.conv{}.0", "model.1.sub.2", ["model.3", "model.6"], "model.8", "model.10",
    ),
    "numbered3": (
        "model.0", "model.1.sub.{}.RDB{}.conv{}.0", "model.1.sub.1", ["model.3", "model.6", "model.9"], "model.11",
        "model.13",
    ),
}  # fmt: skip


def by_the_equations(config: UpscalerConfig, layout: Layout, found: dict[str, Tensor], x: Tensor) -> Tensor:
    """The published network, written down once more along its own names, layer by layer."""
    key = f"{layout}{config.doublings}" if layout == "numbered" else layout
    first, block, trunk, ups, high, last = PUBLISHED[key]

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, found[f"{name}.weight"], found[f"{name}.bias"], padding=1)

    def act(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def dense(at: int, number: int, x: Tensor) -> Tensor:
        seen = [x]
        for place in range(1, 5):
            seen.append(act(conv(block.format(at, number, place), torch.cat(seen, 1))))
        return 0.2 * conv(block.format(at, number, 5), torch.cat(seen, 1)) + x

    side = config.fold
    if side > 1:  # row and column within a square become channels, the colour the slowest of them
        b, c, h, w = x.shape
        x = x.reshape(b, c, h // side, side, w // side, side).permute(0, 1, 3, 5, 2, 4)
        x = x.reshape(b, c * side * side, h // side, w // side)
    features = conv(first, x)
    y = features
    for at in range(config.depth):
        y = 0.2 * dense(at, 3, dense(at, 2, dense(at, 1, y))) + y
    y = features + conv(trunk, y)
    for name in ups:
        y = act(conv(name, y.repeat_interleave(2, 2).repeat_interleave(2, 3)))
    return conv(last, act(conv(high, y))).clamp(0, 1)


@pytest.mark.parametrize(("config", "layout", "prefix"), CASES)
def test_every_layout_agrees_with_the_equations(config: UpscalerConfig, layout: Layout, prefix: str) -> None:
    made = weights(config, layout, prefix)
    save_file(made, "up.safetensors")
    upscaler = load_upscaler("up")
    assert isinstance(upscaler, UpscalerModel)
    assert config.scale == upscaler.scale
    assert 4 * sum(value.numel() for value in made.values()) == upscaler.size
    x = picture(2, 3, 16, 24)
    found = upscale_with(upscaler, Image(x)).pixels
    assert (2, 3, 16 * config.scale, 24 * config.scale) == found.shape
    bare = {name.removeprefix(prefix): value for name, value in made.items()}
    expected = by_the_equations(config, layout, bare, x)
    assert 0.02 < float(expected.std())
    # float32 sums of 72 to 216 products in another order, through a dozen layers
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("config", "layout", "prefix"), CASES)
def test_names_and_shapes_tell_which_it_is(config: UpscalerConfig, layout: Layout, prefix: str) -> None:
    shapes = {name: tuple(value.shape) for name, value in weights(config, layout, prefix).items()}
    assert Found(config, layout, prefix) == detect(shapes)
    assert outlined(lambda: RRDBNet(config)) == shapes_of(config)


@pytest.mark.parametrize("fold", [1, 2])
def test_tiles_give_the_whole_picture_but_where_a_border_is_near(fold: int) -> None:
    config = UpscalerConfig(width=8, depth=1, growth=4, fold=fold)
    save_file(weights(config, "basicsr", ""), "up.safetensors")
    loaded = QUIET.load(load_upscaler("up"))
    x = picture(1, 3, 60 * fold, 120 * fold)
    with torch.no_grad():
        whole, tiled, butted = (loaded(x, side * fold, shared * fold) for side, shared in ((120, 0), (64, 44), (64, 0)))
    # in cells, tiles begin at 0, 19, 37 and 56: up to 19 one alone counts, whose border is 45 away, and the network
    # sees 15 through its block and 3 beside it
    alone = 19 * fold * config.scale
    torch.testing.assert_close(tiled[..., :alone], whole[..., :alone], rtol=0, atol=2e-6)
    seams, worst = (float((part - whole).abs().max()) for part in (tiled, butted))
    assert 0 < seams < 0.5 * worst


def test_the_most_that_tiles_can_share_is_so_in_cells_too() -> None:
    save_file(weights(UpscalerConfig(width=8, depth=1, growth=4, fold=2), "basicsr", ""), "up.safetensors")
    found = upscale_with(load_upscaler("up"), Image(picture(1, 3, 70, 66)), 65, 64).pixels  # 32 cells, of which 31
    assert (1, 3, 140, 132) == found.shape


class Counting(Context):
    """Counts the steps that a node takes."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.ended = False

    def steps(self, items: Any, *, total: int | None = None, preview: Any = None) -> Iterator[Any]:
        for item in items:
            self.told.append(item)
            yield item
        self.ended = True


def test_each_tile_of_each_picture_is_a_step() -> None:
    save_file(weights(TINY, "named", ""), "up.safetensors")
    ctx = Counting()
    upscale_with(load_upscaler("up"), Image(picture(2, 3, 64, 100)), 64, 8, ctx=ctx)
    assert [0, 1, 2, 3] == ctx.told
    assert ctx.ended


def test_sides_that_are_no_multiples_lose_nothing() -> None:
    config = UpscalerConfig(width=8, depth=1, growth=4, fold=4)
    save_file(weights(config, "basicsr", ""), "up.safetensors")
    upscaler = load_upscaler("up")
    assert (1, 3, 7, 13) == upscale_with(upscaler, Image(picture(1, 3, 7, 13))).pixels.shape
    assert (1, 3, 1, 2) == upscale_with(upscaler, Image(picture(1, 3, 1, 2))).pixels.shape
    x = picture(1, 3, 6, 5)
    back = F.pixel_shuffle(folded(x, 4), 4)
    assert torch.equal(x, back[..., :6, :5])
    assert torch.equal(x[..., 4, :], back[..., 6, :5])  # mirrored


def test_grey_becomes_coloured_and_alpha_stays_apart() -> None:
    save_file(weights(TINY, "named", ""), "up.safetensors")
    upscaler = load_upscaler("up")
    grey, x = picture(1, 1, 8, 8), picture(1, 4, 8, 8)
    assert torch.equal(
        upscale_with(upscaler, Image(grey)).pixels, upscale_with(upscaler, Image(grey.expand(-1, 3, -1, -1))).pixels
    )
    x[:, 3] = 0.25
    found = upscale_with(upscaler, Image(x)).pixels
    assert torch.equal(upscale_with(upscaler, Image(x[:, :3])).pixels, found[:, :3])
    torch.testing.assert_close(torch.full((1, 32, 32), 0.25), found[:, 3])


def test_it_is_deterministic_and_bf16_is_near() -> None:
    save_file(weights(TINY, "named", ""), "up.safetensors")
    image = Image(picture(1, 3, 12, 12))
    assert_deterministic(upscale_with, upscaler=load_upscaler("up"), image=image)
    half = load_upscaler("up", "bf16")
    assert isinstance(half, UpscalerModel)
    expected = upscale_with(load_upscaler("up"), image).pixels
    assert 2 * half.size == load_upscaler("up").size  # type: ignore[attr-defined]
    found = upscale_with(half, image).pixels
    assert torch.float32 == found.dtype
    assert float((found - expected).abs().mean()) < 0.01  # bf16 has 8 bits, and a dozen layers


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"conv_hr.bias": None}, r"1 tensor does not fit: missing conv_hr.bias"),
        ({"more.weight": torch.zeros(3)}, "left over more.weight"),
        ({"conv_last.weight": torch.zeros(1, 8, 3, 3)}, r"conv_last.weight \[1, 8, 3, 3\] make"),
        ({"conv_hr.bias": torch.zeros(8, dtype=torch.int64)}, "conv_hr.bias is I64, not floating point"),
        ({"conv_first.weight": torch.zeros(8, 1, 3, 3)}, "takes 1 channels, but expected 3, 12, 48"),
    ],
)
def test_what_does_not_fit_is_told(change: dict[str, Tensor | None], told: str) -> None:
    made: dict[str, Any] = weights(TINY, "basicsr", "") | change
    save_file({name: value for name, value in made.items() if value is not None}, "up.safetensors")
    with pytest.raises(ModelError, match=told):
        load_upscaler("up")


def test_other_files_are_refused_by_what_they_are() -> None:
    save_file({"body.0.weight": torch.zeros(1), "body.1.weight": torch.zeros(1)}, "compact.safetensors")
    with pytest.raises(ModelError, match="no ESRGAN: a compact one"):
        load_upscaler("compact")
    save_file({"x": torch.zeros(1)}, "other.safetensors")
    with pytest.raises(ModelError, match=r'no ESRGAN: its 1 tensors are x, \.\.\.\n    expected names as "model'):
        load_upscaler("other")


def test_what_cannot_be_is_refused_in_words() -> None:
    save_file(weights(TINY, "named", ""), "up.safetensors")
    upscaler = load_upscaler("up")
    with pytest.raises(ValueError, match="tiles of 64 cannot share 64"):
        upscale_with(upscaler, Image(picture(1, 3, 8, 8)), 64, 64)
    with pytest.raises(ValueError, match="million pixels"):
        upscale_with(upscaler, Image(torch.zeros(1, 1, 1, 1).expand(1, 3, 4000, 4000)))
    with pytest.raises(ModelError, match="fp16 on a CPU"):
        upscale_with(load_upscaler("up", "fp16"), Image(picture(1, 3, 8, 8)))
