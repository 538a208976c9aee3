"""What README shows of real EEG is what the committed archive holds."""

import zipfile
from pathlib import Path

import pandas as pd
import real_eeg

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
