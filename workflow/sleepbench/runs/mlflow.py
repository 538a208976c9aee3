"""MLflow: the only file that knows it.

Trainings write files and nothing else; the files are the truth. `log_runs`, alone at a time, brings the store up to
date with them, and so also fills a store that was lost. Tables are then made from what the store holds, by run key.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sleepbench.config import paths
from sleepbench.config.keys import PlannedRun
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_json
from sleepbench.evaluation.metrics import METRICS
from sleepbench.runs.run import Run, read_runs_of
from sleepbench.runs.runs_table import row_of, tuned_learning_rate, write_runs
from sleepbench.runs.store import number_store, store_file
from sleepbench.runs.verify import RUN_AGAIN, Expected, verify
from sleepbench.training.keys import RECORD, changed_files

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine unasked
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is not there is said within a minute
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
logging.getLogger("alembic").setLevel(logging.WARNING)

from mlflow import MlflowClient  # noqa: E402  (the environment comes first)
from mlflow.entities import Metric, Param  # noqa: E402
from mlflow.entities import Run as LoggedRun  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

METRICS_PER_BATCH = 1000  # MLflow's limit for one request


def log_runs(planned: Sequence[PlannedRun], uri: str, store: str, experiment: str, output: Path) -> None:
    """Make the store hold every planned run once, as its files are now, and write the list of these runs.

    Idempotent: a run that is there with the same content is left alone; one that was left unfinished, or whose files
    have changed, is deleted and logged again. Runs of other settings in the same experiment are not touched. `store` is
    what `store_state` said before the job began. BenchmarkError lists runs that cannot be read, or that are to be
    logged and have files which are missing or changed.
    """
    runs = read_runs_of(planned)
    client = _client(uri)
    number_store(uri, store)
    experiment_id = _experiment_id(client, uri, experiment, Path(paths.ARTIFACTS) / runs[0].training.dataset)
    logged = _runs_by_key(client, experiment_id)
    waiting = [run for run in runs if not _is_current(logged.get((run.key, run.protocol), []), run)]
    _require_unchanged(waiting)
    for run in waiting:
        for old in logged.get((run.key, run.protocol), []):
            client.delete_run(old.info.run_id)
        _log_run(client, experiment_id, run)
    print(
        f"{len(runs)} runs in experiment '{experiment}': {len(waiting)} logged now, {len(runs) - len(waiting)} were "
        "there"
    )
    listed = [
        {"run_key": run.key, "protocol": run.protocol, "selection": run.selection, "directory": str(run.directory)}
        for run in runs
    ]
    write_json(output, listed)


def collect_runs(planned: Sequence[PlannedRun], expected: Expected, uri: str, experiment: str, output: Path) -> None:
    """Verify all runs, and write the table of runs: who a run is from its files, its metrics from MLflow.

    BenchmarkError naming runs that MLflow does not hold, or holds more than once, or that are not whole.
    """
    client = _client(uri)
    found = client.get_experiment_by_name(experiment)
    by_key = _runs_by_key(client, found.experiment_id) if found else {}
    runs = read_runs_of(planned)
    wrong = [
        f"{run}: {n} in MLflow, expected 1" for run in runs if (n := len(by_key.get((run.key, run.protocol), []))) != 1
    ]
    if wrong:
        raise BenchmarkError(
            f"the MLflow experiment '{experiment}' at {uri} does not hold what was logged:\n  "
            + "\n  ".join(wrong)
            + f"\nDelete {paths.logged(expected.dataset)} and run again: the runs are logged from their files."
        )
    only_folds = expected.config.datasets[expected.dataset].only_folds or ()
    rows = [row_of(run, _metrics(by_key[run.key, run.protocol][0]), only_folds) for run in runs]
    verify(runs, expected, rows)
    write_runs(pd.DataFrame(rows), output)


def _require_unchanged(runs: Sequence[Run]) -> None:
    wrong = {str(run.directory / name): None for run in runs for name in changed_files(run.directory, run.record)}
    if wrong:
        raise BenchmarkError(
            "files of finished trainings are missing or were changed:\n  "
            + "\n  ".join(wrong)
            + f"\nWhat to do: {RUN_AGAIN}."
        )


def _client(uri: str) -> MlflowClient:
    try:
        if file := store_file(uri):
            file.parent.mkdir(parents=True, exist_ok=True)
            # As a URI: MLflow puts its default, a path, into SQL as it is, and a path may have quotes.
            os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = Path(paths.ARTIFACTS).resolve().as_uri()
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise BenchmarkError(
            f"tracking.uri {uri!r}: the MLflow store cannot be opened ({error}); start the server or correct the "
            "file, or set tracking.uri to sqlite:///results/mlflow.db: the runs are logged from their files"
        ) from error
    return client


def require_store(uri: str) -> None:
    """BenchmarkError where the store cannot be opened: asked before all training, not after it."""
    _client(uri)


def _experiment_id(client: MlflowClient, uri: str, name: str, artifacts: Path) -> str:
    # a remote server has a place of its own for artefacts
    location = artifacts.resolve().as_uri() if store_file(uri) else None
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return client.create_experiment(name, artifact_location=location)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    if location in (None, experiment.artifact_location):
        return experiment.experiment_id
    # The results were moved or copied: the other place is not this project's to write to. It is not deleted either,
    # `mlflow gc` would then delete the artefacts there.
    old = f"{name}, in {experiment.artifact_location} ({experiment.experiment_id})"
    client.rename_experiment(experiment.experiment_id, old)
    print(
        f"the runs were logged in another place; that experiment is now called '{old}', and they are logged again here"
    )
    return client.create_experiment(name, artifact_location=location)


def _runs_by_key(client: MlflowClient, experiment_id: str) -> dict[tuple[str, str], list[LoggedRun]]:
    """Runs that are not deleted, by run key and protocol."""
    by_key: dict[tuple[str, str], list[LoggedRun]] = {}
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        for run in page:
            by_key.setdefault((run.data.tags.get("run_key"), run.data.tags.get("protocol")), []).append(run)
        token = page.token
        if not token:
            return by_key


def _is_current(logged: list[LoggedRun], run: Run) -> bool:
    return (
        len(logged) == 1
        and logged[0].info.status == "FINISHED"
        and logged[0].data.tags.get("content_sha256") == run.content_sha256
    )


def _log_run(client: MlflowClient, experiment_id: str, run: Run) -> None:
    settings, provenance = run.settings, run.record["provenance"]
    history = pd.read_csv(run.directory / "history.csv")
    tags = {
        "run_key": run.key,
        "training_key": run.record["training_key"],
        "content_sha256": run.content_sha256,
        "protocol": run.protocol,
        "selection": run.selection,
        **{name: settings[name] for name in ("dataset", "model", "input", "fold", "seed")},
        "recipe": settings["recipe"]["name"],
        "code_sha256": run.record["code_sha256"],
        **{name: provenance[name] for name in ("simulated", "git_commit", "config_sha256")},
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
    if rate := tuned_learning_rate(run.record):
        parameters["tuned_learning_rate"] = rate
    final = {**run.metrics(), "selected_epoch": run.selected_epoch, "duration_s": run.record["duration_s"]}
    values = [Metric(key, float(value), now, run.selected_epoch) for key, value in final.items() if value is not None]
    values += [
        Metric(f"history.{column}", float(value), now, int(epoch))
        for column in history.columns.drop("training_epoch")
        for epoch, value in zip(history["training_epoch"], history[column], strict=True)
        if pd.notna(value)
    ]
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in parameters.items()])
    for start in range(0, len(values), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=values[start : start + METRICS_PER_BATCH])
    for path in (RECORD, "history.csv", "weights.pt"):
        client.log_artifact(run_id, str(run.directory / path))
    client.log_artifacts(run_id, str(run.directory / run.selection), run.selection)
    client.set_terminated(run_id, "FINISHED")


def _metrics(logged: LoggedRun) -> dict[str, float]:
    """The metrics of a run and the cells of its confusion matrix; what MLflow cannot hold was undefined."""
    values = {key: value for key, value in logged.data.metrics.items() if not key.startswith("history.")}
    return dict.fromkeys(METRICS, float("nan")) | values
