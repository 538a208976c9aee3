"""How far people agree on sleep stages: five scorers of the same nights, against each other, by named conventions.

The nights are those of the Dreem Open Datasets, whose scorings are workflow/resources/human_scorings. A network is
nowhere in this: the numbers say what one scorer reaches against others, on another database than the benchmark's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.evaluation import metrics
from sleepbench.signals.stage_runs import NOT_SCORED, from_runs

SOURCE = "github.com/Dreem-Organization/dreem-learning-evaluation at 1e4c142d84634b60898845243b01b81d7eb4acec"
"""Where the scorings are from; MIT. The paper on them is doi:10.1109/TNSRE.2020.3011181."""
DATABASES = {"dodh": "DOD-H", "dodo": "DOD-O"}
SLEEPERS = {"DOD-H": "healthy sleepers", "DOD-O": "people with sleep apnoea"}
COLUMNS = ("database", "night", "scorer", "first", "end", "sha256", "stages")

BY_NIGHT = "consensus, by night"
POOLED = "majority, pooled"
PAIRS = "pairs, pooled"
CONVENTIONS = {
    BY_NIGHT: (
        "each scorer against the consensus of the other four, mean and standard deviation over nights and scorers; the "
        "consensus is the stage that most of them give, in a tie that of the one who agrees best with all others on "
        "that night; an epoch weighs as the share of the four behind its consensus, one that the scorer left out is a "
        "disagreement, and the F1 of a stage that neither has is 0"
    ),
    POOLED: (
        "each scorer against the majority of the other four, pooled over epochs, nights and scorers: all epochs weigh "
        "the same, a tie counts in equal parts for each of its stages, and what the scorer left out is left out"
    ),
    PAIRS: "each scorer against each other one, pooled over the epochs that both scored",
}
"""What an agreement between five people can mean, by name."""


@dataclass(frozen=True)
class ScoredNight:
    """A night as several people scored it: `stages` is int8 (n_scorers, n_epochs), codes 0..4 or NOT_SCORED."""

    database: str
    night: str
    stages: np.ndarray


# ------------------------------------------------------------------------------------------------------------ the file

RESTORE = "restore it (git checkout), or make it again with tools/human_scorings.py"


def read_scorings(path: str | Path) -> list[ScoredNight]:
    """The nights of a file of scorings, each from its epoch `first` to before its epoch `end`.

    BenchmarkError, which names the file and the night, where a row is damaged, where a night has other scorers than the
    first one, or where its scorers differ in length or cut.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False).fillna("")
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: cannot be read as CSV ({error}); {RESTORE}") from error
    if missing := [name for name in COLUMNS if name not in table]:
        raise BenchmarkError(f"{path}: the column {', '.join(missing)} is missing; {RESTORE}")
    if table.empty:
        raise BenchmarkError(f"{path}: holds no scoring; {RESTORE}")
    nights, scorers = [], None
    for (database, night), rows in table.groupby(["database", "night"], sort=False):
        where = f"{path}, night {night} of {database}"
        scorers = scorers or rows.scorer.tolist()
        if rows.scorer.tolist() != scorers:
            raise BenchmarkError(f"{where}: scorers {', '.join(rows.scorer)}, expected {', '.join(scorers)}; {RESTORE}")
        try:
            scored = [from_runs(text) for text in rows.stages]
            cuts = {(int(first), int(end)) for first, end in zip(rows["first"], rows["end"], strict=True)}
        except ValueError as error:
            raise BenchmarkError(f"{where}: {error}; {RESTORE}") from error
        lengths, (first, end) = {len(one) for one in scored}, min(cuts)
        if len(lengths) > 1 or len(cuts) > 1 or not 0 <= first < end <= min(lengths):
            raise BenchmarkError(
                f"{where}: {sorted(lengths)} epochs, of which {sorted(cuts)} are kept, expected one length and one "
                f"stretch within it; {RESTORE}"
            )
        nights.append(ScoredNight(database, night, np.stack(scored)[:, first:end]))
    return nights


# ----------------------------------------------------------------------------------------------------- the conventions


def agreement(nights: Sequence[ScoredNight], conventions: Iterable[str] = tuple(CONVENTIONS)) -> pd.DataFrame:
    """One row per database and convention.

    Returns
    -------
    database, convention, n_nights, n_epochs of these nights, and in percent but for kappa: accuracy, `accuracy_sd` over
    nights and scorers (by night only), macro_f1 (not by night), cohen_kappa and the F1 of each stage
    """
    rows = []
    for database in dict.fromkeys(night.database for night in nights):
        mine = [night.stages for night in nights if night.database == database]
        size = {"n_nights": len(mine), "n_epochs": sum(stages.shape[1] for stages in mine)}
        rows += [{"database": database, "convention": name, **size, **COMPUTED[name](mine)} for name in conventions]
    return pd.DataFrame(rows)


