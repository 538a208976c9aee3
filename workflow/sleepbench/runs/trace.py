"""From a row of a table back to its runs (of the audit, its folds), their files and the EDF files behind them.

python -m sleepbench.runs.trace DATASET [table=NAME] key=value ... [--all] [--json]
python -m sleepbench.runs.trace DATASET RUN_KEY [--all] [--json]
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from sleepbench.config.load import Dataset, dataset_of
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file, sha256_of_json
from sleepbench.core.provenance import PREPARATION, TRAINING, code_sha256
from sleepbench.datasets.recordings import read_recordings
from sleepbench.reporting.tables.main import SIMULATED, TEXT_WIDTH
from sleepbench.runs.results import (
    SHORT,
    RowKey,
    file_states,
    prepared_epochs,
    read_config,
    read_folds,
    run_command,
    run_problems,
)
from sleepbench.runs.run_files import Epochs, read_document, read_record
from sleepbench.runs.trace_rows import RUN_FILTERS, TABLE_KEYS, find_row

# ------------------------------------------------------------------------------------------------------------- tracing


def trace(dataset: str, terms: Sequence[str]) -> dict:
    """Everything behind one row of a table, as one JSON document; see `report` for what it holds."""
    config = read_config(dataset)
    settings = dataset_of(config, dataset)
    row = find_row(dataset, settings.simulated, terms)
    epochs = prepared_epochs(Path(), dataset, settings.simulated)
    traced = [_run(dataset, run, epochs) for run in row.runs.itertuples()]
    folds = sorted({*row.folds, *(run["folds"] for run in traced if "folds" in run)})
    return {
        "dataset": dataset,
        "simulated": settings.simulated,
        "table": row.table,
        "row": row.key,
        "numbers": row.numbers,
        "n_runs_of_row": row.n_runs,
        "runs": traced,
        "folds": [_folds(dataset, name) for name in folds],
        **_recordings(dataset, settings, Path(config["data"]["table"]), folds),
    }


def _run(dataset: str, run: tuple, epochs: Epochs) -> dict:
    directory = Path(run.directory)
    traced = {
        "run_key": run.run_key,
        "protocol": run.protocol,
        "model": run.model,
        "seed": int(run.seed),
        "fold": int(run.fold),
        "selection": run.selection,
        "selected_training_epoch": int(run.selected_epoch),
        "accuracy": 100 * float(run.accuracy),
        "directory": directory.as_posix(),
    }
    try:
        record = read_record(directory)
        document = read_folds(Path(), dataset, record["settings"]["folds"])
    except BenchmarkError as error:
        return {**traced, "problems": [str(error)]}
    states, fold = file_states(directory, record), document["folds"][run.fold]
    return {
        **traced,
        "folds": record["settings"]["folds"],
        "folds_sha256": record["settings"]["folds_sha256"],
        "data_sha256": record["settings"]["data_sha256"],
        "training_json_sha256": sha256_of_file(directory / "training.json"),
        "files": {name: {"sha256": sha, "state": states[name]} for name, sha in record["files"].items()},
        "git_commit": record["provenance"]["git_commit"],
        "code_sha256": record["code_sha256"],
        "code_is_as_here": record["code_sha256"] == code_sha256(PREPARATION + TRAINING, record["settings"]["model"]),
        "environment": record["environment"],
        "train": fold["train"],
        "validation": fold["validation"],
        "test": fold["test"],
        "problems": run_problems(Path(), run, record, document, epochs, with_weights=True),
    }


def _folds(dataset: str, name: str) -> dict:
    path = Path("results") / dataset / "folds" / f"{name}.json"
    document = read_folds(Path(), dataset, name)
    return {
        "file": path.as_posix(),
        "sha256": sha256_of_file(path),
        "folds_sha256": document["folds_sha256"],
        "data_sha256": document["data_sha256"],
    }


def _recordings(dataset: str, settings: Dataset, table: Path, folds: list[str]) -> dict:
    """The EDF files of every recording of the folds, and whether their hashes give the data hash of the fold files."""
    documents = [read_folds(Path(), dataset, name) for name in folds]
    ids = sorted({id for document in documents for id in _ids(document)})
    home = Path("results/data") / settings.source
    fallback = home / "recordings.csv" if settings.simulation else table
    listed = {recording.id: recording for recording in read_recordings(fallback)} if fallback.exists() else {}
    recordings = {}
    for id in ids:
        prepared = home / "prepared" / f"{id}.json"
        if prepared.exists():
            recordings[id] = {**_edf_files(prepared), "from": prepared.as_posix()}
        elif id in listed:
            one = listed[id]
            recordings[id] = {
                "psg": {"file": one.psg, "sha256": one.psg_sha256},
                "hypnogram": {"file": one.hypnogram, "sha256": one.hypnogram_sha256},
                "from": fallback.as_posix(),
            }
        else:
            raise BenchmarkError(
                f"recording {id}: neither {prepared} nor {fallback} says which EDF files it is of; prepare it again"
            )
    agrees = all(_data_sha256(recordings, document) == document["data_sha256"] for document in documents)
    return {"recordings": recordings, "recordings_give_data_sha256": agrees}


def _edf_files(prepared: Path) -> dict:
    summary = read_document(prepared, "prepare it again")
    try:
        return {kind: {name: summary[kind][name] for name in ("file", "sha256")} for kind in ("psg", "hypnogram")}
    except (KeyError, TypeError) as error:
        raise BenchmarkError(
            f"{prepared}: does not say which EDF files it is of ({error}); prepare it again"
        ) from error


def _ids(document: dict) -> set[str]:
    parts = (fold[part] for fold in document["folds"] for part in ("train", "validation", "test"))
    return {id for part in parts for id in part} | set(document["dropped"])


def _data_sha256(recordings: dict, document: dict) -> str:
    """The hash that `folds_document` gives these EDF files."""
    return sha256_of_json(
        [[id, recordings[id]["psg"]["sha256"], recordings[id]["hypnogram"]["sha256"]] for id in sorted(_ids(document))]
    )


# ------------------------------------------------------------------------------------------------------------ printing


def report(document: dict, everything: bool) -> str:
    """A trace for a terminal: the row, its runs with their files, the fold files, the EDF files.

    Training recordings are counted; with `everything` they are named, and the EDF files of all recordings listed, as
    they are of a row without runs.
    """
    # A row that is not computed again goes by its number in the table.
    lines = _table_row_lines(document) if "row" in document["row"] else _main_row_lines(document)
    for run in document["runs"]:
        lines += ["", *_run_lines(run, document["recordings"], everything)]
    for folds in document["folds"]:
        lines += ["", f"fold file {folds['file']}", f"  file          {folds['sha256']}"]
        lines += [f"  assignment    {folds['folds_sha256']}", f"  EDF files     {folds['data_sha256']}"]
    if everything or not document["runs"]:
        tested = {id for run in document["runs"] for id in run.get("test", [])}
        others = [recording for id, recording in document["recordings"].items() if id not in tested]
        lines += ["", f"EDF files of the recordings{' that no run above tests' if tested else ''}"]
        lines += [line for recording in others for line in _recording_lines(recording)]
    return "\n".join([*lines, "", *_verdict_lines(document)])


def _row_line(document: dict) -> str:
    simulated = f" ({SIMULATED})" if document["simulated"] else ""
    return f"{document['dataset']}{simulated}: " + ", ".join(f"{k} {v}" for k, v in document["row"].items())


def _table_row_lines(document: dict) -> list[str]:
    """A row as its table has it, without the many numbers of each fold."""
    numbers = document["numbers"]
    listed = ", ".join(
        f"{name} {value:.8g}"
        for name, value in numbers.items()
        if not isinstance(value, str) and "_per_fold_" not in name
    )
    n_runs = document["n_runs_of_row"]
    shown = f"{len(document['runs'])} of {n_runs} runs shown" if n_runs else "made before any training"
    return [
        _row_line(document),
        textwrap.fill(listed, TEXT_WIDTH, initial_indent="  ", subsequent_indent="  "),
        f"  {shown}; {numbers['table']}: {numbers['table_state']}",
    ]


def _main_row_lines(document: dict) -> list[str]:
    """A measured row of the main table, computed again."""
    numbers = document["numbers"]
    sd, kappa = numbers["accuracy_sd_of_folds"], numbers["cohen_kappa"]
    return [
        _row_line(document),
        f"  accuracy by fold {numbers['accuracy_mean_of_folds']:.2f}{'' if sd is None else f' ± {sd:.2f}'}; pooled: "
        f"accuracy {numbers['accuracy']:.2f}, macro-F1 {numbers['macro_f1']:.2f}, "
        f"kappa {'undefined' if kappa is None else f'{kappa:.4f}'}; {numbers['n_epochs']:,.0f} test epochs",
        f"  folds {numbers['folds']}, seeds {numbers['seeds']}; {len(document['runs'])} of {document['n_runs_of_row']} "
        f"runs shown; {numbers['table']}: {numbers['table_state']}",
    ]


def _verdict_lines(document: dict) -> list[str]:
    n, agrees = len(document["recordings"]), document["recordings_give_data_sha256"]
    wrong = sum(bool(run["problems"]) for run in document["runs"])
    of_runs = f"Runs with problems, marked above: {wrong}." if wrong else "All files are as they were written."
    of_edf = "the one" if agrees else "NOT the one (recordings were prepared from other files since)"
    return [
        *([f"The hash over the EDF hashes of all {n} recordings is {of_edf} of the fold files."] if n else []),
        *([of_runs] if document["runs"] else []),
    ]


def _run_lines(run: dict, recordings: dict, everything: bool) -> list[str]:
    lines = [
        f"run {run['run_key']}: {run['protocol']}, {run['model']}, fold {run['fold']}, seed {run['seed']}, "
        f"{run['selection']} = training epoch {run['selected_training_epoch']}, accuracy {run['accuracy']:.2f}",
        *(f"  PROBLEM: {problem}" for problem in run["problems"]),
        f"  {run['directory']}/",
    ]
    if "files" not in run:
        return lines
    width = max(map(len, ["training.json", *run["files"]]))
    lines.append(f"    {'training.json':<{width}}  {run['training_json_sha256']}")
    lines += [f"    {name:<{width}}  {file['sha256']}  {file['state']}" for name, file in run["files"].items()]
    code = "as here" if run["code_is_as_here"] else "ANOTHER VERSION than here"
    environment = run["environment"]
    versions = ", ".join(
        f"{n} {environment[n]}" for n in ("sleepbench", "python", "torch", "numpy") if n in environment
    )
    lines.append(f"  commit {run['git_commit']}; code {run['code_sha256'][:SHORT]}, {code}")
    lines.append(f"  {versions}; {environment.get('engine', '?')} engine on {environment.get('device', '?')}")
    for part in ("train", "validation"):
        ids = f": {', '.join(run[part])}" if everything and run[part] else ""
        lines.append(f"  {part}: {len(run[part])} recordings{ids}")
    lines.append(f"  test: {len(run['test'])} recordings")
    return lines + [line for id in run["test"] for line in _recording_lines(recordings[id])]


def _recording_lines(recording: dict) -> list[str]:
    return [f"    {recording[kind]['file']:<24}  {recording[kind]['sha256']}" for kind in ("psg", "hypnogram")]


def main(arguments: Sequence[str]) -> int:
    """Print a trace; 0, or 1 with a message when there is no such row."""
    parser = argparse.ArgumentParser(prog="python -m sleepbench.runs.trace", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a name under `datasets` in config.yaml")
    parser.add_argument(
        "terms",
        nargs="*",
        metavar="KEY=VALUE | RUN_KEY",
        help=f"{', '.join((*RowKey._fields, *RUN_FILTERS))}, or the first digits of a run key; for a row of another "
        f"table than the main one, table={'|'.join(TABLE_KEYS)} and row=NUMBER or what names it there",
    )
    parser.add_argument("--all", action="store_true", help="list the EDF files of the training recordings as well")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    options = parser.parse_args(arguments)

    def command() -> None:
        document = trace(options.dataset, options.terms)
        print(json.dumps(document, indent=2) if options.json else report(document, options.all))

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
