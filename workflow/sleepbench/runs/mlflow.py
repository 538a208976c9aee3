"""MLflow: the only file that knows it.

Trainings write files and nothing else; the files are the truth. `log_runs`, alone at a time, brings the store up to
date with them, and so also fills a store that was lost. Tables are then made from what the store holds, by run key.
"""

import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing, sha256_of_file, write_json
from sleepbench.evaluation.metrics import METRICS
from sleepbench.training.keys import changed_files

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine unasked
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is not there is said within a minute
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
logging.getLogger("alembic").setLevel(logging.WARNING)

from mlflow import MlflowClient  # noqa: E402  (the environment comes first)
from mlflow.entities import Metric, Param, Run  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

METRICS_PER_BATCH = 1000  # MLflow's limit for one request


@dataclass(frozen=True)
class FinishedRun:
    """A training read through a protocol's selection rule: where its files are and what they record."""

    key: str
    protocol: str
    selection: str
    directory: Path
    record: dict  # content of training.json

    @property
    def content_sha256(self) -> str:
        """Changes when any file of the training does: training.json holds the hashes of the others."""
        return sha256_of_file(self.directory / "training.json")


def finished_runs(receipts: Iterable[Path], protocols: dict[str, dict]) -> list[FinishedRun]:
    """The runs of `protocols` among the trainings that `receipts` list, every file of them checked.

    `protocols` gives for each name its folds, window and selection. Two protocols may share a training. Raises
    BenchmarkError that lists files which are missing or changed since they were written.
    """
    runs, wrong = [], []
    for receipt in receipts:
        for training in read_json(receipt)["trainings"]:
            directory = Path(training["directory"])
            record_path = directory / "training.json"
            if not record_path.exists() or sha256_of_file(record_path) != training["training_json_sha256"]:
                wrong.append(f"{record_path} (listed in {receipt})")
                continue
            record = read_json(record_path)
            wrong += [f"{directory / name} (listed in {receipt})" for name in changed_files(directory, record)]
            settings = record["settings"]
            for name, protocol in protocols.items():
                if (protocol["folds"], protocol["window"]) != (settings["folds"], settings["window"]):
                    continue
                selection = protocol["selection"]
                if selection not in record["runs"]:
                    raise BenchmarkError(
                        f"{record_path}: has no run of the selection '{selection}' that protocol {name} asks for, only "
                        f"{', '.join(record['runs'])}; a cycle of the schedule must end after a whole training epoch: "
                        "train longer or choose another selection"
                    )
                runs.append(FinishedRun(record["runs"][selection]["run_key"], name, selection, directory, record))
    if wrong:
        raise BenchmarkError(
            "files of finished trainings are missing or were changed:\n  "
            + "\n  ".join(wrong)
            + "\nDelete the receipts named above and run again: whole folds are kept, the others trained again."
        )
    return runs


def log_runs(
    receipts: Sequence[Path],
    protocols: dict[str, dict],
    uri: str,
    artifacts: Path,
    experiment: str,
    output: Path,
) -> None:
    """Make the store hold every finished run once, as its files are now, and write the list of these runs.

    Idempotent: a run that is there with the same content is left alone; one that was left unfinished, or whose files
    have changed, is deleted and logged again. Runs of other settings in the same experiment are not touched.
    """
    runs = finished_runs(receipts, protocols)
    client = _client(uri)
    experiment_id = _experiment_id(client, uri, experiment, artifacts)
    logged = _runs_by_key(client, experiment_id)
    kept = 0
    for run in runs:
        key = (run.key, run.protocol)
        if _is_current(logged.get(key, []), run):
            kept += 1
            continue
        for old in logged.get(key, []):
            client.delete_run(old.info.run_id)
        _log_run(client, experiment_id, run)
    print(f"{len(runs)} runs in experiment '{experiment}': {len(runs) - kept} logged now, {kept} were there")
    write_json(
        output,
        [
            {"run_key": run.key, "protocol": run.protocol, "selection": run.selection, "directory": str(run.directory)}
            for run in runs
        ],
    )


def collect_runs(
    logged: Path, uri: str, experiment: str, simulated: bool, only_folds: Sequence[int] | None, output: Path
) -> None:
    """Write the table of runs (CSV, one row per run): who a run is from its files, its metrics from MLflow.

    `only_folds` are the folds that were asked for, None for all.

    Raises BenchmarkError naming runs that MLflow does not hold, or holds more than once.
    """
    client = _client(uri)
    found = client.get_experiment_by_name(experiment)
    by_key = _runs_by_key(client, found.experiment_id) if found else {}
    listed = read_json(logged)
    wrong = [
        f"{run['run_key']} ({run['directory']}, protocol {run['protocol']}): {n} in MLflow, expected 1"
        for run in listed
        if (n := len(by_key.get((run["run_key"], run["protocol"]), []))) != 1
    ]
    if wrong:
        raise BenchmarkError(
            f"the MLflow experiment '{experiment}' at {uri} does not hold what {logged} lists:\n  "
            + "\n  ".join(wrong)
            + f"\nDelete {logged} and run again: the runs are logged from their files."
        )
    rows = [_row(run, by_key[run["run_key"], run["protocol"]][0], simulated) for run in listed]
    table = pd.DataFrame(rows)
    # protocols in the order of the configuration
    table["protocol"] = pd.Categorical(table["protocol"], categories=table["protocol"].unique())
    table["only_folds"] = " ".join(map(str, only_folds or ()))
    # and so are the networks, as the runs are listed
    network = pd.Series(list(zip(table["model"], table["channels"], table["recipe"], strict=True)))
    table["network"] = pd.factorize(network)[0]
    table = table.sort_values(["protocol", "network", "seed", "fold"]).drop(columns="network")
    with replacing(output) as temporary:
        table.to_csv(temporary, index=False)


