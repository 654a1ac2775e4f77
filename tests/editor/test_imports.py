"""What the editor's process must never load."""

import os
import subprocess
import sys
from pathlib import Path

EDITOR = Path(__file__).parents[2] / "editor"


def test_no_module_of_the_editor_loads_torch_a_plugin_or_what_runs_graphs() -> None:
    code = (
        "import importlib, pkgutil, sys, nodeflow_editor\n"
        "found = pkgutil.walk_packages(nodeflow_editor.__path__, 'nodeflow_editor.')\n"
        "names = [module.name for module in found if not module.name.endswith('__main__')]\n"
        "for name in names: importlib.import_module(name)\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "bad = {name for name in roots if name.startswith('nodeflow_')} - {'nodeflow_editor'}\n"
        "bad |= roots & {'torch', 'triton', 'pluggy'}\n"
        "bad |= {f'nodeflow.{name}' for name in ('runner', 'worker', 'residency', 'cache')} & set(sys.modules)\n"
        "print(len(names), sorted(bad))"
    )
    env = {**os.environ, "PYTHONPATH": str(EDITOR)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "" == done.stderr
    count, _, bad = done.stdout.strip().partition(" ")
    assert int(count) > 10
    assert "[]" == bad
