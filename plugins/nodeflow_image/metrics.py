"""How alike two pictures are. Computed in float64 on the CPU: SSIM's variances cancel in float32."""

import math

import torch
from torch import Tensor

from nodeflow_image.channels import split

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # Wang et al. 2004, section III.B; the dynamic range L is 1


def mse(x: Tensor, y: Tensor) -> list[float]:
    """Mean squared error of each pair in [B, C, H, W]."""
    found: list[float] = ((_exact(x) - _exact(y)) ** 2).mean(dim=(1, 2, 3)).tolist()
    return found


def psnr(error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, the peak being 1; infinite for equal pictures."""
    return math.inf if error == 0 else -10 * math.log10(error)


def largest(x: Tensor, y: Tensor) -> list[float]:
    """The largest difference of any value in each pair."""
    found: list[float] = (_exact(x) - _exact(y)).abs().amax(dim=(1, 2, 3)).tolist()
    return found


def ssim(x: Tensor, y: Tensor) -> list[float] | None:
    """Structural similarity of each pair in [B, C, H, W] (Wang et al. 2004, eq. 13), None for sides under 11 pixels.

    Gaussian window 11 x 11, sigma 1.5, where it lies wholly inside; the mean over channels and places.
    """
    if min(x.shape[2:]) < WINDOW:
        return None
    C1, C2 = K1**2, K2**2
    x, y = _exact(x), _exact(y)
    mu_x, mu_y, xx, yy, xy = (_windowed(z) for z in (x, y, x * x, y * y, x * y))
    var_x, var_y, cov = xx - mu_x * mu_x, yy - mu_y * mu_y, xy - mu_x * mu_y
    index = (2 * mu_x * mu_y + C1) * (2 * cov + C2) / ((mu_x**2 + mu_y**2 + C1) * (var_x + var_y + C2))
    found: list[float] = index.mean(dim=(1, 2, 3)).tolist()
    return found


def difference(x: Tensor, y: Tensor) -> Tensor:
    """|x - y| without alpha; where only alpha differs, that difference shows as grey."""
    colour, alpha = split((x - y).abs())
    return colour if alpha is None else torch.maximum(colour, alpha)


def _exact(picture: Tensor) -> Tensor:
    return picture.to("cpu", torch.float64)


def _windowed(z: Tensor) -> Tensor:
    """The window's weighted sum at each place; by shifted additions, since conv2d in float64 takes 6 times as long."""
    bell = [math.exp(-0.5 * ((place - WINDOW // 2) / SIGMA) ** 2) for place in range(WINDOW)]
    for dim in (3, 2):
        count = z.shape[dim] - WINDOW + 1
        total = z.narrow(dim, 0, count) * (bell[0] / sum(bell))
        for place in range(1, WINDOW):
            total.add_(z.narrow(dim, place, count), alpha=bell[place] / sum(bell))
        z = total
    return z
