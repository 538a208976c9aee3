"""Results as one small archive, and two people's results held against each other row by row.

python -m sleepbench.runs.archive export DATASET [ARCHIVE]
python -m sleepbench.runs.archive compare DATASET ARCHIVE [--csv FILE]
"""

import argparse
import json
import math
import sys
import tempfile
import textwrap
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import sleepbench
from sleepbench.config.load import dataset_of
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing, sha256_of_file, sha256_of_json
from sleepbench.core.provenance import PREPARATION, TRAINING, code_sha256, git_commit
from sleepbench.evaluation.metrics import accuracy
from sleepbench.reporting.tables.main import TEXT_WIDTH, confusions
from sleepbench.runs.results import (
    CONFIG,
    SHORT,
    Results,
    RowKey,
    aligned,
    differing,
    is_weights,
    read_config,
    read_results,
    row_settings,
    run_command,
)

FORMAT = "sleepbench results, 1"
MANIFEST = "manifest.json"
MANIFEST_KEYS = ("dataset", "simulated", "sleepbench", "git_commit", "files")
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


def export(dataset: str, archive: Path | None = None) -> Path:
    """Write the results on a dataset, without weights, as one zip; the same results give the same bytes.

    Raises BenchmarkError that lists what is missing or was changed: an archive holds a whole experiment.
    """
    config = read_config(dataset)
    results = read_results(Path(), dataset, dataset_of(config, dataset).simulated)
    archive = archive or Path("results") / f"{dataset}-results.zip"
    if archive.suffix != ".zip":
        raise BenchmarkError(f"{archive}: an archive's name ends in .zip; give such a name")
    paths = _members(results)
    manifest = {
        "format": FORMAT,
        "dataset": dataset,
        "simulated": results.simulated,
        "sleepbench": sleepbench.__version__,
        "git_commit": git_commit(Path.cwd()),
        "runs": len(results.runs),
        "files": {path.as_posix(): sha256_of_file(path) for path in paths},
    }
    with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w") as file:
        _add(file, MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
        for path in paths:
            _add(file, path.as_posix(), path.read_bytes())
    _say_what_is_in(archive, results, paths)
    _say_what_has_changed(config, results)
    return archive


def _members(results: Results) -> list[Path]:
    home = Path("results") / results.dataset
    found = [CONFIG, home / "runs.csv"]
    for folder in (home / "tables", home / "folds", home / "totals"):
        found += [path for path in folder.glob("*") if path.is_file() and not path.name.startswith(".")]
    for model, n_channels in results.runs[["model", "n_channels"]].drop_duplicates().itertuples(index=False):
        found += Path("results/profile").glob(f"{model}-{n_channels}.json")
    for run in results.runs.itertuples():
        names = [name for name in results.records[run.run_key]["files"] if not is_weights(name)]
        found += [Path(run.directory) / name for name in ["training.json", *names]]
    return sorted(set(found))


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    file.writestr(member, content)


def _say_what_is_in(archive: Path, results: Results, paths: list[Path]) -> None:
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        kinds.setdefault(_kind(path, results.dataset), []).append(path)
    simulated = " (SIMULATED data)" if results.simulated else ""
    n_rows = len(results.rows())
    print(f"{archive}: {archive.stat().st_size / 1e6:.2f} MB, {n_rows} rows of {len(results.runs)} runs on "
          f"{results.dataset}{simulated}")  # fmt: skip
    rows = [
        (kind, str(len(files)), f"{sum(path.stat().st_size for path in files) / 1e6:.2f}")
        for kind, files in kinds.items()
    ]
    print("\n".join(aligned(("  content", "files", "MB unpacked"), [(f"  {k}", n, mb) for k, n, mb in rows], left=1)))
    print(f"Weights and signals are not in it. To compare: make compare DATASET={results.dataset} WITH={archive}")


def _kind(path: Path, dataset: str) -> str:
    if path.name in ("predictions.parquet", "metrics.json", "history.csv", "training.json"):
        return path.name
    home = Path("results") / dataset
    return path.parent.name if path.is_relative_to(home) and path.parent != home else path.as_posix()


def _say_what_has_changed(config: dict, results: Results) -> None:
    """Config and code are as they are now; say so where runs were made with others."""
    used = sha256_of_json({**config, "run": {**config["run"], "datasets": [results.dataset]}})
    records, n = results.records.values(), len(results.records)
    if others := sum(record["provenance"].get("config_sha256") != used for record in records):
        print(
            f"Note: {CONFIG} is not what {others} of {n} runs were made with (it has changed since, or --config was "
            "given); the settings of each run are in its training.json."
        )
    here = {model: code_sha256(PREPARATION + TRAINING, model) for model in set(results.runs.model)}
    if others := sum(record["code_sha256"] != here[record["settings"]["model"]] for record in records):
        print(f"Note: {others} of {n} runs were made by another version of the code than the one here.")


# ------------------------------------------------------------------------------------------------------------- reading


def unpack(archive: Path, directory: Path, dataset: str) -> dict:
    """Unpack an archive's files, each held against the manifest's SHA-256, and return the manifest.

    Raises BenchmarkError when the archive is damaged, of another dataset or none of `make export`.
    """
    if not archive.is_file():
        raise BenchmarkError(f"{archive}: no such file; give the archive that `make export` wrote")
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if name != MANIFEST]
            manifest = _read_manifest(file, archive)
            if manifest["dataset"] != dataset:
                raise BenchmarkError(
                    f"{archive}: holds results on {manifest['dataset']}, not on {dataset}; "
                    f"compare it with DATASET={manifest['dataset']}"
                )
            wrong = [
                *(f"{name} is missing" for name in manifest["files"] if name not in names),
                *(f"{name} is not in the manifest" for name in names if name not in manifest["files"]),
                *(f"{name} is there more than once" for name in sorted(set(names)) if names.count(name) > 1),
            ]
            if not wrong:
                file.extractall(directory)
                wrong = [
                    f"{name} differs from the manifest"
                    for name, sha256 in manifest["files"].items()
                    if not (directory / name).is_file() or sha256_of_file(directory / name) != sha256
                ]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BenchmarkError(f"{archive}: is damaged or no zip file ({error}); get it again") from error
    if wrong:
        raise BenchmarkError(f"{archive}: is damaged; get it again:\n  " + "\n  ".join(wrong))
    return manifest


