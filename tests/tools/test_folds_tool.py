"""The committed folds are those that the code makes, and what their audit says is true of them."""

from pathlib import Path

import folds
import pytest

from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_document
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import OFFICIAL_TABLE
from sleepbench.protocols.audit import audit_document, summary, write_fold_file
from sleepbench.protocols.folds import FoldSettings, folds_of

COMMITTED = {str(path.relative_to(folds.COMMITTED)): read_json(path) for path in folds.COMMITTED.rglob("*.json")}
HASHES = {
    "sleep-edf-20/recording_block-10-dropped-no_validation.json": "d07fe05799e1326c",
    "sleep-edf-20/recording_block-10-kept-no_validation.json": "2ee481d65edc1d18",
    "sleep-edf-20/subject-10-kept-no_validation.json": "b97e18a69a0cdb33",
    "sleep-edf-20/subject-10-kept-validation0.json": "1c6bffd23faebe62",
    "sleep-edf-20/subject-20-kept-no_validation.json": "88632fbc2869705c",
    "sleep-edf-20/subject-20-kept-validation0.json": "593c1b5bd79d8310",
    "sleep-edf-78/recording_block-10-dropped-no_validation.json": "3db476d15605eab0",
    "sleep-edf-78/recording_block-10-kept-no_validation.json": "b65e9b626c593e7f",
    "sleep-edf-78/subject-10-kept-no_validation.json": "1969eaaf93570979",
    "sleep-edf-78/subject-10-kept-validation0.json": "ecb5132f69f63722",
}
"""First digits of the hashes of the assignments that results were made with; another one makes other trainings."""


def test_committed_folds_are_what_the_code_makes(tmp_path: Path) -> None:
    made = {
        path.relative_to(tmp_path) for path in folds.write_committed_folds(load(folds.ROOT / "config.yaml"), tmp_path)
    }
    assert {str(path) for path in made} == set(COMMITTED)
    for path in made:
        assert (tmp_path / path).read_bytes() == (folds.COMMITTED / path).read_bytes()


def test_the_assignments_are_those_that_they_always_were() -> None:
    assert {name: document["folds_sha256"][:16] for name, document in COMMITTED.items()} == HASHES


def test_folds_of_subjects_have_nobody_in_training_and_test() -> None:
    checked = 0
    for document in COMMITTED.values():
        for fold in folds_of(document) if document["unit"] == "subject" else ():
            fitted, held_out, tested = (
                {document["subjects"][id] for id in ids} for ids in (fold.train, fold.validation, fold.test)
            )
            assert not (tested & fitted or tested & held_out or fitted & held_out)
            checked += 1
    assert checked == (10 + 10 + 20 + 20) + (10 + 10)


def test_people_in_the_committed_folds_are_those_of_the_official_table() -> None:
    table = {recording.id: recording for recording in read_recordings(OFFICIAL_TABLE)}
    for document in COMMITTED.values():
        assert document["subjects"] == {id: table[id].subject for id in document["subjects"]}
        assert document["nights"] == {id: table[id].night for id in document["subjects"]}
        assert document["audit"] == summary(audit_document(document))


@pytest.mark.parametrize("dataset, share", [("sleep-edf-20", 0.27), ("sleep-edf-78", 0.07)])
def test_share_of_recordings_whose_subject_trains_is_the_known_one(dataset: str, share: float) -> None:
    audit = COMMITTED[f"{dataset}/recording_block-10-dropped-no_validation.json"]["audit"]
    assert audit["share_of_test_recordings_whose_subject_trains"] == pytest.approx(share, abs=0.005)


def test_other_folds_than_the_committed_are_refused(tmp_path: Path) -> None:
    recordings = first_subjects(read_recordings(OFFICIAL_TABLE), 20)
    settings = FoldSettings("subject", "kept", False, 0, 20)
    committed = folds.COMMITTED / "sleep-edf-20" / f"{settings.name}.json"
    write_fold_file("sleep-edf-20", recordings, settings, tmp_path / "same.json", committed)
    write_document(tmp_path / "other.json", read_json(committed) | {"folds_sha256": "0" * 64})
    with pytest.raises(BenchmarkError, match="others would not get the same folds"):
        write_fold_file("sleep-edf-20", recordings, settings, tmp_path / "x.json", tmp_path / "other.json")
    assert not (tmp_path / "x.json").exists()
