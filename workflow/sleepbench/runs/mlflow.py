"""MLflow: the only file that knows it.

Trainings write files and nothing else; the files are the truth. `log_runs`, alone at a time, brings the store up to
date with them, and so also fills a store that was lost. Tables are then made from what the store holds, by run key.
"""

import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from sleepbench.config import paths
from sleepbench.config.keys import PlannedRun
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_json
from sleepbench.core.garbage import expect_many_objects
from sleepbench.core.logs import is_of_a_full_disk
from sleepbench.evaluation.metrics import METRICS
from sleepbench.runs.run import Run, read_runs_of
from sleepbench.runs.runs_table import row_of, tuned_learning_rate, write_runs
from sleepbench.runs.store import damage, is_of_damage, is_server, number_store, set_aside, shown, store_file
from sleepbench.runs.verify import RUN_AGAIN, Expected, verify
from sleepbench.training.keys import RECORD, changed_files

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine unasked
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is not there is said within a minute
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
SECONDS_TO_OPEN, SECONDS_TO_ANSWER = "20", "120"
"""That a server may take: to be reached, and then to answer, such as with a thousand runs."""
TIMEOUT_IS_GIVEN = TIMEOUT in os.environ
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
logging.getLogger("alembic").setLevel(logging.WARNING)

from mlflow import MlflowClient  # noqa: E402  (the environment comes first)
from mlflow.entities import Metric, Param  # noqa: E402
from mlflow.entities import Run as LoggedRun  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy import create_engine  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

DATABASES = ("postgresql", "mysql", "mssql")
"""Of what the URI of a store without a server begins with, those that are servers of their own."""
METRICS_PER_BATCH = 1000  # MLflow's limit for one request
VIEW = "sleepbench"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""Tag of an experiment in which MLflow's pages look for the view that an address asks for."""
VIEW_COLUMNS = (
    *(f"metrics.`{name}`" for name in ("accuracy", "macro_f1", "cohen_kappa", "f1_N1")),
    *(f"tags.`{name}`" for name in ("protocol", "model", "input", "recipe", "fold", "seed")),
)
"""Columns that are looked at first, and those that tell runs apart; MLflow shows none of them unasked."""


def log_runs(planned: Sequence[PlannedRun], uri: str, store: str, experiment: str, output: Path) -> None:
    """Make the store hold every planned run once, as its files are now, and write the list of these runs.

    Idempotent: a run that is there as its files say is left alone; one that was left unfinished, that was changed in
    the store, or whose files have changed, is deleted and logged again. A local store that is damaged is set aside, and
    a new one is filled. Runs of other settings in the same experiment are not touched. `store` is what `store_state`
    said before the job began. BenchmarkError lists runs that cannot be read, or that are to be logged and have files
    which are missing or changed.
    """
    runs = read_runs_of(planned)
    file = store_file(uri)
    if file and (found := damage(file)):
        print(f"{file} is damaged ({found}): it is now {set_aside(file)}; a new store is filled from the run files")
    client = _client(uri)
    with _damage_explained(uri):
        number_store(uri, store)
        _bring_up_to_date(client, runs, uri, experiment)
    listed = [
        {"run_key": run.key, "protocol": run.protocol, "selection": run.selection, "directory": str(run.directory)}
        for run in runs
    ]
    write_json(output, listed)


def _bring_up_to_date(client: MlflowClient, runs: Sequence[Run], uri: str, experiment: str) -> None:
    experiment_id = _experiment_id(client, uri, experiment, Path(paths.ARTIFACTS) / runs[0].training.dataset)
    logged = _runs_by_key(client, experiment_id)
    there = [logged.get((run.key, run.protocol), []) for run in runs]
    waiting = [run for run, mine in zip(runs, there, strict=True) if not _is_current(mine, run)]
    changed = sum(bool(logged.get((run.key, run.protocol))) for run in waiting)
    _require_unchanged(waiting)
    for run in waiting:
        for old in logged.get((run.key, run.protocol), []):
            client.delete_run(old.info.run_id)
        _log_run(client, experiment_id, run)
    print(
        f"{len(runs)} runs in experiment '{experiment}': {len(waiting)} logged now, {len(runs) - len(waiting)} were "
        f"there{f'; {changed} were not as their files say' if changed else ''}"
    )


