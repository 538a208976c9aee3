"""The stages of a simulated night: a chain whose transitions and shares are those of real nights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import MOVEMENT, N1, STAGES, UNKNOWN, W
from sleepbench.simulation.calibration import EPOCHS_PER_DAY, EPOCHS_PER_HOUR, WAKE_EPOCHS, excerpts, statistics
from sleepbench.simulation.randomness import Part, Randomness

MEAN_SLEEP_PERIOD = 930
"""Epochs from falling asleep to the last awakening in a full night, on average over recordings (7 h 45 min)."""

CANDIDATE_NIGHTS = 48
SHARE_DEVIATION = np.array([0.25, 0.2, 0.1, 0.35, 0.2])
"""Standard deviation between recordings of the log of each stage's share."""
SHARE_LEAN = np.array([0.05, 0, 0, 0.1, 0.05])
"""By how much the log of each stage's share leans from the table's to that of Sleep-EDF-20, whose people are young."""
TRANSITION_LEAN = 0.007
"""At most how far transition probabilities between stages of sleep lean from the table's to those of Sleep-EDF-20."""


@dataclass(frozen=True)
class NightStages:
    """The stages (n_epochs,) of one recording.

    true : a stage 0-4 for every epoch
    scored : as annotated, so that MOVEMENT and UNKNOWN occur too
    """

    true: np.ndarray
    scored: np.ndarray


def _fit_margins(table: np.ndarray, margins: Sequence[tuple[int, np.ndarray]], iterations: int = 200) -> np.ndarray:
    """Iterative proportional fitting: scale `table` until its sum over each axis is the margin wanted."""
    for _ in range(iterations):
        for axis, margin in margins:
            total = table.sum(axis=axis, keepdims=True)
            table = table * np.divide(np.expand_dims(margin, axis), total, out=np.zeros_like(total), where=total > 0)
    return table


def _transitions() -> np.ndarray:
    """Transition probabilities (5, 5) near the table's: from and to wake they are its own."""
    table = np.array(statistics()["hypnogram"]["transition_probability_30s"])
    twenty = np.array(excerpts()["transition_probability_30s"])
    asleep = table + np.clip(twenty - table, -TRANSITION_LEAN, TRANSITION_LEAN)
    asleep = np.clip(asleep[N1:, N1:], 1e-5, None)
    leant = table.copy()
    leant[N1:, N1:] = asleep / asleep.sum(axis=1, keepdims=True) * (1 - table[N1:, :N1])
    return leant / leant.sum(axis=1, keepdims=True)


@cache
def _sleep_periodstatistics() -> tuple[np.ndarray, np.ndarray]:
    """Stage shares (5,) in the sleep period and transition probabilities (10, 5, 5) in each decile of it.

    The smallest change to the table's pooled transitions (in the log-linear sense) under which the shares of the stages
    follow the table's deciles, while transitions pooled over the night and the 30 min of wake either side of it stay
    those of the table.
    """
    hypnogram = statistics()["hypnogram"]
    pooled = _transitions()
    eigenvalues, vectors = np.linalg.eig(pooled.T)
    share = np.real(vectors[:, np.argmax(eigenvalues.real)])
    share /= share.sum()
    counts = (MEAN_SLEEP_PERIOD + 2 * WAKE_EPOCHS) * share[:, None] * pooled
    # Outside the sleep period: the wake either side, falling asleep and waking up.
    counts[W, W] -= 2 * WAKE_EPOCHS
    counts[W, N1:] *= 1 - 1 / counts[W, N1:].sum()
    counts[N1:, W] *= 1 - 1 / counts[N1:, W].sum()
    counts /= counts.sum()
    share_asleep = counts.sum(axis=0)

    by_decile = np.array(hypnogram["stage_share_by_decile_of_sleep_period"])
    by_decile = _fit_margins(by_decile, [(0, share_asleep), (1, np.full(10, 0.1))])
    joint = np.broadcast_to(counts / 10, (10, *counts.shape))
    joint = _fit_margins(joint, [(2, by_decile), (1, by_decile), (0, counts)])
    return share_asleep, joint / joint.sum(axis=2, keepdims=True)


