"""From a row of a table back to its runs, their files and the files of the recordings.

A row of the audit has folds in place of runs.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sleepbench.config import paths, plan
from sleepbench.config.models import Config
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file, sha256_of_json
from sleepbench.datasets.base import Recording
from sleepbench.preparation.index import read_index
from sleepbench.runs.results import run_of_row
from sleepbench.runs.text import SHORT, TEXT_WIDTH
from sleepbench.runs.trace_rows import RowKeys, find_row
from sleepbench.runs.verify import Expected, check
from sleepbench.training.keys import RECORD

# ------------------------------------------------------------------------------------------------------------- tracing


def trace(config: Config, dataset: str, terms: Sequence[str], row_keys: RowKeys) -> dict[str, Any]:
    """Everything behind one row of a table, as one JSON document; see `report` for what it holds.

    row_keys : by table whose rows can be traced, the columns that tell its rows apart
    """
    expected = Expected(config, dataset)
    row = find_row(expected, terms, row_keys)
    traced = [_run(run, expected) for run in row.runs.itertuples()]
    folds = sorted({*row.folds, *(run["folds"] for run in traced if "folds" in run)})
    return {
        "dataset": dataset,
        "simulated": expected.label.simulated,
        "warning": expected.label.warning,
        "table": row.table,
        "row": row.key,
        "numbers": row.numbers,
        "n_runs_of_row": row.n_runs,
        "runs": traced,
        "folds": [_folds(name, expected) for name in folds],
        **_recordings(folds, expected),
    }


def _run(row: tuple, expected: Expected) -> dict[str, Any]:
    traced = {
        "run_key": row.run_key,
        "protocol": row.protocol,
        "model": row.model,
        "seed": int(row.seed),
        "fold": int(row.fold),
        "selection": row.selection,
        "selected_training_epoch": int(row.selected_epoch),
        "accuracy": 100 * float(row.accuracy),
        "directory": row.directory,
    }
    try:
        run = run_of_row(row)
        _, folds = expected.fold_file(run.training.folds)
    except BenchmarkError as error:
        return {**traced, "problems": [str(error)]}
    states = expected.states(run)
    return {
        **traced,
        **{name: run.settings[name] for name in ("folds", "folds_sha256", "data_sha256")},
        "training_json_sha256": run.content_sha256,
        "files": {name: {"sha256": sha, "state": states[name]} for name, sha in run.record["files"].items()},
        "git_commit": run.record["provenance"]["git_commit"],
        "code_sha256": run.record["code_sha256"],
        "code_is_as_here": run.record["code_sha256"] == expected.code(row.model),
        "environment": run.record["environment"],
        **{part: list(ids) for part, ids in vars(folds[row.fold]).items()},
        "problems": check(run, expected, row._asdict()).problems,
    }


def _folds(name: str, expected: Expected) -> dict[str, str]:
    path = paths.folds(expected.dataset, name)
    document, _ = expected.fold_file(name)
    hashes = {key: document[key] for key in ("folds_sha256", "data_sha256")}
    return {"file": path, "sha256": sha256_of_file(path), **hashes}


def _recordings(folds: Sequence[str], expected: Expected) -> dict[str, Any]:
    """The files of every recording of the folds, checked against the data hash of the fold files.

    `recordings_give_data_sha256` says whether the hashes of the files give that data hash.
    """
    known, where = _known_recordings(expected)
    documents = [expected.fold_file(name)[0] for name in folds]
    recordings = {}
    for id in sorted({id for document in documents for id in document["subjects"]}):
        files = known[id].files if id in known else ()
        if not files or any(file.sha256 is None for file in files):
            raise BenchmarkError(f"recording {id}: {where} does not say which files it is of; prepare the dataset")
        listed = {file.role: {"name": file.name, "sha256": file.sha256} for file in files}
        recordings[id] = {"files": listed, "from": where}
    agrees = all(_data_sha256(recordings, document) == document["data_sha256"] for document in documents)
    return {"recordings": recordings, "recordings_give_data_sha256": agrees}


def _known_recordings(expected: Expected) -> tuple[dict[str, Recording], str]:
    """The recordings of a dataset, and the source that says which files they are of.

    The source is the dataset's index, or the dataset itself before there is an index.
    """
    index = Path(paths.recordings(expected.dataset))
    if index.exists():
        return {recording.id: recording for recording in read_index(index).recordings}, str(index)
    recordings = plan.recordings(expected.config, expected.dataset)
    return {recording.id: recording for recording in recordings}, f"the dataset {expected.dataset}, without {index},"


def _data_sha256(recordings: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """The hash that a fold file gives these files."""
    ids = sorted(document["subjects"])
    return sha256_of_json([[id, *(file["sha256"] for file in recordings[id]["files"].values())] for id in ids])


# ------------------------------------------------------------------------------------------------------------ printing


def report(document: Mapping[str, Any], everything: bool) -> str:
    """A trace as text for a terminal.

    It lists the row, its runs with their files, the fold files and the files of the recordings.

    Training recordings are counted; with `everything` they are named, and the files of all recordings listed, as they
    are of a row without runs.
    """
    # A row that is not computed again goes by its number in the table.
    lines = _table_row_lines(document) if "row" in document["row"] else _main_row_lines(document)
    for run in document["runs"]:
        lines += ["", *_run_lines(run, document["recordings"], everything)]
    for folds in document["folds"]:
        lines += ["", f"fold file {folds['file']}", f"  file          {folds['sha256']}"]
        lines += [f"  assignment    {folds['folds_sha256']}", f"  recordings    {folds['data_sha256']}"]
    if everything or not document["runs"]:
        tested = {id for run in document["runs"] for id in run.get("test", [])}
        others = [recording for id, recording in document["recordings"].items() if id not in tested]
        lines += ["", f"files of the recordings{' that no run above tests' if tested else ''}"]
        lines += [line for recording in others for line in _recording_lines(recording)]
    return "\n".join([*lines, "", *_verdict_lines(document)])


def _row_line(document: Mapping[str, Any]) -> str:
    warning = f" ({document['warning']})" if document["warning"] else ""
    return f"{document['dataset']}{warning}: " + ", ".join(f"{k} {v}" for k, v in document["row"].items())


def _table_row_lines(document: Mapping[str, Any]) -> list[str]:
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


def _main_row_lines(document: Mapping[str, Any]) -> list[str]:
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


def _verdict_lines(document: Mapping[str, Any]) -> list[str]:
    n, agrees = len(document["recordings"]), document["recordings_give_data_sha256"]
    wrong = sum(bool(run["problems"]) for run in document["runs"])
    on_runs = f"Runs with problems, marked above: {wrong}." if wrong else "All files are as they were written."
    which = "the one" if agrees else "NOT the one (recordings were prepared from other files since)"
    return [
        *([f"The hash over the hashes of the files of all {n} recordings is {which} of the fold files."] if n else []),
        *([on_runs] if document["runs"] else []),
    ]


def _run_lines(run: Mapping[str, Any], recordings: Mapping[str, Any], everything: bool) -> list[str]:
    lines = [
        f"run {run['run_key']}: {run['protocol']}, {run['model']}, fold {run['fold']}, seed {run['seed']}, "
        f"{run['selection']} = training epoch {run['selected_training_epoch']}, accuracy {run['accuracy']:.2f}",
        *(f"  PROBLEM: {problem}" for problem in run["problems"]),
        f"  {run['directory']}/",
    ]
    if "files" not in run:
        return lines
    width = max(map(len, [RECORD, *run["files"]]))
    lines.append(f"    {RECORD:<{width}}  {run['training_json_sha256']}")
    lines += [f"    {name:<{width}}  {file['sha256']}  {file['state']}" for name, file in run["files"].items()]
    code = "as here" if run["code_is_as_here"] else "ANOTHER VERSION than here"
    environment = run["environment"]
    versions = [f"{n} {environment[n]}" for n in ("sleepbench", "python", "torch", "numpy") if n in environment]
    lines.append(f"  commit {run['git_commit']}; code {run['code_sha256'][:SHORT]}, {code}")
    lines.append(
        f"  {', '.join(versions)}; {environment.get('engine', '?')} engine on {environment.get('device', '?')}"
    )
    for part in ("train", "validation"):
        ids = f": {', '.join(run[part])}" if everything and run[part] else ""
        lines.append(f"  {part}: {len(run[part])} recordings{ids}")
    lines.append(f"  test: {len(run['test'])} recordings")
    return lines + [line for id in run["test"] for line in _recording_lines(recordings[id])]


def _recording_lines(recording: Mapping[str, Any]) -> list[str]:
    return [f"    {file['name']:<24}  {file['sha256']}" for file in recording["files"].values()]
