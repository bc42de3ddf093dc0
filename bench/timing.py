"""Times functions in turn, so that what disturbs the machine disturbs all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

SECONDS = 4.0
FEWEST = 5


class Times(NamedTuple):
    """Milliseconds of a call: the median of all rounds, and their quartiles."""

    median: float
    low: float
    high: float


def times(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 21,
    warm_up: int = 2,
    steps: int = 1,
) -> dict[str, Times]:
    """How long each of the `steps` of a call takes; one round calls each of them once.

    There are fewer rounds where they are slow, so that all together last a few seconds.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + SECONDS
    for number in range(rounds):
        if number >= FEWEST and time.perf_counter() > end:
            break
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(1e3 * (time.perf_counter() - start) / steps)
    return {name: _quartiles(values) for name, values in taken.items()}


def _quartiles(values: list[float]) -> Times:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Times(median, low, high)
