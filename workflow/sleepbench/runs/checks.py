"""What can be wrong with runs: each check takes what it needs and returns sentences, none where all is well.

Runs are checked once, where they are collected; what reads the runs table trusts it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.evaluation import metrics
from sleepbench.evaluation.bootstrap import check_predictions
from sleepbench.evaluation.scores import confusions

Epochs = Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]
"""By recording and trimming, the epochs that are kept, as indices in the night, and their stages."""


def run_name(run: Any) -> str:
    """A row of the runs table in words."""
    named = f"{run.protocol}, {run.title}, {run.input}, {run.recipe}"
    return f"{named}, seed {run.seed}, fold {run.fold} (run {run.run_key})"


# ------------------------------------------------------------------------------------------------- settings and code


def mixed(record: Mapping[str, Any], first: Mapping[str, Any]) -> list[str]:
    """In what a training.json says other settings or code than that of the first run of its row of a table."""
    mine, expected = ({**one["settings"], "code_sha256": one["code_sha256"]} for one in (record, first))
    names = [name for name in dict.fromkeys([*expected, *mine]) if name not in ("fold", "seed")]
    return [
        f"{name} is {mine.get(name)}, but {expected.get(name)} in the first run"
        for name in names
        if mine.get(name) != expected.get(name)
    ]


def mixed_protocols(first_runs: Sequence[tuple[Any, Mapping[str, Any]]]) -> list[str]:
    """Protocols of one contender that were trained by other code or another recipe: a ladder would subtract these too.

    `first_runs` are the first run of each protocol, a row of the runs table, with its training.json.
    """
    problems, first = [], None
    for run, record in first_runs:
        mine = {"recipe": record["settings"].get("recipe"), "code_sha256": record["code_sha256"]}
        first = first or (run.protocol, mine)
        problems += [
            f"{run_name(run)}: {name} is {value}, but {first[1][name]} under protocol {first[0]}"
            for name, value in mine.items()
            if value != first[1][name]
        ]
    return problems


# --------------------------------------------------------------------------------------------------------- predictions


def prediction_problems(
    table: pd.DataFrame, run: Any, matrix: np.ndarray, tested: Collection[str] | None, epochs: Epochs
) -> list[str]:
    """Whether predictions cover their fold and give the numbers of the runs table.

    Parameters
    ----------
    table : predictions of one run, with the columns recording, epoch, stage and predicted
    run : its row of the runs table
    matrix : its confusion matrix there, (5, 5)
    tested : the recordings that its fold tests; None: not known
    epochs : what the prepared recordings hold by each trimming, as far as it is known
    """
    problems = []
    if tested is not None and (problem := uncovered(table.recording.dropna().unique(), tested)):
        problems.append(f"the predictions {problem}")
    problems += [f"the predictions {problem}" for problem in wrong_epochs(table, run.trimming, epochs)]
    if len(table) != run.n_test:
        problems.append(f"the predictions are of {len(table):,} epochs, expected {run.n_test:,.0f} (n_test)")
    elif _has_stages(table):
        mine = metrics.confusion_matrix(table.stage.to_numpy(), table.predicted.to_numpy())
        if not np.array_equal(mine, matrix):
            found, expected = metrics.accuracy(mine), metrics.accuracy(matrix)
            problems.append(
                f"the predictions give another confusion matrix than the runs table (accuracy {found:.4f} and "
                f"{expected:.4f})"
            )
    return problems


def _has_stages(table: pd.DataFrame) -> bool:
    """Whether stages can be counted; `check_predictions` says what else they are."""
    stages = table[["stage", "predicted"]].to_numpy()
    return stages.dtype.kind in "iu" and stages.size > 0 and stages.min() >= 0 and stages.max() < len(STAGES)


def uncovered(found: Collection[str], expected: Collection[str]) -> str | None:
    """What the tested recordings lack of those of the fold, and hold beside them; None when they are the same."""
    differing = (("lack", {*expected} - {*found}), ("hold also", {*found} - {*expected}))
    listed = [f"{text} {', '.join(sorted(map(str, ids)))}" for text, ids in differing if ids]
    return f"do not cover the fold: they {' and '.join(listed)}" if listed else None


def wrong_epochs(table: pd.DataFrame, trimming: str, epochs: Epochs) -> list[str]:
    """Where predictions are not of the epochs that the trimming keeps of the prepared recordings, each once.

    `table` has the columns recording, epoch and stage. Recordings that `epochs` does not know are passed over.
    """
    number, recordings = pd.factorize(table.recording, sort=True)
    epoch, stage = table.epoch.to_numpy(), table.stage.to_numpy()
    problems = []
    for position, recording in enumerate(recordings):
        if (recording, trimming) not in epochs:
            continue
        expected, scored = epochs[recording, trimming]
        places = np.flatnonzero(number == position)
        places = places[np.argsort(epoch[places], kind="stable")]
        if not np.array_equal(epoch[places], expected):
            problems.append(
                f"are of {_span(epoch[places])} of {recording}, but as prepared the trimming {trimming} keeps "
                f"{_span(expected)}"
            )
        elif not np.array_equal(stage[places], scored):
            n = np.count_nonzero(stage[places] != scored)
            problems.append(f"score {n:,} of {len(scored):,} epochs of {recording} otherwise than it is prepared")
    return problems


def _span(numbers: np.ndarray) -> str:
    """How many epochs, from which to which."""
    return f"{len(numbers):,} epochs ({numbers[0]} to {numbers[-1]})"


def faulty_predictions(tables: Sequence[tuple[str, pd.DataFrame]]) -> list[str]:
    """What `check_predictions` says of the runs of one seed, each with its name: of all of them together first.

    Checked together, an epoch that two folds test is found; only where that fails is each run looked at.
    """
    problems = []
    try:
        check_predictions(pd.concat([table for _, table in tables], ignore_index=True))
    except BenchmarkError as together:
        for name, table in tables:
            try:
                check_predictions(table)
            except BenchmarkError as error:
                problems.append(f"{name}: {error}")
        problems = problems or [f"{tables[0][0]} and the other folds: {together}"]
    return problems


# -------------------------------------------------------------------------------------------------- between contenders

Scored = Mapping[str, Sequence[int]]
"""By subject, or another part of the test epochs, how many there are of each scored stage."""


def different_epochs(scored: Mapping[tuple[str, ...], Scored]) -> list[str]:
    """Contenders tested on other epochs than the first of their protocol: they could not be compared.

    `scored` is by protocol and whatever else names a contender, such as its title, input, recipe and seed.
    """
    problems: list[str] = []
    first: dict[str, tuple[str, ...]] = {}
    for key, mine in scored.items():
        protocol, *contender = map(str, key)
        reference = first.setdefault(protocol, key)
        theirs = scored[reference]
        differing = [part for part in {**theirs, **mine} if list(theirs.get(part, ())) != list(mine.get(part, ()))]
        if differing:
            problems.append(
                f"{protocol}: {', '.join(contender)} was tested on other epochs than "
                f"{', '.join(map(str, reference[1:]))}, of {', '.join(sorted(map(str, differing)))}"
            )
    return problems


def scored_by_fold(runs: pd.DataFrame) -> dict[tuple[str, ...], dict[str, list[int]]]:
    """What `different_epochs` compares, by contender, seed and fold, from the runs table alone."""
    scored: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for run, matrix in zip(runs.itertuples(), confusions(runs), strict=True):
        key = (run.protocol, run.title, run.input, run.recipe, f"seed {run.seed}")
        scored.setdefault(key, {})[f"fold {run.fold}"] = matrix.sum(axis=1).tolist()
    return scored


def scored_by_subject(predictions: pd.DataFrame) -> dict[str, list[int]]:
    """What `different_epochs` compares, by subject, from the predictions of one contender and seed."""
    counts = pd.crosstab(predictions.subject.astype(str), predictions.stage)
    counts = counts.reindex(columns=range(len(STAGES)), fill_value=0)
    return {f"subject {subject}": row for subject, row in zip(counts.index, counts.to_numpy().tolist(), strict=True)}
