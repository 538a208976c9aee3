"""What README shows of real EEG is what the committed archive holds."""

import zipfile
from pathlib import Path

import pandas as pd
import real_eeg

from sleepbench.core.files import read_json
from sleepbench.runs.archive import unpack


def test_the_tables_in_readme_are_those_of_the_archive(tmp_path: Path) -> None:
    manifest = unpack(real_eeg.ARCHIVE, tmp_path, real_eeg.DATASET)
    assert manifest["simulated"] is False
    readme = (real_eeg.ROOT / "README.md").read_text(encoding="utf-8")
    for name, n_rows in {"ladder": 6, "non_inferiority": 3}.items():
        table = (tmp_path / f"results/{real_eeg.DATASET}/tables/{name}.md").read_text(encoding="utf-8")
        assert real_eeg.with_block(readme, name, table) == readme
        shown = real_eeg.block(table, real_eeg.SHOWN[name])
        assert "REAL EEG, first 5 s of each epoch: not comparable" in shown and shown.count("\n") == n_rows + 3


def test_the_archive_holds_every_prediction_of_the_ladder() -> None:
    with zipfile.ZipFile(real_eeg.ARCHIVE) as file, file.open(f"results/{real_eeg.DATASET}/runs.csv") as csv:
        runs, names = pd.read_csv(csv), set(file.namelist())
    clean = runs[(runs.protocol == "clean") & (runs.model == "ulw_sleepnet") & (runs.recipe == "ulw")]
    assert clean.fold.tolist() == list(range(20)) and clean.n_test.sum() == 42_308
    assert {f"{run.directory}/{run.selection}/predictions.parquet" for run in runs.itertuples()} <= names


def test_the_sentences_in_readme_say_what_the_archive_holds(tmp_path: Path) -> None:
    unpack(real_eeg.ARCHIVE, tmp_path, real_eeg.DATASET)
    readme = " ".join((real_eeg.ROOT / "README.md").read_text(encoding="utf-8").split())
    tables = tmp_path / f"results/{real_eeg.DATASET}/tables"
    ladder, rivals, others = (
        pd.read_csv(tables / f"{name}.csv").set_index("title")
        for name in ("ladder", "non_inferiority", "others_predictions")
    )
    profiles = {path.name: read_json(path) for path in (tmp_path / "results/profile").iterdir()}
    parameters = {profile["title"]: profile["operations"]["parameters"] for profile in profiles.values()}

    loses = -ladder[ladder.protocol == "clean"].accuracy_change
    estimator, networks = loses["Band power, gradient boosting"], loses.drop("Band power, gradient boosting")
    said = f"It is {networks.min():.1f} to {networks.max():.1f} points for each of the three networks here, and "
    assert networks.index.nunique() == 3 and said + f"{abs(estimator):.1f} for gradient boosting" in readme
    assert f"ULW-SleepNet {parameters['ULW-SleepNet']:,} parameters" in readme
    behind = -rivals[rivals.metric == "accuracy"].set_index("rival").difference
    nano, causal = "NanoSleepNet", "NanoSleepNet-TCN, causal"
    assert f"{nano}, of {parameters[nano]:,} parameters, is better by {behind[nano]:.1f} points" in readme
    said = f"of {parameters[causal]:,} parameters that reads the epochs before as well by {behind[causal]:.1f}."
    assert said in readme
    own = others.loc["AttnSleep, adapted to 5 s"]
    said = f"accuracy {own.accuracy:.1f} %, kappa {own.cohen_kappa:.3f}, macro-F1 {own.macro_f1:.1f} %"
    assert said in readme
