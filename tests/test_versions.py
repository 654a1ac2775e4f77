"""A node whose code changed must say so by its version, or old results would be taken for new ones.

`make versions` writes tests/versions.json anew, and refuses where a version was forgotten.
"""

import ast
import hashlib
import json
import os
import sys
from importlib import import_module
from pathlib import Path

from nodeflow import open_catalog

GOLDEN = Path(__file__).with_name("versions.json")


def digest(function: str) -> str:
    """A digest of a function's code without its docstring, comments and layout."""
    module, _, name = function.partition(":")
    source = Path(str(import_module(module).__file__)).read_text("utf-8")
    found = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name)
    found.body = [
        line for line in found.body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
    ]
    # As Python 3.11 dumps it: 3.12 adds type parameters, 3.13 leaves out what is empty.
    told = ast.dump(found, show_empty=True) if sys.version_info >= (3, 13) else ast.dump(found)
    return hashlib.blake2b(told.replace(", type_params=[]", "").encode(), digest_size=8).hexdigest()


def current() -> dict[str, list[str | int]]:
    own = {plugin.name for plugin in open_catalog().plugins if plugin.distribution == "nodeflow-engine"}
    return {spec.id: [spec.version, digest(spec.function)] for spec in open_catalog() if spec.plugin in own}


def forgotten() -> list[str]:
    old = json.loads(GOLDEN.read_text("utf-8"))
    new = current()
    return [name for name in old.keys() & new.keys() if old[name][0] == new[name][0] and old[name][1] != new[name][1]]


def test_no_node_changed_without_a_new_version() -> None:
    assert [] == sorted(forgotten()), "raise the version, then `make versions`; if results are the same, `FORCE=1`"


def test_the_digests_on_file_are_of_the_nodes_there_are() -> None:
    assert json.loads(GOLDEN.read_text("utf-8")) == current()


if __name__ == "__main__":
    if GOLDEN.exists() and forgotten() and not os.environ.get("FORCE"):
        sys.exit(f"changed without a new version: {', '.join(forgotten())}")
    GOLDEN.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n", "utf-8")
