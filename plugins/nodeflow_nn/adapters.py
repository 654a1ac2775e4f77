"""Adapters: small files that change the weights of a model, LoRA (Hu et al. 2022) and its kin, by their makers' names.

A name in such a file is a stem, which says which module of the model, and an ending, which says what of the change.
Stems are found forward, from the model's own modules: kohya's underscores cannot be turned back into dots. A module of
theirs may be some rows of a tensor of ours.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from nodeflow_nn.adapter_settings import PEFT, UNSCALED, Scale, Settings, scale_of, unfit
from nodeflow_nn.products import Part, lacking, misfit, strangers
from nodeflow_nn.published import Shape, Sources, Transposed

ENDINGS: tuple[tuple[str, Part], ...] = (
    # kohya and LyCORIS
    (".lora_down.weight", "down"),
    (".lora_up.weight", "up"),
    (".lora_mid.weight", "mid"),
    (".alpha", "alpha"),
    (".dora_scale", "scale"),
    (".diff", "diff"),
    (".diff_b", "diff_b"),
    (".w_norm", "diff"),
    (".b_norm", "diff_b"),
    # PEFT, and diffusers since 0.22
    (".lora_A.weight", "down"),
    (".lora_B.weight", "up"),
    (".lora_A.default.weight", "down"),
    (".lora_B.default.weight", "up"),
    (".lora_magnitude_vector", "magnitude"),
    (".lora_magnitude_vector.weight", "magnitude"),
    # diffusers before
    (".lora.down.weight", "down"),
    (".lora.up.weight", "up"),
    (".lora_linear_layer.down.weight", "down"),
    (".lora_linear_layer.up.weight", "up"),
    ("_lora.down.weight", "down"),
    ("_lora.up.weight", "up"),
    # LoHa and LoKr, of LyCORIS and of PEFT
    *((f".{part}", part) for part in get_args(Part) if part.startswith(("hada_", "lokr_"))),
)
"""What a tensor's name ends with, and what it is (see `products.Part`). The longest that fits counts."""
LOOKS: tuple[tuple[str, str], ...] = (
    (r"\.oft_|\.boft_", "OFT, which is not read: LoRA, LoCon, LoHa and LoKr are"),
    (r"\.(a1|a2|b1|b2)\.weight$", "GLoRA, which is not read: LoRA, LoCon, LoHa and LoKr are"),
    (r"\.(ia3_l|on_input)", "IA3, which is not read: LoRA, LoCon, LoHa and LoKr are"),
    (r"single_transformer_blocks|double_blocks|single_blocks", "one for Flux"),
    (r"joint_blocks|lora_te3_|text_encoder_3", "one for Stable Diffusion 3"),
    (r"lora_prior_|text_model_.*cross_attn", "one for another kind of model"),
)
"""What a file looks like whose names hold such a thing."""
WIDTHS = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL", 1280: "SDXL's refiner"}
"""By the width of the words that its matrices for cross-attention take."""
TOLD = 8


class Rows(NamedTuple):
    """Rows of the weight, and of the bias, of a module of ours; all of a module of theirs."""

    ours: str
    start: int
    height: int


Stems = Mapping[str, Rows]


class Naming(NamedTuple):
    """How files name a model's modules: what stands before, in whose layout, with what for a dot; `spelt` turns the
    name of a module, dots and all, into an older one.
    """

    prefix: str
    layout: Any
    dot: str = "."
    spelt: tuple[tuple[str, str], ...] = ()

    def stem(self, module: str) -> str:
        """What a file calls a module."""
        for pattern, new in self.spelt:
            module = re.sub(pattern, new, module)
        return self.prefix + module.replace(".", self.dot)


class Change(NamedTuple):
    """A change of some rows of a tensor of ours. parts: by kind the tensor's name. scale: what the settings say."""

    rows: Rows
    parts: Mapping[Part, str]
    scale: Scale = UNSCALED


@dataclass(frozen=True)
class Adapter:
    """What a file does to a model. changes: by tensor of ours. faults: why it does not fit; nothing if it does."""

    changes: Mapping[str, tuple[Change, ...]]
    faults: tuple[str, ...]


def stems_of(
    namings: Iterable[Naming], sources: Callable[[Naming], Sources], heights: Callable[[str, int], Iterable[int]]
) -> dict[str, Rows]:
    """All that files may call the modules of a model.

    Args:
        namings: the ways of files.
        sources: for each tensor of ours the published ones, in the layout of a naming.
        heights: rows that so many published ones take in a tensor of ours.
    """
    found: dict[str, Rows] = {}
    for naming in namings:
        for ours, pieces in sources(naming).items():
            module, _, leaf = ours.rpartition(".")
            if leaf != "weight":
                continue
            start = 0
            for piece, count in zip(pieces, heights(ours, len(pieces)), strict=True):
                name = piece.name if isinstance(piece, Transposed) else piece
                found[naming.stem(name.removesuffix(".weight"))] = Rows(module, start, count)
                start += count
    return found


