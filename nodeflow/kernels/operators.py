"""Operators that the compiler and fake tensors see whole: torch on a CPU, the dispatcher on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from nodeflow.kernels.dispatch import Operation, dispatcher


def operator(schema: str, plain: Callable[..., Any], fake: Callable[..., Any], operation: Operation) -> Any:
    """Registers `nodeflow::<name of the operation>`.

    Args:
        schema: of its arguments and results, all positional: "(Tensor x) -> Tensor".
        plain: the torch form; what it gives aliases no argument.
        fake: empty results with the shapes, types and strides that all forms give.
        operation: what it dispatches to on a GPU.
    """
    name = f"nodeflow::{operation.name}"
    made = torch.library.custom_op(name, plain, mutates_args=(), device_types="cpu", schema=schema)

    def dispatched(*arguments: Any) -> Any:
        return dispatcher().run(operation, *arguments)

    made.register_kernel("cuda", dispatched)
    made.register_fake(fake)
    return made
