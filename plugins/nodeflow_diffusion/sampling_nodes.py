"""Sampling: schedules, noise, and the way from noise to a picture."""

import hashlib
from collections.abc import Iterable
from itertools import pairwise
from math import hypot
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from nodeflow import QUIET, Autoencoder, Context, Denoiser, Image, Latent, Seed, Ui, node
from nodeflow_diffusion.guidance import Found, slerp, whole
from nodeflow_diffusion.levels import End, Kind, Level, Schedule, Spacing, falling, from_strength
from nodeflow_diffusion.methods import Method, walk
from nodeflow_diffusion.recipes import LoadedGuidance, same_space
from nodeflow_diffusion.samplers import ddim_inversion

Unit = Annotated[float, Field(ge=0, le=1), Ui("slider")]


@node(category="diffusion/sampling", version=2)
def schedule(
    kind: Kind = "flow",
    spacing: Spacing = "trailing",
    shift: Annotated[float, Field(ge=0.01, le=100)] = 1.0,
    rho: Annotated[float, Field(ge=0.1, le=100)] = 7.0,
    offset: Annotated[int, Field(ge=0, le=999)] = 0,
    end: End = "picture",
    zero_snr: bool = False,
    sections: Annotated[str, Field(max_length=200)] = "",
    table: Annotated[int, Field(ge=100, le=10000)] = 1000,
) -> Schedule:
    """Choose the noise levels that a sampler visits. Any denoiser can be sampled under any schedule.

    What other programs call each of them is in docs/sampling.md.

    Args:
        kind: flow goes straight from noise to picture; linear is the schedule of DDPM, scaled_linear that of Stable
            Diffusion and cosine that of Improved DDPM, which end a little short of pure noise; edm goes from sigma 80
            to 0.002, by spacing karras unless another curve is chosen.
        spacing: which of the 1000 levels are visited: trailing begins at the noisiest, leading ends at the cleanest,
            linspace does both, linspace_exact as well but without rounding to whole levels; sgm_uniform begins at the
            noisiest and leaves the cleanest out; lcm is for latent consistency models. karras takes short steps where
            there is little noise, exponential even ones in the logarithm of the noise, polyexponential bends these by
            rho. Not used by flow.
        shift: above 1 spends more of the steps where there is much noise. Used by flow only.
        rho: how much karras and polyexponential bend; exponential is polyexponential with 1.
        offset: of the levels of leading; Stable Diffusion's first samplers had 1.
        end: picture takes the last step to the picture; first to the table's first level, a trace of noise left in.
        zero_snr: stretch the schedule to begin with noise alone; for denoisers trained so, which predict v or flow.
        sections: levels to visit instead of by spacing: "10,15,20" of three equal sections from the picture up,
            "ddim25" by an even stride. Their sum is the number of steps that must be asked for.
        table: levels there are to choose from; the first models of Improved DDPM were trained with 4000.
    """
    return Schedule(kind, spacing, shift, rho, offset, end, zero_snr, sections, table)


@node(category="diffusion/latent")
def noise(latent: Latent, seed: Seed = 0, *, ctx: Context = QUIET) -> Latent:
    """Draw the noise that a sampler would begin with, to change or to share it.

    Args:
        latent: says how many pictures, of what size and space.
        seed: of the first picture; the others follow with seed + 1, seed + 2 and so on.
    """
    count, *shape = latent.samples.shape
    return Latent(seeded(ctx, range(seed, seed + count), shape), latent.space)


@node(category="diffusion/latent")
def interpolate(first: Latent, second: Latent, count: Annotated[int, Field(ge=2, le=1024)] = 5) -> Latent:
    """Go from one noise to another along an arc, so that everything between is as good a noise.

    Args:
        first: the noise of one picture; the first of the row.
        second: the noise of another; the last of the row.
        count: how many pictures, the two ends included.
    """
    if first.space != second.space or first.samples.shape != second.samples.shape or len(first.samples) != 1:
        found = [f"{list(part.samples.shape)} in {part.space}" for part in (first, second)]
        raise ValueError(
            f"expected two noises of one picture each, of the same size and space, but got {' and '.join(found)}\n"
            "    draw both by diffusion.noise from the same latent, with count 1"
        )
    amounts = torch.linspace(0, 1, count, device=first.samples.device)
    return Latent(slerp(first.samples, second.samples.to(first.samples), amounts), first.space)


