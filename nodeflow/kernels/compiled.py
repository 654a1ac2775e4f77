"""What is compiled ahead of time to prove that a kernel can be built for a device that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Compiled:
    """One compilation of a kernel; each `triton.py` lists its own in `COMPILED`.

    name: unique within its file, such as "bf16 d80". fn: the jitted function. signature: the type of each parameter
    by name, in order: "*bf16", "i32", "i64", "fp32", or "constexpr". constexprs: the value of each "constexpr".
    num_warps, num_stages: how it is launched. targets: the devices that it is for.
    """

    name: str
    fn: Any
    signature: Mapping[str, str]
    constexprs: Mapping[str, object]
    num_warps: int = 4
    num_stages: int = 2
    targets: tuple[str, ...] = ("sm_80", "sm_90", "gfx942")
