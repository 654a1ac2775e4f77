"""Which of a checkpoint's tensors are the model, and what each is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from nodeflow.errors import ModelError
from nodeflow.headers import BITS
from nodeflow.pickled.values import Inert, NumpyArray, Tensor

AVERAGED = (
    "params_ema", "G_ema", "g_ema", "ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema",
)  # fmt: skip
"""What checkpoints call the weights averaged over the training; they make the better pictures."""
WHOLE = (
    "state_dict", "model_state_dict", "model", "module", "params", "net", "network", "generator", "weights",
    "string_to_param",
)  # fmt: skip
"""What checkpoints call their model's weights. The last is of a textual inversion."""
WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""
EVERYTHING = "."
DEEPEST = 64
MOST_VISITS = 5_000_000
"""Parts of one checkpoint that are looked at; of the largest model with its optimiser, one million."""
LONGEST_NAME = 4096
MOST_TOLD = 20
"""Parts that a message names."""


class _Visits:
    """Counts what is looked at: parts that hold each other in many ways would be walked for ever."""

    def __init__(self, path: Any) -> None:
        self.path, self.left = path, MOST_VISITS

    def children(self, value: Any) -> list[tuple[str, Any]]:
        """What stands in a value."""
        found = list(children(value))
        self.left -= 1 + len(found)
        if self.left < 0:
            self.refuse()
        return found

    def refuse(self) -> NoReturn:
        raise ModelError(f"{self.path} holds objects within objects without end\n    name another checkpoint")

    def joined(self, prefix: str, name: str) -> str:
        """The name of what stands in a part."""
        if len(prefix) + len(name) > LONGEST_NAME:
            raise ModelError(
                f"{self.path} has names of more than {LONGEST_NAME:,} letters\n    name another checkpoint"
            )
        return f"{prefix}.{name}" if prefix else name


class Group(NamedTuple):
    """A part of a checkpoint: how many tensors are in it, and their bytes."""

    key: str
    tensors: int
    bytes: int


@dataclass(frozen=True)
class Chosen:
    """The tensors to write, by name.

    key: where they stood in the checkpoint, "" for all of it. groups: what else has tensors. left: what has none.
    faults: tensors that safetensors cannot hold, and why. stripped: what was taken off every name.
    """

    key: str
    tensors: dict[str, Tensor]
    groups: tuple[Group, ...]
    left: tuple[str, ...]
    faults: dict[str, str]
    stripped: str


def children(value: Any) -> Iterator[tuple[str, Any]]:
    """What stands in a value, by name: of dictionaries, lists and modules."""
    if isinstance(value, dict):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(number), item) for number, item in enumerate(value))
    elif isinstance(value, Inert):
        yield from _of_object(value)


def _of_object(value: Inert) -> Iterator[tuple[str, Any]]:
    state = _state(value)
    if "_parameters" in state or "_modules" in state:
        temporary = state.get("_non_persistent_buffers_set")
        for group in ("_parameters", "_buffers", "_modules"):
            for name, item in children(_mapping(state.get(group))):
                if group != "_buffers" or name not in (temporary if isinstance(temporary, list) else ()):
                    yield name, item
    elif str(value).startswith("__torch__."):  # TorchScript keeps all in one
        yield from children(state)
    yield from children(value.entries)


def _state(value: Inert) -> dict[Any, Any]:
    """An object's attributes; those of StyleGAN's, which carry their own source, are in what it is made of."""
    if str(value).endswith("._reconstruct_persistent_obj") and isinstance(value.args, tuple) and value.args:
        about = value.args[0].entries if isinstance(value.args[0], Inert) else value.args[0]
        return _mapping(about.get("state") if isinstance(about, dict) else None)
    return _mapping(value.state[0] if isinstance(value.state, tuple) and value.state else value.state)


def _mapping(found: Any) -> dict[Any, Any]:
    if isinstance(found, Inert):
        found = found.entries
    return found if isinstance(found, dict) else {}


def is_module(value: Any) -> bool:
    """Whether it is a pickled network, whose parts belong together."""
    return isinstance(value, Inert) and ("_modules" in _state(value) or str(value).startswith("__torch__."))


def as_tensor(value: Any) -> Tensor | None:
    """The tensor that a value is, if it is one."""
    value = value.tensor if isinstance(value, NumpyArray) else value
    return value if isinstance(value, Tensor) else None


def _weighed(key: str, value: Any, visits: _Visits) -> Group:
    """How much stands in a value; what stands there several times counts once."""
    count = size = 0
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if (found := as_tensor(item)) is not None:
            count, size = count + 1, size + found.count * BITS.get(found.dtype, 32) // 8
            continue
        if id(item) in seen or isinstance(item, str | int | float | None):
            continue
        seen.add(id(item))
        waiting += [child for _, child in visits.children(item)]
    return Group(key, count, size)


