"""Opening checkpoints of full size, from their headers alone; and loading weights, each copied once.

    PYTHONPATH=.:plugins python benchmarks/opening.py [--budget 300] [--out benchmarks/results]

Each opening is a process of its own that has imported what it needs, beside a file of the true size whose weights are a
hole: CPU seconds of the first opening and of a second one, and what was read. Loading: a random U-Net; what the process
takes at most beyond what it has before and beyond the model, in largest tensors. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from report import RESULTS, ROOT, Report, goal, machine

FAMILIES = {
    "sdxl": "Stable Diffusion XL, 6.9 GB", "sdxl_refiner": "XL's refiner, 6.1 GB",
    "sd1": "Stable Diffusion 1.5, 2.1 GB", "sd2": "Stable Diffusion 2.1, 2.6 GB",
}  # fmt: skip
PARTS = {"vae": "an autoencoder alone", "clip": "CLIP ViT-bigG alone", "t5": "T5-XXL's encoder, 9.5 GB"}
MOST_MS, MOST_MB = 50.0, 1.0
OPENING, LOADING = "Opening", "Loading"
OF_GOAL, OF_MEMORY = f"of {MOST_MS:g} ms", "of the memory at its highest, the weights"
ROUNDS = 7


def write(folder: Path) -> None:
    """All files that are opened."""
    import made

    for family in FAMILIES:
        made.hollow(folder / f"{family}.safetensors", made.single_file(family))
    made.hollow(folder / "vae.safetensors", made.autoencoder())
    made.hollow(folder / "clip.safetensors", made.clip(made.CLIPS["CLIP ViT-bigG"], "text_model."))
    made.hollow(folder / "t5.safetensors", made.t5())
    made.vocabularies(folder / "tokenizer")


def opener(name: str) -> Callable[[], object]:
    """What opens it; all modules that this needs are imported."""
    import platformdirs  # noqa: F401 # what finds model folders imports it when it is asked
    from nodeflow_codebooks.vae_nodes import load_vae
    from nodeflow_diffusion.checkpoint_nodes import load_checkpoint
    from nodeflow_text.published_nodes import load_clip, load_t5

    if name == "vae":
        return lambda: load_vae(name, "sdxl")
    if name in ("clip", "t5"):
        return lambda: (load_clip if name == "clip" else load_t5)(name, "tokenizer")
    return lambda: load_checkpoint(name, "tokenizer", "v" if name == "sd2" else "auto")


def opened(name: str) -> dict[str, float]:
    """In this process: seconds of the first and of the second opening, and bytes that the first read."""
    run = opener(name)
    before = _read()
    began = time.process_time()
    run()
    first, read = time.process_time() - began, _read() - before
    began = time.process_time()
    run()
    return {"first": first, "again": time.process_time() - began, "read": read}


def loaded(name: str) -> dict[str, float]:
    """In this process: seconds of loading a U-Net, and what it takes at most beyond its weights, in largest tensors."""
    import torch
    from nodeflow_diffusion.checkpoint_nodes import load_unet

    torch.set_num_threads(1)
    model = load_unet(name, "eps").network  # type: ignore[attr-defined]
    torch.empty(1)
    peak, before, done = [0], _anonymous(), threading.Event()

    def watch() -> None:
        while not done.wait(2e-4):
            peak[0] = max(peak[0], _anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    module = model.build("cpu")
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    sizes = [value.nbytes for value in module.parameters()]
    return {
        "load": seconds, "model": sum(sizes), "largest": max(sizes), "peak": max(peak[0], _anonymous()) - before,
    }  # fmt: skip


def _read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def _anonymous() -> int:
    """Bytes of this process that are no file's: mapped weights may go whenever somebody else needs the room."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def child(what: str, name: str, folder: Path) -> dict[str, float]:
    """The same in a process of its own."""
    paths = os.pathsep.join(str(path) for path in (ROOT, ROOT / "plugins", ROOT / "benchmarks"))
    environment = os.environ | {
        "NODEFLOW_MODELS": str(folder),
        "PYTHONPATH": paths + os.pathsep + os.environ.get("PYTHONPATH", ""),
    }
    command = [sys.executable, str(Path(__file__).resolve()), "--child", what, name]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def openings(report: Report, folder: Path) -> None:
    """A row for each model."""
    report.group(OPENING, "CPU seconds beyond imports, the first time in a process and again.", OF_GOAL)
    write(folder)
    for name, told in (FAMILIES | PARTS).items():
        if not report.room(OPENING, told, 25):
            continue
        found = [child("opened", name, folder) for _ in range(ROUNDS if name == "sdxl" else 3)]
        seconds = {kind: statistics.median(one[kind] for one in found) for kind in ("first", "again")}
        read = max(one["read"] for one in found) / 1e6
        goals = [
            goal("first, ms of CPU", 1e3 * seconds["first"], "<=", MOST_MS),
            goal("MB read", read, "<=", MOST_MB),
        ]
        shares = {kind: 1e3 * one / MOST_MS for kind, one in seconds.items()}
        report.add({"group": OPENING, "row": told, "seconds": seconds, "shares": shares, "goals": goals})


def loadings(report: Report, folder: Path) -> None:
    """A U-Net of 215 million weights, from half and from single precision."""
    import made
    import torch
    from nodeflow_diffusion.latent_unet import LatentUNetConfig

    report.group(LOADING, "To the CPU, in float32, its file in memory already.", OF_MEMORY)
    config = LatentUNetConfig(widths=(160, 320, 640, 640), context_width=768)
    for kind in (torch.float16, torch.float32):
        name = str(kind).removeprefix("torch.")
        told = f"a U-Net of half the width of 1.5's, from {name}"
        if not report.room(LOADING, told, 30):
            continue
        made.diffusers_unet(folder / name, config, kind)
        found = [child("loaded", name, folder) for _ in range(3)]
        beyond = statistics.median((one["peak"] - one["model"]) / one["largest"] for one in found)
        report.add(
            {
                "group": LOADING,
                "row": told,
                "seconds": {"load": statistics.median(one["load"] for one in found)},
                "shares": {"load": found[0]["model"] / (found[0]["model"] + beyond * found[0]["largest"])},
                "goals": [goal("peak beyond the model, in largest tensors", beyond, "<=", 1.0)],
                "note": f"the model takes {found[0]['model'] / 1e6:.0f} MB, its largest tensor "
                f"{found[0]['largest'] / 1e6:.1f} MB",
            }
        )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=300.0, help="seconds; what no longer fits is skipped and named")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON, the table and the picture")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.child:
        what, name = given.child
        print(json.dumps({"opened": opened, "loaded": loaded}[what](name)))
        return
    report = Report(given.out / "opening.json", "Opening and loading checkpoints", given.budget, machine())
    with tempfile.TemporaryDirectory() as folder:
        openings(report, Path(folder))
        loadings(report, Path(folder))
    report.finish()


if __name__ == "__main__":
    main()