def _read_manifest(file: zipfile.ZipFile, archive: Path) -> dict:
    if MANIFEST not in file.namelist():
        raise BenchmarkError(f"{archive}: has no {MANIFEST}; give an archive that `make export` wrote")
    manifest = json.loads(file.read(MANIFEST))
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if form != FORMAT:
        raise BenchmarkError(f"{archive}: its format is {form!r}, expected {FORMAT!r}; export it with this version")
    if missing := [key for key in MANIFEST_KEYS if key not in manifest]:
        raise BenchmarkError(f"{archive}: its {MANIFEST} lacks {', '.join(missing)}; get the archive again")
    return manifest


# ---------------------------------------------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Spread:
    """A difference of two mean accuracies and its standard deviation, in points, and what that was computed from."""

    difference: float
    sd: float
    basis: str

    @property
    def verdict(self) -> str:
        if math.isnan(self.sd):
            return "no spread"
        return "within" if abs(self.difference) <= SPREAD * self.sd else "BEYOND"


@dataclass(frozen=True)
class Comparison:
    """One row of the main table, here and there. Numbers are differences, there minus here, in points.

    `settings` has a line for each setting that differs; `agreement` is the share of the `n_epochs` test epochs that
    both have in which the predicted stages are equal, NaN where they are of other data.
    """

    key: RowKey
    here: dict[str, float]
    there: dict[str, float]
    same_folds: bool
    same_data: bool
    settings: list[str]
    n_identical: int
    n_here: int
    n_there: int
    agreement: float
    n_epochs: int
    paired_by: str
    spread: Spread

    @property
    def identical(self) -> bool:
        return self.n_identical == self.n_here == self.n_there

    @property
    def verdict(self) -> str:
        return "identical" if self.identical else self.spread.verdict

    def difference(self, name: str) -> float:
        return (self.there[name] - self.here[name]) * DIFFERENCES[name][1]


