"""Whether a measurement had the machine for itself."""

import time
from collections.abc import Iterable

import numpy as np
import psutil

MOST_OTHERS = 0.2
"""Cores that other processes may use; a machine at rest has some hundredths."""
MOST_SPREAD = 0.25
"""Interquartile range of a repeated pass, in parts of its median; at rest some hundredths."""
MOST_WAITING = 0.1
"""Time that passes wait for a core, in parts of the CPU time that they take."""
NOT_WORK = ("idle", "iowait", "guest", "guest_nice")
"""Of the kernel's times of its processors; guests' is part of users'. What a host takes away is the work of others."""


class Watch:
    """Counts what other processes do from here on."""

    def __init__(self) -> None:
        self._start, self._busy, self._own = time.perf_counter(), _busy(), time.process_time()

    def others(self) -> float:
        """Cores that other processes used on average; 0 is a machine at rest."""
        own = time.process_time() - self._own
        seconds = time.perf_counter() - self._start
        return max(0.0, (_busy() - self._busy - own) / seconds) if seconds else 0.0


def _busy() -> float:
    """CPU seconds that were worked since the machine started."""
    return sum(value for name, value in psutil.cpu_times()._asdict().items() if name not in NOT_WORK)


def disturbances(others: float, passes: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> list[str]:
    """What speaks against a measurement, in words; nothing for one that had the machine for itself.

    Parameters
    ----------
    others : cores that other processes used meanwhile
    passes : of each thing that was timed its name, and the clock's and the CPU's time of each pass
    """
    found = [f"other processes used {others:.2f} cores"] if others > MOST_OTHERS else []
    spreads, waits = [], []
    for name, clock, cpu in passes:
        lower, median, upper = np.percentile(clock, [25, 50, 75])
        spreads.append(((upper - lower) / median, name))
        waits.append((clock.sum() / max(cpu.sum(), 1e-9) - 1, name))
    widest, name = max(spreads)
    if widest > MOST_SPREAD:
        found.append(f"the middle half of the passes of {name} spreads over {widest:.0%} of their median")
    longest, name = max(waits)
    if longest > MOST_WAITING:
        found.append(f"{name} waited for a core for {longest:.0%} of the CPU time that it took")
    return found