@node(category="diffusion/sampling")
def sample(
    denoiser: Denoiser,
    latent: Latent,
    schedule: Schedule | None = None,
    noise: Latent | None = None,
    preview: Autoencoder | None = None,
    seed: Seed = 0,
    steps: Annotated[int, Field(ge=1, le=1000), Ui("slider")] = 20,
    method: Method = "ddim",
    eta: Unit = 0.0,
    strength: Unit = 1.0,
    churn: Annotated[float, Field(ge=0, le=1000)] = 0.0,
    *,
    ctx: Context = QUIET,
) -> Latent:
    """Make pictures out of noise, step by step.

    The noise of each picture follows from its own seed alone (seed, seed + 1, ...): a picture is the same by itself
    and in a batch.

    Args:
        denoiser: with what it shall draw bound to it: a text (condition or guide), or classes (label).
        latent: what to begin with: empty, or the picture to be changed.
        schedule: the noise levels on the way; those of rectified flow if not wired.
        noise: what to begin with instead of the noise of the seed; one for each picture, or one for all.
        preview: draws the picture as it emerges, for whoever looks; the result does not depend on it.
        seed: of the first picture's noise.
        steps: more give finer detail and take longer.
        method: ddim is quick and always gives the same picture for a seed; ddpm adds fresh noise in every step and
            wants many of them; euler follows the flow from noise to picture, in the same steps as ddim;
            euler_ancestral is ddpm under its other name; heun corrects each step by a second look, and takes twice as
            long; plms and lms look back on up to four steps; dpmpp_2m looks back on one, good from 15 steps on;
            dpmpp_2m_sde is that with fresh noise; unipc corrects itself without a second look, good from 8 steps on;
            lcm is for consistency models, in 1 to 8 steps.
        eta: how much fresh noise ddim adds in each step; 1 is as much as ddpm.
        strength: how much of the latent is changed; 1 begins from noise alone and forgets it, 0 leaves it as it is.
        churn: how much noise heun puts in and takes out again in all its steps (S_churn of EDM, 10 to 80); 0 for none.
    """
    same_space(latent, denoiser)
    start = latent.samples.to(ctx.device, torch.float32)
    if noise is not None:
        same_space(noise, denoiser)
        start = _as_many(start, noise.samples)
        noise = Latent(_as_many(noise.samples, start), noise.space)
    levels = schedule or Schedule()
    pairs = from_strength(levels.levels(steps), strength)
    if not pairs:
        return Latent(start, latent.space)
    seeds = range(seed, seed + len(start))
    drawn = seeded(ctx, seeds, start.shape[1:]) if noise is None else noise.samples.to(start)
    x = _noised(start, drawn, pairs[0][0], strength)
    watched = _Watched(ctx.load(denoiser), x)
    walked = ctx.steps(pairs, preview=None if preview is None else _Preview(watched, ctx, preview))
    fresh = _FreshNoise(ctx, seeds, start.shape[1:])
    straight = levels.kind == "flow"
    result = walk(method, watched, x, walked, eta=eta, churn=churn / steps, straight=straight, noise=fresh)
    return Latent(_sound(result).contiguous(), latent.space)


