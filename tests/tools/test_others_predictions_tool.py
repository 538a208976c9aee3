"""Others' published files become tables, and score as is known of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from others_predictions import attnsleep, main, mt18, recordings_of_folds, write

from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.evaluation.metrics import accuracy, cohen_kappa, confusion_matrix, macro_f1
from sleepbench.runs.others.importing import import_predictions

ROOT = Path(__file__).parents[2]
MT18_NETWORKS = ("mt18_cnn", "deep_sleepnet_rerun")


@pytest.fixture(scope="module")
def mt18_imported(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict]]:
    """What the command says of both networks on Fpz-Cz, and their scores, with the original hypnograms."""
    folder, config = tmp_path_factory.mktemp("mt18"), load(ROOT / "config.yaml")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for network in MT18_NETWORKS:
            table, said = mt18(shared / "predictions" / "mt18" / network / "Fpz-Cz")
            write(table, said, Path(f"{network}.parquet"))
            text = import_predictions(config, Path(f"{network}.parquet"), None, shared / "sleep-edf" / "hypnograms")
            found[network] = text, read_json(f"results/imported/{said['name']}/scores.json")
    return found


@pytest.mark.parametrize(
    ("network", "numbers"),
    [("mt18_cnn", (0.8179, 0.7581, 0.7777)), ("deep_sleepnet_rerun", (0.8191, 0.7554, 0.7650))],
)
def test_two_networks_on_39_real_nights(mt18_imported, network, numbers):
    text, scores = mt18_imported[network]
    pooled = [scores["pooled"][name]["estimate"] for name in ("accuracy", "cohen_kappa", "macro_f1")]
    assert [round(value, 4) for value in pooled] == list(numbers)
    assert (scores["n_recordings"], scores["n_subjects"]) == (39, 20)
    assert text.startswith("Others' predictions, scored here, Sleep-EDF-20\n")


def test_labels_are_those_of_the_hypnograms_and_cut_epochs_are_said(mt18_imported):
    """Of SC4092 too, where movement follows sleep: counted before that is removed, it has one epoch less."""
    text, scores = mt18_imported["mt18_cnn"]
    assert "all labels agree, no epoch is cut" in text
    assert [one["n_epochs"] for one in scores["labels"] if one["recording"] == "SC4092"] == [1105]
    text, scores = mt18_imported["deep_sleepnet_rerun"]
    assert "all labels agree, 358 of 42,308 epochs of the standard trimming are CUT" in text
    assert "SC4001: 16 of the 841 epochs of the standard trimming are cut" in text
    assert all(one["n_epochs"] % 25 == 0 for one in scores["labels"])


def test_the_difference_of_two_real_networks_varies_by_five_points_over_subjects(mt18_imported):
    first, second = (
        pd.Series({one["subject"]: 100 * one["accuracy"] for one in mt18_imported[network][1]["subjects"]})
        for network in MT18_NETWORKS
    )
    assert (second - first).count() == 20
    assert (second - first).std() == pytest.approx(4.97, abs=0.005)


def test_ten_folds_of_a_network_on_excerpts(shared: Path, tmp_path: Path, capsys):
    folders = [shared / "predictions" / "attnsleep_5s", shared / "sleep-edf" / "excerpts-5s"]
    main(["attnsleep", *map(str, folders), str(tmp_path / "t.parquet")])
    assert "42,308 epochs of 39 recordings" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "t.parquet")
    codes = {name: code for code, name in enumerate(("W", "N1", "N2", "N3", "REM"))}
    matrix = confusion_matrix(table.stage.map(codes).to_numpy(), table.predicted.map(codes).to_numpy())
    assert [round(one(matrix), 3) for one in (accuracy, cohen_kappa, macro_f1)] == [0.735, 0.636, 0.663]
    said = (tmp_path / "t.yaml").read_text()
    assert "dataset: sleep-edf-20-5s" in said and "0: SC4141 SC4142 SC4051 SC4052;" in said


def test_a_network_on_excerpts_is_checked_against_them_and_says_that_they_are(shared, tmp_path, monkeypatch):
    config = load(ROOT / "config.yaml")
    excerpts = shared / "sleep-edf" / "excerpts-5s"
    monkeypatch.chdir(tmp_path)
    write(*attnsleep(shared / "predictions" / "attnsleep_5s", excerpts), Path("t.parquet"))
    text = import_predictions(config, Path("t.parquet"), None, excerpts)
    assert "first 5 s of each epoch: not comparable with results on 30-s epochs" in text.splitlines()[0]
    assert "all labels agree, no epoch is cut" in text and "73.50" in text and "0.6359" in text and "66.34" in text


def test_recordings_of_folds_are_found_though_some_begin_alike():
    labels = {"a": np.array([0, 1]), "b": np.array([0, 1, 2]), "c": np.array([2, 0])}
    folds = [np.array([0, 1, 2, 0]), np.array([0, 1, 2])]
    assert recordings_of_folds(folds, labels) == [["a", "c"], ["b"]]
    with pytest.raises(BenchmarkError, match="fold 1: its 2 labels are not those of any of the 1 recordings left"):
        recordings_of_folds([folds[0], np.array([0, 2])], labels)


def test_files_of_either_network_become_rows(tmp_path: Path):
    one, other = (tmp_path / name / "Fpz-Cz" for name in MT18_NETWORKS)
    for folder in (one, other):
        folder.mkdir(parents=True)
    probs = np.array([[0.6, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1]], dtype=np.float32)
    np.savez(one / "SC4001E0-PSG.npz", y_true=[0, 1], y_pred=[0, 2], probs=probs)
    np.savez(other / "SC4001E0-PSG.npz", truth=[4], pred=[3])
    table, said = mt18(one)
    assert table.stage.tolist() == ["W", "N1"] and table.p_N2.tolist() == pytest.approx([0.1, 0.6])
    assert said["name"] == "mt18-cnn-fpz-cz" and said["input"] == "EEG Fpz-Cz"
    assert mt18(other)[0].to_dict("list") == {
        **{"recording": ["SC4001"], "epoch": [0], "stage": ["REM"], "predicted": ["N3"]}
    }
    with pytest.raises(BenchmarkError, match=r"holds no \.npz file"):
        mt18(tmp_path)
