"""What README.md and docs/real-eeg.md show of real EEG is what the committed archive holds."""

import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import real_eeg

from sleepbench.core.files import read_json
from sleepbench.runs.unpack import unpack


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the archive."""
    folder = tmp_path_factory.mktemp("unpacked")
    assert unpack(real_eeg.ARCHIVE, folder, real_eeg.DATASET)["simulated"] is False
    return folder / f"results/{real_eeg.DATASET}/tables"


def test_the_tables_of_the_pages_are_those_of_the_archive(tables: Path) -> None:
    lengths = {}
    for (page, name), shown in real_eeg.blocks(tables).items():
        text = page.read_text(encoding="utf-8")
        assert real_eeg.with_block(text, name, shown) == text, "make it again: python tools/real_eeg.py"
        assert "REAL EEG, first 5 s of each epoch: not comparable" in shown
        lengths[name] = shown.count("\n") - 3
    assert lengths == {"answers": 5, "ladder": 6, "non_inferiority": 3}


def test_the_answers_follow_the_tables(tables: Path, tmp_path: Path) -> None:
    """With a rival that is found better, one that is not decidable, and a choice that costs nothing for sure."""
    for name in ("main_results", "ladder", "non_inferiority", "claims"):
        shutil.copy(tables / f"{name}.csv", tmp_path)
    shutil.copy(tables / "main_results.md", tmp_path)
    ladder, rivals = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("ladder", "non_inferiority"))
    ladder.loc[ladder.title.eq("NanoSleepNet") & ladder.protocol.eq("clean"), "accuracy"] = 90
    clean = ladder.title.eq("ULW-SleepNet") & ladder.recipe.eq("ulw") & ladder.protocol.eq("clean")
    ladder.loc[clean, ["accuracy_change", "accuracy_change_low", "accuracy_change_high"]] = [-0.5, -1.25, 0.25]
    rivals.loc[rivals.rival.eq("Band power, gradient boosting"), ["difference", "low", "high"]] = [0.5, -1.5, 2.5]
    rivals.loc[rivals.rival.eq("Band power, gradient boosting"), ["verdict_1", "verdict_2"]] = "not decidable"
    rivals.loc[rivals.rival.eq("NanoSleepNet"), ["verdict_1", "verdict_2"]] = ["inferior", "not decidable"]
    ladder.to_csv(tmp_path / "ladder.csv", index=False)
    rivals.to_csv(tmp_path / "non_inferiority.csv", index=False)
    rows = real_eeg.answers(tmp_path).splitlines()[4:]
    assert "| 0.5 points more [-0.2, 1.2], by the choice alone |" in rows[1]
    assert rows[2].startswith("| Best rival, `clean`: NanoSleepNet | 90.0 [")
    assert "ULW-SleepNet is 1.4 points worse [0.5, 2.3]: inferior at a margin of 1 pt |" in rows[2]
    assert "ULW-SleepNet is 0.5 points better [-1.5, +2.5]: not decidable |" in rows[3]


def test_the_archive_holds_every_prediction_of_the_ladder() -> None:
    with zipfile.ZipFile(real_eeg.ARCHIVE) as file, file.open(f"results/{real_eeg.DATASET}/runs.csv") as csv:
        runs, names = pd.read_csv(csv), set(file.namelist())
    clean = runs[(runs.protocol == "clean") & (runs.model == "ulw_sleepnet") & (runs.recipe == "ulw")]
    assert clean.fold.tolist() == list(range(20)) and clean.n_test.sum() == 42_308
    assert {f"{run.directory}/{run.selection}/predictions.parquet" for run in runs.itertuples()} <= names


def test_the_sentences_of_the_page_say_what_the_archive_holds(tables: Path) -> None:
    page = " ".join(real_eeg.PAGE.read_text(encoding="utf-8").split())
    ladder, rivals, others = (
        pd.read_csv(tables / f"{name}.csv").set_index("title")
        for name in ("ladder", "non_inferiority", "others_predictions")
    )
    profiles = {path.name: read_json(path) for path in (tables.parents[1] / "profile").iterdir()}
    parameters = {profile["title"]: profile["operations"]["parameters"] for profile in profiles.values()}

    loses = -ladder[ladder.protocol == "clean"].accuracy_change
    estimator, networks = loses["Band power, gradient boosting"], loses.drop("Band power, gradient boosting")
    said = f"It is {networks.min():.1f} to {networks.max():.1f} points for each of the three networks here, and "
    assert networks.index.nunique() == 3 and said + f"{abs(estimator):.1f} for gradient boosting" in page
    assert f"ULW-SleepNet {parameters['ULW-SleepNet']:,} parameters" in page
    rungs = ladder.loc["ULW-SleepNet"].query("recipe == 'ulw'").set_index("protocol")
    differ = rungs.accuracy_change_low * rungs.accuracy_change_high > 0
    assert list(rungs.index[differ]) == ["clean"]  # "the only one whose interval leaves zero"
    behind = -rivals[rivals.metric == "accuracy"].set_index("rival").difference
    nano, causal = "NanoSleepNet", "NanoSleepNet-TCN, causal"
    assert f"{nano}, of {parameters[nano]:,} parameters, is better by {behind[nano]:.1f} points" in page
    said = f"of {parameters[causal]:,} parameters that reads the epochs before as well by {behind[causal]:.1f}."
    assert said in page
    own = others.loc["AttnSleep, adapted to 5 s"]
    said = f"accuracy {own.accuracy:.1f} %, kappa {own.cohen_kappa:.3f}, macro-F1 {own.macro_f1:.1f} %"
    assert said in page