def soft_agreement(stages: np.ndarray) -> np.ndarray:
    """How well each scorer of a night agrees with the others, in 0..1.

    `stages` is (n_scorers, n_epochs). An epoch counts as the votes of the others for the scorer's stage, divided by
    those for the stage that most of them give; not having scored it is a stage among the others.
    """
    found = []
    for scorer, own in enumerate(stages):
        votes = _votes(np.delete(stages, scorer, axis=0), NOT_SCORED)
        found.append((votes[own - NOT_SCORED, np.arange(own.size)] / votes.max(axis=0)).mean())
    return np.array(found)


def consensus(ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stage that most scorers give to each epoch, and the share of them that do.

    `ranked` is (n_scorers, n_epochs), the scorer first whose stage decides a tie. A stage may be NOT_SCORED.
    """
    votes = _votes(ranked, NOT_SCORED)
    most = votes.max(axis=0)
    stage = np.where((votes == most).sum(axis=0) > 1, ranked[0], votes.argmax(axis=0) + NOT_SCORED)
    return stage, votes[stage - NOT_SCORED, np.arange(stage.size)] / len(ranked)


def by_night(nights: Sequence[np.ndarray]) -> dict[str, float]:
    """The convention BY_NIGHT, as the program of the Dreem Open Datasets computes it; nights (n_scorers, n_epochs)."""
    found = []
    for stages in nights:
        ranking = np.argsort(-soft_agreement(stages), kind="stable")
        for scorer, own in enumerate(stages):
            stage, share = consensus(stages[ranking[ranking != scorer]])
            known = stage != NOT_SCORED
            found.append(_counts(stage[known], own[known], share[known], NOT_SCORED))
    matrices = np.array(found)
    accuracies, f1 = metrics.accuracy(matrices), np.nan_to_num(metrics.class_f1(matrices)[:, -NOT_SCORED:])
    return {
        "accuracy": 100 * accuracies.mean(),
        "accuracy_sd": 100 * accuracies.std(),
        # A scorer and a consensus with one and the same stage throughout have no kappa.
        "cohen_kappa": float(np.nanmean(metrics.cohen_kappa(matrices))),
        **{f"f1_{name}": 100 * f1[:, code].mean() for code, name in enumerate(STAGES)},
    }


def pooled(nights: Sequence[np.ndarray]) -> np.ndarray:
    """The confusion matrix of the convention POOLED, float64 (5, 5): the majority of the others, and the scorer."""
    total = np.zeros((len(STAGES), len(STAGES)))
    for stages in nights:
        for scorer, own in enumerate(stages):
            votes = _votes(np.delete(stages, scorer, axis=0))
            tied = (votes == votes.max(axis=0)) & (votes > 0) & (own != NOT_SCORED)
            stage, epoch = np.nonzero(tied)
            total += _counts(stage, own[epoch], 1 / tied.sum(axis=0)[epoch])
    return total


def pairs(nights: Sequence[np.ndarray]) -> np.ndarray:
    """The confusion matrix of the convention PAIRS, float64 (5, 5), which is symmetric."""
    total = np.zeros((len(STAGES), len(STAGES)))
    for stages in nights:
        for one, other in permutations(stages, 2):
            both = (one != NOT_SCORED) & (other != NOT_SCORED)
            total += _counts(one[both], other[both], np.ones(both.sum()))
    return total


def _votes(stages: np.ndarray, lowest: int = 0) -> np.ndarray:
    """How many scorers give each code from `lowest` on, (n_codes, n_epochs)."""
    return (stages == np.arange(lowest, len(STAGES))[:, None, None]).sum(axis=1)


def _counts(stage: np.ndarray, other: np.ndarray, weight: np.ndarray, lowest: int = 0) -> np.ndarray:
    """Weighted epochs by stage and the other's stage, codes from `lowest` on."""
    n = len(STAGES) - lowest
    index = (stage.astype(np.int64) - lowest) * n + (other - lowest)
    return np.bincount(index, weight, minlength=n * n).reshape(n, n)


def _summary(confusion: np.ndarray) -> dict[str, float]:
    values = {name: value for name, value in metrics.summary(confusion).items() if name != "n_epochs"}
    kept = ("accuracy", "macro_f1", *(f"f1_{name}" for name in STAGES))
    return {**{name: 100 * values[name] for name in kept}, "cohen_kappa": values["cohen_kappa"]}


COMPUTED = {
    BY_NIGHT: by_night,
    POOLED: lambda nights: _summary(pooled(nights)),
    PAIRS: lambda nights: _summary(pairs(nights)),
}
