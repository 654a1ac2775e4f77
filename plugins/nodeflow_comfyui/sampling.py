"""ComfyUI's samplers. What it keeps with a text (ControlNets, inpainting, sizes) goes to the denoiser here."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from nodeflow_comfyui import samplers
from nodeflow_comfyui.latents import emptied
from nodeflow_comfyui.turning import CannotTurnError, Turn, Turner
from nodeflow_comfyui.values import Control, Guider, Model, Noise, Painting, Sampler, Samples, Sigmas, Text, Wire
from nodeflow_comfyui.workflow import Node

SAMPLED: Final = "scaled_linear"
LEAST_SCORE: Final = 2.5
"""What ComfyUI tells a refiner of a negative text that has no score."""


@dataclass(frozen=True)
class Task:
    """What is to be sampled, and how. part: of the way. settings: of diffusion.sample."""

    guider: Guider
    samples: Samples
    seed: Any
    sampler: str
    sigmas: Sigmas
    part: samplers.Part
    settings: dict[str, Any] = field(default_factory=dict)


def _ksampler(turn: Turn, node: Node) -> tuple[Any, ...]:
    steps = _steps(turn, node)
    denoise = turn.real(node, "denoise", 1.0)
    sigmas = Sigmas(_spaced(turn, node, turn.text(node, "scheduler", "normal"), steps), steps, denoise)
    return _sampled(turn, node, _task(turn, node, sigmas, samplers.denoised(steps, denoise), "seed"))


def _advanced(turn: Turn, node: Node) -> tuple[Any, ...]:
    steps = _steps(turn, node)
    start, end = turn.whole(node, "start_at_step", 0), turn.whole(node, "end_at_step", 10_000)
    sigmas = Sigmas(_spaced(turn, node, turn.text(node, "scheduler", "normal"), steps), steps, 1.0)
    if start >= steps:
        raise CannotTurnError(f"it starts at step {start} of {steps}, so it changes nothing")
    part = samplers.last(steps - start, steps)
    task = _task(turn, node, sigmas, part, "noise_seed")
    noisy = turn.flag(node, "add_noise", True)
    if not noisy and not task.samples.unfinished:
        raise CannotTurnError("it adds no noise, and what it is given is not what a sampler left unfinished")
    if not noisy:
        turn.differ(node, "it adds noise of its own and goes on from there, instead of from what was left in")
    left = end < steps
    if left and not turn.flag(node, "return_with_leftover_noise", False):
        raise CannotTurnError(f"it ends at step {end} of {steps} by a leap to the picture")
    (made,) = _sampled(turn, node, task)
    if left:
        turn.differ(node, f"it goes all {steps} steps, not to step {end}: what follows puts the noise in again")
    return (replace(made, unfinished=end if left else 0),)


def _task(turn: Turn, node: Node, sigmas: Sigmas, part: samplers.Part, seed: str) -> Task:
    positive, negative = turn.words(node, "positive"), turn.words(node, "negative")
    guider = Guider(turn.model(node), positive, negative, turn.real(node, "cfg", 8.0))
    samples, found = turn.samples(node, "latent_image"), turn.seed(node, seed)
    return Task(guider, samples, found, turn.text(node, "sampler_name", "euler"), sigmas, part)


def _steps(turn: Turn, node: Node) -> int:
    steps = turn.whole(node, "steps", 20)
    if not 1 <= steps <= 1000:
        raise CannotTurnError(f"{steps} steps: 1 to 1000 are possible")
    return steps


def _spaced(turn: Turn, node: Node, name: str, steps: int) -> dict[str, Any]:
    """Settings of diffusion.schedule for a scheduler's name."""
    found = samplers.scheduler(name, steps)
    if found.differs:
        turn.differ(node, f"scheduler {name}: {found.name} is the nearest there is; {found.differs}")
    return {"spacing": found.name, **found.settings}


def _custom(turn: Turn, node: Node) -> tuple[Any, ...]:
    if not turn.flag(node, "add_noise", True):
        raise CannotTurnError("it adds no noise")
    guider = Guider(
        turn.model(node), turn.words(node, "positive"), turn.words(node, "negative"), turn.real(node, "cfg", 8.0)
    )
    return _by_parts(turn, node, guider, turn.seed(node, "noise_seed"))


def _custom_advanced(turn: Turn, node: Node) -> tuple[Any, ...]:
    guider, noise = turn.given(node, "guider"), turn.given(node, "noise")
    if not isinstance(guider, Guider) or not isinstance(noise, Noise):
        raise CannotTurnError("its guider or its noise comes from a node that is not known")
    if noise.seed is None:
        raise CannotTurnError("it adds no noise")
    return _by_parts(turn, node, guider, noise.seed)


