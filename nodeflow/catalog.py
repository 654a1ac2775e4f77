"""Which nodes there are, as data on disk: plugins are imported once, in a child process, and then only read about."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nodeflow.folders import cache_folder
from nodeflow.regular import open_file
from nodeflow.spec import NodeSpec

FORMAT = 2
PLUGIN_SECONDS = 30.0
"""How long a plugin may take to import; torch, which the first one pays, took 3 CPU seconds where this was written."""
PATIENCE = 3.0
"""Seconds after which it is said which plugin is waited for."""
OFF = "NODEFLOW_PLUGINS_OFF"
"""The environment variable that names plugins to be left out, with commas between."""
OTHERS = "others"
"""In it: all plugins that did not come with nodeflow."""
OWN = "nodeflow-engine"
"""The distribution that nodeflow and its own plugins come in."""
UNREAD = "?"
"""Stands for the files of a plugin that was left out before anybody read it."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed extension. `error` says why its nodes are absent; `files` changes whenever its code does."""

    name: str
    module: str
    distribution: str
    version: str
    files: str
    error: str = ""
    trace: str = ""
    nodes: tuple[str, ...] = ()
    taken: bool = False
    """Whether another plugin has its name, so that it is left out."""


class Catalog:
    """Node types by id, and the plugins they come from. A spec is read from its data when first asked for."""

    def __init__(self, specs: Mapping[str, Mapping[str, Any]], plugins: tuple[Plugin, ...] = ()) -> None:
        self._data = specs
        self._specs: dict[str, NodeSpec] = {}
        self._formerly: dict[str, str] | None = None
        self.plugins = plugins
        self.off: frozenset[str] = frozenset()
        """The names of plugins that were left out."""

    @classmethod
    def of(cls, *specs: NodeSpec) -> Catalog:
        """A catalog of these specs alone."""
        catalog = cls({spec.id: {} for spec in specs})
        catalog._specs = {spec.id: spec for spec in specs}
        return catalog

    def __iter__(self) -> Iterator[NodeSpec]:
        return (spec for name in sorted(self._data) if (spec := self.get(name)))

    def __len__(self) -> int:
        return len(self._data)

    def without(self, names: Iterable[str]) -> Catalog:
        """The catalog without these plugins and their nodes; "others" are all that did not come with nodeflow."""
        off = set(names)
        gone = [plugin for plugin in self.plugins if _is_off(plugin, off)]
        if not gone:
            return self
        nodes = {node for plugin in gone for node in plugin.nodes}
        made = Catalog({name: data for name, data in self._data.items() if name not in nodes})
        made._specs = {name: spec for name, spec in self._specs.items() if name not in nodes}
        made.plugins = tuple(plugin for plugin in self.plugins if plugin not in gone)
        made.off = self.off | {plugin.name for plugin in gone}
        return made

    def get(self, name: str) -> NodeSpec | None:
        """The node type called `name`, now or formerly; None if there is none."""
        if name in self._specs:
            return self._specs[name]
        if name not in self._data:
            return self._renamed(name)
        return self._specs.setdefault(name, NodeSpec.from_json(self._data[name]))

    def _renamed(self, name: str) -> NodeSpec | None:
        if self._formerly is None:
            self._formerly = {old: new for new, data in self._data.items() for old in data.get("formerly", ())}
            self._formerly |= {old: spec.id for spec in self._specs.values() for old in spec.formerly}
        return self.get(self._formerly[name]) if name in self._formerly else None

    def cure(self, name: str, *, look: bool = True) -> str:
        """What to do about a node type that there is not; look: for names like it, which takes a while."""
        program, colon, _ = name.partition(":")
        if colon:
            return f"it is a node of {program} that the import left as it was: replace it, or take it out"
        close = self.nearest(name) if look else None
        plugin, dot, _ = name.partition(".")
        if plugin in self.off:
            return f'its plugin "{plugin}" is switched off: switch it on again to use it ({OFF})'
        if any(found.error and found.name == plugin for found in self.plugins):
            return f'its plugin "{plugin}" is broken: see `nodeflow plugins`'
        if not close:
            return f'install the plugin that has it ("{plugin}"); `nodeflow nodes` lists those there are'
        if dot and not any(known.startswith(f"{plugin}.") for known in self._data):
            return f'install the plugin that has it ("{plugin}"), or did you mean "{close}"?'
        return f'did you mean "{close}"?'

    def nearest(self, name: str) -> str | None:
        """The known id that looks most like `name`."""
        close = difflib.get_close_matches(name, self._data, n=1, cutoff=0.5)
        if not close:
            tail = name.rpartition(".")[2]
            close = [known for known in sorted(self._data) if known.rpartition(".")[2] == tail]
        return close[0] if close else None


