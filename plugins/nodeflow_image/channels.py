"""Grey, RGB and RGBA pictures side by side, and colours as people write them."""

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # Rec. 601, what JPEG and Pillow mean by grey
SEEN = 1e-6  # alpha below which a colour cannot be told any more


def colour_of(text: str) -> Tensor:
    """The colour "#rrggbb" as float32 [1, 3, 1, 1] in 0..1.

    Raises:
        ValueError: the text is no such colour.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f'"{text[:40]}" is not a colour\n    write # and six hexadecimal digits: "#ff8000" is orange')
    return torch.tensor(list(bytes.fromhex(text[1:])), dtype=torch.float32).div_(255).reshape(1, 3, 1, 1)


def paint_of(text: str) -> Tensor:
    """The same colour with one channel if it is a grey, so that it does not turn a grey picture into RGB."""
    colour = colour_of(text)
    return colour[:, :1] if bool(re.fullmatch(r"#(..)\1\1", text.lower())) else colour


def to_common(pictures: Sequence[Tensor]) -> list[Tensor]:
    """Brings pictures [B, C, H, W] to the most channels among them and to the first one's device.

    Grey becomes R = G = B; what has no alpha is opaque. Nothing is lost.
    """
    most = max(picture.shape[1] for picture in pictures)
    return [with_channels(picture.to(pictures[0].device), most) for picture in pictures]


def with_channels(picture: Tensor, channels: int) -> Tensor:
    """A picture [B, C, H, W] with at least as many channels: 1 -> 3 repeats, 3 -> 4 is opaque."""
    if picture.shape[1] == 1 and channels > 1:
        picture = picture.expand(-1, 3, -1, -1)
    if picture.shape[1] == 3 and channels == 4:
        picture = torch.cat([picture, torch.ones_like(picture[:, :1])], dim=1)
    return picture


def split(picture: Tensor) -> tuple[Tensor, Tensor | None]:
    """Colour [B, 1 or 3, H, W], and alpha [B, 1, H, W] if there is one."""
    return (picture[:, :3], picture[:, 3:]) if picture.shape[1] == 4 else (picture, None)


def joined(colour: Tensor, alpha: Tensor | None) -> Tensor:
    """The inverse of `split`; grey colour becomes RGB beside an alpha."""
    return colour if alpha is None else torch.cat([with_channels(colour, 3), alpha], dim=1)


def luma(colour: Tensor) -> Tensor:
    """Rec. 601 luma [B, 1, H, W] of colour [B, 1 or 3, H, W]."""
    if colour.shape[1] == 1:
        return colour
    weights = torch.tensor(LUMA, dtype=colour.dtype, device=colour.device).reshape(1, 3, 1, 1)
    return (colour * weights).sum(dim=1, keepdim=True)


def weighed(picture: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Applies a linear change that mixes neighbouring pixels, with colours weighed by their alpha, then 0..1.

    Without the weights the hidden colour of clear pixels would bleed into the edges.
    """
    colour, alpha = split(picture)
    if alpha is None:
        return change(picture).clamp(0, 1)
    mixed = change(torch.cat([colour * alpha, alpha], dim=1))
    colour, covered = mixed[:, :3], mixed[:, 3:].clamp(0, 1)
    return torch.cat([(colour / covered.clamp_min(SEEN)).clamp(0, 1), covered], dim=1)


def flattened(picture: Tensor, ground: Tensor) -> Tensor:
    """A picture with alpha laid on an opaque ground of 1 or 3 channels: [B, 3, H, W]. Others stay as they are."""
    colour, alpha = split(picture)
    return colour if alpha is None else colour * alpha + ground.to(colour.device) * (1 - alpha)


def adjusted(colour: Tensor, brightness: float, contrast: float, saturation: float, gamma: float) -> Tensor:
    """Colour [B, 1 or 3, H, W] corrected in this order: x + b; about 1/2 by c; about luma by s; x ** (1 / gamma).

    The neutral values 0, 1, 1, 1 give the very same numbers back.
    """
    colour = (colour + brightness) * contrast + 0.5 * (1 - contrast)
    colour = colour * saturation + luma(colour) * (1 - saturation) if colour.shape[1] == 3 else colour
    return colour.clamp(0, 1) ** (1 / gamma)
