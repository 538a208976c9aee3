"""The random numbers of simulated nights, by (seed, subject, night).

Also what is drawn without simulating a signal: a subject's age and sex, and the scorer.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

SCORERS = "CHJPUVMAEG"


class Part(IntEnum):
    """Random streams, one for each part of a recording.

    Drawing more numbers for one part leaves the other parts unchanged.
    """

    SUBJECT, STAGES, POWERS, SIGNALS, SLOW, HEADER, MOMENTS, TILTS, BURSTS, MAINS, DRIFT, SPINDLES = range(12)


def generator(seed: int, *key: int) -> np.random.Generator:
    """An independent stream of random numbers for each key; its numbers do not depend on other streams."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


@dataclass(frozen=True)
class Randomness:
    """The random streams of one recording."""

    seed: int
    subject: int
    night: int

    def stream(self, part: int) -> np.random.Generator:
        """A stream of this recording alone."""
        return generator(self.seed, part, self.subject, self.night)

    def partly_shared(self, part: int, size: int | tuple[int, ...], shared: float = 0.6) -> np.ndarray:
        """Standard normal deviates whose correlation between a subject's two nights is `shared`.

        Subjects come in pairs, 0 and 1, 2 and 3, whose deviates are each other's opposite: so a small cohort's mean is
        near that of many.
        """
        first, sign = self.subject // 2 * 2, 1 - 2 * (self.subject % 2)
        subject = generator(self.seed, Part.SUBJECT, first, part).standard_normal(size)
        night = generator(self.seed, Part.SUBJECT, first, part, self.night).standard_normal(size)
        return sign * (np.sqrt(shared) * subject + np.sqrt(1 - shared) * night)


def person(seed: int, subject: int) -> tuple[int, str]:
    """Age in years and sex, "F" or "M", of a simulated subject."""
    random = generator(seed, Part.SUBJECT, subject)
    return int(random.integers(25, 102)), str(random.choice(["F", "M"]))


def scorer(random: np.random.Generator) -> str:
    """The letter of who scored a night; the first thing that is drawn from its stream of the header."""
    return SCORERS[random.integers(len(SCORERS))]