def groups(path: Any, root: Any) -> list[Group]:
    """The parts of a checkpoint that hold tensors, those within known names too.

    Raises:
        ModelError: they hold each other without end.
    """
    return [] if _flat(root) else _heavy(root, _Visits(path))


def _heavy(value: Any, visits: _Visits) -> list[Group]:
    """The parts of a value that hold tensors."""
    found = [_weighed(key, child, visits) for key, child in visits.children(value)]
    return [group for group in found if group.tensors]


def chosen(path: Any, root: Any, asked: str = "") -> Chosen:
    """The model's tensors.

    Args:
        path: of the checkpoint, for messages.
        root: what it holds.
        asked: the part to take, such as "state_dict" or "model/encoder"; "." for everything; "" for what is likely.

    Raises:
        ModelError: there is no such part, several could be meant, or none holds a tensor.
    """
    visits = _Visits(path)
    key, value = ("", root) if asked == EVERYTHING else _asked(root, asked, visits) if asked else _likely(root, visits)
    faults: dict[str, str] = {}
    left: list[str] = []
    tensors = _named(value, faults, left, visits)
    if not tensors:
        told = f'"{key}" of {path}' if key else str(path)
        fault = next((f": {name} is {why}" for name, why in faults.items()), "")
        raise ModelError(f"{told} holds no tensors that safetensors can hold{fault}\n    name another checkpoint")
    stripped = next((start for start in WRAPPERS if all(name.startswith(start) for name in tensors)), "")
    if list(tensors) == ["*"]:  # a textual inversion of stable-diffusion-webui
        tensors = {"emb_params": tensors["*"]}
    others: list[Group] = []
    if key:
        taken = key.partition("/")[0]
        rest = [_weighed(name, child, visits) for name, child in visits.children(root) if name != taken]
        others = [group for group in rest if group.tensors]
        left = [group.key for group in rest if not group.tensors] + left
    tensors = {name.removeprefix(stripped): found for name, found in tensors.items()}
    return Chosen(key, tensors, tuple(others), tuple(left), faults, stripped)


def _flat(value: Any) -> bool:
    """Whether tensors of a model stand in it directly; a lone number, such as a step, does not count."""
    return any(found.shape for _, child in children(value) if (found := as_tensor(child)) is not None)


def _asked(root: Any, asked: str, visits: _Visits) -> tuple[str, Any]:
    value = root
    for part in asked.split("/"):
        inner = dict(visits.children(value))
        if part not in inner:
            known = _some([group.key for group in groups(visits.path, root)], ", ") or "none"
            raise ModelError(f'{visits.path} has no part "{asked}"; those with tensors: {known}\n    --keys lists them')
        value = inner[part]
    return asked, value


def _likely(root: Any, visits: _Visits) -> tuple[str, Any]:
    parts: list[str] = []
    value = root
    for _ in range(DEEPEST):
        found = [] if _flat(value) or is_module(value) else _heavy(value, visits)
        if not found:
            break
        names = [group.key for group in found]
        wanted = next((name for name in (*AVERAGED, *WHOLE) if name in names), names[0] if len(names) == 1 else None)
        if wanted is None:
            told = _some(
                [
                    f"--key {'/'.join([*parts, group.key])}: {group.tensors:,} tensor{'s' * (group.tensors > 1)}"
                    for group in found
                ],
                "\n    ",
            )
            raise ModelError(
                f"{visits.path} holds several models, and none by a usual name; say which is meant\n    {told}\n"
                f"    --key {EVERYTHING}: all of them"
            )
        parts.append(wanted)
        value = dict(children(value))[wanted]
    return "/".join(parts), value


def _some(names: list[str], between: str) -> str:
    more = [f"and {len(names) - MOST_TOLD:,} more"] if len(names) > MOST_TOLD else []
    return between.join([*names[:MOST_TOLD], *more])


def _named(root: Any, faults: dict[str, str], left: list[str], visits: _Visits) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    while waiting:
        prefix, value, depth = waiting.pop()
        if depth > DEEPEST:
            visits.refuse()
        tensor = as_tensor(value)
        if tensor is not None and (tensor.fault or prefix in found or prefix == "__metadata__"):
            faults[prefix] = tensor.fault or "a name that another tensor has, or that safetensors keeps for itself"
        elif tensor is not None:
            found[prefix] = tensor
        else:
            inner = visits.children(value)
            if not inner and value is not None and prefix:
                left.append(prefix)
            waiting += [(visits.joined(prefix, name), child, depth + 1) for name, child in reversed(inner)]
    return found
