"""Cutting, framing, turning and laying out, against numpy and by hand."""

import numpy as np
import pytest
import torch
from nodeflow_image.layout_nodes import batch, crop, flip, grid, pad, pick, rotate, switch

from nodeflow import Image


def numbered(batch: int = 2, channels: int = 3, height: int = 4, width: int = 5) -> torch.Tensor:
    count = batch * channels * height * width
    return torch.arange(count, dtype=torch.float32).reshape(batch, channels, height, width) / count


def plain(value: float, channels: int = 1, count: int = 1, size: tuple[int, int] = (2, 3)) -> Image:
    return Image(torch.full((count, channels, *size), value))


def test_crop_cuts_by_left_top_width_height() -> None:
    picture = numbered()
    assert torch.equal(picture[:, :, 1:3, 2:5], crop(Image(picture), 2, 1, 3, 2).pixels)
    assert torch.equal(picture, crop(Image(picture), 0, 0, 5, 4).pixels)


@pytest.mark.parametrize("box", [(0, 0, 6, 4), (0, 0, 5, 5), (3, 0, 3, 1), (0, 4, 1, 1)])
def test_crop_refuses_to_leave_the_picture(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="which is 5 x 4\n    make it smaller"):
        crop(Image(numbered()), *box)


@pytest.mark.parametrize("margins", [(0, 0, 0, 0), (1, 2, 3, 4), (9, 11, 0, 13)])
@pytest.mark.parametrize(("fill", "mode"), [("edge", "edge"), ("mirror", "reflect")])
def test_pad_by_the_pictures_own_pixels_is_numpys(margins: tuple[int, int, int, int], fill: str, mode: str) -> None:
    left, top, right, bottom = margins
    picture = numbered()
    expected = np.pad(picture.numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)), mode=mode)
    assert torch.equal(torch.tensor(expected), pad(Image(picture), *margins, fill=fill).pixels)


def test_pad_mirrors_a_single_pixel() -> None:
    assert torch.equal(torch.full((1, 1, 3, 3), 0.5), pad(plain(0.5, size=(1, 1)), 1, 1, 1, 1, fill="mirror").pixels)


def test_pad_by_colour_keeps_grey_grey_and_is_opaque() -> None:
    framed = pad(plain(0.2), 1, 0, 0, 1, colour="#333333").pixels
    torch.testing.assert_close(framed, torch.full((1, 1, 3, 4), 0.2))
    coloured = pad(plain(0.2), 1, colour="#ff0000").pixels
    assert coloured[0, :, 0, 0].tolist() == [1, 0, 0]
    assert torch.equal(torch.full((1, 3, 2, 3), 0.2), coloured[..., 1:])
    clear = pad(plain(0.0, channels=4), 1, colour="#0000ff").pixels
    assert clear[0, :, 0, 0].tolist() == [0, 0, 1, 1]
    assert torch.equal(torch.zeros(1, 4, 2, 3), clear[..., 1:])


def test_pad_refuses_a_giant() -> None:
    for fill in ("colour", "edge", "mirror"):
        with pytest.raises(ValueError, match="over 100 million pixels"):
            pad(plain(0), 32768, 32768, fill=fill)


def test_flip_is_numpys() -> None:
    picture = numbered()
    assert np.array_equal(np.flip(picture.numpy(), 3), flip(Image(picture), "horizontal").pixels)
    assert np.array_equal(np.flip(picture.numpy(), 2), flip(Image(picture), "vertical").pixels)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, [[0, 1, 2], [3, 4, 5]]),
        (90, [[3, 0], [4, 1], [5, 2]]),
        (180, [[5, 4, 3], [2, 1, 0]]),
        (270, [[2, 5], [1, 4], [0, 3]]),
    ],
)
def test_rotate_turns_clockwise(degrees: int, expected: list[list[int]]) -> None:
    picture = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert expected == rotate(Image(picture), degrees).pixels[0, 0].tolist()


def test_grid_fills_rows_and_counts_each_of_a_batch() -> None:
    sheet = grid([plain(0.25, count=2), plain(0.5)], columns=2, gap=1, colour="#000000").pixels
    a, b, o = [0.25] * 3, [0.5] * 3, [0.0]
    top, bottom = a + o + a, b + o + o * 3
    assert [top, top, o * 7, bottom, bottom] == sheet[0, 0].tolist()
    assert sheet.shape == (1, 1, 5, 7)


