"""What is computed of one contender under one protocol, from the predictions of its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sleepbench.evaluation import metrics
from sleepbench.evaluation.bootstrap import (
    SubjectConfusions,
    bootstrap_intervals,
    per_subject_metrics,
    seed_spread,
    subject_confusions,
)
from sleepbench.evaluation.calibration import expected_calibration_error, reliability_table
from sleepbench.evaluation.scores import confusions
from sleepbench.evaluation.sleep_measures import agreement, measures_per_night
from sleepbench.reporting.reading import CALIBRATION, KEY
from sleepbench.reporting.statistics.groups import group_intervals

INTERVAL_COLUMNS = (
    *("metric", "estimate", "low", "high", "n_subjects", "macro_f1_stages"),
    *("seeds", "seed_sd", "seed_min", "seed_max"),
)


@dataclass(frozen=True)
class ContenderStatistics:
    """What is computed of one contender under one protocol.

    key : protocol, title, input and recipe
    n_channels : of its input
    confusions : (n_seeds, n_subjects, 5, 5), in the order of `seeds` and `subjects`
    tested : one row per seed and recording, in the order of the folds: whose it is, and which run tests it
    folds : one row per seed and fold: its accuracy and macro-F1, and the epochs that it trains and tests on
    """

    key: tuple[str, str, str, str]
    n_channels: int
    subjects: list[str]
    seeds: list[int]
    tested: pd.DataFrame
    confusions: np.ndarray
    folds: pd.DataFrame
    intervals: pd.DataFrame
    per_subject: pd.DataFrame
    groups: pd.DataFrame
    nights: pd.DataFrame
    sleep_measures: pd.DataFrame
    reliability: pd.DataFrame

    @property
    def protocol(self) -> str:
        """The protocol."""
        return self.key[0]

    @property
    def contender(self) -> tuple[str, str, str]:
        """Title, input and recipe."""
        return self.key[1:]

    def named(self) -> dict[str, str]:
        """Protocol, title, input and recipe by column."""
        return dict(zip(KEY, self.key, strict=True))

    def run_keys(self, seeds: Sequence[int] | None = None, subject: str | None = None) -> str:
        """The runs of some seeds (all of them), or those that test a subject, separated by spaces."""
        chosen = self.tested if seeds is None else self.tested[self.tested.seed.isin(list(seeds))]
        chosen = chosen if subject is None else chosen[chosen.subject == subject]
        return " ".join(dict.fromkeys(chosen.run_key))

    def confusions_by(self, seeds: Sequence[int]) -> SubjectConfusions:
        """Subjects and confusion matrices of some seeds, as `subject_confusions` gives them."""
        return self.subjects, self.confusions[[self.seeds.index(seed) for seed in seeds]]

    def mean_of_folds_by(self, seeds: Sequence[int]) -> float:
        """The mean over folds of the fold accuracies, and over some seeds."""
        return float(self.folds.groupby("seed").accuracy.mean()[list(seeds)].mean())


def contender_statistics(
    key: tuple[str, str, str, str],
    runs: pd.DataFrame,
    by_seed: dict[int, pd.DataFrame],
    people: pd.DataFrame,
    conditions: Mapping[str, Sequence[str]] | None = None,
) -> ContenderStatistics:
    """Everything about one contender under one protocol, from its runs and their predictions by seed.

    Pooled metrics are of the sum of the subjects' confusion matrices; with several seeds, every metric is computed of
    each and averaged. `conditions` are the recordings of each, where nights differ in what people were given before.
    Sleep measures are those of the first seed: they are of a night as one trained network scores it.
    """
    tables, first_seed = list(by_seed.values()), min(by_seed)
    subjects, matrices = subject_confusions(tables, check=False)
    tested = _tested(by_seed)
    reliability = [reliability_table(table, check=False) for table in tables]
    nights = measures_per_night(tables[0], check=False)
    nights.insert(0, "seed", first_seed)
    run_of = tested[tested.seed == first_seed].set_index("recording").run_key
    of_folds = confusions(runs)
    folds = runs[["seed", "fold", "n_train", "n_test"]].assign(
        accuracy=metrics.accuracy(of_folds), macro_f1=metrics.macro_f1(of_folds)
    )
    return ContenderStatistics(
        key,
        int(runs.n_channels.iloc[0]),
        subjects,
        list(by_seed),
        tested,
        matrices,
        folds=folds,
        intervals=_intervals(matrices, reliability),
        per_subject=per_subject_metrics((subjects, matrices)).assign(n_recordings=nights.groupby("subject").size()),
        groups=group_intervals((subjects, matrices), people, _by_condition(tables, conditions or {})),
        nights=nights.assign(run_keys=nights.recording.map(run_of)),
        sleep_measures=agreement(nights).reset_index(),
        reliability=pooled_reliability(reliability),
    )


def _by_condition(
    tables: Sequence[pd.DataFrame], conditions: Mapping[str, Sequence[str]]
) -> dict[str, SubjectConfusions]:
    """The confusions of the nights of each condition that were tested."""
    found = {}
    for condition, recordings in conditions.items():
        mine = [table[table.recording.isin(recordings)] for table in tables]
        if all(len(table) for table in mine):
            found[condition] = subject_confusions(mine, check=False)
    return found


def _tested(by_seed: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """Which run tests which recording of whom: columns seed, recording, subject and run_key."""
    tables = [
        table.drop_duplicates("recording")[["recording", "subject", "run_key"]].astype(str).assign(seed=seed)
        for seed, table in by_seed.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _intervals(matrices: np.ndarray, reliability: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of intervals.csv: pooled metrics, and the calibration error, which has no interval."""
    spread = seed_spread(matrices)
    pooled = bootstrap_intervals(matrices).assign(
        macro_f1_stages=metrics.macro_f1_stages(matrices.sum(axis=1)).min(),
        seeds=len(matrices),
        **{f"seed_{name}": spread[name] for name in ("sd", "min", "max")},
    )
    errors = np.array([expected_calibration_error(table) for table in reliability])
    calibration = {
        **{"metric": CALIBRATION, "estimate": errors.mean(), "low": np.nan, "high": np.nan},
        **pooled[["n_subjects", "macro_f1_stages"]].iloc[0],
        **{"seeds": errors.size, "seed_sd": errors.std(ddof=1) if errors.size > 1 else np.nan},
        **{"seed_min": errors.min(), "seed_max": errors.max()},
    }
    rows = pooled.reset_index()[list(INTERVAL_COLUMNS)].to_dict("records")
    return pd.DataFrame([*rows, calibration], columns=list(INTERVAL_COLUMNS))


def pooled_reliability(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One `reliability_table` of the epochs of several."""
    n_epochs = sum(table.n_epochs for table in tables)
    means = {
        name: sum(table[name].fillna(0) * table.n_epochs for table in tables) / n_epochs.where(n_epochs > 0)
        for name in ("confidence", "accuracy")
    }
    return tables[0][["low", "high"]].assign(n_epochs=n_epochs, **means)