def open_catalog(
    folder: Path | None = None, *, refresh: bool = False, off: Iterable[str] | None = None
) -> Catalog:  # fmt: skip
    """The catalog of this Python environment, brought up to date: only plugins whose files changed are imported.

    Args:
        folder: where the catalog is kept; the user's cache folder if None.
        refresh: import every plugin again.
        off: plugins that are left out and not imported, by name; those of `NODEFLOW_PLUGINS_OFF` if None.
    """
    names = set(left_out() if off is None else off)
    return _brought_up_to_date(folder, refresh, names).without(names)


def left_out() -> tuple[str, ...]:
    """The plugins that `NODEFLOW_PLUGINS_OFF` names."""
    return tuple(name for part in os.environ.get(OFF, "").split(",") if (name := part.strip()))


def _is_off(plugin: Plugin, off: Collection[str]) -> bool:
    return plugin.name in off or (OTHERS in off and plugin.distribution != OWN)


def _brought_up_to_date(folder: Path | None, refresh: bool, off: Collection[str]) -> Catalog:
    key = hashlib.blake2b(f"{sys.prefix} {sys.version}".encode(), digest_size=8).hexdigest()
    path = (folder or cache_folder()) / f"catalog-{key}.json"
    known = {} if refresh else _read(path)
    paths = [_engine_files(), *_import_paths()]
    old = {plugin["name"]: plugin for plugin in known.get("plugins", []) if not plugin["taken"]}
    if paths == known.get("paths") and all(_files_of(p["module"]) == p["files"] for p in old.values()):
        return _catalog(known)
    if paths[:1] != known.get("paths", [])[:1]:
        old = {}
    found = list(_installed())
    stale = [plugin for plugin in found if not plugin.taken and not _same(plugin, old.get(plugin.name))]
    fresh = _probe([plugin for plugin in stale if not _is_off(plugin, off)])
    specs: dict[str, Any] = {}
    plugins: list[dict[str, Any]] = []
    for plugin in found:
        told = fresh.get(plugin.name)
        if plugin.taken:
            plugins.append(asdict(plugin))
        elif told is None and plugin in stale:  # it is off: who has it on reads it
            plugins.append(asdict(plugin) | {"files": UNREAD})
        elif told is None:
            plugins.append(old[plugin.name])
            specs |= {name: known["specs"][name] for name in old[plugin.name]["nodes"]}
        else:
            nodes = sorted(told.get("specs", {}))
            detail = {"error": told.get("error", ""), "trace": told.get("trace", ""), "nodes": nodes}
            plugins.append(asdict(plugin) | detail)
            specs |= told.get("specs", {})
    data = {"format": FORMAT, "paths": paths, "plugins": plugins, "specs": specs}
    _write(path, data)
    return _catalog(data)


def _catalog(data: Mapping[str, Any]) -> Catalog:
    plugins = tuple(Plugin(**{**plugin, "nodes": tuple(plugin["nodes"])}) for plugin in data["plugins"])
    return Catalog(data["specs"], plugins)


def _same(plugin: Plugin, old: Mapping[str, Any] | None) -> bool:
    fields = ("module", "distribution", "version", "files")
    return old is not None and not old["error"] and all(getattr(plugin, field) == old[field] for field in fields)


def _import_paths() -> list[list[Any]]:
    """What changes when a distribution is installed or removed: the folders of sys.path and their times."""
    times: list[list[Any]] = []
    for folder in sys.path:
        try:
            times.append([folder, os.stat(folder).st_mtime_ns])
        except OSError:
            times.append([folder, 0])
    return [pair for pair in times if pair[0] not in ("", str(Path.cwd()))]


