"""Results as one small archive, and two people's results compared with each other row by row."""

import json
import math
import tempfile
import textwrap
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import sleepbench
from sleepbench.config import paths, plan
from sleepbench.config.load import CONFIG
from sleepbench.config.models import Config
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing, sha256_of_file
from sleepbench.core.provenance import git_commit
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.metrics import accuracy
from sleepbench.evaluation.scores import confusions
from sleepbench.runs.archived import explained, read_archived
from sleepbench.runs.results import Results, read_results, row_scores
from sleepbench.runs.run import RowKey, Run
from sleepbench.runs.text import DASH, SHORT, TEXT_WIDTH, aligned
from sleepbench.runs.unpack import FORMAT, MANIFEST, check_directory
from sleepbench.runs.verify import Expected, differing, is_archived, row_settings, stale
from sleepbench.training.keys import RECORD

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same results give the same bytes
SPREAD = 2
"""Standard deviations of the difference of two means within which two results are said to agree."""

ENVIRONMENT = ("sleepbench", "torch", "numpy", "python", "engine", "arrangement", "device", "threads", "platform")
DIFFERENCES = {  # column of the main table: (heading, factor that makes points of it)
    "accuracy_mean_of_folds": ("Δ", 1),
    "accuracy": ("Δ acc.", 1),
    "macro_f1": ("Δ MF1", 1),
    "cohen_kappa": ("Δ kappa", 100),
}

CAPTION = (
    "Here, There: mean of the fold accuracies in percent. Δ: there minus here, in points, of that mean and of the "
    "pooled accuracy, macro-F1 and kappa (x 100). Same runs: predictions of the same bytes. Same stages: epochs "
    f"predicted alike. Verdict: within, if the means of the fold accuracies differ by at most {SPREAD} standard "
    "deviations of such a difference; what these were computed from is said below for each row."
)


# -------------------------------------------------------------------------------------------------------------- export


