"""Pictures survive the way to a file and back, with their graph; what is no picture is refused with a sentence."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from nodeflow_image import pictures, save_value
from nodeflow_image.file_nodes import load, save
from nodeflow_image.pictures import graph_of, read_picture, write_png
from PIL import Image as Pillow
from PIL import PngImagePlugin

from nodeflow import Context, Image, Mask, SavedFile, Table


class Outputs(Context):
    """As the runner's: writes below one folder only."""

    about = '{"nodeflow": 1, "title": "Ein Bär 🐻"}'

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str | Path) -> Path:
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise PermissionError(f"{name} leads out of the output folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def steps(channels: int, batch: int = 1) -> torch.Tensor:
    """Every one of the 256 values in each channel, in different places."""
    lines = torch.arange(batch * channels * 256).reshape(batch, channels, 16, 16)
    return (lines * 7 % 256).to(torch.float32) / 255


def oriented(number: int) -> bytes:
    picture = Pillow.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Pillow.Exif()
    exif[0x0112] = number
    packed = io.BytesIO()
    picture.save(packed, "PNG", exif=exif)
    return packed.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_gives_back_all_8_bit_values_exactly(tmp_path: Path, channels: int) -> None:
    pixels = steps(channels)
    write_png(tmp_path / "a.png", pixels[0])
    read = read_picture(tmp_path / "a.png")
    assert torch.float32 == read.dtype
    assert torch.equal(pixels, read)


def test_writing_rounds_to_the_nearest_step_and_bounds(tmp_path: Path) -> None:
    values = torch.tensor([[[-1.0, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 2.0, float("nan"), float("inf")]]])
    write_png(tmp_path / "a.png", values)
    assert list(Pillow.open(tmp_path / "a.png").tobytes()) == [0, 0, 0, 1, 255, 255, 0, 255]


def test_the_same_picture_and_graph_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_png(tmp_path / f"{name}.png", steps(3)[0], "graph")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("graph", ['{"a": 1}', "Ünïcode 猫 🐈 \n\t", "a\0b", "x" * 2**20, "猫" * 600_000])
def test_the_graph_comes_back_and_the_picture_still_opens(tmp_path: Path, graph: str) -> None:
    write_png(tmp_path / "a.png", steps(3)[0], graph)
    assert graph == graph_of(tmp_path / "a.png")
    assert torch.equal(steps(3), read_picture(tmp_path / "a.png"))
    assert graph == Pillow.open(tmp_path / "a.png").text["nodeflow"]


def test_a_compressed_graph_of_another_program_is_read_up_to_the_bound(tmp_path: Path) -> None:
    for name, text in (("small", "Bär" * 1000), ("bomb", "x" * (pictures.GRAPH_AT_MOST + 1))):
        info = PngImagePlugin.PngInfo()
        info.add_itxt("nodeflow", text, zip=True)
        Pillow.new("L", (2, 2)).save(tmp_path / f"{name}.png", pnginfo=info)
    assert graph_of(tmp_path / "small.png") == "Bär" * 1000
    assert graph_of(tmp_path / "bomb.png") is None


def test_no_graph_is_none_and_no_file_an_error(tmp_path: Path) -> None:
    write_png(tmp_path / "plain.png", steps(1)[0])
    write_png(tmp_path / "whole.png", steps(1)[0], "graph")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "flipped.png").write_bytes(data.replace(b"graph", b"grape"))
    (tmp_path / "short.png").write_bytes(data[:50])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "odd.png").write_bytes(data[:8] + chunk(b"iTXt", b"nodeflow\0"))
    (tmp_path / "text.txt").write_text("nodeflow")
    for name in ("plain.png", "flipped.png", "short.png", "empty.png", "odd.png", "text.txt"):
        assert graph_of(tmp_path / name) is None, name
    with pytest.raises(FileNotFoundError):
        graph_of(tmp_path / "absent.png")


