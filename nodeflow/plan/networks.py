"""Networks laid out without weights: made fake on their device, and walked once for all calls that are alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nodeflow.plan.ledger import Ledger, Work, tensors_in
from nodeflow.plan.sketch import Sketch, Unforeseen

DEPTH = 3
"""How deep networks may lie within what a model builds: an object's field, a list in it, an object there."""
PLAIN = (int, float, bool, str, type(None), torch.dtype, torch.device)


def networks_in(loaded: Any, depth: int = DEPTH) -> Iterator[nn.Module]:
    """The outermost modules of what a model builds."""
    if isinstance(loaded, nn.Module):
        yield loaded
    elif depth and isinstance(loaded, (list, tuple, dict)):
        for item in loaded.values() if isinstance(loaded, dict) else loaded:
            yield from networks_in(item, depth - 1)
    elif depth and hasattr(loaded, "__dict__"):
        for item in vars(loaded).values():
            yield from networks_in(item, depth - 1)


def furnish(loaded: Any, sketch: Sketch, device: str) -> tuple[int, int, list[Tensor]]:
    """Makes a laid out model's tensors fake ones of a device: its parameters, its bytes, and the tensors."""
    parameters, made = 0, dict[int, Tensor]()
    for network in networks_in(loaded):
        for module in network.modules():
            for kept in (module._parameters, module._buffers):
                for name, value in kept.items():
                    if value is None:
                        continue
                    if id(value) not in made:
                        made[id(value)] = sketch.laid_out(value, device)
                        parameters += value.numel() if kept is module._parameters else 0
                    kept[name] = made[id(value)]  # type: ignore[assignment] # no Parameter, but read as one
    tensors = list(made.values())
    return parameters, sum(tensor.untyped_storage().nbytes() for tensor in tensors), tensors


@dataclass(frozen=True)
class _Call:
    """What a call of a network did: work, memory over what there was before, and the tensors that came out."""

    work: Work
    over: dict[str, int]
    form: Any


class Rehearsed:
    """A network's forward that is walked twice for each form of arguments, and then remembered.

    Twice, because the first call may fill caches of the network's own, which the later ones have. Its arguments' values
    are kept from it, so that no other value can lead it another way; one that asks for them is walked each time.
    """

    def __init__(self, network: nn.Module, ledger: Ledger, sketch: Sketch) -> None:
        self.forward, self.ledger, self.sketch = network.forward, ledger, sketch
        self.calls: dict[Any, int] = {}
        self.known: dict[Any, _Call] = {}
        self.plain = network.training

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # what a gradient shall go back through is walked each time: remembered answers lead nowhere
        back = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors_in((args, kwargs)))
        form = None if self.plain or back else _form((args, kwargs))
        if form is None:
            return self.forward(*args, **kwargs)
        known = self.known.get(form)
        if known is not None:
            return self._again(known, list(tensors_in((args, kwargs))))
        try:
            return self._walk(form, args, kwargs)
        except Unforeseen:
            self.plain = True
            return self.forward(*args, **kwargs)

    def _walk(self, form: Any, args: Any, kwargs: Any) -> Any:
        hidden = _mapped((args, kwargs), self._hidden)
        memory = self.ledger.memory
        before, live, peak, most = (
            self.ledger.work.copy(),
            dict(memory.live),
            dict(memory.peak),
            dict(memory.activations),
        )
        for device in live:
            memory.peak[device] = memory.live[device] + memory.models[device]
            memory.activations[device] = memory.live[device]
        try:
            out = self.forward(*hidden[0], **hidden[1])
            over = {device: memory.activations[device] - live.get(device, 0) for device in memory.activations}
        finally:
            for device, value in peak.items():
                memory.peak[device] = max(memory.peak.get(device, 0), value)
            for device, value in most.items():
                memory.activations[device] = max(memory.activations.get(device, 0), value)
        self.calls[form] = self.calls.get(form, 0) + 1
        shape = _form(out)
        if self.calls[form] >= 2 and shape is not None and not self._shares(out, hidden):
            self.known[form] = _Call(self.ledger.work.since(before), over, shape)
        return out

    def _hidden(self, tensor: Tensor) -> Tensor:
        if self.sketch.is_unknown(tensor):
            return tensor
        made = self.sketch.laid_out(tensor)
        for port in self.sketch.ports([tensor]):
            self.sketch.comes_from(made, port)
        self.ledger.memory.see(made, counts=False)  # the known one is counted
        return made

    def _shares(self, out: Any, given: Any) -> bool:
        """Whether a result's memory is an argument's, or several results' at once."""
        theirs = {tensor.untyped_storage()._cdata for tensor in tensors_in(given)}
        ours = [tensor.untyped_storage()._cdata for tensor in tensors_in(out)]
        return len({*ours, *theirs}) < len(ours) + len(theirs)

    def _again(self, known: _Call, given: list[Tensor]) -> Any:
        ledger, ports = self.ledger, self.sketch.ports(given)
        ledger.work.add(known.work)
        for device, more in known.over.items():
            ledger.memory.raised(device, more)

        def made(form: _Shape) -> Tensor:
            tensor = self.sketch.empty(form.shape, form.stride, form.dtype, form.device)
            ledger.memory.see(tensor)
            for port in ports:
                self.sketch.comes_from(tensor, port)
            return tensor

        return _filled(known.form, made)


@dataclass(frozen=True)
class _Shape:
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


def _form(value: Any) -> Any:
    """What can be told apart of arguments without their tensors' values; None if it cannot be told."""
    if isinstance(value, Tensor):
        return _Shape(tuple(value.shape), value.stride(), value.dtype, value.device)
    if isinstance(value, PLAIN):
        return (type(value), value)
    if _is_row(value):
        inner = [_form(item) for item in value]
        return None if None in inner else (type(value), *inner)
    if type(value) is dict:
        pairs = [(name, _form(item)) for name, item in value.items()]
        return None if any(form is None for _, form in pairs) else (dict, *pairs)
    return None


def _is_row(value: Any) -> bool:
    return type(value) in (tuple, list) or (isinstance(value, tuple) and hasattr(value, "_fields"))


def _row(kind: Any, items: list[Any]) -> Any:
    """A tuple, list or named tuple of these."""
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def _filled(form: Any, made: Any) -> Any:
    if isinstance(form, _Shape):
        return made(form)
    kind, *inner = form
    if issubclass(kind, tuple | list):
        return _row(kind, [_filled(item, made) for item in inner])
    if kind is dict:
        return {name: _filled(item, made) for name, item in inner}
    return inner[0]


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if _is_row(value):
        return _row(type(value), [_mapped(item, change) for item in value])
    return {name: _mapped(item, change) for name, item in value.items()} if type(value) is dict else value
