"""What was made of a text, kept as long as it is the text of a run."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch

Text = TypeVar("Text")
Read = TypeVar("Read")
MOST = 4
"""Readings held at once: under guidance a network is given the wanted text, the other, and both as one batch."""


class Readings(Generic[Text, Read]):
    """A function of a text and of plain values, computed once as long as the very same object is given.

    Made for one run, and gone with it. Where autograd records nothing is kept: a gradient that went back through a
    reading leaves nothing for the next step to go back through.

    Args:
        read: of a text, and of what else it depends on, such as a device.
    """

    def __init__(self, read: Callable[..., Read]) -> None:
        self._read = read
        self._held: list[tuple[Text, tuple[Hashable, ...], Read]] = []

    def __call__(self, text: Text, *rest: Hashable) -> Read:
        """What was read of the text; of equal texts that are not the same object, each by itself."""
        if torch.is_grad_enabled():
            return self._read(text, *rest)
        for known, given, found in self._held:
            if known is text and given == rest:
                return found
        made = self._read(text, *rest)
        self._held = [*self._held[1 - MOST :], (text, rest, made)]
        return made