def test_a_graph_too_large_to_carry_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="over 16 MiB"):
        write_png(tmp_path / "a.png", steps(1)[0], "x" * (pictures.GRAPH_AT_MOST + 1))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(tmp_path / "a.png", steps(1)[0])
    before = (tmp_path / "a.png").read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    for step in ("fsync", "replace"):
        monkeypatch.setattr(pictures.os, step, full)
        with pytest.raises(OSError, match="no space"):
            write_png(tmp_path / "a.png", 1 - steps(1)[0])
        monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert before == (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize("size", [(10_001, 10_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "bomb.png").write_bytes(png_claiming(*size))
    with pytest.raises(ValueError, match="over 100 million pixels\n"):
        read_picture(tmp_path / "bomb.png")


def test_a_large_picture_within_the_bound_is_not_taken_for_a_bomb(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png_claiming(10_000, 9_999))
    with pytest.raises(ValueError, match="cannot be read"):  # its pixels are missing; its size is none of the reasons
        read_picture(tmp_path / "large.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_picture_is_refused(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    packed = io.BytesIO()
    Pillow.fromarray(noise).save(packed, kind)
    (tmp_path / "cut").write_bytes(packed.getvalue()[: len(packed.getvalue()) // 2])
    with pytest.raises(ValueError, match=r"(cannot be read|is not a picture)[^\n]*\n    \w"):
        read_picture(tmp_path / "cut")


@pytest.mark.parametrize(
    "data", [b"", b"Dear diary", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_refused_whatever_its_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "text.png").write_bytes(data)
    with pytest.raises(ValueError, match=r'text.png"[^\n]*\n    \w'):
        read_picture(tmp_path / "text.png")


def test_an_absent_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "absent.png")
    with pytest.raises(IsADirectoryError):
        read_picture(tmp_path)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, [[0, 1, 2], [3, 4, 5]]),
        (2, [[2, 1, 0], [5, 4, 3]]),
        (3, [[5, 4, 3], [2, 1, 0]]),
        (4, [[3, 4, 5], [0, 1, 2]]),
        (5, [[0, 3], [1, 4], [2, 5]]),
        (6, [[3, 0], [4, 1], [5, 2]]),
        (7, [[5, 2], [4, 1], [3, 0]]),
        (8, [[2, 5], [1, 4], [0, 3]]),
    ],
)
def test_exif_turns_the_picture_upright(tmp_path: Path, number: int, expected: list[list[int]]) -> None:
    (tmp_path / "a.png").write_bytes(oriented(number))
    assert expected == (read_picture(tmp_path / "a.png")[0, 0] * 255 / 40).round().int().tolist()


def test_16_bit_grey_keeps_its_bits(tmp_path: Path) -> None:
    values = np.array([[0, 1, 255], [256, 40_000, 65_535]], dtype=np.uint16)
    expected = torch.tensor(values.astype(np.float32) / 65535)[None, None]
    for name in ("a.png", "a.tiff"):
        Pillow.fromarray(values).save(tmp_path / name)
        assert torch.equal(expected, read_picture(tmp_path / name)), name


def test_palettes_become_rgb_and_with_transparency_rgba(tmp_path: Path) -> None:
    picture = Pillow.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "plain.png")
    picture.save(tmp_path / "clear.png", transparency=1)
    assert read_picture(tmp_path / "plain.png")[0].tolist() == [[[1, 0]], [[0, 0]], [[0, 1]]]
    assert read_picture(tmp_path / "clear.png")[0].tolist() == [[[1, 0]], [[0, 0]], [[0, 1]], [[1, 0]]]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Pillow.new("CMYK", (1, 1), (255, 0, 102, 51)).save(tmp_path / "a.tiff")
    # light left by ink c under black k: (1 - c)(1 - k); Pillow rounds to 8 bits
    expected = torch.tensor([0, 1 * 0.8, 0.6 * 0.8]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(read_picture(tmp_path / "a.tiff"), expected, atol=1 / 255, rtol=0)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, [1]),
        ("L", 51, [0.2]),
        ("LA", (51, 102), [0.2, 0.2, 0.2, 0.4]),
        ("RGB", (0, 51, 255), [0, 0.2, 1]),
        ("RGBA", (0, 51, 255, 102), [0, 0.2, 1, 0.4]),
        ("F", 0.25, [0.25]),
        ("F", 7.0, [1]),
    ],
)
def test_each_mode_has_its_channels(tmp_path: Path, mode: str, value: object, expected: list[float]) -> None:
    Pillow.new(mode, (3, 2), value).save(tmp_path / "a.tiff")
    read = read_picture(tmp_path / "a.tiff")
    assert (1, len(expected), 2, 3) == read.shape
    assert torch.equal(torch.tensor(expected).reshape(1, -1, 1, 1).expand_as(read), read)


