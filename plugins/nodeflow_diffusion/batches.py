"""What belongs to the pictures of a batch, brought to its form."""

import torch
from torch import Tensor


def column(values: Tensor, x: Tensor) -> Tensor:
    """[B] -> [B, 1, 1, 1], as many dimensions as x has, of its type and on its device."""
    return values.reshape(-1, *[1] * (x.dim() - 1)).to(x)


def times(value: float | Tensor, count: int) -> float | Tensor:
    """A number for all, or one each of a batch [B], for the same batch that stands there `count` times."""
    return value.repeat(count) if isinstance(value, Tensor) and value.dim() else value


def for_each(known: Tensor, x: Tensor, what: str) -> Tensor:
    """What is known of pictures [B or 1, c, h, w], for each of the latents [k B, C, h, w]: guidance has k times B.

    what: is known, for the message.

    Raises:
        ValueError: it is of another size, or of another number of pictures.
    """
    count, rest = divmod(len(x), len(known))
    if known.shape[-2:] != x.shape[-2:] or rest:
        raise ValueError(
            f"{what} {list(known.shape)}, but the latent {list(x.shape)}\n"
            "    sample into a latent of the picture's size, and of as many pictures"
        )
    return known.to(x).repeat(count, 1, 1, 1)


def beside(x: Tensor, seen: Tensor) -> Tensor:
    """Latents [k B, C, h, w] and for each what is seen beside it, [B or 1, c, h, w], along the channels.

    Failures as `for_each`.
    """
    return torch.cat([x, for_each(seen, x, "what the denoiser shall see is")], 1)