@pytest.mark.parametrize(
    ("count", "shape"), [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (5, (2, 3)), (9, (3, 3)), (10, (3, 4))]
)
def test_grid_is_square_ish_by_itself(count: int, shape: tuple[int, int]) -> None:
    sheet = grid([plain(0.5, count=count)]).pixels
    assert (1, 1, 2 * shape[0], 3 * shape[1]) == sheet.shape


def test_grid_is_no_wider_than_its_pictures() -> None:
    assert grid([plain(0, count=2)], columns=1000).pixels.shape == (1, 1, 2, 6)


def test_grid_mixes_channels() -> None:
    sheet = grid([plain(0.5), plain(0.25, channels=4)], colour="#ff0000").pixels
    assert sheet.shape == (1, 4, 2, 6)
    assert sheet[0, :, 0, 0].tolist() == [0.5, 0.5, 0.5, 1.0]
    assert sheet[0, :, 0, 3].tolist() == [0.25] * 4


def test_grid_writes_a_caption_under_each_picture() -> None:
    cells = [plain(0.5, size=(40, 80), count=2)]
    sheet = grid(cells, columns=2, captions=["a red circle", ""]).pixels
    assert sheet.shape == (1, 1, 40 + 20, 160)
    assert torch.equal(torch.full((40, 160), 0.5), sheet[0, 0, :40])
    first, second = sheet[0, 0, 40:, :80], sheet[0, 0, 40:, 80:]
    assert first.min() < 0.2  # ink, dark on white
    assert torch.equal(torch.ones(20, 80), second)
    assert torch.equal(sheet, grid(cells, columns=2, captions=["a red circle", ""]).pixels)


def test_a_caption_is_light_on_dark_and_stays_under_its_picture() -> None:
    long = "a very long caption that cannot fit " * 50
    cells = [plain(0.5, channels=4, size=(40, 80), count=2)]
    sheet = grid(cells, columns=2, colour="#000000", captions=[long, "b\nc"]).pixels[0]
    assert sheet[:3, 40:, :80].max() > 0.8
    assert torch.equal(torch.ones(20, 160), sheet[3, 40:])
    assert torch.equal(
        sheet[:, 40:, :80], grid([cells[0]], columns=1, colour="#000000", captions=[long, ""]).pixels[0][:, 40:60]
    )


def test_grid_refuses_what_does_not_go_together() -> None:
    with pytest.raises(ValueError, match="first is 3 x 2 and number 2 is 2 x 2\n    resize"):
        grid([plain(0), plain(0, size=(2, 2))])
    with pytest.raises(ValueError, match="2 pictures but 1 captions\n    "):
        grid([plain(0, count=2)], captions=["one"])
    with pytest.raises(ValueError, match="is empty\n    wire"):
        grid([])
    with pytest.raises(ValueError, match='"red" is not a colour\n    write #'):
        grid([plain(0)], colour="red")
    with pytest.raises(ValueError, match="over 100 million"):
        grid([plain(0, size=(1, 32768))] * 2, columns=1, gap=100_000)


def test_batch_keeps_the_order_and_brings_channels_together() -> None:
    found = batch([plain(0.1, count=2), plain(0.2, channels=3), plain(0.3, channels=4)]).pixels
    assert found.shape == (4, 4, 2, 3)
    torch.testing.assert_close(found[:, 0, 0, 0], torch.tensor([0.1, 0.1, 0.2, 0.3]))
    torch.testing.assert_close(found[:, 3, 0, 0], torch.tensor([1, 1, 1, 0.3]))


def test_batch_refuses_other_sizes_and_nothing() -> None:
    with pytest.raises(ValueError, match="the batch needs pictures of one size"):
        batch([plain(0), plain(0, size=(2, 2))])
    with pytest.raises(ValueError, match="the batch is empty"):
        batch([])


def test_pick_takes_one_and_refuses_one_that_is_not_there() -> None:
    picture = numbered(batch=3)
    assert torch.equal(picture[1:2], pick(Image(picture), 1).pixels)
    with pytest.raises(ValueError, match="no picture 3 in a batch of 3\n    the first is 0, the last 2"):
        pick(Image(picture), 3)


def test_switch_passes_one_and_needs_only_that() -> None:
    needs = switch.__nodeflow__.needs  # type: ignore[attr-defined]
    one, other = plain(0), plain(1)
    assert list(needs(use_first=True)) == ["first"]
    assert list(needs(use_first=False)) == ["second"]
    assert one is switch(True, one, None)
    assert other is switch(False, None, other)
    with pytest.raises(ValueError, match='"second" is chosen but nothing is wired into it'):
        switch(False, one, None)
