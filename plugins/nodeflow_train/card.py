"""Model cards: what a weights file says of itself, as Markdown beside it.

python -m nodeflow_train.card FILE... writes FILE's card to the same place, ending .md.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nodeflow_nn.weights import Header, read_header
from safetensors import safe_open

KINDS = {
    "autoencoder": "an autoencoder: pictures to latents of unit variance and back",
    "text_encoder": "a text encoder: prompts to the words that a denoiser reads",
    "transformer": "a latent diffusion transformer: a denoiser that reads a prompt",
    "unet": "a latent U-Net: a denoiser that reads a prompt",
}
USE = {
    "autoencoder": "Encoding and decoding pictures of simple shapes for the denoisers trained on its latents.",
    "text_encoder": "Encoding prompts for the denoiser that it was trained with, and for no other.",
    "transformer": "Making small pictures of simple shapes from prompts, with its own text encoder and autoencoder.",
    "unet": "Making small pictures of simple shapes from prompts, with its own text encoder and autoencoder.",
}
PURPOSE = "Trying, testing and teaching node graphs where there is no network and no GPU. It is no model of the world."
UNLISTED = frozenset(("accuracy", "graph_text", "recipe", "words"))
TITLES = {
    "graph": "recipe",
    "data": "data",
    "data_seed": "data seed",
    "pictures": "pictures seen",
    "steps": "optimiser steps",
    "cpu_minutes": "CPU minutes",
    "gpu_minutes": "GPU minutes",
    "machine": "machine",
    "torch": "torch",
}
"""What stands first in the table of origins, in this order; all else follows by name."""


def card(path: Path) -> str:
    """The card of a file that `save_weights` wrote, as Markdown.

    Raises:
        ValueError: it was not written by `save_weights`.
    """
    header = read_header(path)
    kind, about = header.architecture, header.provenance
    trained_with = f" Its partner is {about['trained_with']}." if about.get("trained_with") else ""
    parts = [
        f"# {path.stem}",
        f"{KINDS.get(kind, kind)[0].upper()}{KINDS.get(kind, kind)[1:]}.{trained_with}",
        _sizes(path, header),
        "## Where it comes from\n\n" + _table(("", ""), _origins(about)),
        _accuracy(about.get("accuracy")),
        f"## Intended use\n\n{USE.get(kind, 'As its graph shows.')} {PURPOSE}",
        f"## Limits\n\n{_limits(header)}",
        "## Licence\n\nApache-2.0, weights and data: the pictures were rendered by a program, and show nobody's work.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sizes(path: Path, header: Header) -> str:
    rows = [(name, _plain(value)) for name, value in header.config.items() if name != "words"]
    if words := header.config.get("words"):
        rows.append(("vocabulary", f"{len(words)} words: {', '.join(words)}"))
    told = f"{_numbers(path):,} parameters as fp16, {path.stat().st_size / 1e6:.1f} MB"
    return f"{told}; architecture `{header.architecture}`:\n\n{_table(('size', ''), rows)}"


def _numbers(path: Path) -> int:
    """How many numbers the file holds, from its header."""
    total = 0
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (safe_open is no mapping)
            count = 1
            for side in file.get_slice(name).get_shape():
                count *= side
            total += count
    return total


def _origins(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    known = dict(about)
    data = known.get("recipe", {}).get("data", {}) if isinstance(known.get("recipe"), dict) else {}
    seed = data.get("seed", data.get("prepare", {}).get("scene_seed"))
    if seed is not None:
        known.setdefault("data_seed", seed)
    for name, title in TITLES.items():
        if name in known:
            yield title, _plain(known[name])
    for name in sorted(known.keys() - TITLES.keys() - UNLISTED - {"licence", "trained_with"}):
        yield name.replace("_", " "), _plain(known[name])


def _accuracy(accuracy: Any) -> str:
    """A table: of groups beside each other where there are groups of the same questions, else a line a figure."""
    head = "## Accuracy\n\n"
    if not isinstance(accuracy, dict) or not accuracy:
        return head + "Not measured. graphs/evaluate/ has the graphs that measure it."
    groups = {name: figures for name, figures in accuracy.items() if isinstance(figures, dict)}
    figures = [(name.replace("_", " "), _plain(value)) for name, value in accuracy.items() if name not in groups]
    parts = [_table(("figure", "value"), figures)] if figures else []
    if groups:
        questions = list(dict.fromkeys(question for group in groups.values() for question in group))
        rows = [(question, *(_plain(group.get(question, "")) for group in groups.values())) for question in questions]
        parts.append(_table(("question", *(name.replace("_", " ") for name in groups)), rows))
    judge = "The oracle of nodeflow_shapes, which training never sees, gives the percentage of pictures that are right."
    return head + "\n\n".join([*parts, judge])


def _limits(header: Header) -> str:
    grid, space = header.config.get("grid", 0), header.provenance.get("space", {})
    side = header.config.get("picture") or grid * space.get("factor", 0)
    size = f"pictures of {side} x {side} pixels alone" if side else "one size of picture alone"
    limits = {
        "autoencoder": f"It knows {size}, of one or two shapes in plain colours; of photographs it makes blots.",
        "text_encoder": "It knows the words above and no other; longer prompts are cut.",
    }
    denoiser = (
        f"It knows {size}: six shapes, eight colours, three sizes, nine places and four relations, one or two "
        "things a picture. What a prompt says beyond its vocabulary is ignored. Two things come out wrong more often "
        "than one."
    )
    return limits.get(header.architecture, denoiser)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(inner) for inner in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: list[str] | None = None) -> None:
    """Write the cards of the files that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m nodeflow_train.card", description="Write model cards.")
    parser.add_argument("files", nargs="+", type=Path, help="weights files; each card stands beside its file")
    for path in parser.parse_args(arguments).files:
        path.with_suffix(".md").write_text(card(path), encoding="utf-8")


if __name__ == "__main__":
    main()
