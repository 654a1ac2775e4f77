"""ComfyUI's nodes of pictures and masks."""

from typing import Any, Final

from nodeflow_comfyui.turning import CannotTurnError, Turn, Turner
from nodeflow_comfyui.values import File, Pixels, Wire
from nodeflow_comfyui.workflow import BYPASSED, Node

METHODS: Final = {
    "nearest-exact": "nearest",
    "bilinear": "bilinear",
    "area": "area",
    "bicubic": "bicubic",
    "lanczos": "lanczos",
}
LARGEST: Final = 32768
CHANNELS: Final = {"red": "red", "green": "green", "blue": "blue"}
COMBINED: Final = {"add": "union", "or": "union", "and": "intersection", "subtract": "subtraction", "xor": "difference"}


def _loaded(turn: Turn, node: Node) -> Wire:
    name = turn.file(node, "image")
    for place in ("input", "output", "temp"):
        name = name.removesuffix(f" [{place}]")
    made = turn.drawing.add(node, "picture", "image.load", path=name)
    turn.drawing.offer("picture", made, "path")
    return made


def _clear(turn: Turn, node: Node, loaded: Wire) -> Wire:
    """What is clear in a picture: ComfyUI's masks of files cover that, ours what is opaque."""
    return turn.drawing.beside(node, "clear", "image.mask_invert", mask=Wire(loaded.node, "mask"))


def _load(turn: Turn, node: Node) -> tuple[Any, ...]:
    made = _loaded(turn, node)
    masked = turn.used(node, 1)
    mask = _clear(turn, node, made) if masked else None
    if masked and not turn.used(node, 0):
        return None, mask
    # ComfyUI's pictures have no alpha; a file that has none passes as it is
    flat = turn.drawing.beside(node, "opaque", "image.flatten", image=Wire(made.node, "image"))
    if masked:
        told = "where the file is clear, the picture is white; ComfyUI shows the colours that lie below"
        turn.differ(node, told, made.node)
    return Pixels(flat), mask


def _load_mask(turn: Turn, node: Node) -> tuple[Any, ...]:
    channel = turn.text(node, "channel", "alpha")
    made = _loaded(turn, node)
    if channel == "alpha":
        return (_clear(turn, node, made),)
    if channel not in CHANNELS:
        raise CannotTurnError(f"channel {channel} is not known here")
    return (turn.drawing.beside(node, "mask", "image.image_to_mask", image=Wire(made.node, "image"), channel=channel),)


def _is_muted(turn: Turn, node: Node) -> bool:
    if node.mode:
        turn.differ(node, "it is muted, so what it is given is no output of the graph")
    return bool(node.mode)


def _save(turn: Turn, node: Node) -> tuple[Any, ...]:
    if _is_muted(turn, node):
        return ()
    prefix = node.inputs.get("filename_prefix")
    name = prefix.replace("\\", "/").rpartition("/")[2] if isinstance(prefix, str) else ""
    turn.drawing.give(turn.pixels(node, "images").wire, "" if name == "ComfyUI" else name)
    return ()


def _preview(turn: Turn, node: Node) -> tuple[Any, ...]:
    if _is_muted(turn, node):
        return ()
    turn.drawing.give(turn.pixels(node, "images").wire, "preview")
    return ()


def _scale(turn: Turn, node: Node) -> tuple[Any, ...]:
    image = turn.pixels(node)
    width, height = turn.whole(node, "width"), turn.whole(node, "height")
    fit = "cover" if turn.text(node, "crop", "disabled") == "center" else "stretch"
    if not width and not height:
        return (image,)
    if not width or not height:  # the other follows from the proportions
        fit, width, height, side = "contain", width or LARGEST, height or LARGEST, None
    else:
        side = (width, height)
    made = _resized(turn, node, image, width, height, fit)
    return (Pixels(made, image.side if node.mode == BYPASSED else side),)


def _resized(turn: Turn, node: Node, image: Pixels, width: int, height: int, fit: str = "stretch") -> Wire:
    asked = turn.text(node, "upscale_method", "lanczos")
    if asked not in METHODS:
        raise CannotTurnError(f"upscale_method {asked} is not known here")
    method = METHODS[asked]
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise CannotTurnError(f"a size of {width} x {height} is not possible")
    return turn.drawing.add(
        node, "resized", "image.resize", image=image.wire, width=width, height=height, method=method, fit=fit
    )  # fmt: skip