def export(config: Config, dataset: str, archive: Path | None = None) -> str:
    """Write the results on a dataset, without weights, as one zip, and say what is in it.

    The same results give the same bytes. BenchmarkError lists what is missing or was changed: an archive holds a whole
    experiment.
    """
    archive = archive or Path(paths.archive(dataset))
    if archive.suffix != ".zip":
        raise BenchmarkError(f"{archive}: an archive's name ends in .zip; give such a name")
    results = read_results(Expected(config, dataset))
    files = _members(results, plan.dataset(config, dataset).samples_per_epoch)
    manifest = {
        "format": FORMAT,
        "dataset": dataset,
        "simulated": results.label.simulated,
        "sleepbench": sleepbench.__version__,
        "git_commit": git_commit(Path.cwd()),
        "runs": len(results.table),
        "files": {path.as_posix(): sha256_of_file(path) for path in files},
    }
    with replacing(archive) as temporary:
        with zipfile.ZipFile(temporary, "w") as file:
            add_member(file, MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
            for path in files:
                add_member(file, path.as_posix(), path.read_bytes())
        check_directory(temporary)
    return "\n".join([*_contents(archive, results, files), *_changes(config, results)])


def _members(results: Results, n_samples: int) -> list[Path]:
    dataset = results.label.dataset
    found = [CONFIG, Path(paths.runs(dataset))]
    for one in (paths.table(dataset, "any"), paths.folds(dataset, "any"), paths.totals(dataset, "any", "")):
        found += [path for path in Path(one).parent.glob("[!.]*") if path.is_file()]
    for model, n_channels in results.table[["model", "n_channels"]].drop_duplicates().itertuples(index=False):
        shape = paths.epoch_shape(n_channels, n_samples)
        of_model = (Path(paths.profile(model, shape)), Path(paths.parity(model)))
        found += [path for path in of_model if path.exists()]
    for run in results.table.run:
        found += [run.directory / name for name in (RECORD, *run.record["files"]) if is_archived(run, name)]
    return sorted(set(found))


def add_member(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file to a zip; the same files give the same bytes, whenever they were made."""
    member = zipfile.ZipInfo(name, EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    file.writestr(member, content)


def _contents(archive: Path, results: Results, files: Sequence[Path]) -> list[str]:
    """What an archive holds, by kind of file."""
    dataset = results.label.dataset
    kinds: dict[str, list[Path]] = {}
    for path in files:
        kinds.setdefault(_kind(path, Path(paths.home(dataset))), []).append(path)
    rows = [
        (f"  {kind}", str(len(of_kind)), f"{sum(path.stat().st_size for path in of_kind) / 1e6:.2f}")
        for kind, of_kind in kinds.items()
    ]
    return [
        f"{archive}: {archive.stat().st_size / 1e6:.2f} MB, {len(results.rows())} rows of {len(results.table)} runs on "
        f"{_named(results.label)}",
        *aligned(("  content", "files", "MB unpacked"), rows, left=1),
        "Not in it: signals, weights, predictions by selection rules that no run has.",
        f"To compare: sleepbench results compare {dataset} {archive}",
    ]


def _kind(path: Path, home: Path) -> str:
    if path.name in ("predictions.parquet", "metrics.json", "history.csv", RECORD):
        return path.name
    return path.parent.name if path.is_relative_to(home) and path.parent != home else path.as_posix()


def _named(label: DataLabel) -> str:
    said = "SIMULATED data" if label.simulated else label.warning
    return f"{label.dataset}{f' ({said})' if said else ''}"


def _changes(config: Config, results: Results) -> list[str]:
    """Configuration and code are as they are now; say so where runs were made with others."""
    now = Expected(config, results.label.dataset, asked=True)
    others = [reason for run in results.table.run if (reason := stale(run, now))]
    note = (
        f"Note: {len(others)} of {len(results.table)} runs were made with other settings or code than are here now, "
        "such as {}; what each run was made with is in its training.json."
    )
    return [note.format(others[0])] if others else []


# ---------------------------------------------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Spread:
    """A difference of two mean accuracies, in percentage points, and its standard deviation.

    `basis` says what the standard deviation, also in points, was computed from.
    """

    difference: float
    sd: float
    basis: str

    @property
    def verdict(self) -> str:
        """Whether such a difference is to be expected."""
        if math.isnan(self.sd):
            return "no spread"
        return "within" if abs(self.difference) <= SPREAD * self.sd else "BEYOND"


def compare_rows(here: Results, there: Results) -> list[dict[str, Any]]:
    """Compare every row that both results have, in the order of `here`.

    Differences are there minus here, in points.

    Returns
    -------
    By row: protocol, model, input, recipe; of each number of DIFFERENCES, as NAME_here, NAME_there and
    NAME_difference_points; same_folds, same_data; runs_here, runs_there, runs_identical (predictions of the same
    bytes); epochs_compared, those that both test on the same data, and epochs_equal_share, of which the predicted
    stages are equal; paired_by, how seeds were; spread_difference, spread_sd and spread_basis of a Spread; verdict;
    differences, a line for each setting that differs.
    """
    rows, others = here.rows(), there.rows()
    return [compare_row(key, rows[key], others[key]) for key in rows if key in others]


def compare_row(key: RowKey, mine: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, Any]:
    """Compare the runs of a row on two sides: an entry of `compare_rows`."""
    sides = mine, theirs
    numbers: dict[str, float] = {}
    for name, (here, there) in {name: [row_scores(runs)[name] for runs in sides] for name in DIFFERENCES}.items():
        numbers |= {f"{name}_here": here, f"{name}_there": there}
        numbers[f"{name}_difference_points"] = (there - here) * DIFFERENCES[name][1]
    first, other = (runs.run.iloc[0].settings for runs in sides)
    same_folds, same_data = (first[name] == other[name] for name in ("folds_sha256", "data_sha256"))
    hashes, other_hashes = (
        {(run.training.seed, run.training.fold): run.predictions_sha256 for run in runs.run} for runs in sides
    )
    n_identical = sum(sha256 == other_hashes.get(run) for run, sha256 in hashes.items())
    pairs, paired_by = _pair_seeds(sorted(set(mine.seed)), sorted(set(theirs.seed)))
    n_epochs, share = _agreement(mine, theirs, pairs) if same_data else (0, math.nan)
    spread = spread_of(_fold_accuracies(mine), _fold_accuracies(theirs), same_folds and same_data)
    return {
        **key._asdict(),
        **numbers,
        **{"same_folds": same_folds, "same_data": same_data},
        **{"runs_here": len(mine), "runs_there": len(theirs), "runs_identical": n_identical},
        **{"epochs_compared": n_epochs, "epochs_equal_share": share, "paired_by": paired_by},
        **{f"spread_{name}": value for name, value in asdict(spread).items()},
        "verdict": "identical" if n_identical == len(mine) == len(theirs) else spread.verdict,
        "differences": _differences(mine, theirs),
    }


def _pair_seeds(mine: list[int], theirs: list[int]) -> tuple[list[tuple[int, int]], str]:
    """Pairs of seeds whose predictions are compared, and how they were paired.

    The seeds in common; where there are none, one after the other in ascending order.
    """
    if common := [seed for seed in mine if seed in theirs]:
        return [(seed, seed) for seed in common], "the same seed"
    return list(zip(mine, theirs, strict=False)), "other seeds in ascending order"


def _agreement(mine: pd.DataFrame, theirs: pd.DataFrame, pairs: list[tuple[int, int]]) -> tuple[int, float]:
    """The number of epochs that both tested, and the share of those whose predicted stages are equal."""
    equal, n = 0, 0
    for seed, other in pairs:
        both = _predicted(mine, seed).merge(
            _predicted(theirs, other), on=["recording", "epoch"], suffixes=("_here", "_there")
        )
        equal += int((both.predicted_here == both.predicted_there).sum())
        n += len(both)
    return n, (equal / n if n else math.nan)


def _predicted(runs: pd.DataFrame, seed: int) -> pd.DataFrame:
    tables = [run.predictions(["recording", "epoch", "predicted"]) for run in runs.run[runs.seed == seed]]
    return pd.concat(tables, ignore_index=True)


def _differences(mine: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """A line for each setting, version or device that is not the same, and for the seeds."""
    described, others = ([describe_run(run) for run in runs.run] for runs in (mine, theirs))
    sides = {
        name: [{str(one.get(name)) for one in side} for side in (described, others)]
        for name in differing(described + others)
    }
    sides["seeds"] = [set(map(str, runs.seed)) for runs in (mine, theirs)]
    return [
        f"{name}: {_listed(name, here)} here, {_listed(name, there)} there"
        for name, (here, there) in sides.items()
        if here != there
    ]


def describe_run(run: Run) -> dict[str, Any]:
    """What a run was made by but for its fold and seed: selection, settings, code, versions and device."""
    settings = row_settings(run.record)
    recipe = {f"recipe.{name}": value for name, value in settings.pop("recipe").items()}
    environment = {name: run.record["environment"].get(name) for name in ENVIRONMENT}
    return {"selection": run.selection, **settings, **recipe, **environment}


def _listed(name: str, values: Iterable[str]) -> str:
    return " and ".join(value[:SHORT] if name.endswith("sha256") else value for value in sorted(values))


def _fold_accuracies(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent of each run: a row per fold, a column per seed."""
    percent = 100 * np.asarray([accuracy(matrix) for matrix in confusions(runs)])
    return runs.assign(percent=percent).pivot(index="fold", columns="seed", values="percent")


def spread_of(here: pd.DataFrame, there: pd.DataFrame, same_folds: bool) -> Spread:
    """The difference of two mean-of-folds accuracies and its standard deviation, in points.

    With several seeds on a side the latter is sqrt(s1²/n1 + s2²/n2), s being the standard deviation over the n seeds
    of their means over folds; a side with one seed is given the other's s. With one seed on both sides it is s/sqrt(k),
    s being the standard deviation over the k folds of the paired differences; on other folds the differences cannot be
    paired, and it is sqrt(s1²/k1 + s2²/k2). Arguments: accuracies in percent, a row per fold and a column per seed.
    """
    difference = float(there.mean(axis=1).mean() - here.mean(axis=1).mean())
    if max(here.shape[1], there.shape[1]) > 1:
        n = here.shape[1], there.shape[1]
        deviations = [float(side.mean(axis=0).std(ddof=1)) if side.shape[1] > 1 else math.nan for side in (here, there)]
        known = [s for s in deviations if not math.isnan(s)]
        filled = [known[0] if math.isnan(s) else s for s in deviations]
        lent = ", which lends the other its SD" if len(known) == 1 else ""
        return Spread(difference, _combined(filled, n), f"SD over {n[0]} seeds here and {n[1]} there{lent}")
    if same_folds:
        differences = there.iloc[:, 0] - here.iloc[:, 0]
        k = len(differences)
        sd = float(differences.std(ddof=1)) / math.sqrt(k) if k > 1 else math.nan
        return Spread(difference, sd, f"SD of the paired differences of {k} folds / sqrt({k})")
    k = len(here), len(there)
    deviations = [float(side.iloc[:, 0].std(ddof=1)) for side in (here, there)]
    return Spread(difference, _combined(deviations, k), f"SD over {k[0]} folds here and {k[1]} there, not paired")


def _combined(deviations: Sequence[float], n: Sequence[int]) -> float:
    return math.sqrt(sum(s**2 / m for s, m in zip(deviations, n, strict=True)))


def compare(config: Config, dataset: str, archive: Path, csv: Path | None = None) -> str:
    """What differs, row by row, between the results here and those of an archive; also written to `csv`.

    BenchmarkError when they cannot be compared: a damaged archive, another dataset, simulated data with real, results
    that are not whole, or no row in common.
    """
    expected = Expected(config, dataset)
    with tempfile.TemporaryDirectory() as directory:
        with explained(archive):
            manifest, there = read_archived(config, archive, Path(directory), dataset)
        here = read_results(expected)
        with explained(archive):
            comparisons = compare_rows(here, there)
    mine, theirs = here.rows(), there.rows()
    alone = [f"only here: {key}" for key in mine if key not in theirs]
    alone += [f"only in the archive: {key}" for key in theirs if key not in mine]
    if not comparisons:
        raise BenchmarkError(f"{archive}: no row in common with {dataset} here:\n  " + "\n  ".join(alone))
    if csv:
        with replacing(csv) as temporary:
            table = pd.DataFrame(comparisons)
            table.assign(differences=table.differences.map("; ".join)).to_csv(temporary, index=False)
    return "\n".join(_report(here.label, archive, manifest, comparisons, alone))


def _report(
    label: DataLabel, archive: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], alone: list[str]
) -> list[str]:
    """The comparison for a terminal."""
    header = ("Protocol", "Model", "Input, recipe", "Here", "There", *(heading for heading, _ in DIFFERENCES.values()))
    cells = [
        (
            *(row["protocol"], row["model"], f"{row['input']}, {row['recipe']}"),
            *(f"{row[f'accuracy_mean_of_folds_{side}']:.2f}" for side in ("here", "there")),
            *(f"{row[f'{name}_difference_points']:+.2f}" for name in DIFFERENCES),
            f"{row['runs_identical']} of {'/'.join(map(str, dict.fromkeys([row['runs_here'], row['runs_there']])))}",
            DASH if math.isnan(row["epochs_equal_share"]) else f"{100 * row['epochs_equal_share']:.2f} %",
            row["verdict"],
        )
        for row in rows
    ]
    return [
        f"{_named(label)}: here, commit {git_commit(Path.cwd())[:SHORT]}, and there, {archive}, commit "
        f"{manifest['git_commit'][:SHORT]}, sleepbench {manifest['sleepbench']}",
        "",
        *aligned((*header, "Same runs", "Same stages", "Verdict"), cells, left=3),
        "",
        textwrap.fill(CAPTION, TEXT_WIDTH),
        *(line for row in rows for line in ("", *_lines(row))),
        *(["", *alone] if alone else []),
    ]


def _lines(row: Mapping[str, Any]) -> list[str]:
    """What a row of the comparison cannot hold."""
    difference, sd, n_epochs = row["spread_difference"], row["spread_sd"], row["epochs_compared"]
    if row["verdict"] == "identical":
        spread = "every prediction is the same"
    elif math.isnan(sd):
        spread = f"cannot be told from one fold and one seed; the difference is {difference:+.2f}"
    else:
        sign = "<=" if row["verdict"] == "within" else ">"
        spread = f"|{difference:+.2f}| {sign} {SPREAD} x {sd:.2f} points; {row['spread_basis']}"
    stages = f"{100 * row['epochs_equal_share']:.2f} % of {n_epochs:,} epochs of {row['paired_by']}"
    folds, data = ("the same" if row[name] else "OTHERS" for name in ("same_folds", "same_data"))
    return [
        ", ".join(row[name] for name in RowKey._fields),
        f"  {row['verdict']}: {spread}",
        f"  same stages: {stages if n_epochs else 'not compared'}",
        f"  folds: {folds}; files of the recordings: {data}",
        *([f"  differs: {line}" for line in row["differences"]] or ["  settings, code, versions and device: the same"]),
    ]
