"""Pictures that are too large to be held whole: opened all the same, the window alive and the memory bounded."""

import zlib
from pathlib import Path
from struct import pack

import pytest
from nodeflow_editor.run.thumbnails import thumbnail
from nodeflow_editor.viewer.bands import PngBands, bands_of
from nodeflow_editor.viewer.panel import Viewer
from PySide6.QtCore import QPointF, QRect
from PySide6.QtGui import QImage

from tests.editor.test_viewer import grabbed, picture, ramp, viewer  # noqa: F401 # a fixture


def striped(path: Path, wide: int, high: int) -> None:
    """A PNG whose rows tell their number, packed row by row: no picture of it is ever whole in memory."""
    packer = zlib.compressobj(1)
    rows = (
        b"\x02" + (b"\x01\x00\x00" if y % 256 else b"\x01\x01\x00") * wide for y in range(high)
    )  # each adds to the one above
    data = b"".join([*(packer.compress(row) for row in rows), packer.flush()])
    parts = ((b"IHDR", pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)),
             *((b"IDAT", data[at : at + 65_536]) for at in range(0, len(data), 65_536)), (b"IEND", b""))  # fmt: skip
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(body)) + kind + body + pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ))  # fmt: skip


@pytest.mark.parametrize("form", [QImage.Format.Format_RGB888, QImage.Format.Format_RGBA8888,
                                  QImage.Format.Format_Grayscale8])  # fmt: skip
def test_bands_of_a_png_are_what_qt_reads_in_any_order(tmp_path: Path, form: QImage.Format) -> None:
    image = ramp(50, 300).convertToFormat(form)
    image.save(str(tmp_path / "a.png"))
    bands = bands_of(tmp_path / "a.png")
    assert isinstance(bands, PngBands)
    bands.rows = 64
    for number in (3, 0, 4, 2, 1, 4):
        band = bands.read(number, lambda: False)
        assert band is not None
        part = image.copy(0, 64 * number, 50, min(64, 300 - 64 * number))
        assert part == band.convertToFormat(form)
    assert bands.read(4, lambda: True) is None


def test_bands_of_a_jpeg_are_what_qt_reads_in_any_order(tmp_path: Path) -> None:
    ramp(100, 1_300).convertToFormat(QImage.Format.Format_RGB32).save(str(tmp_path / "a.jpg"))
    whole, bands = QImage(str(tmp_path / "a.jpg")), bands_of(tmp_path / "a.jpg")
    assert bands is not None
    bands.rows = 64
    for number in (20, 3, 4, 12, 5, 0, 20):
        band = bands.read(number, lambda: False)
        assert band is not None
        assert whole.copy(0, 64 * number, 100, min(64, 1_300 - 64 * number)) == band
    assert bands.read(1, lambda: True) is None


@pytest.mark.parametrize("side", [9_216, pytest.param(16_384, marks=pytest.mark.slow)])
def test_a_picture_of_16k_opens_with_the_window_alive_and_memory_bounded(viewer, tmp_path, qtbot, side: int) -> None:  # noqa: F811 # a fixture
    striped(tmp_path / "large.png", side, side)
    viewer.show("large", "large", tmp_path / "large.png")
    source = viewer.sight.source
    assert source is not None
    begun: list[QImage] = []
    source.changed.connect(lambda: begun.append(source.smallest() or QImage()))
    qtbot.waitUntil(lambda: not source.reading, timeout=120_000)
    assert "" == source.error
    early = next(image for image in begun if not image.isNull())
    last = early.height() - 1
    assert (255, 0) == (early.pixelColor(5, 5).alpha(), early.pixelColor(5, last).alpha()), "shown as it is read"
    row = 4_500
    red, green = (row + 1) % 256, row // 256 + 1
    found = source.pixel(5, row)
    assert found is not None
    assert not found[1]
    viewer.sight.zoom(1.0)
    viewer.sight.corner = QPointF(100, row - 100)
    viewer.sight.grab()
    qtbot.waitUntil(lambda: (found := source.pixel(5, row)) is not None and found[1], timeout=60_000)
    found = source.pixel(5, row)
    assert found is not None
    assert (red, green) == (found[0].red(), found[0].green())
    assert (red, green) == (grabbed(viewer, 300, row).red(), grabbed(viewer, 300, row).green())
    assert source.bytes < 400 * 2**20
    assert source.whole() is None


def test_a_picture_too_large_for_qt_to_read_whole_has_a_small_one_in_the_history(tmp_path: Path) -> None:
    striped(tmp_path / "large.png", 96, 900_000)  # 346 MB as Qt holds it, and it takes 256
    data = thumbnail(tmp_path / "large.png", 256)
    assert data is not None
    small = QImage.fromData(data)
    assert (1, 256) == (small.width(), small.height())
    expected = [(y + 0.5) * 900_000 / 256 / 256 for y in range(16)]
    assert expected == pytest.approx([small.pixelColor(0, y).green() for y in range(16)], abs=10)
    (tmp_path / "large.png").write_bytes((tmp_path / "large.png").read_bytes()[:100_000])
    assert thumbnail(tmp_path / "large.png", 256) is None


def test_a_large_png_of_another_form_says_that_it_is_read_whole_only(viewer: Viewer, tmp_path: Path, qtbot) -> None:  # noqa: F811 # a fixture
    head = pack(">IIBBBBB", 40_000, 40_000, 16, 2, 0, 0, 1)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\x00" * 64)), (b"IEND", b""))
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(body)) + kind + body + pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ))  # fmt: skip
    with qtbot.waitSignal(viewer.told) as told:
        viewer.show("deep", "deep", tmp_path / "deep.png")
    assert "40000 x 40000" in told.args[0]


def test_a_file_of_moderate_size_is_there_at_each_size_for_smooth_pictures(viewer, tmp_path, qtbot) -> None:  # noqa: F811 # a fixture
    picture(3000, 2000, "#336699").save(str(tmp_path / "a.jpg"), quality=95)
    viewer.show("a", "A", tmp_path / "a.jpg")
    source = viewer.sight.source
    qtbot.waitUntil(lambda: not source.reading, timeout=20_000)
    scale = viewer.sight.scale
    (piece,) = source.pieces(QRect(0, 0, 3000, 2000), scale)
    assert scale <= piece.image.width() / 3000 < 4 * scale


def test_closing_ends_what_is_being_read(viewer: Viewer, tmp_path: Path) -> None:  # noqa: F811 # a fixture
    striped(tmp_path / "large.png", 16_384, 4_096)
    viewer.show("large", "large", tmp_path / "large.png")
    viewer.close_pictures()
    assert viewer.pool.waitForDone(5_000)
