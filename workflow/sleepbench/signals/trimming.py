"""Which epochs of a night are kept: 30 minutes of wake around sleep, by one of two rules, or all that are scored."""

import numpy as np

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.stages import REM, W

WHOLE = "whole"
AROUND_SLEEP = ("standard", "authors")
TRIMMINGS = (*AROUND_SLEEP, WHOLE)
WAKE_MARGIN = 60
"""Epochs of wake kept on either side: 30 minutes."""


def select_trimming(stages: np.ndarray, trimming: str) -> np.ndarray:
    """Indices of the epochs of a night that are kept, ascending, int64.

    `stages` (n_epochs,) covers the signal, codes 0 to 6. No rule keeps a movement or unknown epoch; "whole" keeps all
    others. The other two keep 60 epochs of wake either side of sleep; they differ in what comes first:
    - "standard" (DeepSleepNet and its successors): remove movement and unknown, then count 60 epochs from the first
      and the last epoch of sleep in what remains;
    - "authors" (the program that ULW-SleepNet's authors released): count 60 epochs from the first and the last epoch
      that is not W, where movement and unknown are not W, then remove them. Where the signal outlasts the scoring this
      keeps long stretches of wake.
    BenchmarkError for another rule, and for a night without sleep.
    """
    check_trimming(trimming)
    is_stage = stages <= REM
    if not (is_stage & (stages != W)).any():
        raise BenchmarkError("no epoch is scored as sleep (N1, N2, N3 or REM), so there is none to keep")
    if trimming == WHOLE:
        return np.flatnonzero(is_stage)
    if trimming == "standard":
        scored = np.flatnonzero(is_stage)
        return scored[_around(stages[scored] != W)]
    kept = np.arange(len(stages))[_around(stages != W)]
    return kept[is_stage[kept]]


def check_trimming(trimming: str) -> None:
    """BenchmarkError, with the nearest name, when there is no such rule."""
    if trimming not in TRIMMINGS:
        raise BenchmarkError(f"the trimming is {trimming!r}; {nearest(trimming, TRIMMINGS)}")


def _around(wanted: np.ndarray) -> slice:
    """From 60 before the first to 60 after the last true element."""
    indices = np.flatnonzero(wanted)
    return slice(max(indices[0] - WAKE_MARGIN, 0), indices[-1] + WAKE_MARGIN + 1)
