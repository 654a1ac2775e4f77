"""The child process that imports plugins, so that nobody else has to: `python -m nodeflow.probe`.

Reads a JSON list of [name, module] from standard input; writes one JSON line a plugin: its nodes, or its traceback.
What plugins print goes to standard error.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from nodeflow.errors import PluginError, a_or_an, told
from nodeflow.hooks import manager
from nodeflow.nodes import spec_of

LONGEST = 60.0
"""Seconds for one plugin; who started this process gives it half as long."""


def describe(name: str, module: str) -> dict[str, Any]:
    """A plugin's nodes as data, or what went wrong."""
    try:
        plugins = manager()
        plugins.register(import_module(module), name)
        plugins.check_pending()
        specs: dict[str, Any] = {}
        for function in _registered(plugins, name):
            spec = spec_of(function, name)
            if spec.id in specs:
                raise PluginError(f"{name}: two nodes are called {spec.id}\n    rename one of the functions")
            specs[spec.id] = spec.as_json()
        json.dumps(specs)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return {"name": name, "error": told(error), "trace": traceback.format_exc(limit=-12)}
    return {"name": name, "specs": specs}


def _registered(plugins: Any, name: str) -> Iterator[Callable[..., Any]]:
    """The functions that a plugin registers; a hook that is not marked, or gives no list, is told, not passed over."""
    module = plugins.get_plugin(name)
    cure = "return a list of the functions marked with @node"
    for implementation in plugins.hook.register_nodes.get_hookimpls():
        functions = implementation.function()
        if isinstance(functions, str | bytes) or not isinstance(functions, Iterable):
            raise PluginError(f"{name}: register_nodes returned {a_or_an(type(functions).__name__)}\n    {cure}")
        yield from functions
    if hasattr(module, "register_nodes") and not plugins.hook.register_nodes.get_hookimpls():
        raise PluginError(f"{name}: register_nodes is not marked as a hook\n    put @hook above it")


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for name, module in json.load(sys.stdin):
        faulthandler.dump_traceback_later(LONGEST, exit=True)  # where nobody is left who would end it
        print(json.dumps({"name": name, "begins": True}), file=out, flush=True)
        print(json.dumps(describe(name, module)), file=out, flush=True)
    os._exit(0)  # threads that a plugin started would keep the process otherwise


if __name__ == "__main__":
    main()
