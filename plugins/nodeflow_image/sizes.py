"""How large pictures may be, and how one size fits into another."""

from torch import Tensor

PIXELS_AT_MOST = 100_000_000
"""Of one picture: 1.2 GB as RGB in float32. What claims more is refused before memory is asked for."""


def bounded(width: int, height: int) -> None:
    """Refuses a picture that is too large to be made.

    Raises:
        ValueError: width * height is over PIXELS_AT_MOST.
    """
    if width * height > PIXELS_AT_MOST:
        raise ValueError(
            f"a picture of {width} x {height} has over {PIXELS_AT_MOST // 1_000_000} million pixels\n"
            "    ask for a smaller one"
        )


def size_of(picture: Tensor) -> str:
    """`640 x 480` (width first), as messages say it. picture: [..., H, W]."""
    return f"{picture.shape[-1]} x {picture.shape[-2]}"


def alike(first: Tensor, second: Tensor, names: str) -> None:
    """Refuses two pictures that differ in size or whose batches do not go together.

    Raises:
        ValueError: [H, W] differ, or the batches are neither equal nor one of them 1.
    """
    if first.shape[-2:] != second.shape[-2:]:
        raise ValueError(
            f"{names} differ in size: {size_of(first)} and {size_of(second)}\n    resize, crop or pad one of them first"
        )
    counts = {len(first), len(second)} - {1}
    if len(counts) > 1:
        raise ValueError(
            f"{names} hold {len(first)} and {len(second)} pictures\n    give equally many, or one for all of the other"
        )


def contained(width: int, height: int, box: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) of the same aspect ratio that stays inside box (width, height)."""
    scale = min(box[0] / width, box[1] / height)
    return min(box[0], max(1, round(width * scale))), min(box[1], max(1, round(height * scale)))


def covering(width: int, height: int, box: tuple[int, int]) -> tuple[int, int]:
    """The smallest (width, height) of the same aspect ratio that covers box (width, height)."""
    scale = max(box[0] / width, box[1] / height)
    return max(box[0], round(width * scale)), max(box[1], round(height * scale))
