"""Picture files to tensors and back, and the graph that a PNG carries."""

import io
import os
import secrets
import struct
import warnings
import zlib
from pathlib import Path

import torch
from PIL import Image as Pillow
from PIL import ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from nodeflow_image.sizes import PIXELS_AT_MOST

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")  # not EPS, which Pillow hands to Ghostscript to run
READABLE = "PNG, JPEG, WebP, TIFF, BMP, GIF and PPM"
GRAPH_KEY = "nodeflow"
GRAPH_AT_MOST = 16 * 2**20
SIGNATURE = b"\x89PNG\r\n\x1a\n"
TURNED = 0x0112
"""The EXIF tag of how a picture lies."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_picture(path: str | os.PathLike[str]) -> Tensor:
    """A picture file as float32 [1, C, H, W] in 0..1; C is 1 for grey, 3 for RGB, 4 where there is alpha.

    Turned upright as its EXIF says. Palettes become RGB; so does CMYK, without colour management. 16-bit grey keeps
    its 16 bits, 16-bit colour is read as 8. Of an animation, the first frame.

    Raises:
        OSError: there is no such file, or it may not be read.
        ValueError: it is not a picture, it is damaged, or it has over PIXELS_AT_MOST pixels (told from its header).
    """
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own limit is lower than ours, and it warns of odd metadata
        try:
            with Pillow.open(file, formats=FORMATS) as opened:
                too_large = opened.width * opened.height > PIXELS_AT_MOST
                if not too_large:
                    return _tensor(ImageOps.exif_transpose(opened))
        except MemoryError:
            raise
        except Pillow.DecompressionBombError:
            too_large = True
        except UnidentifiedImageError as error:
            raise ValueError(f'"{path}" is not a picture\n    give a file of {READABLE}') from error
        except Exception as error:  # Pillow's decoders raise whatever the damaged bytes lead them to
            raise ValueError(
                f'"{path}" cannot be read: {error}\n    it may be damaged: copy it again, or save it anew as PNG'
            ) from error
    raise ValueError(
        f'"{path}" has over {PIXELS_AT_MOST // 1_000_000} million pixels\n    make it smaller in another program first'
    )


def shape_of(path: str | os.PathLike[str]) -> tuple[int, int, int, int]:
    """The shape that `read_picture` will give, told from the file's header.

    Raises:
        OSError: there is no such file, or it may not be read.
        ValueError: it is not a picture, or it has over PIXELS_AT_MOST pixels.
    """
    try:
        with warnings.catch_warnings(), Pillow.open(path, formats=FORMATS) as opened:
            warnings.simplefilter("ignore")
            width, height = opened.size
            if opened.getexif().get(TURNED, 1) in (5, 6, 7, 8):  # those that lie on their side
                width, height = height, width
            grey = opened.mode in ("1", "L", "F") or opened.mode.startswith("I")
            channels = 4 if opened.has_transparency_data and not opened.mode.startswith("I") else 1 if grey else 3
    except (UnidentifiedImageError, Pillow.DecompressionBombError) as error:
        raise ValueError(f'"{path}" is not a picture that can be read\n    give a file of {READABLE}') from error
    if width * height > PIXELS_AT_MOST:
        raise ValueError(f'"{path}" has over {PIXELS_AT_MOST // 1_000_000} million pixels\n    make it smaller first')
    return 1, channels, height, width


def _tensor(picture: Pillow.Image) -> Tensor:
    if picture.mode.startswith("I"):
        values = torch.frombuffer(bytearray(picture.convert("I").tobytes()), dtype=torch.int32)
        return (values.reshape(1, 1, picture.height, picture.width) / 65535).clamp_(0, 1)
    if picture.mode == "F":
        values = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.float32)
        return values.reshape(1, 1, picture.height, picture.width).nan_to_num(0).clamp_(0, 1)
    mode = "RGBA" if picture.has_transparency_data else "L" if picture.mode in ("1", "L") else "RGB"
    plain = picture.convert(mode)
    values = torch.frombuffer(bytearray(plain.tobytes()), dtype=torch.uint8)
    lines = values.reshape(1, plain.height, plain.width, len(mode))
    return (lines.permute(0, 3, 1, 2).to(torch.float32) / 255).contiguous()


def endings(count: int) -> list[str]:
    """What distinguishes the files of so many pictures: ".png", or "-00.png", "-01.png", ..."""
    digits = max(2, len(str(count - 1)))
    return [".png"] if count == 1 else [f"-{place:0{digits}}.png" for place in range(count)]


def write_png(path: Path, pixels: Tensor, graph: str = "") -> None:
    """Writes a picture [C, H, W] as `png_bytes` has it, whole or not at all.

    Raises:
        OSError: it could not be written; nothing is left behind.
        ValueError: the graph's text is over GRAPH_AT_MOST bytes.
    """
    write_whole(path, png_bytes(pixels, graph))


def png_bytes(pixels: Tensor, graph: str = "") -> bytes:
    """A picture [C, H, W] as 8-bit PNG, rounded to the nearest step, with a graph's text; NaN becomes black.

    The same pixels and graph give the same bytes.

    Raises:
        ValueError: the graph's text is over GRAPH_AT_MOST bytes.
    """
    text = PngImagePlugin.PngInfo()
    if graph:
        if len(graph.encode()) > GRAPH_AT_MOST:
            raise ValueError(
                f"the graph's text has over {GRAPH_AT_MOST // 2**20} MiB, too much for a picture to carry\n"
                "    move typed-in data into files"
            )
        # not compressed: Pillow, and so half the world, refuses a compressed text that unpacks to over 1 MiB
        text.add_itxt(GRAPH_KEY, graph, zip=False)
    steps = (pixels.detach().nan_to_num(0).clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    lines = steps.permute(1, 2, 0).contiguous()
    height, width, channels = lines.shape
    picture = Pillow.frombytes(MODES[channels], (width, height), lines.numpy().tobytes())
    packed = io.BytesIO()
    picture.save(packed, "PNG", pnginfo=text)
    return packed.getvalue()


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that anybody who looks sees all of it or what was there before."""
    unfinished = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(unfinished, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def graph_of(path: str | os.PathLike[str]) -> str | None:
    """The graph that a PNG carries before its pixels, or None: no PNG, none in it, damaged, over GRAPH_AT_MOST bytes.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    with open(path, "rb") as file:
        if file.read(8) != SIGNATURE:
            return None
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind in (b"IDAT", b"IEND"):
                return None
            if kind == b"iTXt" and length <= GRAPH_AT_MOST + 1024:
                data, check = file.read(length), file.read(4)
                if check == struct.pack(">I", zlib.crc32(kind + data)) and data.startswith(GRAPH_KEY.encode() + b"\0"):
                    return _text(data)
            else:
                file.seek(length + 4, os.SEEK_CUR)
    return None


def _text(chunk: bytes) -> str | None:
    """The text of an iTXt chunk: keyword, 0, compressed?, method, language, 0, translated keyword, 0, text."""
    rest = chunk[len(GRAPH_KEY) + 1 :]
    try:
        _language, _keyword, data = rest[2:].split(b"\0", 2)
        if rest[0]:
            inflater = zlib.decompressobj()
            data = inflater.decompress(data, GRAPH_AT_MOST)
            if not inflater.eof:
                return None
        return data.decode()
    except (zlib.error, ValueError):
        return None