def _engine_files() -> list[Any]:
    """What changes when nodeflow itself does: another version may read another spec out of the same node."""
    files = [Path(__file__).with_name(f"{name}.py") for name in ("types", "annotations", "spec", "nodes", "probe")]
    return [f"{file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]


def _installed() -> Iterator[Plugin]:
    """Every plugin that has an entry point, nodeflow's own first; a name taken twice goes to the first."""
    taken: dict[str, str] = {}
    points = sorted(entry_points(group="nodeflow"), key=lambda point: (_owner(point)[0] != OWN, _owner(point)))
    for point in points:
        distribution, version = _owner(point)
        files = _files_of(point.module)
        error = ""
        if point.name in taken:
            if taken[point.name] == f"{distribution} {version}":
                continue
            taken_by = taken[point.name]
            error = f'the name "{point.name}" is taken by {taken_by}\n    uninstall one of the two'
        taken.setdefault(point.name, f"{distribution} {version}")
        yield Plugin(point.name, point.value, distribution, version, files, error, taken=bool(error))


def _owner(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("?", "")


def _files_of(module: str) -> str:
    """A digest of the names, sizes and times of the plugin's Python files; nothing is imported."""
    try:
        spec = find_spec(module.partition(".")[0].partition(":")[0])
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    places = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    digest = hashlib.blake2b(digest_size=16)
    for place in places:
        paths = sorted(Path(place).rglob("*.py")) if Path(place).is_dir() else [Path(place)]
        for path in paths:
            stat = path.stat()
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _probe(plugins: list[Plugin]) -> dict[str, dict[str, Any]]:
    """Asks child processes for the plugins' nodes. One that dies is started again after the plugin that killed it."""
    told: dict[str, dict[str, Any]] = {}
    left = [[plugin.name, plugin.module] for plugin in plugins]
    while left:
        lines, ending, noise = _child(json.dumps(left))
        reports = [json.loads(line) for line in lines.splitlines() if line.startswith("{") and line.endswith("}")]
        told |= {report["name"]: report for report in reports if "begins" not in report}
        left = [pair for pair in left if pair[0] not in told]
        if left:
            name = next((report["name"] for report in reversed(reports) if "begins" in report), left[0][0])
            told.setdefault(name, {"name": name, "error": ending, "trace": noise})
            left = [pair for pair in left if pair[0] != name]
    return told


def _child(asked: str) -> tuple[str, str, str]:
    """What a probe answers, how it ended, and the last of what plugins printed: they may print without end."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "nodeflow.probe"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    noise: deque[bytes] = deque(maxlen=8)

    def drain() -> None:
        assert child.stderr is not None
        with child.stderr as printed:
            while block := os.read(printed.fileno(), 4096):
                noise.append(block)

    drained = threading.Thread(target=drain, name="nodeflow-probe", daemon=True)
    drained.start()
    atexit.register(child.kill)
    watch = _Watch(child)
    watch.begin(json.loads(asked)[0][0])
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(asked.encode())
        child.stdin.close()
    answer = ""
    for line in child.stdout:
        text = line.decode(errors="replace")
        answer += text
        if text.endswith('"begins": true}\n'):
            watch.begin(json.loads(text)["name"])
    code = child.wait()
    atexit.unregister(child.kill)
    watch.stop()
    ending = f"the plugin ended the interpreter that imported it (exit code {code})"
    if watch.late:
        ending = f"its import did not end in {PLUGIN_SECONDS:g} s\n    `nodeflow plugins --refresh` tries again"
    drained.join(timeout=1)  # longer only where a plugin's own child holds the pipe open
    child.stdout.close()
    return answer, ending, b"".join(noise).decode(errors="replace")[-4000:]


class _Watch:
    """Says on standard error which plugin is waited for, and ends a child whose plugin takes too long."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.late = False
        self._child = child
        self._timers: tuple[threading.Timer, ...] = ()

    def begin(self, plugin: str) -> None:
        self.stop()
        said = threading.Timer(PATIENCE, self._say, [f'waiting for the plugin "{plugin}" to be imported'])
        self._timers = (said, threading.Timer(PLUGIN_SECONDS, self._end))
        for timer in self._timers:
            timer.daemon = True
            timer.start()

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _end(self) -> None:
        self.late = True
        self._child.kill()


def _read(path: Path) -> dict[str, Any]:
    """The catalog on disk; empty where there is none, or one that is damaged or of another format."""
    try:
        with open_file(path) as file:
            digest, _, text = file.read().decode().partition("\n")
        data: dict[str, Any] = json.loads(text) if digest == _digest(text) else {}
        return data if data.get("format") == FORMAT else {}
    except (OSError, ValueError):
        return {}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _write(path: Path, data: Mapping[str, Any]) -> None:
    """Atomic; a folder that cannot be written costs the next start its time, nothing else."""
    text = json.dumps(data)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{_digest(text)}\n{text}")
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink()
    except OSError:
        return
