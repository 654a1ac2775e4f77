"""Operators that the compiler and fake tensors see whole: torch on a CPU, the dispatcher on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nodeflow.kernels.dispatch import Operation, dispatcher
from nodeflow.kernels.layouts import route, wants_gradient


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


def called(
    operation: Operation, made: Any, plain: Callable[..., Any], arguments: tuple[Any, ...], *, backward: bool = False
) -> Any:
    """Carries an operation out the way that its arguments ask for, see `layouts.route`.

    Args:
        operation: what the dispatcher chooses among.
        made: its operator.
        plain: the torch form for a CPU, and for gradients that the operator does not have.
        arguments: judged, in the operator's order.
        backward: the operator has gradients.
    """
    first = arguments[0]
    if first.is_cpu:  # asked first, since on small tensors each microsecond of asking is seen
        return plain(*arguments)
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    way, gradient = route(*tensors), wants_gradient(*tensors)
    if way == "plain" or (way == "operator" and gradient and not backward):
        return plain(*arguments)
    if way == "operator" or (gradient and backward):
        return made(*arguments)
    return dispatcher().run(operation, *arguments)