def compare_rows(here: Results, there: Results) -> list[Comparison]:
    """Compare every row that both have, in the order of the first."""
    rows, others = here.rows(), there.rows()
    numbers, other_numbers = here.numbers(), there.numbers()
    return [
        _compare(key, here, rows[key], numbers[key], there, others[key], other_numbers[key])
        for key in rows
        if key in others
    ]


def _compare(
    key: RowKey,
    here: Results,
    mine: pd.DataFrame,
    my_numbers: pd.Series,
    there: Results,
    theirs: pd.DataFrame,
    their_numbers: pd.Series,
) -> Comparison:
    my_record, their_record = (r.records[runs.run_key.iloc[0]] for r, runs in ((here, mine), (there, theirs)))
    same = {
        name: my_record["settings"][name] == their_record["settings"][name] for name in ("folds_sha256", "data_sha256")
    }
    hashes, other_hashes = (_prediction_hashes(r, runs) for r, runs in ((here, mine), (there, theirs)))
    pairs, paired_by = _pair_seeds(sorted(set(mine.seed)), sorted(set(theirs.seed)))
    agreement, n_epochs = math.nan, 0
    if same["data_sha256"]:
        agreement, n_epochs = _agreement(here, mine, there, theirs, pairs)
    return Comparison(
        key=key,
        here={name: float(my_numbers[name]) for name in DIFFERENCES},
        there={name: float(their_numbers[name]) for name in DIFFERENCES},
        same_folds=same["folds_sha256"],
        same_data=same["data_sha256"],
        settings=_differences(here, mine, there, theirs),
        n_identical=sum(hashes[run] == other_hashes.get(run) for run in hashes),
        n_here=len(mine),
        n_there=len(theirs),
        agreement=agreement,
        n_epochs=n_epochs,
        paired_by=paired_by,
        spread=spread_of(_fold_accuracies(mine), _fold_accuracies(theirs), all(same.values())),
    )


def _prediction_hashes(results: Results, runs: pd.DataFrame) -> dict[tuple[int, int], str]:
    return {
        (run.seed, run.fold): results.records[run.run_key]["files"][f"{run.selection}/predictions.parquet"]
        for run in runs.itertuples()
    }


def _pair_seeds(mine: list[int], theirs: list[int]) -> tuple[list[tuple[int, int]], str]:
    """Seeds whose predictions are compared: the common ones; without any, one after the other in ascending order."""
    if common := [seed for seed in mine if seed in theirs]:
        return [(seed, seed) for seed in common], "the same seed"
    return list(zip(mine, theirs, strict=False)), "other seeds in ascending order"


def _agreement(
    here: Results, mine: pd.DataFrame, there: Results, theirs: pd.DataFrame, pairs: list[tuple[int, int]]
) -> tuple[float, int]:
    """Share of equal predicted stages, over epochs that both tested, and their number."""
    equal, n = 0, 0
    for seed, other in pairs:
        tables = (_staged(here, mine[mine.seed == seed]), _staged(there, theirs[theirs.seed == other]))
        both = tables[0].merge(tables[1], on=["recording", "epoch"], suffixes=("_here", "_there"))
        equal += int((both.predicted_here == both.predicted_there).sum())
        n += len(both)
    return (equal / n if n else math.nan), n


