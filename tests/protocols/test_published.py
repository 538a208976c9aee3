"""The committed folds are those that the code makes, and what their audit says is true of them."""

from pathlib import Path

import pytest
import yaml

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_json
from sleepbench.datasets.recordings import read_recordings
from sleepbench.protocols.audit import write_fold_file
from sleepbench.protocols.folds import FoldSettings, folds_of
from sleepbench.protocols.published import PUBLISHED_FOLDS, RESOURCES, write_published_folds

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))


def test_committed_folds_are_what_the_code_makes(tmp_path):
    made = {path.relative_to(tmp_path): path.read_bytes() for path in write_published_folds(CONFIG, tmp_path)}
    committed = {path.relative_to(PUBLISHED_FOLDS): path.read_bytes() for path in PUBLISHED_FOLDS.rglob("*.json")}
    assert committed == made


def test_rungs_that_claim_disjoint_subjects_have_them_in_the_committed_files():
    checked = 0
    for protocol in CONFIG["protocols"].values():
        for dataset, k in protocol["folds"].items():
            if not (k and protocol["subject_disjoint"] and dataset.startswith("sleep-edf")):
                continue
            path = PUBLISHED_FOLDS / dataset / f"{FoldSettings.of_protocol(protocol, dataset).name}.json"
            for fold in folds_of(read_json(path)):
                fitted = {id[3:5] for id in fold.train}
                held_out = {id[3:5] for id in fold.validation}
                tested = {id[3:5] for id in fold.test}
                assert not (tested & fitted or tested & held_out or fitted & held_out)
                checked += 1
    assert checked == (10 + 20 + 20 + 20 + 20) + (10 + 10 + 10 + 10)  # twenty_folds is for Sleep-EDF-20 only


def test_share_of_recordings_whose_subject_trains_is_the_known_one():
    audits = {
        dataset: read_json(PUBLISHED_FOLDS / dataset / "recording_block-10-floor-no_validation.json")["audit"]
        for dataset in ("sleep-edf-20", "sleep-edf-78")
    }
    shares = {name: audit["share_of_test_recordings_whose_subject_trains"] for name, audit in audits.items()}
    assert shares["sleep-edf-20"] == pytest.approx(0.27, abs=0.005)
    assert shares["sleep-edf-78"] == pytest.approx(0.07, abs=0.005)


def test_other_folds_than_the_committed_are_refused(tmp_path):
    recordings = [r for r in read_recordings(RESOURCES / "sleep_edf_recordings.csv") if int(r.subject) < 20]
    settings = FoldSettings("subject", "all", False, 0, 20)
    committed = PUBLISHED_FOLDS / "sleep-edf-20" / f"{settings.name}.json"
    write_fold_file("sleep-edf-20", recordings, settings, True, tmp_path / "same.json", committed)
    other = {**read_json(committed), "folds_sha256": "0" * 64}
    write_json(tmp_path / "other.json", other)
    with pytest.raises(BenchmarkError, match="others would not get the same folds"):
        write_fold_file("sleep-edf-20", recordings, settings, True, tmp_path / "x.json", tmp_path / "other.json")
    assert not (tmp_path / "x.json").exists()
