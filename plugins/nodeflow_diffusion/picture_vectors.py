"""Pictures' vectors as an unCLIP reads them (Ramesh et al. 2022; Stable Diffusion 2.1 unCLIP)."""

import torch
from nodeflow_nn.embeddings import timestep_embedding
from torch import Tensor

from nodeflow_diffusion.schedules import alphas_cumprod, betas

LEVELS = 1000


def picture_vector(vectors: Tensor, mean: Tensor, deviation: Tensor, level: int, noise: Tensor) -> Tensor:
    """A noised vector, and how noisy it is: noise-conditioning augmentation under the cosine schedule.

    Args:
        vectors: [B, D] of CLIP, not normalised.
        mean: [D], of the vectors of the training's pictures.
        deviation: [D], likewise.
        level: 0..999.
        noise: [B, D], standard normal.

    Returns: [B, 2 D]: the vector, then the sinusoid of its level.
    """
    kept = alphas_cumprod(betas("cosine", LEVELS))[level]
    z = float(kept.sqrt()) * (vectors - mean) / deviation + float((1 - kept).sqrt()) * noise
    told = timestep_embedding(torch.full((len(z),), level, device=z.device), z.shape[-1])
    return torch.cat([z * deviation + mean, told.to(z)], -1)
