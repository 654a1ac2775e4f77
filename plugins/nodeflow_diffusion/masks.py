"""Masks of pixels on the coarser grid of latents."""

from torch import Tensor
from torch.nn import functional as F

TRACE = 1e-3
"""Anti-aliased edges leave a trace of coverage in cells that they do not mean; up to this it counts as none."""


def masked_cells(coverage: Tensor, samples: Tensor, factor: int) -> Tensor:
    """Which cells of latents a mask touches.

    Args:
        coverage: [B or 1, 1, H, W] in 0..1, in pixels of the picture.
        samples: [B, C, H / factor, W / factor]; only its shape is looked at.
        factor: pixels a cell's side stands for.

    Returns: [B or 1, 1, H / factor, W / factor], 1 where it touches, else 0.

    Raises:
        ValueError: the mask is not of the picture's size, or not of as many pictures.
    """
    rows, columns = samples.shape[-2:]
    if coverage.shape[-2:] != (rows * factor, columns * factor):
        raise ValueError(
            f"the mask is of {coverage.shape[-1]} x {coverage.shape[-2]} pixels, but the picture of "
            f"{columns * factor} x {rows * factor}\n    make a mask of the picture's size"
        )
    counts = {len(coverage), len(samples)} - {1}
    if len(counts) > 1:
        raise ValueError(f"{len(coverage)} masks for {len(samples)} pictures\n    give equally many, or one for all")
    return (F.max_pool2d(coverage, factor) > TRACE).to(coverage.dtype)
