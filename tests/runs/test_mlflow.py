import json

import pandas as pd
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file, write_json
from sleepbench.runs.mlflow import collect_runs, log_runs

PROTOCOLS = {
    "first": {"folds": "f", "window": "standard", "selection": "best_test"},
    "second": {"folds": "f", "window": "standard", "selection": "last"},
    "elsewhere": {"folds": "other", "window": "standard", "selection": "last"},
}


def write_training(directory, fold, accuracy):
    """The files of a finished fold, with a metric that tells it from others."""
    files = {}
    for selection in ("best_test", "last"):
        write_json(directory / selection / "metrics.json", {"accuracy": accuracy, "f1_N1": None, "n_epochs": 10})
        (directory / selection / "predictions.parquet").write_bytes(b"x")
        files |= {f"{selection}/{name}": None for name in ("metrics.json", "predictions.parquet")}
    (directory / "weights.pt").write_bytes(b"w")
    columns = "training_epoch,learning_rate,train_loss,validation_loss\n"
    (directory / "history.csv").write_text(columns + "1,0.1,2.0,\n2,0.2,1.0,\n")
    files |= {"weights.pt": None, "history.csv": None}
    record = {
        "training_key": f"t{fold}",
        "settings": {
            "dataset": "d", "folds": "f", "window": "standard", "fold": fold, "model": "m", "channels": ["A"],
            "recipe": {"name": "r", "training_epochs": 2, "learning_rate": 1e-3}, "seed": 1,
        },
        "code_sha256": "c",
        "provenance": {
            "title": "M", "channels": "one", "folds": 2, "simulated": True, "git_commit": "g", "config_sha256": "h",
        },
        "runs": {s: {"run_key": f"{s}-{fold}", "training_epoch": 2} for s in ("best_test", "last")},
        "n_epochs": {"train": 5, "validation": 0, "test": 10},
        "environment": {"device": "cpu"},
        "duration_s": 1.5,
        "files": {name: sha256_of_file(directory / name) for name in files},
    }  # fmt: skip
    write_json(directory / "training.json", record)
    return {
        "directory": str(directory),
        "fold": fold,
        "training_json_sha256": sha256_of_file(directory / "training.json"),
    }


@pytest.fixture
def store(tmp_path):
    """Two finished folds, their receipt, and functions that log and collect them."""
    trainings = [write_training(tmp_path / f"fold-{fold}", fold, accuracy=0.5 + fold / 10) for fold in (0, 1)]
    write_json(tmp_path / "receipt.json", {"trainings": trainings})

    def uri(name):
        return f"sqlite:///{tmp_path / name / 'mlflow.db'}"

    class Store:
        path = tmp_path

        def log(self, name="store"):
            output = tmp_path / "logged.json"
            log_runs([tmp_path / "receipt.json"], PROTOCOLS, uri(name), tmp_path / "artifacts", "experiment", output)

        def collect(self, name="store"):
            collect_runs(tmp_path / "logged.json", uri(name), "experiment", True, None, tmp_path / "runs.csv")
            return pd.read_csv(tmp_path / "runs.csv")

    return Store()


def test_runs_are_logged_once_and_come_back_by_key(store, capsys):
    store.log()
    assert "4 logged now, 0 were there" in capsys.readouterr().out
    store.log()
    assert "0 logged now, 4 were there" in capsys.readouterr().out
    runs = store.collect()
    assert runs[["protocol", "fold"]].to_numpy().tolist() == [["first", 0], ["first", 1], ["second", 0], ["second", 1]]
    assert runs["run_key"].tolist() == ["best_test-0", "best_test-1", "last-0", "last-1"]
    assert runs["accuracy"].tolist() == [0.5, 0.6, 0.5, 0.6]
    assert runs["f1_N1"].isna().all()
    assert runs["selected_epoch"].tolist() == [2] * 4
    assert runs["n_channels"].tolist() == [1] * 4
    # The name and all settings of the recipe: claims are held against runs of the published settings only.
    assert runs["recipe"].tolist() == ["r"] * 4
    assert set(runs["trained_epochs"]) == {2}
    assert json.loads(runs["recipe_settings"][0]) == {"learning_rate": 0.001, "training_epochs": 2}
    assert runs["recipe_settings"].nunique() == 1
    logged = list((store.path / "artifacts").rglob("predictions.parquet"))
    assert len(logged) == 4


def test_networks_come_back_in_the_order_in_which_their_trainings_are_listed(store):
    trainings = read_json(store.path / "receipt.json")["trainings"]
    for training, model in zip(trainings, ("zebra", "ant"), strict=True):
        path = store.path / f"fold-{training['fold']}" / "training.json"
        record = read_json(path)
        record["settings"]["model"] = model
        write_json(path, record)
        training["training_json_sha256"] = sha256_of_file(path)
    write_json(store.path / "receipt.json", {"trainings": trainings})
    store.log()
    runs = store.collect()
    assert runs[["protocol", "model"]].to_numpy().tolist() == [
        ["first", "zebra"],
        ["first", "ant"],
        ["second", "zebra"],
        ["second", "ant"],
    ]
    assert "network" not in runs


def test_lost_store_is_rebuilt_to_the_same_table(store):
    store.log()
    store.collect()
    before = (store.path / "runs.csv").read_bytes()
    # an empty store under another name: MLflow keeps the deleted file open as long as this process lives
    with pytest.raises(BenchmarkError, match=r"best_test-0 .*: 0 in MLflow, expected 1"):
        store.collect("new")
    store.log("new")
    store.collect("new")
    assert (store.path / "runs.csv").read_bytes() == before


def test_retrained_fold_replaces_its_runs(store, capsys):
    store.log()
    trainings = read_json(store.path / "receipt.json")["trainings"]
    trainings[0] = write_training(store.path / "fold-0", 0, accuracy=0.9)
    write_json(store.path / "receipt.json", {"trainings": trainings})
    store.log()
    assert "2 logged now, 2 were there" in capsys.readouterr().out
    assert store.collect()["accuracy"].tolist() == [0.9, 0.6, 0.9, 0.6]


@pytest.mark.parametrize("damage", ["delete", "change", "delete record"])
def test_missing_or_changed_run_files_are_named(store, damage):
    if damage == "delete":
        (store.path / "fold-1" / "last" / "predictions.parquet").unlink()
    elif damage == "change":
        (store.path / "fold-1" / "last" / "predictions.parquet").write_bytes(b"y")
    else:
        (store.path / "fold-1" / "training.json").unlink()
    name = "training.json" if damage == "delete record" else "predictions.parquet"
    with pytest.raises(BenchmarkError, match=rf"(?s)fold-1.*{name} \(listed in .*receipt\.json\).*Delete the receipts"):
        store.log()


def test_store_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, and long enough to be read as one" * 100)
    write_json(tmp_path / "receipt.json", {"trainings": []})
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(BenchmarkError, match=r"tracking\.uri .* cannot be opened"):
        log_runs([tmp_path / "receipt.json"], PROTOCOLS, uri, tmp_path, "e", tmp_path / "out.json")
