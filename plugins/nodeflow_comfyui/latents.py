"""ComfyUI's nodes of latents: empty ones, encoding, decoding, masks."""

from dataclasses import replace
from typing import Any, Final

from nodeflow_comfyui.turning import CannotTurnError, Turn, Turner
from nodeflow_comfyui.values import Painting, Pixels, Samples, Wire
from nodeflow_comfyui.workflow import Node

CELL: Final = 8
"""Pixels of a latent's cell along each side, in all of Stable Diffusion."""


def _empty(turn: Turn, node: Node) -> tuple[Any, ...]:
    # ComfyUI makes as many whole cells of 8 pixels as fit
    side = turn.whole(node, "width", 512) // CELL * CELL, turn.whole(node, "height", 512) // CELL * CELL
    if min(side) < CELL:
        raise CannotTurnError(f"a latent of {side[0]} x {side[1]} pixels is not possible")
    return (Samples(None, node.id, side, turn.whole(node, "batch_size", 1)),)


def emptied(turn: Turn, samples: Samples, denoiser: Wire) -> Wire:
    """The wire of a latent; an empty one is made for that denoiser."""
    if samples.wire is not None:
        return samples.wire
    node, (width, height) = turn.workflow.nodes[samples.node], samples.side or (512, 512)
    known = set(turn.drawing.nodes)
    made = turn.drawing.beside(
        node, "empty", "diffusion.empty", denoiser=denoiser, width=width, height=height, count=samples.count
    )  # fmt: skip
    if made.node not in known:
        if node.place is not None:
            turn.drawing.places[made.node] = [round(node.place[0]), round(node.place[1])]
        for name in ("width", "height", "count"):
            turn.drawing.offer(name, made, name)
    return made


def _repeat(turn: Turn, node: Node) -> tuple[Any, ...]:
    samples, amount = turn.samples(node), turn.whole(node, "amount", 1)
    if samples.wire is not None:
        raise CannotTurnError("only empty latents can be repeated here")
    return (replace(samples, count=samples.count * amount),)


def _decode(turn: Turn, node: Node) -> tuple[Any, ...]:
    return _decoded(turn, node, turn.plain(node, "vae"))


def _decoded(turn: Turn, node: Node, vae: Wire) -> tuple[Any, ...]:
    samples = turn.samples(node)
    latent = turn.wire(samples)
    made = turn.drawing.add(node, "decode", "codebooks.decode", autoencoder=vae, latent=latent)
    return (Pixels(made, samples.side),)


def _tiled(turn: Turn, node: Node) -> Wire:
    """The autoencoder in tiles of the size that is asked for; ours are multiples of 64 pixels."""
    asked = turn.whole(node, "tile_size", 512), turn.whole(node, "overlap", 64)
    side, overlap = max(64, asked[0] // 64 * 64), asked[1] // 64 * 64
    if (side, overlap) != asked:
        turn.differ(
            node, f"tiles of {asked[0]} that share {asked[1]} pixels became {side} and {overlap}, multiples of 64"
        )
    vae = turn.plain(node, "vae")
    return turn.drawing.beside(
        node, "tiles", "codebooks.tile", autoencoder=vae, side=side, overlap=min(overlap, side - 64)
    )


def _decode_tiled(turn: Turn, node: Node) -> tuple[Any, ...]:
    return _decoded(turn, node, _tiled(turn, node))


def _encode(turn: Turn, node: Node) -> tuple[Any, ...]:
    return _encoded(turn, node, turn.plain(node, "vae"))


def _encode_tiled(turn: Turn, node: Node) -> tuple[Any, ...]:
    return _encoded(turn, node, _tiled(turn, node))


def _encoded(turn: Turn, node: Node, vae: Wire) -> tuple[Any, ...]:
    image = turn.pixels(node, "pixels")
    made = turn.drawing.add(node, "encode", "codebooks.encode", autoencoder=vae, image=image.wire)
    return (Samples(made, node.id, image.side, painting=None),)


def _encode_to_paint(turn: Turn, node: Node) -> tuple[Any, ...]:
    vae, image, mask = turn.plain(node, "vae"), turn.pixels(node, "pixels"), turn.plain(node, "mask")
    made = turn.drawing.add(node, "encode", "codebooks.encode", autoencoder=vae, image=image.wire)
    grown = turn.whole(node, "grow_mask_by", 6)
    if grown:
        told = f"the mask is not grown by {grown} pixels; every cell of 8 x 8 that it touches is painted instead"
        turn.differ(node, told, made.node)
    return (Samples(made, node.id, image.side, mask=mask, painting=Painting(vae, image.wire, mask)),)


RESIZED: Final = {"nearest-exact": "nearest", "bilinear": "bilinear", "area": "area", "bicubic": "bicubic"}


def _resize(turn: Turn, node: Node) -> tuple[Any, ...]:
    samples = turn.samples(node)
    width, height = turn.whole(node, "width", 512), turn.whole(node, "height", 512)
    if not width and not height:
        return (samples,)
    if not width or not height:
        side = known_side(samples)
        width, height = width or round(side[0] * height / side[1]), height or round(side[1] * width / side[0])
    if turn.text(node, "crop", "disabled") == "center":
        side = known_side(samples)
        if side[0] * height != side[1] * width:
            raise CannotTurnError("latents cannot be cut here, only stretched")
    return _resized(turn, node, samples, width, height)


def _resize_by(turn: Turn, node: Node) -> tuple[Any, ...]:
    samples, factor = turn.samples(node), turn.real(node, "scale_by", 1.5)
    width, height = (round(length / CELL * factor) * CELL for length in known_side(samples))
    return _resized(turn, node, samples, width, height)


def known_side(samples: Samples) -> tuple[int, int]:
    """The size of the pictures; CannotTurnError where it is not known."""
    if samples.side is None:
        raise CannotTurnError("the size of the latent is not known before it is made")
    if min(samples.side) < 1:
        raise CannotTurnError(f"a latent of {samples.side[0]} x {samples.side[1]} pixels is not possible")
    return samples.side


def _resized(turn: Turn, node: Node, samples: Samples, width: int, height: int) -> tuple[Any, ...]:
    asked = turn.text(node, "upscale_method", "nearest-exact")
    method = RESIZED.get(asked, "bicubic")
    if asked not in RESIZED:
        turn.differ(node, f"upscale_method {asked}: {method} is the nearest there is")
    if samples.mask is not None:
        raise CannotTurnError("it has a mask, which would have to be resized with it")
    side = (width // CELL * CELL, height // CELL * CELL)
    made = turn.drawing.add(
        node, "enlarged", "codebooks.resize", latent=turn.wire(samples), width=side[0], height=side[1], method=method
    )  # fmt: skip
    return (replace(samples, wire=made, node=node.id, side=side),)


def _masked(turn: Turn, node: Node) -> tuple[Any, ...]:
    return (replace(turn.samples(node), mask=turn.plain(node, "mask")),)


LATENTS: Final[dict[str, Turner]] = {
    "EmptyLatentImage": _empty,
    "LatentUpscale": _resize,
    "LatentUpscaleBy": _resize_by,
    "RepeatLatentBatch": _repeat,
    "VAEDecode": _decode,
    "VAEDecodeTiled": _decode_tiled,
    "VAEEncode": _encode,
    "VAEEncodeTiled": _encode_tiled,
    "VAEEncodeForInpaint": _encode_to_paint,
    "SetLatentNoiseMask": _masked,
}
