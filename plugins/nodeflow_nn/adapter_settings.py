"""What the maker of an adapter said of it: alpha, rank and the like, as PEFT and diffusers write them."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

PEFT = "base_model.model."
"""What the names of tensors begin with in the files that PEFT writes itself."""
METADATA = "lora_adapter_metadata"
"""Where diffusers keeps PEFT's settings in a header, as JSON."""
READ = ("LORA", "LOHA", "LOKR")
"""Kinds of adapters, as PEFT calls them, that are read."""
CHANGED = ("pissa", "olora", "loftq", "corda")
"""First values (`init_lora_weights`) by which PEFT also changes the weights that the adapter is trained on."""
Settings = Mapping[str, Any]


class Scale(NamedTuple):
    """What a change is multiplied by: alpha over the rank, or over its root; None for what the file's tensors say."""

    alpha: float | None = None
    rank: float | None = None
    root: bool = False


UNSCALED = Scale()


def settings_of(metadata: Mapping[str, str], config: Mapping[str, Any]) -> Settings:
    """PEFT's settings of a file: those of adapter_config.json, or those that diffusers put into the header."""
    if "peft_type" in config:
        return config
    try:
        found = json.loads(metadata.get(METADATA, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def unfit(settings: Settings, *, peft: bool) -> list[str]:
    """Why settings are none that are understood. peft: whether the file is one of PEFT's own, which needs them."""
    if not peft:
        return []
    if "peft_type" not in settings:
        return ["it is PEFT's own, but adapter_config.json, which has its scale, is not beside it"]
    found = []
    if settings["peft_type"] not in READ:
        found.append(f"it is an adapter of the kind {settings['peft_type']!r}, but expected {', '.join(READ)}")
    first = settings.get("init_lora_weights")
    if isinstance(first, str) and first.lower().startswith(CHANGED):
        found.append(
            f"it was trained on weights that PEFT had changed (init_lora_weights is {first!r}), and does not say how: "
            "save it from PEFT with path_initial_model_for_weight_conversion"
        )
    for name, fits in ("lora_alpha" if settings["peft_type"] == "LORA" else "alpha", _number), ("r", _positive):
        if not fits(settings.get(name)):
            found.append(f"adapter_config.json: {name} is {settings.get(name)!r}, but expected a number")
    for name in ("alpha_pattern", "rank_pattern"):
        for pattern, value in _patterns(settings, name):
            if not re.fullmatch(r"\^?[\w.]+", pattern) or not _positive(value):
                found.append(
                    f"adapter_config.json: {name} has {pattern!r}: {value!r}, but expected a module's name and a number"
                )
    return found


def scale_of(settings: Settings, stem: str) -> Scale:
    """What settings say of a module, by what the file calls it."""
    stem = stem.removeprefix(PEFT)
    part, _, module = stem.partition(".")
    within = f"{part}."
    if f"{within}lora_alpha" not in settings:  # a file of one model alone
        within, module = "", stem
    alpha = settings.get(f"{within}lora_alpha", settings.get(f"{within}alpha"))
    rank = settings.get(f"{within}r")
    for pattern, value in _patterns(settings, f"{within}alpha_pattern"):
        alpha = value if _means(pattern, module) else alpha
    for pattern, value in _patterns(settings, f"{within}rank_pattern"):
        rank = value if _means(pattern, module) else rank
    if alpha is None or not _number(alpha):
        return UNSCALED
    return Scale(
        float(alpha),
        float(rank) if rank is not None and _positive(rank) else None,
        bool(settings.get(f"{within}use_rslora")),
    )


def _patterns(settings: Settings, name: str) -> list[tuple[str, Any]]:
    """In reverse, since the first that fits counts."""
    found = settings.get(name)
    return list(found.items())[::-1] if isinstance(found, Mapping) else []


def _means(pattern: str, module: str) -> bool:
    if pattern.startswith("^"):
        return module == pattern[1:]
    return f".{module}".endswith(f".{pattern}")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0
