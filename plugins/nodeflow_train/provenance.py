"""Where weights come from: what their file says of the graph, the machine and the versions that made them."""

import hashlib
import json
import platform
from typing import Any

import torch


def provenance(graph: str, device: str, steps: int, batch: int, seconds: float) -> dict[str, Any]:
    """What holds for every training.

    graph: the text of the graph's file; "" in a plain call. seconds: of CPU time.
    """
    about: dict[str, Any] = {
        "steps": steps,
        "pictures": steps * batch,
        "cpu_minutes": round(seconds / 60, 1),
        "machine": machine(device),
        "torch": torch.__version__,
        "licence": "Apache-2.0",
    }
    if graph:
        digest = hashlib.blake2b(graph.encode(), digest_size=16).hexdigest()
        about |= {"graph": title(graph), "graph_digest": digest, "graph_text": graph}
    return about


def machine(device: str) -> str:
    """The kind of machine: its processor's instructions and threads, or its GPU."""
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, {torch.version.cuda or torch.version.hip}"
    return (
        f"{platform.machine()} CPU, {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}, no GPU"
    )


def title(graph: str) -> str:
    """A graph's title, from the text of its file."""
    try:
        found = json.loads(graph)
    except ValueError:
        return ""
    return str(found.get("title", "")) if isinstance(found, dict) else ""