def _sleep_period_epochs(psg_epochs: int, random: np.random.Generator) -> int:
    """Length of the sleep period in epochs: 7 to 8.5 h, less in a short recording.

    A recording of `m` minutes has a sleep period of at most m - 75 min, so that more than 35 min of wake remain either
    side; but of 80 min, or two thirds of the recording if that is less, even so: five stages need time.
    """
    full = random.integers(840, 1021)
    shortest = min(160, round(2 / 3 * psg_epochs))
    return int(min(full, max(shortest, psg_epochs - 150)))


def _sleep_period(epochs: int, log_share_deviation: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Stages (epochs,) of a sleep period, which begins with N1 and ends asleep.

    Of several nights drawn from the chain the one is kept whose stage shares are nearest (in Hellinger distance) to the
    recording's own. That makes nights of a subject alike, and keeps all five stages in a short night: its deciles are
    shorter, but its transition probabilities, and with them its bouts, are those of a full night.
    """
    share, transitions = _sleep_periodstatistics()
    thresholds = transitions.cumsum(axis=2)[:, :, :-1]
    uniform = random.random((epochs, CANDIDATE_NIGHTS, 1))
    nights = np.empty((epochs, CANDIDATE_NIGHTS), dtype=np.int8)
    nights[0] = N1
    for epoch in range(1, epochs):
        decile = 10 * epoch // epochs
        nights[epoch] = (uniform[epoch] > thresholds[decile, nights[epoch - 1]]).sum(axis=1)

    wanted = share * np.exp(SHARE_LEAN + log_share_deviation)
    shares = (nights[:, :, None] == np.arange(len(STAGES))).mean(axis=0)
    distance = ((np.sqrt(shares) - np.sqrt(wanted / wanted.sum())) ** 2).sum(axis=1)
    distance[nights[-1] == W] += 1
    return nights[:, np.argmin(distance)]


def _bout_interior(stages: np.ndarray, length: int) -> np.ndarray:
    """Indices of the first epoch of each run of `length` epochs in the interior of a bout.

    The run and the epoch on either side of it all have the same stage.
    """
    stretches = np.lib.stride_tricks.sliding_window_view(stages, length + 2)
    return np.flatnonzero((stretches == stretches[:, :1]).all(axis=1)) + 1


def simulate_stages(randomness: Randomness, psg_epochs: int) -> NightStages:
    """Stages of a recording of `psg_epochs` epochs: wake, a sleep period, wake.

    A few epochs of the sleep period are scored as movement time, and in some nights two are left unscored.
    """
    random = randomness.stream(Part.STAGES)
    sleep_epochs = _sleep_period_epochs(psg_epochs, random)
    onset = round((psg_epochs - sleep_epochs) * random.uniform(0.48, 0.52))
    deviation = SHARE_DEVIATION * randomness.partly_shared(Part.STAGES, len(STAGES))
    period = _sleep_period(sleep_epochs, deviation, random)
    true = np.full(psg_epochs, W, dtype=np.int8)
    true[onset : onset + sleep_epochs] = period

    scored = true.copy()
    asleep = scored[onset : onset + sleep_epochs]
    # Within bouts, so that leaving these epochs out, as the standard trimming does, changes no transition.
    interior = _bout_interior(period, 1)
    n_movements = min(random.poisson(3), len(interior))
    asleep[random.choice(interior, n_movements, replace=False)] = MOVEMENT
    if random.random() < 0.15 and len(interior := _bout_interior(period, 2)):
        asleep[random.choice(interior) + np.arange(2)] = UNKNOWN
    return NightStages(true, scored)


def simulated_stages(subject: int, night: int, psg_hours: float, seed: int) -> np.ndarray:
    """Scored stages (n_epochs,) int8 of a simulated night, without simulating its signals.

    Codes are those of `core.stages`, MOVEMENT and UNKNOWN among them; the unscored tail after the PSG is not.
    """
    return simulate_stages(Randomness(seed, subject, night), epochs_in(psg_hours)).scored


def epochs_in(psg_hours: float) -> int:
    """Whole epochs of a PSG; BenchmarkError for a length that no night here has."""
    epochs = round(psg_hours * EPOCHS_PER_HOUR)
    if not EPOCHS_PER_HOUR // 2 <= epochs <= EPOCHS_PER_DAY:
        raise BenchmarkError(f"psg_hours: {psg_hours}: expected at least 0.5 h, and at most the hypnogram's 24 h")
    return epochs
