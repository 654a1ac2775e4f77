"""Models brought to a device before their node asks: a thread that follows the plan while the present node computes."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from nodeflow.devices import gone
from nodeflow.errors import Cancelled, let_go
from nodeflow.residency import Residency, computing
from nodeflow.values import Model


class Loader:
    """Builds the models of coming steps in their order, each as soon as `Residency.ahead` says that it is its turn.

    What goes wrong is not told here: the model is left alone for the rest of the run, and its node, which asks for it
    again, meets the error itself. One run's loader; `stop` ends its thread.

    Args:
        residency: which takes the models in.
        device: where they go.
    """

    def __init__(self, residency: Residency, device: str) -> None:
        self._residency, self._device = residency, device
        self._plan: tuple[Model, ...] = ()
        self._refused: set[Model] = set()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, models: Iterable[Model]) -> None:
        """Says which models the coming steps need, the next one first; what is in work goes on."""
        self._plan = tuple(dict.fromkeys(models))
        if self._thread is None and self._plan:
            self._thread = threading.Thread(target=self._work, name="nodeflow-loader", daemon=True)
            self._thread.start()
        else:
            self._residency.wake()

    def stop(self) -> None:
        """Gives up what is in work, at its next operation, and waits until the thread is gone."""
        self._stopped.set()
        self._residency.wake()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Builds what can be built now, in the plan's order: a later model never takes the room of a sooner one."""
        done: set[Model] = set()
        while (model := next((model for model in self._plan if model not in done), None)) is not None:
            done.add(model)
            if self._stopped.is_set():
                return
            if model not in self._refused and not self._brought(model):
                return

    def _brought(self, model: Model) -> bool:
        try:
            with computing(), self._residency.backend.computing_on(self._device):
                return self._residency.ahead(model, self._device, self._stopped.is_set)
        except Cancelled:
            return False
        except BaseException as error:  # a plugin's `build`, like its nodes, may raise anything
            self._refused.add(model)
            let_go(error)
            if gone(error):
                self._stopped.set()
            return True

    def _work(self) -> None:
        seen = -1
        while not self._stopped.is_set():
            seen = self._residency.changed(seen, self._stopped.is_set)
            self.look()
