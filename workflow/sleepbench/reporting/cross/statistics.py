"""Statistics of networks tested on another dataset, beside those of the dataset's own.

Everything is computed from the predictions of `sleepbench.cross.job`, which are verified here: each file is as it was
written, and of runs that the tables of runs list. A row is of what was trained on, what was tested, a contender and a
way:

    own         networks of the tested dataset itself under its protocol, each subject tested once
    as_is       the network of each fold alone, metrics averaged over folds (and seeds): the like of `own`
    together    the mean of the probabilities of all folds, which `own` has nothing like
    scaled, adabn, finetuned_N   the network of each fold alone with a remedy, see `sleepbench.cross.remedies`
    all others  (trained): the mean of the probabilities of the networks of all other datasets, the tested one left out

`change` is from `own` and `gain` from `as_is`, both over the subjects that are in both, with intervals over these.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sleepbench.config.crosses import PROTOCOL
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, read_unchanged, sha256_of_file
from sleepbench.cross.names import AS_IS, DOCUMENT, FOLD
from sleepbench.evaluation.bootstrap import (
    PROBABILITIES,
    SubjectConfusions,
    bootstrap_differences,
    bootstrap_intervals,
    check_predictions,
    subject_confusions,
)
from sleepbench.evaluation.metrics import macro_f1_stages
from sleepbench.reporting.cross.labels import ALL_OTHERS
from sleepbench.reporting.reading import COMPARED, CONTENDER, read_predictions
from sleepbench.runs.runs_table import read_runs

OWN, TOGETHER = "own", "together"
KEY = ("trained", "tested", *CONTENDER, "way")
DIFFERENCE = ("", "_low", "_high")
COLUMNS = (
    *(*KEY, "metric", "estimate", "low", "high", "n_subjects", "n_epochs", "networks", "seeds", "macro_f1_stages"),
    *(*(f"change{end}" for end in DIFFERENCE), "n_shared", *(f"gain{end}" for end in DIFFERENCE)),
    *("channels", "run_keys"),
)
READ = ("recording", "subject", "stage", "predicted")


def read_crossed(directory: Path, runs: pd.DataFrame) -> dict[str, Any]:
    """The document of one job; BenchmarkError where a file is not as it was written, or a run not one of the table."""
    again = f"delete {directory} and run again"
    document = read_document(directory / DOCUMENT, f"{again}: it is tested again")
    known = {run.run_key: Path(run.directory) for run in runs.itertuples()}
    for member in document["members"]:
        key = member["run_key"]
        if key not in known or sha256_of_file(known[key] / "training.json") != member["training_json_sha256"]:
            raise BenchmarkError(f"{directory}: is of run {key}, which is not among the runs of the table now; {again}")
    for name, sha256 in document["files"].items():
        try:
            read_unchanged(directory / name, sha256)
        except BenchmarkError as error:
            raise BenchmarkError(f"{error}; {again}") from error
    return document


def cross_statistics(crossed: Sequence[Path], tables: Sequence[Path]) -> pd.DataFrame:
    """All rows, from the directories of the jobs and the tables of runs; BenchmarkError as `read_crossed`."""
    runs = {str(table.dataset.iloc[0]): table for table in map(read_runs, tables)}
    found: dict[tuple[str, ...], list[tuple[Path, dict[str, Any]]]] = {}
    for directory in crossed:
        trained = read_document(directory / DOCUMENT, f"delete {directory} and run again")["trained"]
        document = read_crossed(directory, runs[trained])
        key = (trained, document["tested"], document["title"], document["input"], document["recipe"])
        found.setdefault(key, []).append((directory, document))
    own = {key[1:]: _own(runs.get(key[1]), key[2:]) for key in found}
    rows = []
    for (tested, *contender), mine in own.items():
        if mine:
            rows += _rows((tested, tested, *contender, OWN), *mine)
    means: dict[tuple[str, ...], dict[str, tuple[pd.DataFrame, str, str]]] = {}
    for key, several in found.items():
        ways = _by_way(several)
        as_is = ways[AS_IS][0]
        for way, (confusions, described) in ways.items():
            rows += _rows((*key, way), confusions, described, own[key[1:]], None if way == AS_IS else as_is)
        means.setdefault(key[1:], {})[key[0]] = _mean(several), ways[AS_IS][1]
    for (tested, *contender), by_trained in means.items():
        if len(by_trained) > 1:
            confusions = subject_confusions(_mean_of([table for table, _ in by_trained.values()]), check=False)
            described = _joined([one for _, one in by_trained.values()])
            rows += _rows((ALL_OTHERS, tested, *contender, TOGETHER), confusions, described, own[tested, *contender])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _own(runs: pd.DataFrame | None, contender: Sequence[str]) -> tuple[SubjectConfusions, dict[str, Any]] | None:
    """The confusions of a contender's own runs on a dataset, and what is said of them; None where it has none."""
    if runs is None:
        return None
    mine = runs[(runs.protocol == PROTOCOL) & (runs[list(CONTENDER)] == list(contender)).all(axis=1)]
    if mine.empty:
        return None
    by_seed = read_predictions(mine, READ)
    described = {"networks": len(mine), "seeds": len(by_seed), "channels": "", "run_keys": " ".join(mine.run_key)}
    return subject_confusions(list(by_seed.values()), check=False), described