def collect_runs(planned: Sequence[PlannedRun], expected: Expected, uri: str, experiment: str, output: Path) -> None:
    """Verify all runs, and write the table of runs: who a run is from its files, its metrics from MLflow.

    BenchmarkError naming runs that MLflow does not hold, or holds more than once or otherwise than their files say, or
    that are not whole.
    """
    client = _client(uri)
    with _damage_explained(uri):
        found = client.get_experiment_by_name(experiment)
        by_key = _runs_by_key(client, found.experiment_id) if found else {}
    runs = read_runs_of(planned)
    there = [by_key.get((run.key, run.protocol), []) for run in runs]
    both = list(zip(runs, there, strict=True))
    wrong = [f"{run}: {len(mine)} in MLflow, expected 1" for run, mine in both if len(mine) != 1]
    wrong = wrong or [
        f"{run}: its {name} is another than in its metrics.json"
        for run, mine in both
        if (name := _changed_metric(mine[0], run.metrics()))
    ]
    if wrong:
        raise BenchmarkError(
            f"the MLflow experiment '{experiment}' at {shown(uri)} does not hold what was logged:\n  "
            + "\n  ".join(wrong)
            + f"\nDelete {paths.logged(expected.dataset)} and run again: the runs are logged from their files."
        )
    only_folds = expected.config.datasets[expected.dataset].only_folds or ()
    rows = [row_of(run, _metrics(mine[0]), only_folds) for run, mine in both]
    verify(runs, expected, rows)
    write_runs(pd.DataFrame(rows), output)