def _side(image: Pixels, what: str) -> tuple[int, int]:
    if image.side is None:
        raise CannotTurnError(f"the size of {what} is not known before it is made")
    return image.side


def _scale_by(turn: Turn, node: Node) -> tuple[Any, ...]:
    image, factor = turn.pixels(node), turn.real(node, "scale_by", 1.0)
    side = _side(image, "the picture")
    width, height = (round(length * factor) for length in side)
    made = _resized(turn, node, image, width, height)
    return (Pixels(made, side if node.mode == BYPASSED else (width, height)),)


def _upscaler(turn: Turn, node: Node) -> tuple[Any, ...]:
    if "image.load_upscaler" not in turn.known:
        raise CannotTurnError("there is no node for upscaling models")
    return (File(turn.file(node, "model_name")),)


def _upscale(turn: Turn, node: Node) -> tuple[Any, ...]:
    model, image = turn.given(node, "upscale_model"), turn.pixels(node)
    if not isinstance(model, File):
        raise CannotTurnError("the upscaling model comes from a node that is not known")
    loaded = turn.drawing.beside(node, "upscaler", "image.load_upscaler", model=model.name)
    return (Pixels(turn.drawing.add(node, "upscaled", "image.upscale_with", upscaler=loaded, image=image.wire)),)


def _pad(turn: Turn, node: Node) -> tuple[Any, ...]:
    """The picture with grey around, and a mask of that: of a black picture with white around."""
    image = turn.pixels(node)
    margins = {name: turn.whole(node, name, 0) for name in ("left", "top", "right", "bottom")}
    if turn.whole(node, "feathering", 40):
        turn.differ(node, "the mask is not feathered into the picture; image.mask_blur softens it")
    padded = turn.drawing.add(node, "padded", "image.pad", image=image.wire, **margins, colour="#808080")
    black = turn.drawing.beside(node, "black", "image.adjust", image=image.wire, brightness=-1.0)
    white = turn.drawing.beside(node, "margin", "image.pad", image=black, **margins, colour="#ffffff")
    mask = turn.drawing.beside(node, "mask", "image.image_to_mask", image=white, channel="grey")
    across, down = margins["left"] + margins["right"], margins["top"] + margins["bottom"]
    return Pixels(padded, image.side and (image.side[0] + across, image.side[1] + down)), mask


def _invert(turn: Turn, node: Node) -> tuple[Any, ...]:
    image = turn.pixels(node)
    width, height = _side(image, "the picture")
    white = turn.drawing.beside(node, "white", "image.colour", width=width, height=height, colour="#ffffff")
    made = turn.drawing.add(node, "inverted", "image.blend", below=white, above=image.wire, mode="difference")
    return (Pixels(made, image.side),)


def _blend(turn: Turn, node: Node) -> tuple[Any, ...]:
    mode = turn.text(node, "blend_mode", "normal")
    if mode not in ("normal", "multiply", "screen", "overlay"):
        raise CannotTurnError(f"blend_mode {mode} is not known here")
    below, above = turn.pixels(node, "image1"), turn.pixels(node, "image2")
    opacity = turn.real(node, "blend_factor", 0.5)
    if below.side is not None and above.side is not None and below.side != above.side:
        raise CannotTurnError("the pictures are of different sizes")
    made = turn.drawing.add(
        node, "blend", "image.blend", below=below.wire, above=above.wire, opacity=opacity, mode=mode
    )  # fmt: skip
    return (Pixels(made, below.side),)


def _composite(turn: Turn, node: Node) -> tuple[Any, ...]:
    below, above = turn.pixels(node, "destination"), turn.pixels(node, "source")
    if turn.whole(node, "x", 0) or turn.whole(node, "y", 0):
        raise CannotTurnError("a picture can be laid only over all of another one here")
    if below.side is not None and above.side is not None and below.side != above.side:
        raise CannotTurnError("the pictures are of different sizes")
    if below.side is None or above.side is None:
        turn.differ(node, "both pictures must be of one size here")
    mask = turn.plain(node, "mask") if turn.given(node, "mask", None) is not None else None
    made = turn.drawing.add(node, "blend", "image.blend", below=below.wire, above=above.wire, mask=mask)
    return (Pixels(made, below.side),)


