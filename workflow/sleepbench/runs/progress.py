"""The main table's rows from the folds that are finished so far; nothing is written.

python -m sleepbench.runs.progress DATASET
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sleepbench.config.load import dataset_of, networks_of, plan, recipe_settings, seeds_of
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.core.provenance import PREPARATION, TRAINING, code_sha256
from sleepbench.evaluation.metrics import confusion_from_items
from sleepbench.models import describe
from sleepbench.protocols.folds import FoldSettings, folds_of
from sleepbench.reporting.tables.main import DASH, scores, title
from sleepbench.runs.results import (
    SAME,
    RowKey,
    aligned,
    check_predictions,
    command_that_trains,
    differing,
    file_states,
    prepared_epochs,
    read_config,
    read_folds,
    run_command,
)
from sleepbench.runs.run_files import Epochs, read_record
from sleepbench.training.keys import training_settings

FINISHED, BEGUN, ABSENT, NOT_COUNTED = "finished", "running or interrupted", "absent", "not counted"


@dataclass(frozen=True)
class FoldState:
    """How far one fold of one seed has come; `why` says what is known of it, `confusion` (5, 5) is a finished one's."""

    seed: int
    fold: int
    state: str
    why: str = ""
    confusion: np.ndarray | None = None


@dataclass(frozen=True)
class Row:
    """A row of the main table that is asked for: `k` folds, of which `asked` are trained with each of `seeds`."""

    key: RowKey
    k: int
    asked: tuple[int, ...]
    seeds: tuple[int, ...]
    folds: list[FoldState]

    def finished(self, seeds: Sequence[int]) -> dict[int, list[np.ndarray]]:
        """Confusion matrices by fold, in the order of `seeds`, of the folds that are finished with all of them."""
        of_fold = {
            fold: [f.confusion for f in self.folds if f.fold == fold and f.seed in seeds and f.state == FINISHED]
            for fold in self.asked
        }
        return {fold: matrices for fold, matrices in of_fold.items() if len(matrices) == len(seeds)}

    @property
    def complete(self) -> bool:
        return len(self.finished(self.seeds)) == len(self.asked)


# ------------------------------------------------------------------------------------------------------------- reading


def asked_rows(config: dict, dataset: str) -> tuple[list[Row], list[str]]:
    """Every row that the config asks for on a dataset, as far as it has come; then the protocols that have no folds."""
    run, protocols = config["run"], config["protocols"]
    with_folds = [name for name in run["protocols"] if protocols[name]["folds"].get(dataset)]
    left_out = [name for name in run["protocols"] if name not in with_folds]
    if not with_folds:  # a trial has a protocol of its own, which is asked for on the command line
        with_folds = [name for name, protocol in protocols.items() if protocol["folds"].get(dataset)]
    if not with_folds:
        raise BenchmarkError(f"protocols: none has a number of folds for the dataset '{dataset}'; add it to {left_out}")
    epochs = prepared_epochs(Path(), dataset, dataset_of(config, dataset).simulated)
    return [
        _row(config, dataset, RowKey(protocol, *network), epochs)
        for protocol in with_folds
        for network in networks_of(config, dataset, protocol)
    ], left_out


def _row(config: dict, dataset: str, key: RowKey, epochs: Epochs) -> Row:
    k = FoldSettings.of_protocol(config["protocols"][key.protocol], dataset).k
    asked = tuple(dataset_of(config, dataset).only_folds or range(k))
    seeds = tuple(seeds_of(config, dataset, key.protocol))
    folds = [_fold_state(config, dataset, key, seed, fold, epochs) for seed in seeds for fold in asked]
    return Row(key, k, asked, seeds, folds)


def training_directory(config: dict, dataset: str, key: RowKey, seed: int) -> Path:
    """Where the folds of a row and seed lie, as the workflow names it."""
    protocol = config["protocols"][key.protocol]
    folds = FoldSettings.of_protocol(protocol, dataset).name
    place = Path("results") / dataset / "trainings" / folds / protocol["window"]
    return place / key.model / key.channels / key.recipe / f"seed-{seed}"


