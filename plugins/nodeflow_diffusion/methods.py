"""The samplers by the names that people choose them by."""

from typing import Literal

from torch import Tensor

from nodeflow_diffusion.samplers import Denoise, Noise, Steps, ddim, ddpm, euler, lcm
from nodeflow_diffusion.solvers import dpmpp_2m, flow_time, heun, lms, noise_to_picture, plms, unipc

Method = Literal[
    "ddim", "ddpm", "euler", "euler_ancestral", "heun", "plms", "lms", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "lcm"
]


def walk(
    method: Method, denoise: Denoise, x: Tensor, steps: Steps, *, eta: float, churn: float, straight: bool, noise: Noise
) -> Tensor:
    """Sample by a method's name.

    eta: of ddim. churn: of heun, by step. straight: the levels are those of rectified flow, in whose time heun counts.
    """
    match method:
        case "ddim":
            return ddim(denoise, x, steps, eta=eta, noise=noise)
        case "ddpm" | "euler_ancestral":  # one and the same, in other coordinates
            return ddpm(denoise, x, steps, noise=noise)
        case "euler":
            return euler(denoise, x, steps)
        case "heun":
            time = flow_time if straight else noise_to_picture
            return heun(denoise, x, steps, time=time, churn=churn, noise=noise)
        case "plms":
            return plms(denoise, x, steps)
        case "lms":
            return lms(denoise, x, steps)
        case "dpmpp_2m":
            return dpmpp_2m(denoise, x, steps, noise=noise)
        case "dpmpp_2m_sde":
            return dpmpp_2m(denoise, x, steps, eta=1.0, noise=noise)
        case "unipc":
            return unipc(denoise, x, steps)
        case "lcm":
            return lcm(denoise, x, steps, noise=noise)