@contextmanager
def _damage_explained(uri: str, opening: bool = False) -> Iterator[None]:
    """Set a local store aside that MLflow cannot read, and say so; any other fault of the store is said as well.

    That a disk is full is said where all of a job's errors are.
    `opening`: whether MLflow refuses a store for what it is, even where SQLite can read it.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        if is_of_a_full_disk(error):
            raise
        file, reason, causes = store_file(uri), " ".join(str(error).split())[:200], list(_causes(error))
        refused = opening and isinstance(error, MlflowException)
        if file and file.exists() and (all(map(is_of_damage, causes)) if causes else refused):
            raise BenchmarkError(
                f"{file}: MLflow cannot read this store ({reason}): it is now {set_aside(file)}. Run again: a new one "
                "is filled from the run files"
            ) from error
        cannot, what_to_do = (
            ("opened", "start the server or correct the file, or set tracking.uri to sqlite:///results/mlflow.db")
            if opening
            else ("used", "see that it can be reached and written, and run again")
        )
        if is_server(uri) and (remedy := _remedy(error, uri)):
            what_to_do = f"{remedy}, and run again"
        raise BenchmarkError(
            f"tracking.uri {shown(uri)!r}: the MLflow store cannot be {cannot} ({reason}); {what_to_do}: the runs are "
            "logged from their files"
        ) from error


REFUSED = {
    401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to a user and password that the server knows",
    403: "let the server's administrator give this user the permission EDIT on the experiment",
}
"""What to do about a server that refuses a user, by its HTTP status."""


def _remedy(error: BaseException, uri: str) -> str | None:
    """What to do about a server that refused a request; None where it did not."""
    if "Invalid Host header" in str(error):
        host = urlsplit(uri).hostname
        return f"let the server's administrator start it with --allowed-hosts {host} (docs/mlflow-server.md)"
    found = error.get_http_status_code() if isinstance(error, MlflowException) else None
    said = re.search(r"error code (\d{3})", str(error))
    return REFUSED.get(found) or (REFUSED.get(int(said[1])) if said else None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """What SQLite said that an error came from."""
    while error is not None:
        said = getattr(error, "orig", error)
        if isinstance(said, sqlite3.Error):
            yield said
        error = error.__cause__ or error.__context__


def _require_unchanged(runs: Sequence[Run]) -> None:
    wrong = {str(run.directory / name): None for run in runs for name in changed_files(run.directory, run.record)}
    if wrong:
        raise BenchmarkError(
            "files of finished trainings are missing or were changed:\n  "
            + "\n  ".join(wrong)
            + f"\nWhat to do: {RUN_AGAIN}."
        )


def _connect(uri: str) -> None:
    """Connect to a database once: MLflow tries it for most of an hour. BenchmarkError where a package is missing."""
    try:
        engine = create_engine(uri)
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f"tracking.uri {shown(uri)!r}: the package {error.name} that connects to such a database is not installed: "
            "install it (psycopg2: .venv/bin/pip install psycopg2-binary), or name an MLflow server, which needs none"
        ) from error
    with engine.connect():
        pass
    engine.dispose()


def _client(uri: str) -> MlflowClient:
    with _damage_explained(uri, opening=True):
        if file := store_file(uri):
            file.parent.mkdir(parents=True, exist_ok=True)
        if uri.partition(":")[0].partition("+")[0] in DATABASES:
            _connect(uri)
        if not is_server(uri):
            # As a URI: MLflow puts its default, a path, into SQL as it is, and a path may have quotes. Without it
            # experiments of a database have their artefacts in ./mlruns, wherever that is.
            os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = Path(paths.ARTIFACTS).resolve().as_uri()
        client = MlflowClient(uri)
        if not TIMEOUT_IS_GIVEN:
            os.environ[TIMEOUT] = SECONDS_TO_OPEN
        client.search_experiments(max_results=1)
        if not TIMEOUT_IS_GIVEN:
            os.environ[TIMEOUT] = SECONDS_TO_ANSWER
    return client


def require_store(uri: str) -> None:
    """BenchmarkError where the store cannot be opened: asked before all training, not after it."""
    _client(uri)


def lost(uri: str, logged: Mapping[str, Path]) -> list[Path]:
    """The lists of logged runs whose first or last run a store does not hold any more; by experiment.

    So a database is noticed that was lost or replaced behind a server, as a local one is by its number.
    """
    found, client = [], _client(uri)
    with _damage_explained(uri):
        for name, path in logged.items():
            experiment = client.get_experiment_by_name(name)
            keys = [entry["run_key"] for entry in read_json(path)]
            filters = [f"tags.run_key = '{key}'" for key in dict.fromkeys((*keys[:1], *keys[-1:]))]
            if experiment is None or not all(
                client.search_runs([experiment.experiment_id], one, max_results=1) for one in filters
            ):
                found.append(path)
    return found


def pages(uri: str) -> dict[str, str]:
    """Where MLflow's pages show the runs, behind the address of its server, by experiment; the newest run's is first.

    Each opens on a saved view with the columns that matter, which is written into the store. BenchmarkError where the
    store cannot be opened.
    """
    if (file := store_file(uri)) and not file.exists():
        return {}
    client, found = _client(uri), []
    with _damage_explained(uri):
        for one in client.search_experiments():
            newest = client.search_runs([one.experiment_id], max_results=1, order_by=["attributes.start_time DESC"])
            if not newest or "run_key" not in newest[0].data.tags:
                continue
            view = json.dumps({"selectedColumns": list(VIEW_COLUMNS), "columnOrder": list(VIEW_COLUMNS)})
            if one.tags.get(VIEW_TAG) != view:
                client.set_experiment_tag(one.experiment_id, VIEW_TAG, view)
            place = f"#/experiments/{one.experiment_id}/runs?compareRunsMode=TABLE&viewStateShareKey={VIEW}"
            found.append((newest[0].info.start_time, one.name, place))
    return {name: place for _, name, place in sorted(found, reverse=True)}


def _experiment_id(client: MlflowClient, uri: str, name: str, artifacts: Path) -> str:
    location = None if is_server(uri) else artifacts.resolve().as_uri()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # of another process, made since it was asked for
            if experiment is None:
                raise
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
    expect_many_objects()
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
    """Whether a run is there once, whole, and in every tag, parameter and last value of a metric as it would be logged.

    What the store holds may have been changed since.
    """
    if len(logged) != 1 or logged[0].info.status != "FINISHED":
        return False
    data, (tags, parameters, metrics) = logged[0].data, _content(run)
    times = logged[0].info.start_time, logged[0].info.end_time
    return (
        ("ended" not in run.record or times == _times(run))
        and tags.items() <= data.tags.items()
        and parameters == data.params
        and {one.key: one.value for one in metrics} == data.metrics
    )


def _content(run: Run) -> tuple[dict[str, str], dict[str, str], list[Metric]]:
    """Tags, parameters and metrics of a run as they are logged; the steps of a metric in ascending order."""
    settings, provenance = run.settings, run.record["provenance"]
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
    parameters = {
        **{key: value for key, value in settings.items() if key != "recipe"},
        **{f"recipe.{key}": value for key, value in settings["recipe"].items()},
        **{f"environment.{key}": value for key, value in run.record["environment"].items()},
        **{f"n_{name}": n for name, n in run.record["n_epochs"].items()},
    }
    if rate := tuned_learning_rate(run.record):
        parameters["tuned_learning_rate"] = rate
    final = {**run.metrics(), "selected_epoch": run.selected_epoch, "duration_s": run.record["duration_s"]}
    metrics = [Metric(key, float(value), 0, run.selected_epoch) for key, value in final.items() if value is not None]
    for row in run.history():
        step = int(row.pop("training_epoch"))
        metrics += [Metric(f"history.{name}", value, 0, step) for name, value in row.items() if value is not None]
    return _texts(tags), _texts(parameters), metrics


def _times(run: Run) -> tuple[int, int]:
    """When its training started and ended, as MLflow counts: in milliseconds since 1970."""
    started, ended = run.started_and_ended
    return round(1000 * started), round(1000 * ended)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


def _log_run(client: MlflowClient, experiment_id: str, run: Run) -> None:
    tags, parameters, metrics = _content(run)
    name = f"{run.protocol}, {run.training.model}, fold {run.training.fold}, seed {run.training.seed}"
    started, ended = _times(run)
    run_id = client.create_run(experiment_id, start_time=started, tags=tags, run_name=name).info.run_id
    client.log_batch(run_id, params=[Param(key, value) for key, value in parameters.items()])
    values = [Metric(one.key, one.value, ended, one.step) for one in metrics]
    for start in range(0, len(values), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=values[start : start + METRICS_PER_BATCH])
    for path in (RECORD, "history.csv", "weights.pt"):
        client.log_artifact(run_id, str(run.directory / path))
    client.log_artifacts(run_id, str(run.directory / run.selection), run.selection)
    client.set_terminated(run_id, "FINISHED", ended)


def _metrics(logged: LoggedRun) -> dict[str, float]:
    """The metrics of a run and the cells of its confusion matrix; what MLflow cannot hold was undefined."""
    values = {key: value for key, value in logged.data.metrics.items() if not key.startswith("history.")}
    return dict.fromkeys(METRICS, float("nan")) | values


def _changed_metric(logged: LoggedRun, written: Mapping[str, float | None]) -> str:
    """The first metric that the store holds otherwise than metrics.json; empty if there is none."""
    known = {name: value for name, value in written.items() if value is not None}
    found = {name: value for name, value in logged.data.metrics.items() if name in written}
    return next((name for name in {**known, **found} if known.get(name) != found.get(name)), "")