@node(category="diffusion/sampling")
def invert(
    denoiser: Denoiser,
    latent: Latent,
    schedule: Schedule | None = None,
    steps: Annotated[int, Field(ge=1, le=1000), Ui("slider")] = 20,
    rounds: Annotated[int, Field(ge=1, le=100)] = 3,
    *,
    ctx: Context = QUIET,
) -> Latent:
    """Find the noise from which ddim makes a picture, to make it again with another text or in between two.

    Wire it into `noise` of diffusion.sample, with the same schedule and steps, method ddim and eta 0. Guidance makes
    the way back inexact: bind the text with diffusion.condition.

    Args:
        denoiser: with the text of the picture bound to it.
        latent: the picture, encoded.
        schedule: the noise levels on the way; those of rectified flow if not wired.
        steps: the more, the nearer.
        rounds: looks at each step, the first as inversion is mostly done; each further one brings the picture that is
            made again nearer to this one, and takes as long.
    """
    same_space(latent, denoiser)
    levels = falling((schedule or Schedule()).levels(steps))
    pairs = [(less, more) for more, less in pairwise(levels)][::-1]
    start = latent.samples.to(ctx.device, torch.float32)
    found = ddim_inversion(ctx.load(denoiser), start, ctx.steps(pairs), rounds=rounds)
    return Latent(_sound(found / hypot(*levels[0])).contiguous(), latent.space)


def _sound(result: Tensor) -> Tensor:
    if not torch.isfinite(result).all():
        raise ValueError(
            "the denoiser gave values that are no numbers\n"
            "    its weights may be damaged; or guide less, or take more steps"
        )
    return result


def _noised(start: Tensor, drawn: Tensor, level: Level, strength: float) -> Tensor:
    alpha, sigma = level
    if strength == 1:
        # a schedule may end short of noise alone: what a picture would add to the variance, more noise does
        return hypot(alpha, sigma) * drawn
    return alpha * start + sigma * drawn


def _as_many(one: Tensor, other: Tensor) -> Tensor:
    if one.shape[1:] != other.shape[1:] or len({len(one), len(other)} - {1}) > 1:
        raise ValueError(
            f"the noise and the latent do not go together: {list(one.shape)} and {list(other.shape)}\n"
            "    draw the noise by diffusion.noise from the same latent"
        )
    return one.expand(max(len(one), len(other)), -1, -1, -1)


def seeded(ctx: Context, seeds: Iterable[int], shape: Iterable[int]) -> Tensor:
    """Noise [B, *shape], each picture's from its own seed."""
    return torch.cat([ctx.noise(seed, (1, *shape)) for seed in seeds])


class _FreshNoise:
    """The noise of one step after the other: each picture's from its own seed and the step's number."""

    def __init__(self, ctx: Context, seeds: Iterable[int], shape: Iterable[int]) -> None:
        self.ctx, self.seeds, self.shape, self.step = ctx, tuple(seeds), tuple(shape), 0

    def __call__(self) -> Tensor:
        self.step += 1
        return seeded(self.ctx, [step_seed(seed, self.step) for seed in self.seeds], self.shape)


def step_seed(seed: int, step: int) -> int:
    """A seed for one step, far from every other: 0 .. 2 ** 53 - 1."""
    digest = hashlib.blake2b(f"{seed} {step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 11


class _Watched:
    """A loaded denoiser whose last estimate can be looked at; before the first that is the noise.

    Of guidance it gives both estimates, so that joining them is part of the sampler's step.
    """

    def __init__(self, denoise: Any, start: Tensor) -> None:
        self.denoise = denoise.estimates if isinstance(denoise, LoadedGuidance) else denoise
        self.latest: Found = start

    def __call__(self, x: Tensor, alpha: float, sigma: float) -> Found:
        self.latest = self.denoise(x, alpha, sigma)
        return self.latest


class _Preview:
    """Draws the last estimate; the decoder is loaded when somebody looks."""

    def __init__(self, watched: _Watched, ctx: Context, autoencoder: Autoencoder) -> None:
        self.watched, self.ctx, self.autoencoder = watched, ctx, autoencoder

    def __call__(self) -> Image:
        pixels: Tensor = self.ctx.load(self.autoencoder).decode(whole(self.watched.latest))
        return Image(pixels.float())


NODES = (schedule, noise, interpolate, sample, invert)
