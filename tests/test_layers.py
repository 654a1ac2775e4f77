"""The house's order: who may import whom. Read from the source, so that a deferred import counts as well."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
ORDER = tuple(
    """
    errors devices values leaves uses context types spec annotations nodes hooks probe folders regular headers pickled
    checkpoints kinds places hub choices kernels files catalog jsontext likeness document carried delta edits diff
    schema faults subgraphs modes graph foreign astray identity storage contents cache residency loading events calls
    session fetching results foresight demands lanes runner plan delivery ring showing worker client reference
    scaffold testing cli __main__
    """.split()  # noqa: SIM905 # a line of words is easier to keep in order
)
ONLY_IN = {
    "torch": {
        "context", "kernels", "identity", "storage", "contents", "residency", "devices", "plan", "showing", "testing",
    },
    "networkx": {"graph"},
    "pluggy": {"hooks", "catalog"},
    "triton": set[str](),
    "PySide6": set[str](),
}  # fmt: skip
NODE_FILES = ("nodes", "recipes", "__init__")
PRIVATE_FILES = ("nodes", "__init__")
"""A plugin's recipes are for others too: a checkpoint of a whole model has parts of several plugins."""


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module imported by a file, and whether only for annotations."""
    tree = ast.parse(path.read_text("utf-8"))
    quiet = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in quiet) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            yield node.module or "", id(node) in quiet
            yield from ((f"{node.module}.{alias.name}", id(node) in quiet) for alias in node.names)


def engine_files() -> list[Path]:
    files = [path for path in (ROOT / "nodeflow").rglob("*.py") if "templates" not in path.parts]
    return sorted(path for path in files if path.name != "__init__.py" or path.parent.name != "nodeflow")


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "nodeflow").with_suffix("").parts[0]


@pytest.mark.parametrize("path", engine_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_an_engine_file_imports_only_what_stands_before_it(path: Path) -> None:
    own = layer(path)
    assert own in ORDER, f"{own} has no place in the order"
    found = {name.split(".")[1] for name, _ in imports(path) if name.startswith("nodeflow.") and name.count(".") >= 1}
    later = {name for name in found & set(ORDER) if ORDER.index(name) > ORDER.index(own)}
    assert set() == later


@pytest.mark.parametrize("path", engine_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_engine_knows_no_plugin_no_qt_and_heavy_libraries_only_in_their_places(path: Path) -> None:
    names = [(name.split(".")[0], quiet) for name, quiet in imports(path)]
    assert [] == [name for name, _ in names if name.startswith("nodeflow_")]
    allowed = {name for name, places in ONLY_IN.items() if layer(path) in places}
    if is_fused(path):
        allowed.add("triton")
    assert set() == {name for name, quiet in names if name in ONLY_IN and not quiet} - allowed


def is_fused(path: Path) -> bool:
    """Whether it is a `kernels/<op>/triton.py`, of which there is nothing but kernels and their launches."""
    parts = path.relative_to(ROOT / "nodeflow").parts
    return len(parts) == 3 and parts[0] == "kernels" and parts[2] == "triton.py"


def at_once(path: Path) -> set[str]:
    """What a file imports when it is imported itself: not what a function of it imports later."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    later = {id(node) for function in functions for node in ast.walk(function)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) not in later and isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif id(node) not in later and isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_fused_kernels_are_imported_only_when_one_runs() -> None:
    fused = {f"nodeflow.kernels.{path.parent.name}.triton" for path in engine_files() if is_fused(path)}
    assert fused
    assert {} == {path: early for path in engine_files() if (early := at_once(path) & fused)}


def test_kernels_know_nothing_of_the_engine_but_errors_folders_and_choices() -> None:
    known = {"errors", "folders", "choices", "kernels"}
    for path in engine_files():
        if layer(path) == "kernels":
            found = {name.split(".")[1] for name, _ in imports(path) if name.startswith("nodeflow.")}
            assert set() == found - known, path


def is_module(name: str) -> bool:
    target = ROOT.joinpath(*name.split("."))
    return target.with_suffix(".py").exists() or target.is_dir()


def test_the_engine_has_no_import_circles() -> None:
    links = nx.DiGraph()
    for path in engine_files():
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found = {name for name, _ in imports(path) if name.startswith("nodeflow.") and is_module(name)}
        # `from package import module` needs the module; the package is only its address
        parents = {name.rpartition(".")[0] for name in found}
        links.add_edges_from((own, name) for name in found - parents)
    assert [] == [knot for knot in nx.strongly_connected_components(links) if len(knot) > 1]


def inner_names(path: Path) -> list[str]:
    """What a plugin imports from within nodeflow; `nodeflow.kernels` and its public names are for everybody."""
    tree = ast.parse((ROOT / "nodeflow" / "kernels" / "__init__.py").read_text("utf-8"))
    (public,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    free = {"nodeflow.kernels", *(f"nodeflow.kernels.{name}" for name in public)}
    return [name for name, _ in imports(path) if name.startswith("nodeflow.") and name not in free]


def plugin_files() -> list[Path]:
    return sorted((ROOT / "plugins").rglob("*.py"))


@pytest.mark.parametrize("path", plugin_files(), ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_a_plugin_uses_public_names_and_nobody_elses_nodes(path: Path) -> None:
    own = path.relative_to(ROOT / "plugins").parts[0]
    whole = [name for name, _ in imports(path)]
    assert set() == {name.split(".")[1] for name in inner_names(path)} & set(ORDER)
    assert [] == [name for name in whole if name.split(".")[0] == "PySide6"]
    for name in whole:
        plugin, _, file = name.partition(".")
        if plugin.startswith("nodeflow_") and plugin != own:
            assert not file.split(".")[0].endswith(PRIVATE_FILES), f"{path.name} takes {name}"


@pytest.mark.parametrize("path", plugin_files(), ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_mathematics_does_not_know_the_engine(path: Path) -> None:
    if path.stem.endswith(NODE_FILES):
        return
    assert [] == [name for name, _ in imports(path) if name == "nodeflow"] + inner_names(path)


EDITOR_TAKES = frozenset(
    """
    errors types spec folders catalog jsontext likeness document carried delta edits diff schema subgraphs modes graph
    client
    """.split()  # noqa: SIM905 # as above
)
"""What the editor's process may use of the engine: what needs neither torch nor a plugin. It runs nothing itself."""
EDITOR_WITHOUT_QT = ("backups", "claims", "disk", "notes", "run/mailbox", "run/queue", "run/history", "run/work")
EDITOR = ROOT / "editor" / "nodeflow_editor"


@pytest.mark.parametrize("path", sorted(EDITOR.rglob("*.py")), ids=lambda path: str(path.relative_to(EDITOR)))
def test_the_editor_takes_documents_and_a_worker_process_and_nothing_else_of_the_engine(path: Path) -> None:
    names = [name for name, _ in imports(path)]
    roots = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert roots <= {"nodeflow", "nodeflow_editor", "PySide6", "platformdirs"}
    modules = {name.split(".")[1] for name in names if name.startswith("nodeflow.")}
    assert set() == modules - EDITOR_TAKES
    assert "nodeflow" not in names, "its public names lead to the runner and to values: name the module"
    if str(path.relative_to(EDITOR).with_suffix("")) in EDITOR_WITHOUT_QT:
        assert "PySide6" not in roots