def _by_way(several: Sequence[tuple[Path, dict[str, Any]]]) -> dict[str, tuple[SubjectConfusions, dict[str, Any]]]:
    """The confusions by way, of the jobs of all seeds together."""
    found = {}
    described = _described([document for _, document in several])
    shared = [way for way in several[0][1]["ways"] if all(way in document["ways"] for _, document in several)]
    for way in shared:
        tables = [_read(directory / f"{way}.parquet") for directory, _ in several]
        alone = [table.assign(predicted=table[name]) for table in tables for name in table if name.startswith(FOLD)]
        found[way] = subject_confusions(alone, check=False), described
        if way == AS_IS:
            found[TOGETHER] = subject_confusions(tables, check=False), described
    return found


def _read(path: Path) -> pd.DataFrame:
    """Predictions, their `predicted` the stage of the largest mean probability."""
    table = pd.read_parquet(path)
    table["predicted"] = table[list(PROBABILITIES)].to_numpy().argmax(axis=1)
    check_predictions(table)
    return table


def _described(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    keys = [member["run_key"] for document in documents for member in document["members"]]
    channels = documents[0]["audit"]["channels"]
    said = ", ".join(f"{role}: {here} in training, {there} here" for role, (here, there) in channels.items())
    differ = said if any(here != there for here, there in channels.values()) else ""
    return {"networks": len(keys), "seeds": len(documents), "channels": differ, "run_keys": " ".join(keys)}


def _joined(described: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "networks": sum(one["networks"] for one in described),
        "seeds": max(one["seeds"] for one in described),
        "channels": "; ".join(dict.fromkeys(one["channels"] for one in described if one["channels"])),
        "run_keys": " ".join(one["run_keys"] for one in described),
    }


def _mean(several: Sequence[tuple[Path, dict[str, Any]]]) -> pd.DataFrame:
    """The mean of the probabilities of all seeds, all folds together in each."""
    return _mean_of([_read(directory / f"{AS_IS}.parquet") for directory, _ in several])


def _mean_of(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean probabilities of the epochs that all tables have."""
    index, names = ["recording", "epoch"], list(PROBABILITIES)
    placed = [table.set_index(index) for table in tables]
    shared = placed[0].index
    for one in placed[1:]:
        shared = shared.intersection(one.index, sort=False)
    mean = np.mean([one.loc[shared, names].to_numpy(np.float64) for one in placed], axis=0)
    table = placed[0].loc[shared, ["subject", "stage"]].reset_index()
    table[names] = mean.astype(np.float32)
    return table.assign(predicted=mean.argmax(axis=1))


def _rows(
    key: Sequence[str],
    confusions: SubjectConfusions,
    described: Mapping[str, Any],
    own: tuple[SubjectConfusions, dict[str, Any]] | None = None,
    as_is: SubjectConfusions | None = None,
) -> list[dict[str, Any]]:
    """One row per metric."""
    subjects, matrices = confusions
    by_seed = matrices.reshape(-1, *matrices.shape[-3:])
    intervals = bootstrap_intervals(by_seed, metrics=COMPARED)
    change, n_shared = _difference(own[0] if own else None, confusions)
    gain, _ = _difference(as_is, confusions)
    return [
        {
            **dict(zip(KEY, key, strict=True)),
            "metric": metric,
            **{name: values[name] for name in ("estimate", "low", "high")},
            "n_subjects": len(subjects),
            "n_epochs": int(by_seed[0].sum()),
            "macro_f1_stages": int(macro_f1_stages(by_seed.sum(axis=1)).min()),
            **{f"change{end}": None if change is None else change.loc[metric, _of(end)] for end in DIFFERENCE},
            "n_shared": n_shared,
            **{f"gain{end}": None if gain is None else gain.loc[metric, _of(end)] for end in DIFFERENCE},
            **described,
        }
        for metric, values in intervals.iterrows()
    ]


def _of(end: str) -> str:
    return end.removeprefix("_") or "estimate"


def _difference(first: SubjectConfusions | None, second: SubjectConfusions) -> tuple[pd.DataFrame | None, int]:
    """How a second differs from a first over the subjects of both, and how many these are."""
    shared = sorted({*first[0]} & {*second[0]}) if first else []
    if not shared:
        return None, 0
    return bootstrap_differences(_only(first, shared), _only(second, shared), metrics=COMPARED), len(shared)


def _only(confusions: SubjectConfusions, subjects: Sequence[str]) -> SubjectConfusions:
    places = [confusions[0].index(subject) for subject in subjects]
    return list(subjects), confusions[1][..., places, :, :]
