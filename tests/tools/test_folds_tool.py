"""The committed folds are those that the code makes, and what their audit says is true of them."""

from pathlib import Path

import folds
import pytest

from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_document
from sleepbench.datasets.database import DATABASES
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import OFFICIAL_TABLE
from sleepbench.protocols.audit import audit_document, summary, write_fold_file
from sleepbench.protocols.folds import FoldSettings, folds_of

COMMITTED = {str(path.relative_to(folds.COMMITTED)): read_json(path) for path in folds.COMMITTED.rglob("*.json")}
HASHES = {
    "dod-h/recording_block-5-dropped-no_validation.json": "e075cf35ef368da8",
    "dod-h/recording_block-5-kept-no_validation.json": "e075cf35ef368da8",
    "dod-h/subject-5-kept-no_validation.json": "c9c1d9178abdfbbe",
    "dod-h/subject-5-kept-validation0.json": "a6a3f41917da91e7",
    "dod-o/recording_block-5-dropped-no_validation.json": "9f11be9448860660",
    "dod-o/recording_block-5-kept-no_validation.json": "9f11be9448860660",
    "dod-o/subject-5-kept-no_validation.json": "29b25b52c6d79bb2",
    "dod-o/subject-5-kept-validation0.json": "61d1e099707625e2",
    "hmc/recording_block-10-dropped-no_validation.json": "040c4336567631ae",
    "hmc/recording_block-10-kept-no_validation.json": "f9dfe29157a07a39",
    "hmc/subject-10-kept-no_validation.json": "8786801658244ad6",
    "hmc/subject-10-kept-validation0.json": "b23866feb17cb7d4",
    "isruc-s3/recording_block-10-dropped-no_validation.json": "afa50b23efa753ca",
    "isruc-s3/recording_block-10-kept-no_validation.json": "afa50b23efa753ca",
    "isruc-s3/subject-10-kept-no_validation.json": "afa50b23efa753ca",
    "isruc-s3/subject-10-kept-validation0.json": "4dc2f9e809baeb9c",
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
    "sleep-edf-st/recording_block-11-dropped-no_validation.json": "90996360abd73703",
    "sleep-edf-st/recording_block-11-kept-no_validation.json": "90996360abd73703",
    "sleep-edf-st/subject-11-kept-no_validation.json": "dcb70a07a1db81da",
    "sleep-edf-st/subject-11-kept-validation0.json": "11b3c70d30865c97",
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
    assert checked == (10 + 10 + 20 + 20) + (10 + 10) + 2 * (11 + 10 + 5 + 5 + 10)


def test_people_in_the_committed_folds_are_those_of_the_tables() -> None:
    tables = [OFFICIAL_TABLE, *(path for path in DATABASES.glob("*.csv") if path.suffixes == [".csv"])]
    table = {recording.id: recording for path in tables for recording in read_recordings(path)}
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


def test_nobody_is_in_two_databases() -> None:
    people = {}
    for name, document in COMMITTED.items():
        people.setdefault(name.split("/")[0], set()).update(document["subjects"].values())
    del people["sleep-edf-20"]  # a part of sleep-edf-78
    together = [who for of in people.values() for who in of]
    assert {name: len(of) for name, of in people.items()} == {
        **{"sleep-edf-78": 78, "sleep-edf-st": 22, "hmc": 151, "dod-h": 25, "dod-o": 55, "isruc-s3": 10}
    }
    assert len(set(together)) == len(together) == 341


def test_the_night_without_consensus_is_in_no_fold_and_its_reason_is_there() -> None:
    document = COMMITTED["dod-o/subject-5-kept-validation0.json"]
    ((id, reason),) = document["excluded"].items()
    assert id.startswith("5d8e93a5") and "no consensus" in reason and id not in document["subjects"]
    assert document["audit"]["recordings_excluded"] == document["excluded"] and document["data_sha256"] is None
