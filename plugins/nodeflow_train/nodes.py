"""Training as nodes: data prepared, an objective minimised, weights written."""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from nodeflow_nn.weights import save_weights
from pydantic import Field
from torch import Tensor

from nodeflow import (
    QUIET,
    Autoencoder,
    Context,
    Dataset,
    Image,
    Objective,
    SavedFile,
    Seed,
    Table,
    Trainable,
    node,
)
from nodeflow_train import curve
from nodeflow_train import prepare as preparing
from nodeflow_train.fit import FitConfig, Progress
from nodeflow_train.fit import fit as fitted
from nodeflow_train.provenance import provenance, title
from nodeflow_train.recipes import Optimiser, PreparedDataset

Rate = Annotated[float, Field(ge=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Precision = Literal["auto", "float32", "bfloat16"]
DTYPES: dict[Precision, torch.dtype | None] = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16}
ROWS = 200
"""Rows of the table of losses, and points of the curve."""


class Prepared(NamedTuple):
    data: Dataset
    file: SavedFile


class Fitted(NamedTuple):
    weights: str
    files: list[SavedFile]
    losses: Table
    curve: Image


@node(category="train/data", version=2, title="Prepare latents", effect=True)
def prepare(
    data: Dataset,
    autoencoder: Autoencoder,
    text: Trainable,
    name: Name = "prepared",
    batch: Annotated[int, Field(ge=1, le=4096)] = 128,
    seed: Seed = 3,
    full: Share = 0.0,
    *,
    ctx: Context = QUIET,
) -> Prepared:
    """Turn a data set's pictures into latents, and its captions into numbers, once and for all.

    A denoiser that learns from the file sees each picture in a new order each time round, in one of its phrasings.
    About 3.7 kB of disk a picture of 64 pixels.

    Args:
        data: pictures and captions.
        autoencoder: of whose latents the denoiser shall learn.
        text: the text encoder that will be trained along; its vocabulary numbers the words.
        name: the file's name below the output folder.
        batch: pictures that are encoded at once.
        seed: of the order in which a training sees them.
        full: share of the visits that bring the full caption; the others bring any of the phrasings.
    """
    source, encoder = ctx.load(data), ctx.load(autoencoder)
    with torch.random.fork_rng(devices=[]):
        numbers = ctx.load(text).tokenizer.encode
    total = math.ceil(source.count / batch)
    held: dict[int, dict[str, Any]] = {}

    def examples(index: int) -> dict[str, Any]:
        if index not in held:
            held.clear()
            size = min(batch, source.count - index * batch)
            held[index] = {key: values[:size] for key, values in source.batch(index, batch).items()}
        return held[index]

    def latents(pictures: Tensor) -> Tensor:
        found: Tensor = encoder.encode(pictures.to(ctx.device))
        return found.cpu()

    def ids(index: int) -> Tensor:
        found = examples(index)
        phrasings = found.get("phrasings") or [[caption] for caption in found["captions"]]
        return torch.stack([numbers(ways) for ways in phrasings])

    path = _place(f"{name}.safetensors", ctx)
    regions = (lambda index: examples(index)["regions"]) if data.answers else None
    batches = preparing.prepare(path, latents, lambda index: examples(index)["pictures"], ids, total, regions)
    for _ in ctx.steps(batches, total=total):
        pass
    file = SavedFile.at(path.resolve())
    named = " ".join(str(getattr(autoencoder, name, "")) for name in ("name", "digest")).strip()
    return Prepared(PreparedDataset(data, file, named or repr(autoencoder), autoencoder.space, seed, full), file)


@node(category="train/optimiser", title="Muon and AdamW")
def optimiser(
    muon_lr: Rate = 0.02,
    adam_lr: Rate = 0.002,
    weight_decay: Rate = 0.05,
    warmup: Annotated[int, Field(ge=0, le=1_000_000)] = 50,
    decay: Share = 0.4,
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998,
    clip: Annotated[float, Field(gt=0, le=1000)] = 1.0,
    newton_schulz: Annotated[int, Field(ge=1, le=20)] = 3,
) -> Optimiser:
    """Say how a training moves its weights: Muon for the hidden matrices, AdamW for all else, and their average.

    Args:
        muon_lr: learning rate of the hidden matrices.
        adam_lr: learning rate of embeddings, norms, first and last layers.
        weight_decay: of the hidden matrices.
        warmup: steps in which the rates rise to these.
        decay: last share of the steps, in which the rates fall to 0. A run with 0 can be lengthened at will.
        ema: decay of the running average of the weights; the average is what is written.
        clip: largest norm of the gradient.
        newton_schulz: Muon's iterations.
    """
    return Optimiser(muon_lr, adam_lr, weight_decay, warmup, decay, ema, clip, newton_schulz)


@node(category="train", title="Train", effect=True)
def fit(
    objective: Objective,
    data: Dataset,
    optimiser: Optimiser | None = None,
    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 1000,
    batch: Annotated[int, Field(ge=1, le=65536)] = 64,
    seed: Seed = 0,
    first_seed: Seed = 0,
    name: Name = "model",
    resume: bool = True,
    precision: Precision = "auto",
    *,
    ctx: Context = QUIET,
) -> Fitted:
    """Train what the objective names, and write its weights as fp16 safetensors that say where they come from.

    Now and then a checkpoint is written beside the weights; a run that was stopped goes on from it and ends as if it
    had never stopped. More steps than before go on likewise.

    Args:
        objective: what is minimised, and by which models.
        data: examples to learn from.
        optimiser: how the weights are moved; without one, as train.optimiser does by default.
        steps: optimiser steps in all, those before a resume included.
        batch: examples a step.
        seed: of the noise that is drawn in training.
        first_seed: of the first weights.
        name: of the weights file below the output folder; further models get "name-text" and so on.
        resume: go on from the checkpoint of that name, if there is one; otherwise it is deleted.
        precision: auto computes in bfloat16 only where the processor has units for it.
    """
    loaded, modules = _drawn(objective, first_seed, ctx)
    source = ctx.load(data)
    config = (optimiser or Optimiser()).config(steps, batch, seed, DTYPES[precision])
    checkpoint = _place(f"{name}.checkpoint.pt", ctx)
    told = {"objective": repr(objective), "data": dict(data.notes), "batch": batch, "seeds": [seed, first_seed]}
    done = _begun(checkpoint, told, steps, resume)
    with torch.enable_grad():
        progress = fitted(modules, loaded.loss, lambda step: source.batch(step, batch), config, checkpoint=checkpoint)
        _follow(progress, steps - done, ctx)
    for module in modules.values():
        module.eval()
    with torch.no_grad():
        loaded.finish(source, steps * batch)
    points, seconds = _curve(checkpoint)
    about = {**data.notes, **objective.notes, **provenance(ctx.about, ctx.device, steps, batch, seconds)}
    about |= {"seed": seed, "first_seed": first_seed, "loss": points[-1][1], "optimiser": _told(config)}
    about |= _together(name, {role: modules[role] for role in objective.parts if role in modules})
    files = _saved(name, objective, modules, about, ctx)
    shown = title(ctx.about) or name
    table = Table(f"Loss of {shown}", ("step", "loss"), tuple((int(x), round(y, 6)) for x, y in points))
    return Fitted(files[0].path, files, table, Image(curve.draw(points, shown, "step", "loss")))


@node(category="train", title="Weights of a part")
def part(files: list[SavedFile], name: Name = "text") -> str:
    """Name one of the weights files that a training wrote, so that a loader can take it.

    Args:
        files: from fit.
        name: the part that a further model played in the objective: "text" for a denoiser's text encoder.
    """
    found = [file.path for file in files if Path(file.path).stem.endswith(f"-{name}")]
    if not found:
        known = ", ".join(Path(file.path).name for file in files)
        raise ValueError(f'no weights of a part "{name}" among {known}\n    a frozen part is not written again')
    return found[0]


@node(category="train", title="Summary")
def summary(table: Table) -> Table:
    """Reduce a table to the mean, least and largest of each column of numbers.

    Args:
        table: a row for each of many things, such as the losses or the comparison of pictures.
    """
    rows = []
    for place, name in enumerate(table.columns):
        column = [row[place] for row in table.rows]
        numbers = [float(value) for value in column if isinstance(value, int | float)]
        if numbers and len(numbers) == len(column):
            rows.append((name, sum(numbers) / len(numbers), min(numbers), max(numbers)))
    return Table(f"{table.title}, {len(table.rows)} rows", ("column", "mean", "least", "largest"), tuple(rows))


def _follow(progress: Iterator[Progress], total: int, ctx: Context) -> None:
    """Train, and say how it goes."""
    smooth: float | None = None
    for now in ctx.steps(progress, total=total):
        if not math.isfinite(now.loss):
            raise ValueError(f"the loss of step {now.step} is {now.loss}\n    lower the learning rates, or use float32")
        smooth = now.loss if smooth is None else 0.95 * smooth + 0.05 * now.loss
        ctx.say(f"loss {smooth:.4g}, {now.pictures / max(now.seconds, 1e-9):.0f} pictures/s")


def _curve(checkpoint: Path) -> tuple[list[curve.Point], float]:
    """The losses of all steps, thinned, and the CPU seconds they took."""
    state = _read(checkpoint)
    return curve.thinned([(float(step), loss) for step, loss, _ in state["curve"]], ROWS), float(state["seconds"])


def _place(name: str, ctx: Context) -> Path:
    if ":" in name:
        raise ValueError(f'"{name}": a colon would read as "plugin:name" when the weights are loaded\n    leave it out')
    return ctx.write(name)


def _drawn(objective: Objective, seed: int, ctx: Context) -> tuple[Any, dict[str, torch.nn.Module]]:
    """The objective, its first weights drawn, on the device; and those of its models that are to be trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loaded = ctx.load(objective)
    modules = {name: module.to(ctx.device).train() for name, module in loaded.modules.items()}
    learning = {name: module for name, module in modules.items() if any(p.requires_grad for p in module.parameters())}
    if not learning:
        raise ValueError("nothing is to be trained: all models of the objective are frozen\n    thaw one, or add one")
    return loaded, learning


def _saved(
    name: str,
    objective: Objective,
    modules: Mapping[str, torch.nn.Module],
    about: Mapping[str, Any],
    ctx: Context,
) -> list[SavedFile]:
    files = []
    for role, recipe in objective.parts.items():
        if role not in modules:  # frozen
            continue
        module = modules[role]
        path = ctx.write(f"{name}.safetensors" if role == next(iter(objective.parts)) else f"{name}-{role}.safetensors")
        parameters = sum(parameter.numel() for parameter in module.parameters())
        save_weights(
            path, module, recipe.architecture, recipe.config, {**about, **recipe.notes, "parameters": parameters}
        )
        files.append(SavedFile.at(path.resolve()))
    return files


def _together(name: str, parts: Mapping[str, torch.nn.Module]) -> dict[str, str]:
    """What the files of models that learnt together share, and no others: a name for just these weights."""
    if len(parts) < 2:
        return {}
    digest = hashlib.blake2b(digest_size=8)
    for role, module in sorted(parts.items()):
        digest.update(role.encode())
        for value in module.state_dict().values():
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return {"trained_together": f"{name} {digest.hexdigest()}"}


def _told(config: FitConfig) -> dict[str, Any]:
    names = ("muon_lr", "adam_lr", "weight_decay", "warmup", "decay_fraction", "ema", "clip", "newton_schulz", "batch")
    return {name: getattr(config, name) for name in names}


def _begun(checkpoint: Path, told: Mapping[str, Any], steps: int, resume: bool) -> int:
    """Make the checkpoint's place ready, and say how many steps are done.

    A checkpoint of another training would be continued with the wrong data, or not fit at all; so beside it stands
    what it is of.
    """
    beside = checkpoint.with_suffix(".json")
    text = json.dumps(told, indent=1, sort_keys=True)
    done = 0
    if not resume:
        checkpoint.unlink(missing_ok=True)
    elif checkpoint.exists():
        if not beside.exists() or beside.read_text() != text:
            raise ValueError(
                f"{checkpoint} belongs to a training of other models, data, batch or seeds\n"
                "    choose another name, or switch resume off to begin anew"
            )
        done = _read(checkpoint)["step"]
        if done > steps:
            raise ValueError(
                f"{checkpoint} has {done} steps already, more than the {steps} asked for\n"
                "    ask for more steps, choose another name, or switch resume off to begin anew"
            )
    partial = beside.with_name(f"{beside.name}.{os.getpid()}.partial")
    partial.write_text(text)
    os.replace(partial, beside)
    return done


def _read(checkpoint: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return found


NODES = (prepare, optimiser, fit, part, summary)