def _client(uri: str) -> MlflowClient:
    try:
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise BenchmarkError(f"tracking.uri {uri!r}: the MLflow store cannot be opened ({error})") from error
    return client


def _experiment_id(client: MlflowClient, uri: str, name: str, artifacts: Path) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # a remote server has a place of its own for artefacts
        local = uri.startswith("sqlite:///")
        return client.create_experiment(name, artifact_location=artifacts.resolve().as_uri() if local else None)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return experiment.experiment_id


def _runs_by_key(client: MlflowClient, experiment_id: str) -> dict[tuple[str, str], list[Run]]:
    """Runs that are not deleted, by run key and protocol."""
    by_key: dict[tuple[str, str], list[Run]] = {}
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        for run in page:
            by_key.setdefault((run.data.tags.get("run_key"), run.data.tags.get("protocol")), []).append(run)
        token = page.token
        if not token:
            return by_key


def _is_current(logged: list[Run], run: FinishedRun) -> bool:
    return (
        len(logged) == 1
        and logged[0].info.status == "FINISHED"
        and logged[0].data.tags.get("content_sha256") == run.content_sha256
    )


def _log_run(client: MlflowClient, experiment_id: str, run: FinishedRun) -> None:
    settings = run.record["settings"]
    metrics = read_json(run.directory / run.selection / "metrics.json")
    history = pd.read_csv(run.directory / "history.csv")
    tags = {
        "run_key": run.key,
        "training_key": run.record["training_key"],
        "content_sha256": run.content_sha256,
        "dataset": settings["dataset"],
        "protocol": run.protocol,
        "model": settings["model"],
        "channels": run.record["provenance"]["channels"],
        "recipe": settings["recipe"]["name"],
        "fold": settings["fold"],
        "seed": settings["seed"],
        "selection": run.selection,
        "simulated": run.record["provenance"]["simulated"],
        "git_commit": run.record["provenance"]["git_commit"],
        "code_sha256": run.record["code_sha256"],
        "config_sha256": run.record["provenance"]["config_sha256"],
    }
    name = f"{run.protocol}, {settings['model']}, fold {settings['fold']}, seed {settings['seed']}"
    created = client.create_run(experiment_id, tags={key: str(value) for key, value in tags.items()}, run_name=name)
    run_id, now = created.info.run_id, created.info.start_time
    parameters = {
        **{key: value for key, value in settings.items() if key != "recipe"},
        **{f"recipe.{key}": value for key, value in settings["recipe"].items()},
        **{f"environment.{key}": value for key, value in run.record["environment"].items()},
        **{f"n_{name}": n for name, n in run.record["n_epochs"].items()},
    }
    selected = run.record["runs"][run.selection]["training_epoch"]
    final = {**metrics, "selected_epoch": selected, "duration_s": run.record["duration_s"]}
    values = [Metric(key, float(value), now, selected) for key, value in final.items() if value is not None]
    values += [
        Metric(f"history.{column}", float(value), now, int(epoch))
        for column in history.columns.drop("training_epoch")
        for epoch, value in zip(history["training_epoch"], history[column], strict=True)
        if pd.notna(value)
    ]
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in parameters.items()])
    for start in range(0, len(values), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=values[start : start + METRICS_PER_BATCH])
    for path in ("training.json", "history.csv", "weights.pt"):
        client.log_artifact(run_id, str(run.directory / path))
    client.log_artifacts(run_id, str(run.directory / run.selection), run.selection)
    client.set_terminated(run_id, "FINISHED")


def recipe_json(recipe: dict) -> str:
    """A recipe's settings without its name, as JSON that is the same for the same settings."""
    return json.dumps({name: value for name, value in recipe.items() if name != "name"}, sort_keys=True)


def _row(listed: dict, run: Run, simulated: bool) -> dict:
    record = read_json(Path(listed["directory"]) / "training.json")
    settings, provenance = record["settings"], record["provenance"]
    # MLflow cannot hold an undefined metric: what is absent there was NaN
    metrics = dict.fromkeys(METRICS, float("nan"))
    metrics |= {key: value for key, value in run.data.metrics.items() if not key.startswith("history.")}
    return {
        "run_key": listed["run_key"],
        "dataset": settings["dataset"],
        "simulated": simulated,
        "protocol": listed["protocol"],
        "model": settings["model"],
        "title": provenance["title"],
        "channels": provenance["channels"],
        "n_channels": len(settings["channels"]),
        "recipe": settings["recipe"]["name"],
        "seed": settings["seed"],
        "fold": settings["fold"],
        "folds": provenance["folds"],
        "selection": listed["selection"],
        "window": settings["window"],
        "training_epochs": settings["recipe"]["training_epochs"],
        "trained_epochs": record["runs"]["last"]["training_epoch"],
        "recipe_settings": recipe_json(settings["recipe"]),
        **{f"n_{name}": n for name, n in record["n_epochs"].items()},
        "directory": listed["directory"],
        "git_commit": provenance["git_commit"],
        "device": record["environment"]["device"],
        **metrics,
    }
