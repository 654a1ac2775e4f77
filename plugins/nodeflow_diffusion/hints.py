"""A second lesson for a denoiser: to know, from its words and noise, what it is about to draw where.

The mean squared error of a velocity hardly feels whether a small thing is a star or a cross, so a network is long in
learning to put words in their places. Features that are trained on a discriminative task as well draw better sooner
(REPA, Yu et al. 2024, which takes a pretrained encoder's features where we have the scene's own description).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RegionHead(nn.Module):
    """Reads answers off a denoiser's features, cell by cell; thrown away after training."""

    def __init__(self, width: int, answers: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        self.logits_out = nn.Linear(width, answers)

    def forward(self, features: Tensor) -> Tensor:
        """[B, width, h, w] -> logits [B, answers, h, w]."""
        logits: Tensor = self.logits_out(F.silu(self.hidden(self.norm(features.movedim(1, -1)))))
        return logits.movedim(-1, 1)


def region_loss(logits: Tensor, regions: Tensor, questions: Sequence[int]) -> Tensor:
    """Cross-entropy of each question's answers, over the share of the cells that each answer holds for; scalar.

    Args:
        logits: [B, K, h, w].
        regions: [B, K, H, W], 0..1, averaged to h x w.
        questions: how many answers each question has; K in all. A question counts where any of its answers holds, and
            all questions count alike.
    """
    shares = F.adaptive_avg_pool2d(regions, (logits.shape[-2], logits.shape[-1])).to(logits)
    total = logits.new_zeros(())
    for start, stop in pairwise(torch.tensor([0, *questions]).cumsum(0).tolist()):
        share = shares[:, start:stop]
        surprise = -(share * F.log_softmax(logits[:, start:stop].float(), 1)).sum()
        total = total + surprise / share.sum().clamp(min=1e-6)
    return total