def test_load_gives_alpha_as_mask_or_covers_everything(tmp_path: Path) -> None:
    for channels in (1, 3, 4):
        write_png(tmp_path / "a.png", steps(channels)[0])
        image, mask = load(tmp_path / "a.png")
        assert torch.equal(steps(channels), image.pixels)
        assert torch.equal(steps(4)[:, 3:] if channels == 4 else torch.ones(1, 1, 16, 16), mask.coverage)


def test_load_asks_for_permission(tmp_path: Path) -> None:
    class Closed(Context):
        def read(self, path: str | Path) -> Path:
            raise PermissionError(f"{path} may not be read")

    write_png(tmp_path / "a.png", steps(1)[0])
    with pytest.raises(PermissionError):
        load(tmp_path / "a.png", ctx=Closed())


def test_load_is_identified_by_the_content_of_its_file(tmp_path: Path) -> None:
    identity = load.__nodeflow__.identity  # type: ignore[attr-defined]
    for name, value in (("a", 0.0), ("b", 0.0), ("c", 1.0)):
        write_png(tmp_path / f"{name}.png", torch.full((1, 2, 2), value))
    a, b, c = (identity(tmp_path / f"{name}.png") for name in "abc")
    assert a == b
    assert a != c


def test_save_writes_one_file_for_each_picture_with_the_graph_inside(tmp_path: Path) -> None:
    ctx = Outputs(tmp_path)
    pixels = steps(3, batch=3)
    (one,) = save(Image(pixels[:1]), "cats/one", ctx=ctx)
    several = save(Image(pixels), "cats/all.png", ctx=ctx)
    names = ["all-00.png", "all-01.png", "all-02.png", "one.png"]
    assert names == sorted(path.name for path in (tmp_path / "cats").iterdir())
    assert SavedFile.at(tmp_path / "cats" / "one.png") == one
    assert [file.stands() for file in several] == [True] * 3
    for place in range(3):
        path = tmp_path / "cats" / names[place]
        assert ctx.about == graph_of(path)
        assert torch.equal(pixels[place : place + 1], read_picture(path))


def test_save_stays_in_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("../escape", "/tmp/nodeflow-escape", "a/../../escape"):
        with pytest.raises(PermissionError):
            save(Image(steps(1)), name, ctx=Outputs(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_hundred_pictures_sort_by_name(tmp_path: Path) -> None:
    files = save(Image(torch.zeros(101, 1, 1, 1)), ctx=Outputs(tmp_path))
    assert [Path(files[0].path).name, Path(files[100].path).name] == ["picture-000.png", "picture-100.png"]
    assert sorted(file.path for file in files) == [file.path for file in files]


def test_save_value_knows_pictures_masks_tables_and_texts(tmp_path: Path) -> None:
    stem = tmp_path / "run 1.5" / "out.v2"
    image, mask = Image(steps(3)), Mask(steps(1))
    table = Table("scores", ("name", "a, b"), (('say "x"', 1.5), ("é", None)))
    written = {
        "out.v2.png": (image, mask),
        "out.v2.csv": (table,),
        "out.v2.txt": ("a red circle, ü\n",),
    }
    for name, values in written.items():
        for value in values:
            assert (stem.with_name(name),) == save_value(value=value, stem=stem, about="graph")
    assert torch.equal(mask.coverage, read_picture(stem.with_name("out.v2.png")))
    assert graph_of(stem.with_name("out.v2.png")) == "graph"
    assert stem.with_name("out.v2.csv").read_text("utf-8") == 'name,"a, b"\n"say ""x""",1.5\né,\n'
    assert stem.with_name("out.v2.txt").read_text("utf-8") == "a red circle, ü\n"
    assert sorted(written) == sorted(path.name for path in stem.parent.iterdir())


def test_save_value_numbers_a_list_of_images_through(tmp_path: Path) -> None:
    images = [Image(steps(3, batch=2)), Image(torch.zeros(1, 1, 4, 4))]
    paths = save_value(value=images, stem=tmp_path / "all", about="")
    assert [tmp_path / f"all-0{place}.png" for place in range(3)] == list(paths or ())
    assert read_picture(tmp_path / "all-02.png").shape == (1, 1, 4, 4)


@pytest.mark.parametrize("value", [1, 2.5, None, [], ["a"], [1], object()])
def test_save_value_leaves_other_values_to_other_plugins(tmp_path: Path, value: object) -> None:
    assert save_value(value=value, stem=tmp_path / "new" / "out", about="") is None
    assert list(tmp_path.iterdir()) == []
