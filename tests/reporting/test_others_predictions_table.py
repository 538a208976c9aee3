"""The table of others' predictions: marked, with what is stated of them, and empty where nothing was imported."""

from pathlib import Path

import numpy as np
import pandas as pd
from fake_results import FakeResults

from sleepbench.core.files import sha256_of_file, write_json
from sleepbench.core.stages import STAGES
from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.tables.others_predictions import ARTEFACT
from sleepbench.runs.others.labels import Labels
from sleepbench.runs.others.scoring import score
from sleepbench.runs.others.store import FORMAT, MARK


def imported(home: Path, probabilities: bool, labels: Labels) -> Path:
    """An import of two subjects' nights."""
    random = np.random.default_rng(3)
    stage = random.integers(0, 5, 400).astype(np.int8)
    table = pd.DataFrame({"recording": np.repeat(["n1", "n2"], 200), "subject": np.repeat(["1", "2"], 200), "night": 1})
    table = table.assign(epoch=np.tile(np.arange(200), 2), stage=stage, predicted=np.where(stage == 1, 2, stage))
    table["hypnogram"] = table.stage
    if probabilities:
        table[[f"p_{name}" for name in STAGES]] = 0.2 + 0.6 * (np.eye(5)[table.predicted] - 0.2)
    write_json(home / "scores.json", score(table, [labels]))
    said = {"name": home.name, "title": "Their Network", "source": "https://example.org/x", "licence": "MIT"}
    said |= {"protocol": "their folds", "input": None, "remark": None, "dataset": "simulated"}
    files = {"scores.json": sha256_of_file(home / "scores.json")}
    record = {"format": FORMAT, "mark": MARK, **said, "table": {"sha256": "a" * 64}, "files": files}
    write_json(home / "description.json", record)
    return home / "description.json"


def written(root: Path, files: list[Path]) -> tuple[pd.DataFrame, str, str]:
    paths = [root / f"others.{form}" for form in ("csv", "md", "tex")]
    make_table(ARTEFACT, FakeResults(root / "results").inputs(ARTEFACT, {"imported": files}), *paths)
    text = " ".join(paths[1].read_text(encoding="utf-8").split())
    return pd.read_csv(paths[0]), text, paths[2].read_text(encoding="utf-8")


def test_rows_say_whose_they_are_and_what_is_wrong_with_their_labels(tmp_path):
    agree = Labels("n1", 200, 0, None, None, 210, 10, 0)
    differ = Labels("n1", 200, 17, 4, -1, 200, 0, 0)
    files = [imported(tmp_path / "a", True, agree), imported(tmp_path / "b", False, differ)]
    csv, text, latex = written(tmp_path, files)
    assert csv.mark.tolist() == [MARK, MARK] and csv.protocol_stated.tolist() == ["their folds"] * 2
    assert csv.accuracy[0] == csv.accuracy[1] and csv.accuracy_low[0] <= csv.accuracy[0] <= csv.accuracy_high[0]
    assert csv.f1_N1[0] == 0 and csv.f1_W[0] == 100 and csv.macro_f1_stages[0] == 5
    assert csv.expected_calibration_error.notna().tolist() == [True, False]
    assert "others' predictions, scored here: https://example.org/x (MIT); protocol as stated: their folds" in text
    assert "10 of 210 epochs of the standard trimming are cut" in text and "17 differ" in text
    assert "n1: 17 of 200 labels differ, the first at epoch 4; agrees when moved by -1 epoch" in text
    assert "SIMULATED" in text.split("|")[0] and "SIMULATED" in latex
    assert "run_keys" not in csv


def test_without_any_import_it_says_so_in_a_line(tmp_path):
    csv, text, latex = written(tmp_path, [])
    assert csv.empty and "No predictions of others were imported" in text and "No predictions of others" in latex