def fit(
    shapes: Mapping[str, Shape],
    stems: Stems,
    state: Mapping[str, Shape],
    own: Callable[[str], bool],
    settings: Settings | None = None,
) -> Adapter:
    """What a file does to a model, by its header alone.

    Args:
        shapes: of its tensors.
        stems: of the model's modules.
        state: the shapes of the model's tensors.
        own: whether a tensor, by its name, is for this model; others are left to theirs.
        settings: what its maker said of it (see `adapter_settings.settings_of`).
    """
    settings = settings or {}
    groups: dict[str, dict[Part, str]] = {}
    faults: list[str] = []
    if not any(name.endswith(ending) for name in shapes for ending, _ in ENDINGS):
        faults.append(f"none of its tensors ({', '.join(sorted(shapes)[:3])}, ...) is an adapter's")
    faults += unfit(settings, peft=any(name.startswith(PEFT) and own(name) for name in shapes))
    for name in sorted(shapes):
        if not own(name):
            continue
        stem, part = divided(name, stems)
        if part is None:
            faults.append(f"left over {name}")
        elif part in groups.setdefault(stem, {}):
            faults.append(f"{name} and {groups[stem][part]} are the same")
        else:
            groups[stem][part] = name
    changes: dict[str, list[Change]] = {}
    taken: dict[Rows, str] = {}
    for stem, parts in groups.items():
        rows = stems[stem]
        if rows in taken:
            faults.append(f"{stem} and {taken[rows]} are one and the same module")
            continue
        taken[rows] = stem
        scale = scale_of(settings, stem)
        for leaf, chosen in _leaves(parts):
            whole = state.get(f"{rows.ours}.{leaf}")
            fault = (
                f"{chosen.get('diff_b', stem)} has no bias to change"
                if whole is None
                else _misfit(stem, chosen, shapes, (rows.height, *whole[1:]))
            )
            if fault:
                faults.append(fault)
            changes.setdefault(f"{rows.ours}.{leaf}", []).append(Change(rows, chosen, scale))
    return Adapter({name: tuple(found) for name, found in changes.items()}, tuple(faults))


def divided(name: str, stems: Stems) -> tuple[str, Part | None]:
    """A name's stem and what its ending says; None for a name that is none of these."""
    for ending, part in sorted(ENDINGS, key=lambda known: -len(known[0])):
        if name.endswith(ending) and (stem := name.removesuffix(ending)) in stems:
            return stem, part
    return name, None


def _leaves(parts: Mapping[Part, str]) -> Iterator[tuple[str, dict[Part, str]]]:
    weight: dict[Part, str] = {part: name for part, name in parts.items() if part != "diff_b"}
    if weight:
        yield "weight", weight
    if "diff_b" in parts:
        yield "bias", {"diff_b": parts["diff_b"]}


def _misfit(stem: str, parts: Mapping[Part, str], shapes: Mapping[str, Shape], wanted: Shape) -> str:
    """Why the parts of a change do not make one of that shape; "" if they do."""
    if "alpha" in parts and math.prod(shapes[parts["alpha"]]) != 1:
        return f"{parts['alpha']} is {list(shapes[parts['alpha']])}, but expected one number"
    full = parts.get("diff") or parts.get("diff_b")
    if full:
        if more := [name for part, name in parts.items() if part not in ("diff", "diff_b", "alpha")]:
            return f"{', '.join(more)} beside a whole difference, {full}"
        fits = math.prod(shapes[full]) == math.prod(wanted)
        return "" if fits else f"{full} is {list(shapes[full])}, but the model has {list(wanted)}"
    if gaps := lacking(parts):
        return f"{stem} lacks its {gaps} ({', '.join(parts.values())})"
    if odd := strangers(parts):
        return f"{', '.join(parts[part] for part in odd)} beside {next(iter(parts.values()))}"
    if fault := misfit({part: shapes[name] for part, name in parts.items()}, wanted):
        return f"{stem} is {fault}, but the model has {list(wanted)}"
    for part in ("magnitude", "scale"):
        if part in parts and math.prod(shapes[parts[part]]) not in wanted[: 1 if part == "magnitude" else 2]:
            return f"{parts[part]} is {list(shapes[parts[part]])}, but the model has {list(wanted)}"
    return ""


def likeness(shapes: Mapping[str, Shape]) -> str:
    """What an adapter looks like; "" if nothing is known."""
    for pattern, look in LOOKS:
        if any(re.search(pattern, name) for name in shapes):
            return look
    for name, shape in shapes.items():
        if re.search(r"attn2[._](processor\.)?to_k(_lora)?\.(lora_down|lora_A|lora\.down|down)", name):
            return f"one for {WIDTHS[shape[1]]}" if len(shape) > 1 and shape[1] in WIDTHS else ""
    return ""


def told(faults: Iterable[str], shapes: Mapping[str, Shape]) -> str:
    """The faults in one sentence, and what the file looks like."""
    found = list(faults)
    more = f"; and {len(found) - TOLD} more" if len(found) > TOLD else ""
    look = likeness(shapes)
    count = "1 thing does" if len(found) == 1 else f"{len(found)} things do"
    return f"{count} not fit: {'; '.join(found[:TOLD])}{more}{f'; it looks like {look}' * bool(look)}"