def _by_parts(turn: Turn, node: Node, guider: Guider, seed: Any) -> tuple[Any, ...]:
    """Samples as the nodes say that are wired in; twice, for at the end of the way ComfyUI's two outputs are one."""
    sampler, sigmas = turn.given(node, "sampler"), turn.given(node, "sigmas")
    if not isinstance(sampler, Sampler) or not isinstance(sigmas, Sigmas):
        raise CannotTurnError("its sampler or its sigmas come from a node that is not known")
    part = samplers.denoised(sigmas.steps, sigmas.denoise)
    samples = turn.samples(node, "latent_image")
    return _sampled(turn, node, Task(guider, samples, seed, sampler.name, sigmas, part, sampler.settings)) * 2


def _sampled(turn: Turn, node: Node, task: Task) -> tuple[Samples]:
    guider, samples = task.guider, task.samples
    model: Model = guider.model
    if model.source is not None:
        turn.loaders[model.source.node].add(model.prediction)
    latent = emptied(turn, samples, model.source or model.wire)
    denoiser = _controlled(turn, guider)
    painting = _painting(turn, node, guider, samples)
    if painting:
        denoiser = turn.drawing.beside(
            node, "seen", "diffusion.inpaint_condition", denoiser=denoiser, autoencoder=painting.vae,
            image=painting.image, mask=painting.mask,
        )  # fmt: skip
    denoiser = _guided(turn, node, guider, denoiser, samples)
    if samples.mask is not None:
        denoiser = turn.drawing.beside(
            node, "painting", "diffusion.inpaint", denoiser=denoiser, latent=latent, mask=samples.mask
        )  # fmt: skip
    method = samplers.sampler(task.sampler)
    if method.differs:
        turn.differ(node, f"sampler {task.sampler}: {method.name} is the nearest there is; {method.differs}")
    settings = {"method": method.name} | task.settings
    if task.part.strength != 1.0:
        settings["strength"] = task.part.strength
    made = turn.drawing.add(
        node, "sample", "diffusion.sample", denoiser=denoiser, latent=latent,
        schedule=_schedule(turn, node, model, task), preview=model.preview, seed=task.seed, steps=task.part.steps,
        **settings,
    )  # fmt: skip
    for name in ("seed", "steps"):
        turn.drawing.offer(name, made, name)
    return (Samples(made, node.id, samples.side, samples.count, samples.mask, samples.painting),)


def _schedule(turn: Turn, node: Node, model: Model, task: Task) -> Wire:
    settings = dict(task.sigmas.settings)
    if model.spacing:
        settings = {"spacing": model.spacing}
    if model.zero_snr:
        if settings["spacing"] not in ("trailing", "leading", "sgm_uniform"):
            told = f"spacing {settings['spacing']} has no place where there is noise alone (zsnr): trailing is taken"
            turn.differ(node, told)
            settings = {"spacing": "trailing"}
        settings["zero_snr"] = True
    return turn.drawing.beside(node, "schedule", "diffusion.schedule", kind=SAMPLED, **settings)


def _controlled(turn: Turn, guider: Guider) -> Wire:
    """The denoiser with the ControlNets of its texts, which act on both texts here."""
    denoiser: Wire = guider.model.wire
    positive, negative = guider.positive.controls, guider.negative.controls if guider.negative else ()
    listed: list[Control] = list(dict.fromkeys((*positive, *negative)))
    for control in listed:
        alone = not (control in positive and control in negative) and not control.both
        own = turn.workflow.nodes[control.node]
        if alone and guider.negative and guider.scale != 1:
            turn.differ(own, "the ControlNet acts on both texts, not on one of them")
        denoiser = turn.drawing.beside(
            own, "control", "diffusion.control", denoiser=denoiser, image=control.image, model=control.model,
            strength=control.strength, start=control.start, stop=control.stop,
        )  # fmt: skip
    return denoiser


def _painting(turn: Turn, node: Node, guider: Guider, samples: Samples) -> Painting | None:
    """What the model is shown of the picture, if it is one for inpainting: ComfyUI knows, a file's name only hints."""
    painting: Painting | None = guider.positive.painting
    model: Model = guider.model
    hinted = "inpaint" in model.name.lower()
    if painting is None and hinted and samples.painting:
        turn.differ(node, f"{model.name} is taken for a model that was trained to inpaint, by its name")
        return samples.painting
    if painting is not None and not hinted:
        told = "the model is taken for one that was trained to inpaint, as its texts say; if it is none, take this out"
        turn.differ(node, told)
    return painting


