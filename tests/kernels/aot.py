"""Compiles kernels for devices that are not there, and reads the figures off the machine code.

`python tests/kernels/aot.py` writes the golden file anew for the triton that is installed: what CI compiles first,
then the rest, a line each, so that it may be interrupted; `--missing` goes on from there. `--show` only prints.
"""

import argparse
import importlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # unset it is a warning in 3.9 and another default in 3.10
GOLDEN = Path(__file__).with_name("aot_golden.json")
OPERATIONS = sorted(
    path.parent.name for path in (Path(__file__).parents[2] / "nodeflow" / "kernels").glob("*/triton.py")
)
LIMITS = {"sm_80": 166_912, "sm_90": 232_448, "gfx942": 65_536}
"""Bytes of shared memory that one program may have."""
QUICK = {
    "attention": (
        "forward bf16 d40 128x64 w4 s3: sm_90",
        "forward bf16 d64 128x64 w4 s3: sm_90",
        "forward bf16 d80 128x64 w8 s3: sm_90",
        "forward bf16 d160 128x64 w8 s2: sm_90",
        "delta bf16 d64 64x64 w4 s2: sm_90",
        "backward_keys bf16 d64 64x64 w4 s2: sm_90",
        "backward_queries bf16 d64 64x64 w4 s2: sm_90",
        "forward bf16 d64 128x64 w8 s3: sm_80",
        "forward bf16 d64 128x64 w4 s2: gfx942",
    ),
    "rms_norm": ("bf16 2x1024: sm_80", "bf16 2x1024: sm_90", "bf16 2x1024: gfx942"),
    "vq_nearest": ("64x64 tf32x3: sm_90",),
}
"""What CI compiles, up to four seconds each; of the operations not named here, bf16 on sm_90."""
Figures = dict[str, int | bool]


class Case(NamedTuple):
    """One kernel for one device."""

    operation: str
    entry: str
    target: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.entry}: {self.target}"


def entries(operation: str) -> dict[str, Any]:
    """What a kernel file lists to be compiled, by name."""
    return {entry.name: entry for entry in importlib.import_module(f"nodeflow.kernels.{operation}.triton").COMPILED}


def cases() -> Iterator[Case]:
    """Every entry of every operation for every device."""
    for operation in OPERATIONS:
        for name, entry in entries(operation).items():
            yield from (Case(operation, name, target) for target in entry.targets)


def quick(case: Case) -> bool:
    """Whether CI compiles it; the others are `slow`."""
    if case.operation in QUICK:
        return f"{case.entry}: {case.target}" in QUICK[case.operation]
    return case.target == "sm_90" and "bf16" in case.entry


def figures(case: Case) -> Figures:
    """Compiles, and measures what came out; whatever goes wrong is the compiler's exception."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    entry = entries(case.operation)[case.entry]
    names = list(entry.signature)
    source = ASTSource(
        fn=entry.fn,
        signature=dict(entry.signature),
        constexprs={(names.index(name),): value for name, value in entry.constexprs.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i, kind in enumerate(entry.signature.values()) if kind[0] == "*"},
    )
    amd = case.target.startswith("gfx")
    target = GPUTarget("hip", case.target, 64) if amd else GPUTarget("cuda", int(case.target[3:]), 32)
    options = {"num_warps": entry.num_warps, "num_stages": entry.num_stages}
    compiled = triton.compile(source, target=target, options=options)
    shared = {"shared": int(compiled.metadata.shared)}
    return shared | (_of_amd(compiled.asm["amdgcn"]) if amd else _of_nvidia(compiled.asm["cubin"]))


def _of_amd(assembly: str) -> Figures:
    def number(name: str) -> int:
        found = re.search(rf"\.{name}:\s+(\d+)", assembly)
        assert found, f"no {name} in the metadata"
        return int(found[1])

    return {"registers": number("vgpr_count"), "spills": number("vgpr_spill_count"), "mfma": "v_mfma" in assembly}


def _of_nvidia(cubin: bytes) -> Figures:
    import triton

    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        usage = _run(tools / "cuobjdump", "-res-usage", file)
        code = _run(tools / "nvdisasm", "-c", file)
    registers = re.search(r"REG:(\d+)", usage)
    assert registers, "cuobjdump tells no registers"
    return {
        "registers": int(registers[1]),
        "spills": len(re.findall(r"\b(?:LDL|STL)\b", code)),
        "hgmma": "HGMMA" in code,
    }


def _run(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def trouble(case: Case, found: Figures) -> list[str]:
    """What no golden file may excuse: spills, too much shared memory, attention past Hopper's matrix units."""
    faults = []
    if found["spills"]:
        faults.append(f"{found['spills']} spills")
    if found["shared"] > LIMITS[case.target]:
        faults.append(f"{found['shared']} bytes of shared memory, {LIMITS[case.target]} are there")
    matrix = case.operation == "attention" and "bf16" in case.entry and not case.entry.startswith("delta")
    if matrix and case.target == "sm_90" and not found["hgmma"]:
        faults.append("no HGMMA")
    return faults


def main() -> None:
    """Writes or shows."""
    import triton

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--missing", action="store_true", help="only cases that are not on record")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    asked = parser.parse_args()
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    key, listed = ".".join(triton.__version__.split(".")[:2]), sorted(cases(), key=quick, reverse=True)
    names = {str(case) for case in listed}
    own = golden[key] = {name: known for name, known in golden.get(key, {}).items() if name in names}
    for case in listed:
        if asked.only in str(case) and not (asked.missing and str(case) in own):
            own[str(case)] = figures(case)
            print(case, own[str(case)], *trouble(case, own[str(case)]), flush=True)
            if not asked.show:
                GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