def _batch(turn: Turn, node: Node) -> tuple[Any, ...]:
    first, second = turn.pixels(node, "image1"), turn.pixels(node, "image2")
    if first.side is None or first.side != second.side:
        turn.differ(node, "pictures of a batch must be of one size; ComfyUI resizes the second to the first")
    return (Pixels(turn.drawing.add(node, "batch", "image.batch", images=[first.wire, second.wire]), first.side),)


def _pick(turn: Turn, node: Node) -> tuple[Any, ...]:
    if turn.whole(node, "length", 1) != 1:
        raise CannotTurnError("only one picture can be taken out of a batch")
    image, index = turn.pixels(node), turn.whole(node, "batch_index", 0)
    return (Pixels(turn.drawing.add(node, "picked", "image.pick", image=image.wire, index=index), image.side),)


def _crop(turn: Turn, node: Node) -> tuple[Any, ...]:
    image = turn.pixels(node)
    width, height = turn.whole(node, "width", 512), turn.whole(node, "height", 512)
    left, top = turn.whole(node, "x", 0), turn.whole(node, "y", 0)
    made = turn.drawing.add(
        node, "crop", "image.crop", image=image.wire, left=left, top=top, width=width, height=height
    )  # fmt: skip
    return (Pixels(made, (width, height)),)


def _plain(turn: Turn, node: Node) -> tuple[Any, ...]:
    width, height = turn.whole(node, "width", 512), turn.whole(node, "height", 512)
    if turn.whole(node, "batch_size", 1) != 1:
        raise CannotTurnError("only one picture of one colour can be made")
    colour = f"#{turn.whole(node, 'color', 0) & 0xFFFFFF:06x}"
    made = turn.drawing.add(node, "colour", "image.colour", width=width, height=height, colour=colour)
    return (Pixels(made, (width, height)),)


def _mask_inverted(turn: Turn, node: Node) -> tuple[Any, ...]:
    return (turn.drawing.add(node, "mask", "image.mask_invert", mask=turn.plain(node, "mask")),)


def _mask_shown(turn: Turn, node: Node) -> tuple[Any, ...]:
    return (Pixels(turn.drawing.add(node, "shown", "image.mask_to_image", mask=turn.plain(node, "mask"))),)


def _mask_of(turn: Turn, node: Node) -> tuple[Any, ...]:
    channel = turn.text(node, "channel", "red")
    if channel not in (*CHANNELS, "alpha"):
        raise CannotTurnError(f"channel {channel} is not known here")
    return (turn.drawing.add(node, "mask", "image.image_to_mask", image=turn.pixels(node).wire, channel=channel),)


def _masks(turn: Turn, node: Node) -> tuple[Any, ...]:
    operation = turn.text(node, "operation", "multiply")
    if operation not in COMBINED or turn.whole(node, "x", 0) or turn.whole(node, "y", 0):
        raise CannotTurnError("masks are combined only one upon the other, by add, subtract, and, or, xor")
    first, second = turn.plain(node, "destination"), turn.plain(node, "source")
    return (turn.drawing.add(node, "mask", "image.mask_combine", first=first, second=second, mode=COMBINED[operation]),)


IMAGES: Final[dict[str, Turner]] = {
    "LoadImage": _load,
    "LoadImageMask": _load_mask,
    "SaveImage": _save,
    "PreviewImage": _preview,
    "ImageScale": _scale,
    "ImageScaleBy": _scale_by,
    "UpscaleModelLoader": _upscaler,
    "ImageUpscaleWithModel": _upscale,
    "ImagePadForOutpaint": _pad,
    "ImageInvert": _invert,
    "ImageBlend": _blend,
    "ImageCompositeMasked": _composite,
    "ImageBatch": _batch,
    "ImageFromBatch": _pick,
    "ImageCrop": _crop,
    "EmptyImage": _plain,
    "InvertMask": _mask_inverted,
    "MaskToImage": _mask_shown,
    "ImageToMask": _mask_of,
    "MaskComposite": _masks,
}