def _guided(turn: Turn, node: Node, guider: Guider, denoiser: Wire, samples: Samples) -> Wire:
    """The denoiser with its texts; by the first alone where ComfyUI does not look at the second."""
    both = guider.negative is not None and guider.scale != 1
    texts = [guider.positive, guider.negative] if guider.negative and both else [guider.positive]
    wires = _sized(turn, node, guider.model, texts, samples)
    if len(wires) == 1:
        return turn.drawing.beside(node, "bound", "diffusion.condition", denoiser=denoiser, embedding=wires[0])
    if not 0 <= guider.scale <= 100:
        raise CannotTurnError(f"cfg {guider.scale:g} is outside 0..100")
    rescale = {"rescale": guider.model.rescale} if guider.model.rescale else {}
    made = turn.drawing.beside(
        node, "guided", "diffusion.guide", denoiser=denoiser, positive=wires[0], negative=wires[1], scale=guider.scale,
        **rescale,
    )  # fmt: skip
    turn.drawing.offer("guidance", made, "scale")
    return made


def _sized(turn: Turn, node: Node, model: Model, texts: list[Text], samples: Samples) -> list[Wire]:
    """The texts with the sizes that Stable Diffusion XL is told, all of them if one has any."""
    wires = [turn.wire(text) for text in texts]
    refiner = "refiner" in model.name.lower()
    if not any(text.sizes for text in texts) and not (refiner and len(texts) == 2):
        return wires
    found = []
    for number, (text, wire) in enumerate(zip(texts, wires, strict=True)):
        sizes = dict(text.sizes)
        if not sizes:
            width, height = samples.side or (1024, 1024)
            if samples.side is None:
                turn.differ(node, "the size of the picture is not known here, so 1024 x 1024 is told")
            sizes = {"width": width, "height": height}
            sizes |= (
                {"score": LEAST_SCORE if number else 6.0}
                if refiner
                else {"target_width": width, "target_height": height}
            )
        own = turn.workflow.nodes[text.node]
        found.append(
            turn.drawing.beside(
                own, "sized", "diffusion.size_condition", denoiser=model.source or model.wire, embedding=wire, **sizes
            )
        )
    return found


def _select(turn: Turn, node: Node) -> tuple[Any, ...]:
    return (Sampler(turn.text(node, "sampler_name", "euler"), {}),)


def _basic(turn: Turn, node: Node) -> tuple[Any, ...]:
    steps = _steps(turn, node)
    settings = _spaced(turn, node, turn.text(node, "scheduler", "normal"), steps)
    return (Sigmas(settings, steps, turn.real(node, "denoise", 1.0)),)


def _curve(turn: Turn, node: Node) -> tuple[Any, ...]:
    kinds = {"KarrasScheduler": "karras", "ExponentialScheduler": "exponential"}
    spacing = kinds.get(node.kind, "polyexponential")
    least, most = turn.real(node, "sigma_min", samplers.RANGE[0]), turn.real(node, "sigma_max", samplers.RANGE[1])
    if abs(least / samplers.RANGE[0] - 1) > 0.01 or abs(most / samplers.RANGE[1] - 1) > 0.01:
        turn.differ(
            node, f"sigma {least:g} to {most:g} became {samplers.RANGE[0]} to {samplers.RANGE[1]}, the model's own"
        )
    settings: dict[str, Any] = {"spacing": spacing}
    if spacing != "exponential":
        settings["rho"] = turn.real(node, "rho", 7.0 if spacing == "karras" else 1.0)
    return (Sigmas(settings, _steps(turn, node), 1.0),)


def _turbo(turn: Turn, node: Node) -> tuple[Any, ...]:
    steps, denoise = _steps(turn, node), turn.real(node, "denoise", 1.0)
    if steps > 1 and steps != 10:
        turn.differ(node, f"ComfyUI takes the first {steps} of 10 levels; here {steps} are spread over all of the way")
    return (Sigmas({"spacing": "trailing"}, steps, denoise),)


def _random(turn: Turn, node: Node) -> tuple[Any, ...]:
    return (Noise(turn.seed(node, "noise_seed")),)


def _no_noise(turn: Turn, node: Node) -> tuple[Any, ...]:
    del turn, node
    return (Noise(None),)


def _guider(turn: Turn, node: Node) -> tuple[Any, ...]:
    positive, negative = turn.words(node, "positive"), turn.words(node, "negative")
    return (Guider(turn.model(node), positive, negative, turn.real(node, "cfg", 8.0)),)


def _plain_guider(turn: Turn, node: Node) -> tuple[Any, ...]:
    return (Guider(turn.model(node), turn.words(node), None, 1.0),)


SAMPLING: Final[dict[str, Turner]] = {
    "KSampler": _ksampler,
    "KSamplerAdvanced": _advanced,
    "SamplerCustom": _custom,
    "SamplerCustomAdvanced": _custom_advanced,
    "KSamplerSelect": _select,
    "BasicScheduler": _basic,
    "KarrasScheduler": _curve,
    "ExponentialScheduler": _curve,
    "PolyexponentialScheduler": _curve,
    "SDTurboScheduler": _turbo,
    "RandomNoise": _random,
    "DisableNoise": _no_noise,
    "CFGGuider": _guider,
    "BasicGuider": _plain_guider,
}