def _fold_state(config: dict, dataset: str, key: RowKey, seed: int, fold: int, epochs: Epochs) -> FoldState:
    home = training_directory(config, dataset, key, seed)
    directory = home / f"fold-{fold}"
    if not directory.exists():
        begun = _progress(home, fold)
        return FoldState(seed, fold, BEGUN if begun else ABSENT, begun or "")
    try:
        problems, confusion = _read_fold(config, dataset, key, seed, fold, directory, epochs)
    except BenchmarkError as error:
        problems, confusion = [str(error)], None
    if problems:
        return FoldState(seed, fold, NOT_COUNTED, "; ".join(problems))
    return FoldState(seed, fold, FINISHED, confusion=confusion)


def _read_fold(
    config: dict, dataset: str, key: RowKey, seed: int, fold: int, directory: Path, epochs: Epochs
) -> tuple[list[str], np.ndarray | None]:
    """What keeps a fold from being counted; the confusion matrix where nothing does."""
    protocol = config["protocols"][key.protocol]
    record = read_record(directory)
    document = read_folds(Path(), dataset, FoldSettings.of_protocol(protocol, dataset).name)
    recipe = {"name": key.recipe, **recipe_settings(config, key.recipe, dataset)}
    channels = config["channels"][key.channels]
    expected = training_settings(document, fold, protocol["window"], key.model, channels, recipe, seed)
    stale = _stale(record, expected, key.model)
    if stale:
        return [f"stale: {', '.join(stale)}"], None
    if wrong := [
        f"{directory / name} is {state}" for name, state in file_states(directory, record).items() if state != SAME
    ]:
        return wrong, None
    selection = protocol["selection"]
    if selection not in record["runs"]:
        return [f"stale: has no selection {selection}, only {', '.join(record['runs'])}"], None
    if wrong := check_predictions(directory, record, selection, folds_of(document)[fold], epochs):
        return wrong, None
    return [], confusion_from_items(read_json(directory / selection / "metrics.json"))


def _stale(record: dict, expected: dict, model: str) -> list[str]:
    """In what a training differs from the one that is asked for."""
    found = record["settings"]
    changed = []
    for name in differing([found, expected]):
        of, asked = found.get(name), expected.get(name)
        if name == "recipe":
            parts = differing([of, asked])
            changed += [f"recipe.{part} {of.get(part)} instead of {asked.get(part)}" for part in parts]
        else:
            changed.append(f"{name} {_short(of)} instead of {_short(asked)}")
    if record["code_sha256"] != (here := code_sha256(PREPARATION + TRAINING, model)):
        changed.append(f"code {_short(record['code_sha256'])} instead of {_short(here)}")
    return changed


def _short(value: object) -> str:
    text = str(value)
    return text[:8] if len(text) == 64 else text


def _progress(home: Path, fold: int) -> str | None:
    """What the log of a fold's job says of it last; None when the job has not come to this fold."""
    logs = Path("results/logs") / home.relative_to("results")
    for log in logs.glob("group-*.log"):
        first, _, last = log.stem.removeprefix("group-").partition("-")
        if not (first.isdigit() and int(first) <= fold <= int(last or first)):
            continue
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        mine = [number for number, line in enumerate(lines) if line.startswith(f"fold {fold}:")]
        if mine:
            minutes = max(0, time.time() - log.stat().st_mtime) / 60
            last_line = next(line for line in reversed(lines) if line.strip())
            return f"last line of its log, {minutes:.0f} min ago: {' '.join(last_line.split())}"
    return None


# ------------------------------------------------------------------------------------------------------------ printing


