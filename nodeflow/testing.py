"""What plugin authors need in their tests: is the plugin in order, is a node deterministic, does it run in a graph."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from inspect import Parameter, getdoc, signature
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

from nodeflow.catalog import Catalog, open_catalog
from nodeflow.context import Context, count
from nodeflow.document import Document, parse
from nodeflow.errors import Cancelled, PluginError, a_or_an
from nodeflow.graph import build
from nodeflow.hooks import manager
from nodeflow.nodes import MARK, Mark, spec_of
from nodeflow.runner import run
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import fault
from nodeflow.values import Image

T = TypeVar("T")
Function = Callable[..., Any]

_lent = SimpleNamespace()
"""Functions that a test made within itself, where the engine, which imports functions by name, can find them."""


def check_plugin(plugin: ModuleType | str, name: str = "") -> tuple[NodeSpec, ...]:
    """Looks at everything a plugin registers, and returns its nodes.

    Args:
        plugin: its module, the module's name, or the name under which it is installed.
        name: what its nodes' ids begin with; found out if empty.

    Raises:
        AssertionError: with all that is wrong, a line each.
    """
    module = plugin if isinstance(plugin, ModuleType) else import_module(_module_of(plugin))
    own = name or _name_of(module)
    try:
        plugins = manager()
        plugins.register(module, own)
        plugins.check_pending()
        functions = [function for found in plugins.hook.register_nodes() for function in found]
    except Exception as error:
        raise AssertionError(f"{own}: {module.__name__} cannot be registered: {error}") from error
    problems = [problem for function in functions for problem in problems_of(function, own)]
    names = [function.__name__ for function in functions]
    problems += [f"{own}.{twice}: two nodes have this name" for twice in {n for n in names if names.count(n) > 1}]
    if not functions:
        problems.append(f"{own}: it registers no nodes; implement register_nodes, marked with @hook")
    assert not problems, "\n".join(sorted(problems))
    return tuple(spec_of(function, own) for function in functions)


def check_node(function: Function, plugin: str = "test") -> NodeSpec:
    """Looks at one node, and returns it as data.

    Raises:
        AssertionError: with all that is wrong, a line each.
    """
    problems = problems_of(function, plugin)
    assert not problems, "\n".join(problems)
    return spec_of(function, plugin)


def problems_of(function: Function, plugin: str) -> list[str]:
    """What is wrong with a node, each fault a line that says how to mend it."""
    try:
        spec = spec_of(function, plugin)
    except PluginError as error:
        return [str(error)]
    mark: Mark = getattr(function, MARK)
    parameters = signature(function).parameters
    told = [f'input "{port.name}": {fault}' for port in spec.inputs for fault in _port_problems(port, parameters)]
    if not isinstance(mark.version, int) or isinstance(mark.version, bool) or mark.version < 1:
        told.append(f"version {mark.version!r}: expected a whole number from 1")
    if not spec.category.strip("/ "):
        told.append("the category is empty: name the menu it stands in")
    if strange := sorted(_noted(function) - parameters.keys()):
        told.append(f"the docstring has notes on {', '.join(strange)}, which it does not take")
    if "ctx" in parameters:
        ctx = parameters["ctx"]
        if ctx.kind is not Parameter.KEYWORD_ONLY or not isinstance(ctx.default, Context):
            told.append("ctx: write `*, ctx: Context = QUIET`, so that a plain call works")
    return [f"{spec.id}: {fault}" for fault in told]


def _port_problems(port: Port, parameters: Mapping[str, Parameter]) -> Iterator[str]:
    if not port.help:
        yield f'it has no note; add "{port.name}: ..." below Args: in the docstring'
    if port.required:
        return
    default = parameters[port.name].default
    if default is not None and not port.type.typed_in:
        yield f"it is wired only, so its default must be None, not {default!r}"
    elif (reason := fault(port.type, port.default)) and not (default is None and _may_be_none(port)):
        yield f"its default is refused: {reason}"


def _may_be_none(port: Port) -> bool:
    return port.type.kind in ("none", "any") or any(item.kind == "none" for item in port.type.items)


def _noted(function: Function) -> set[str]:
    lines = (getdoc(function) or "").partition("\nArgs:\n")[2].split("\n\n", 1)[0].splitlines()
    return {line.split(":")[0].strip() for line in lines if line[:4] == "    " and line[4:5].strip() and ": " in line}


def _module_of(name: str) -> str:
    found = next(iter(entry_points(group="nodeflow", name=name)), None)
    return found.module if found else name


def _name_of(module: ModuleType) -> str:
    for point in entry_points(group="nodeflow"):
        if point.module == module.__name__:
            return point.name
    return module.__name__.rpartition(".")[2].removeprefix("nodeflow_")


def assert_deterministic(function: Function, **inputs: Any) -> Any:
    """Calls a node twice with the same inputs, and returns what it gave.

    Raises:
        AssertionError: the two results differ, or the node changed one of its inputs.
    """
    before = {name: _snapshot(value) for name, value in inputs.items()}
    first = function(**inputs)
    kept = _snapshot(first)
    second = function(**inputs)
    name = getattr(function, "__name__", "the node")
    for port, value in inputs.items():
        found = difference(before[port], value, port)
        assert not found, f"{name} changed its input: {found}"
    found = difference(kept, second, "its output")
    assert not found, f"{name} gave two results for the same inputs: {found}"
    return first


def difference(one: Any, other: Any, place: str = "value") -> str:
    """Where two values differ first, tensors by every bit of a number but NaN's; nothing if they are equal."""
    if type(one) is not type(other):
        return f"{place} is {a_or_an(type(one).__name__)} once and {a_or_an(type(other).__name__)} then"
    if hasattr(one, "untyped_storage"):
        return _tensor_difference(one, other, place)
    if is_dataclass(one) and not isinstance(one, type):
        pairs = [(getattr(one, f.name), getattr(other, f.name), f"{place}.{f.name}") for f in fields(one)]
    elif isinstance(one, dict):
        if one.keys() != other.keys():
            return f"{place} has the keys {list(one)} once and {list(other)} then"
        pairs = [(value, other[key], f"{place}[{key!r}]") for key, value in one.items()]
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            return f"{place} has {len(one)} items once and {len(other)} then"
        pairs = [(a, b, f"{place}[{index}]") for index, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        same = one == other or (one != one and other != other)
        return "" if same else f"{place} is {one!r} once and {other!r} then"
    return next((found for pair in pairs if (found := difference(*pair))), "")


def _tensor_difference(one: Any, other: Any, place: str) -> str:
    for what in ("shape", "dtype", "device"):
        if getattr(one, what) != getattr(other, what):
            return f"the {what} of {place} is {getattr(one, what)} once and {getattr(other, what)} then"
    apart = ~((one == other) | ((one != one) & (other != other)))
    number = int(apart.sum())
    return f"{number} of {one.numel()} numbers in {place} differ" if number else ""


def _snapshot(value: Any) -> Any:
    """A copy that keeps its values when the original is written to."""
    if hasattr(value, "untyped_storage"):
        return value.detach().clone()
    if is_dataclass(value) and not isinstance(value, type):
        held = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        copied = {name: _snapshot(item) for name, item in held.items()}
        return replace(value, **{name: item for name, item in copied.items() if item is not held[name]})
    if isinstance(value, dict):
        return {key: _snapshot(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_snapshot, value))
    return type(value)(map(_snapshot, value)) if type(value) in (list, tuple) else value


def run_graph(
    graph: Document | Mapping[str, Any] | str,
    functions: Iterable[Function] = (),
    *,
    plugin: str = "test",
    out: Path | None = None,
) -> dict[str, Any]:
    """Runs a graph in this process, with nothing kept, and returns its outputs by name.

    Args:
        graph: a document, its JSON as a dict, or its text.
        functions: nodes, known in the graph as "plugin.function_name"; all other types are those installed.
        plugin: what the ids of `functions` begin with.
        out: the folder that nodes may write to.

    Raises:
        GraphError: the graph is wrong.
        RunError: a node failed.
    """
    document = graph if isinstance(graph, Document) else parse(graph if isinstance(graph, str) else json.dumps(graph))
    own: dict[str, NodeSpec] = {}
    for function in functions:
        spec = spec_of(function, plugin)
        held = f"f{len(vars(_lent))}_{id(function)}"
        setattr(_lent, held, function)
        own[spec.id] = replace(spec, function=f"{__name__}:_lent.{held}")
    installed: Sequence[NodeSpec] = ()
    if any(entry.type not in own for entry in document.nodes.values()):
        installed = [spec for spec in open_catalog() if spec.id not in own]
    try:
        return run(build(document, Catalog.of(*own.values(), *installed)), out=out)
    finally:
        for spec in own.values():
            delattr(_lent, spec.function.rpartition(".")[2])


class RecordingContext(Context):
    """A context that writes down what a node asks of it: `node(..., ctx=RecordingContext())`.

    Args:
        folder: where files go; a temporary folder that goes with this object if None.
        cancel_after: raises Cancelled when so many steps are done, as a run does that somebody stops.
        device: where the node shall compute.

    `steps_taken` has (done, total) for each step, 0 included; `said` the lines; `previews` the pictures, one a step
    where the node offers them; `written` and `files_read` the paths it asked for.
    """

    def __init__(self, folder: Path | None = None, *, cancel_after: int | None = None, device: str = "cpu") -> None:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="nodeflow-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.folder = folder
        self.cancel_after, self.device = cancel_after, device
        self.steps_taken: list[tuple[int, int | None]] = []
        self.said: list[str] = []
        self.previews: list[Image] = []
        self.written: list[Path] = []
        self.files_read: list[Path] = []

    def steps(
        self, items: Iterable[T], *, total: int | None = None, preview: Callable[[], Image] | None = None
    ) -> Iterator[T]:
        """Goes through the items, and counts."""
        total = count(items, total)
        self._step(0, total)
        for done, item in enumerate(items, 1):
            yield item
            self._step(done, total)
            if preview is not None:
                self.previews.append(preview())

    def _step(self, done: int, total: int | None) -> None:
        self.steps_taken.append((done, total))
        if self.cancel_after is not None and done >= self.cancel_after:
            raise Cancelled

    def say(self, text: str) -> None:
        """Writes the line down."""
        self.said.append(text)

    def preview(self, image: Image) -> None:
        """Keeps the picture."""
        self.previews.append(image)

    def read(self, path: str | Path) -> Path:
        """The file, which may be anywhere."""
        self.files_read.append(Path(path))
        return Path(path)

    def write(self, name: str | Path) -> Path:
        """Where the file goes, below the folder.

        Raises:
            PermissionError: `name` leads out of the folder.
        """
        root = self.folder.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root) or path == root:
            raise PermissionError(f'"{name}" leads out of the output folder {root}')
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written.append(path)
        return path
