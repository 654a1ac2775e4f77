"""Candidates measured in interleaved rounds, so that a clock that drifts hurts all alike; the median counts."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Prepare = Callable[[Callable[[], Any]], Callable[[], float]]
ROUNDS = 7
SPAN = 5e-3
"""CPU seconds that a round should take: far above the clock's resolution of a microsecond."""


def on_cpu(run: Callable[[], Any]) -> Callable[[], float]:
    """Makes a run ready; each call of what it gives is one round: CPU seconds of this process for a run."""
    run()
    began = time.process_time()
    run()
    once = time.process_time() - began
    runs = max(1, min(1000, int(SPAN / max(once, 1e-7))))

    def one_round() -> float:
        begun = time.process_time()
        for _ in range(runs):
            run()
        return (time.process_time() - begun) / runs

    return one_round


def interleaved(
    prepare: Prepare, forms: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS
) -> tuple[dict[str, float], dict[str, str]]:
    """The median seconds of each form, and why others failed, by name."""
    ready: dict[str, Callable[[], float]] = {}
    failed: dict[str, str] = {}
    for name, form in forms.items():
        try:
            ready[name] = prepare(form)
        except Exception as error:  # a kernel that a library does not have for these is a line, not the end
            failed[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error) else ''}"
    times: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(rounds):
        for name, one in ready.items():
            times[name].append(one())
    return {name: statistics.median(taken) for name, taken in times.items()}, failed