def _cells(row: Row, seeds: Sequence[int], label: str) -> tuple[str, ...]:
    by_fold = row.finished(seeds)
    mark = f"{len(by_fold)} of {row.k} folds"
    names = (row.key.protocol, describe(row.key.model).title, f"{row.key.channels}, {row.key.recipe}", label, mark)
    if not by_fold:
        return (*names, *[DASH] * 4)
    fold_and_seed = [(fold, seed) for fold in by_fold for seed in seeds]
    matrices = np.array([matrix for matrices in by_fold.values() for matrix in matrices])
    numbers = scores(*zip(*fold_and_seed, strict=True), matrices)
    sd = numbers["accuracy_sd_of_folds"]
    mean = f"{numbers['accuracy_mean_of_folds']:.1f}" + ("" if np.isnan(sd) else f" ± {sd:.1f}")
    kappa = numbers["cohen_kappa"]
    pooled = (f"{numbers['accuracy']:.1f}", f"{numbers['macro_f1']:.1f}", DASH if np.isnan(kappa) else f"{kappa:.3f}")
    return (*names, mean, *pooled)


def _table(rows: Iterable[Row]) -> list[str]:
    cells = []
    for row in rows:
        n = len(row.seeds)
        cells.append(_cells(row, row.seeds, f"all {n}" if n > 1 else str(row.seeds[0])))
        if n > 1 and not row.complete:
            cells += [_cells(row, [seed], str(seed)) for seed in row.seeds]
    header = ("Protocol", "Model", "Input, recipe", "Seed", "Finished", "By fold", "Acc.", "MF1", "Kappa")
    return aligned(header, cells, left=5)


def _numbers(folds: Iterable[int]) -> str:
    """Numbers of folds, with runs of three and more as a range: "0, 3-7"."""
    parts = []
    for _, group in itertools.groupby(enumerate(sorted(folds)), lambda item: item[1] - item[0]):
        run = [number for _, number in group]
        parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
    return ", ".join(parts)


def _unfinished_lines(row: Row, home: Callable[[int], Path]) -> list[str]:
    """The folds of a row that are not finished, those with the same reason together."""
    lines = []
    for seed in row.seeds:
        by_reason: dict[str, list[int]] = {}
        for fold in row.folds:
            if fold.seed == seed and fold.state != FINISHED:
                by_reason.setdefault(f"{fold.state}{fold.why and f' ({fold.why})'}", []).append(fold.fold)
        lines += [f"    fold {_numbers(folds)}: {reason}" for reason, folds in by_reason.items()]
        if by_reason:
            lines.insert(len(lines) - len(by_reason), f"  seed {seed}, in {home(seed)}")
    return [str(row.key), *lines] if lines else []


def report(config: dict, dataset: str) -> str:
    """The rows so far, and the folds that are not finished."""
    rows, left_out = asked_rows(config, dataset)
    n_complete = sum(row.complete for row in rows)
    lines = [title(dataset, dataset_of(config, dataset).simulated, "Main results so far"), "", *_table(rows), ""]
    for row in rows:
        lines += _unfinished_lines(row, partial(training_directory, config, dataset, row.key))
    if left_out:
        lines.append(f"Not on {dataset} (no number of folds in config.yaml): {', '.join(left_out)}")
    lines += [f"Not trained: {skipped}" for skipped in plan(config)[1]]
    if n_complete < len(rows):
        lines.append(
            f"UNFINISHED: {n_complete} of {len(rows)} rows are complete. Rows of fewer folds are printed here only and "
            f"are in no table of results/{dataset}/tables."
        )
        lines.append(f"`{command_that_trains(dataset)}` goes on; finished folds are kept.")
    else:
        made = (Path("results") / dataset / "tables" / "main_results.md").exists()
        where = f"are in results/{dataset}/tables" if made else f"are made by `{command_that_trains(dataset)}`"
        lines.append(f"All {len(rows)} rows are complete; the tables {where}.")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Print the rows of a dataset; 0, or 1 with a message when config.yaml does not ask for any."""
    parser = argparse.ArgumentParser(prog="python -m sleepbench.runs.progress", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a name under `datasets` in config.yaml")
    options = parser.parse_args(arguments)
    return run_command(lambda: print(report(read_config(options.dataset), options.dataset)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