def _staged(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    tables = [results.predictions(run)[["recording", "epoch", "predicted"]] for run in runs.itertuples()]
    return pd.concat(tables, ignore_index=True)


def _differences(here: Results, mine: pd.DataFrame, there: Results, theirs: pd.DataFrame) -> list[str]:
    """A line for each setting, version or device that is not the same."""
    described, others = (
        [_describe(run, r.records[run.run_key]) for run in runs.itertuples()]
        for r, runs in ((here, mine), (there, theirs))
    )
    names = list(dict.fromkeys([*differing(described + others), "seeds"]))
    lines = []
    for name in names:
        values = [{str(one.get(name)) for one in side} for side in (described, others)]
        if name == "seeds":
            values = [set(map(str, runs.seed)) for runs in (mine, theirs)]
        if values[0] != values[1]:
            lines.append(f"{name}: {_listed(name, values[0])} here, {_listed(name, values[1])} there")
    return lines


def _describe(run: tuple, record: dict) -> dict:
    settings = row_settings(record)
    recipe = {f"recipe.{name}": value for name, value in settings.pop("recipe").items()}
    environment = {name: record["environment"].get(name) for name in ENVIRONMENT}
    return {"selection": run.selection, **settings, **recipe, **environment}


def _listed(name: str, values: Iterable[str]) -> str:
    return " and ".join(value[:SHORT] if name.endswith("sha256") else value for value in sorted(values))


def _fold_accuracies(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent of each run: a row per fold, a column per seed."""
    percent = 100 * np.asarray([accuracy(matrix) for matrix in confusions(runs)])
    return pd.DataFrame({"fold": runs.fold.to_numpy(), "seed": runs.seed.to_numpy(), "percent": percent}).pivot(
        index="fold", columns="seed", values="percent"
    )


def spread_of(here: pd.DataFrame, there: pd.DataFrame, same_folds: bool) -> Spread:
    """The difference of two mean-of-folds accuracies and the standard deviation of such a difference, in points.

    With several seeds on a side it is sqrt(s1²/n1 + s2²/n2), s being the standard deviation over the n seeds of their
    means over folds; a side with one seed is given the other's s. With one seed on both sides it is s/sqrt(k), s being
    the standard deviation over the k folds of the paired differences; on other folds the differences cannot be paired,
    and it is sqrt(s1²/k1 + s2²/k2). Arguments: accuracies in percent, a row per fold and a column per seed.
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


def compare(dataset: str, archive: Path, csv: Path | None = None) -> None:
    """Print row by row what differs between the results here and those of an archive.

    Raises BenchmarkError when they cannot be compared: a damaged archive, another dataset, simulated data with real,
    results that are not whole, or no row in common.
    """
    simulated = dataset_of(read_config(dataset), dataset).simulated
    with tempfile.TemporaryDirectory() as directory:
        manifest = unpack(archive, Path(directory), dataset)
        if bool(manifest["simulated"]) != simulated:
            words = {True: "simulated", False: "real"}
            raise BenchmarkError(
                f"{archive}: its {dataset} is {words[bool(manifest['simulated'])]} data, here it is "
                f"{words[simulated]}; results on simulated and on real data are not compared"
            )
        here = read_results(Path(), dataset, simulated)
        try:
            there = read_results(Path(directory), dataset, simulated, archived=True)
        except BenchmarkError as error:
            raise BenchmarkError(f"{archive}: {str(error).replace(directory, archive.name)}") from error
        comparisons = compare_rows(here, there)
        alone = [
            *(f"only here: {key}" for key in here.rows() if key not in there.rows()),
            *(f"only in the archive: {key}" for key in there.rows() if key not in here.rows()),
        ]
    if not comparisons:
        raise BenchmarkError(f"{archive}: no row in common with {dataset} here:\n  " + "\n  ".join(alone))
    print(report(dataset, simulated, archive, manifest, comparisons, alone))
    if csv:
        with replacing(csv) as temporary:
            pd.DataFrame(map(_csv_row, comparisons)).to_csv(temporary, index=False)


def report(
    dataset: str, simulated: bool, archive: Path, manifest: dict, comparisons: list[Comparison], alone: list[str]
) -> str:
    """The comparison for a terminal."""
    header = ("Protocol", "Model", "Input, recipe", "Here", "There", *(heading for heading, _ in DIFFERENCES.values()))
    header += ("Same runs", "Same stages", "Verdict")
    rows = [
        (
            *(c.key.protocol, c.key.model, f"{c.key.channels}, {c.key.recipe}"),
            *(f"{side['accuracy_mean_of_folds']:.2f}" for side in (c.here, c.there)),
            *(f"{c.difference(name):+.2f}" for name in DIFFERENCES),
            f"{c.n_identical} of {c.n_here if c.n_here == c.n_there else f'{c.n_here}/{c.n_there}'}",
            "–" if math.isnan(c.agreement) else f"{100 * c.agreement:.2f} %",
            c.verdict,
        )
        for c in comparisons
    ]
    return "\n".join(
        [
            f"{dataset}{' (SIMULATED data)' if simulated else ''}: here, commit {git_commit(Path.cwd())[:SHORT]}, and "
            f"there, {archive}, commit {manifest['git_commit'][:SHORT]}, sleepbench {manifest['sleepbench']}",
            "",
            *aligned(header, rows, left=3),
            "",
            textwrap.fill(CAPTION, TEXT_WIDTH),
            *(line for c in comparisons for line in ("", *_lines(c))),
            *(["", *alone] if alone else []),
        ]
    )


def _lines(c: Comparison) -> list[str]:
    """What a row of the comparison cannot hold."""
    folds = "the same" if c.same_folds else "OTHERS"
    data = "the same" if c.same_data else "OTHERS"
    s = c.spread
    if c.identical:
        spread = "every prediction is the same"
    elif math.isnan(s.sd):
        spread = f"cannot be told from one fold and one seed; the difference is {s.difference:+.2f}"
    else:
        sign = "<=" if s.verdict == "within" else ">"
        spread = f"|{s.difference:+.2f}| {sign} {SPREAD} x {s.sd:.2f} points; {s.basis}"
    stages = f"{100 * c.agreement:.2f} % of {c.n_epochs:,} epochs of {c.paired_by}" if c.n_epochs else "not compared"
    return [
        f"{c.key}",
        f"  {c.verdict}: {spread}",
        f"  same stages: {stages}",
        f"  folds: {folds}; EDF files: {data}",
        *([f"  differs: {line}" for line in c.settings] or ["  settings, code, versions and device: the same"]),
    ]


def _csv_row(c: Comparison) -> dict:
    numbers = {}
    for name in DIFFERENCES:
        numbers |= {f"{name}_here": c.here[name], f"{name}_there": c.there[name]}
        numbers[f"{name}_difference_points"] = c.difference(name)
    return {
        **c.key._asdict(),
        **numbers,
        "same_folds": c.same_folds,
        "same_data": c.same_data,
        "runs_here": c.n_here,
        "runs_there": c.n_there,
        "runs_identical": c.n_identical,
        "epochs_compared": c.n_epochs,
        "epochs_equal_share": c.agreement,
        **{f"spread_{name}": value for name, value in asdict(c.spread).items()},
        "verdict": c.verdict,
        "differences": "; ".join(c.settings),
    }


def main(arguments: Sequence[str]) -> int:
    """Export or compare; 0, or 1 with a message when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m sleepbench.runs.archive", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write the results on a dataset, without weights, to an archive")
    exporting.add_argument("dataset", help="a name under `datasets` in config.yaml")
    exporting.add_argument("archive", nargs="?", type=Path, help="default: results/<dataset>-results.zip")
    comparing = commands.add_parser("compare", help="hold the results on a dataset against an archive")
    comparing.add_argument("dataset", help="a name under `datasets` in config.yaml")
    comparing.add_argument("archive", type=Path, help="an archive that `export` wrote")
    comparing.add_argument("--csv", type=Path, help="write the comparison to this file as well")
    options = parser.parse_args(arguments)
    if options.command == "export":
        return run_command(lambda: export(options.dataset, options.archive))
    return run_command(lambda: compare(options.dataset, options.archive, options.csv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
