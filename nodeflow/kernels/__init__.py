"""Operations that are fused where that is faster; each is plain torch on a CPU.

Beside each fused form stands the same mathematics in plain torch, `naive.py`: the specification. On a GPU the first
call with a shape measures what there is, takes the fastest, and remembers it; `explain` tells why.
`NODEFLOW_KERNELS=torch|triton|auto` leaves less to choose from.
"""

from collections.abc import Callable
from typing import Any

from nodeflow.choices import Choice, Rival
from nodeflow.kernels import attention as _attention
from nodeflow.kernels import dispatch
from nodeflow.kernels import geglu as _geglu
from nodeflow.kernels import group_norm_act as _group_norm_act
from nodeflow.kernels import guided_step as _guided_step
from nodeflow.kernels import layer_norm_modulate as _layer_norm_modulate
from nodeflow.kernels import rms_norm as _rms_norm
from nodeflow.kernels import vq_nearest as _vq_nearest
from nodeflow.kernels.dispatch import Operation

OPERATIONS: dict[str, Operation] = {
    home.OPERATION.name: home.OPERATION
    for home in (_attention, _geglu, _group_norm_act, _guided_step, _layer_norm_modulate, _rms_norm, _vq_nearest)
}

attention = _attention.attention
geglu = _geglu.geglu
group_norm_act = _group_norm_act.group_norm_act
guided_step = _guided_step.guided_step
layer_norm_modulate = _layer_norm_modulate.layer_norm_modulate
rms_norm = _rms_norm.rms_norm
vq_nearest = _vq_nearest.vq_nearest


def explain(op: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Choice:
    """What a call of an operation runs, and why: implementation, configuration, figures, rivals.

    On a GPU it measures where the call would.

    Args:
        op: the operation or its name.
        *args: what it would be called with.
        **kwargs: likewise.

    Raises:
        ValueError, TypeError: there is no such operation, or it would refuse these arguments.
    """
    name = op if isinstance(op, str) else getattr(op, "__name__", repr(op))
    if name not in OPERATIONS:
        raise ValueError(f"there is no operation {name!r}; there are {', '.join(sorted(OPERATIONS))}")
    return dispatch.explain(OPERATIONS[name], *args, **kwargs)


__all__ = [
    "Choice",
    "Rival",
    "attention",
    "explain",
    "geglu",
    "group_norm_act",
    "guided_step",
    "layer_norm_modulate",
    "rms_norm",
    "vq_nearest",
]
