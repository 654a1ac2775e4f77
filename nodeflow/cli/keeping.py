"""`nodeflow cache` and `nodeflow info`: what is kept, and what this machine has."""

from __future__ import annotations

import json
import platform
import stat
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

import nodeflow.cli.output as output
from nodeflow import __version__
from nodeflow.cli.checking import JSON_OPTION
from nodeflow.folders import cache_folder, model_folders, results_folder, trouble_with
from nodeflow.regular import odd_kind

PACKAGES = ("torch", "numpy", "safetensors", "pydantic", "pluggy", "networkx", "pillow", "typer", "rich")
TORCH_SECONDS = 120
DEVICES = """
import json
from nodeflow.devices import amount, devices
from nodeflow.residency import Residency
found = []
for device in devices():
    told = {"name": device.name, "free": device.free, "budget": Residency().budget(device.name)}
    room = f"{amount(told['free'])} free, models may take {amount(told['budget'])}"
    found.append({**told, "about": f"{device.description}, {room}"})
print("\\n" + json.dumps(found))
"""


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Forget all results.")] = False,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Show what results are kept on disk, or forget them."""
    from nodeflow.cache import Cache

    folder = results_folder()
    kept = Cache(folder, 0, 0)
    stored = kept.stored()
    total = sum(entry.bytes for entry in stored)
    if clear:
        kept.clear()
    trouble = trouble_with(folder)
    if as_json:
        told = {"folder": str(folder), "results": len(stored), "bytes": total, "cleared": clear, "error": trouble}
        output.say_json(told)
        return
    holds = f"{output.counted(len(stored), 'result')}, {output.size_text(total)}"
    if clear:
        output.say(f"cleared {holds}")
        return
    rows = [("folder", str(folder)), ("holds", holds)]
    if stored:
        rows.append(("oldest use", f"{datetime.fromtimestamp(stored[0].used):%Y-%m-%d %H:%M}"))
    output.table(rows)
    if trouble:
        output.warn(unkept(trouble))


def unkept(trouble: str) -> str:
    """What is to be said where no result can be kept on disk."""
    cure = "NODEFLOW_CACHE can name another folder"
    return f"warning: results are not kept: cannot write to {results_folder()}: {trouble}\n    {cure}"


def info(as_json: Annotated[bool, JSON_OPTION] = False) -> None:
    """Show versions, devices and folders."""
    devices, trouble = _devices()
    versions = {name: found for name in PACKAGES if (found := _version(name))}
    kept, models = str(cache_folder()), [str(folder) for folder in model_folders()]
    if as_json:
        told: dict[str, Any] = {"nodeflow": __version__, "python": platform.python_version()}
        told |= {"platform": platform.platform(), "executable": sys.executable, "packages": versions}
        told |= {"devices": devices, "devices_error": trouble}
        told["folders"] = {"cache": kept, "models": models}
        output.say_json(told)
        return
    output.table([
        ("nodeflow", __version__),
        ("python", f"{platform.python_version()} ({sys.executable})"),
        ("platform", platform.platform()),
        *versions.items(),
        *((device["name"], device["about"]) for device in devices),
        ("cache", kept),
        *(("models", _folder(folder)) for folder in models),
    ])  # fmt: skip
    if trouble:
        output.warn(f"devices are unknown: {trouble}")


def _folder(name: str) -> str:
    """A model folder, with what is the matter if nothing can be in it."""
    try:
        mode = Path(name).stat().st_mode
    except FileNotFoundError:
        return f"{name} (not there)"
    except OSError as error:
        return f"{name} ({(error.strerror or str(error)).lower()})"
    kind = "a file" if stat.S_ISREG(mode) else odd_kind(mode)
    return name if stat.S_ISDIR(mode) else f"{name} ({kind}, not a folder)"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _devices() -> tuple[list[dict[str, Any]], str]:
    """The devices that torch finds, or why it does not say; asked in a process of its own, as drivers may crash."""
    command = [sys.executable, "-c", DEVICES]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=TORCH_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        return json.loads(child.stdout.rpartition("\n\n")[2].splitlines()[-1]), ""
    except subprocess.TimeoutExpired:
        return [], f"torch did not answer within {TORCH_SECONDS} s"
    except (OSError, ValueError, IndexError):
        lines = child.stderr.strip().splitlines() if "child" in locals() else []
        return [], lines[-1] if lines else "torch cannot be started"
