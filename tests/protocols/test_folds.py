"""Folds: who trains, validates and tests, and the file that says so."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import Recording, SourceFile
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import OFFICIAL_TABLE
from sleepbench.protocols.folds import FoldSettings, folds_document, folds_of, make_folds

SLEEP_EDF_78 = read_recordings(OFFICIAL_TABLE)
SLEEP_EDF_20 = first_subjects(SLEEP_EDF_78, 20)


def released(n_folds: int) -> FoldSettings:
    return FoldSettings("recording_block", "dropped", validation_subjects=False, seed=0, n_folds=n_folds)


def clean(n_folds: int, seed: int = 0) -> FoldSettings:
    return FoldSettings("subject", "kept", validation_subjects=True, seed=seed, n_folds=n_folds)


def cohort(nights: list[int]) -> list[Recording]:
    """One subject per entry, with that many nights (1 or 2)."""
    files = SourceFile("psg", "psg.edf", "0"), SourceFile("scoring", "hypnogram.edf", "1")
    return [
        Recording(f"SC4{subject:02d}{night}", f"{subject:02d}", night, files)
        for subject, n in enumerate(nights)
        for night in range(1, n + 1)
    ]


cohorts = st.lists(st.integers(1, 2), min_size=4, max_size=25).map(cohort)


def test_datasets_have_the_known_recordings():
    assert (len(SLEEP_EDF_20), len(SLEEP_EDF_78)) == (39, 153)
    assert len({r.subject for r in SLEEP_EDF_78}) == 78
    assert {r.subject for r in SLEEP_EDF_20} == {f"{i:02d}" for i in range(20)}
    nights = [r.subject for r in SLEEP_EDF_78]
    assert {subject for subject in nights if nights.count(subject) == 1} == {"13", "36", "52"}


def test_released_folds_are_blocks_of_consecutive_recordings_and_drop_the_remainder():
    folds = make_folds(SLEEP_EDF_20, released(10))
    assert folds[0].test == ("SC4001", "SC4002", "SC4011")
    assert folds[1].test[0] == "SC4012"
    assert all(len(fold.test) == 3 and len(fold.train) == 27 and not fold.validation for fold in folds)
    dropped = folds_document("sleep-edf-78", SLEEP_EDF_78, released(10))["dropped"]
    assert dropped == ["SC4812", "SC4821", "SC4822"]


def test_a_dropped_remainder_of_subjects():
    folds = make_folds(cohort([2, 2, 2, 2, 2]), FoldSettings("subject", "dropped", False, 0, 2))
    assert [fold.test for fold in folds] == [
        ("SC4001", "SC4002", "SC4021", "SC4022"),
        ("SC4011", "SC4012", "SC4031", "SC4032"),
    ]


@given(cohorts, st.integers(2, 4), st.integers(0, 9))
def test_clean_folds_properties(recordings, n_folds, seed):
    folds = make_folds(recordings, clean(n_folds, seed))
    subject_of = {r.id: r.subject for r in recordings}
    assert sorted(id for fold in folds for id in fold.test) == [r.id for r in recordings]
    for number, fold in enumerate(folds):
        assert sorted(fold.train + fold.validation + fold.test) == [r.id for r in recordings]
        train, validation, test = ({subject_of[id] for id in ids} for ids in (fold.train, fold.validation, fold.test))
        assert train and validation and not (train & validation or train & test or validation & test)
        assert len(validation) == max(1, round(0.1 * len(train | validation)))
        assert {sorted(set(subject_of.values())).index(subject) % n_folds for subject in test} == {number}


@given(cohorts, st.integers(2, 4), st.sampled_from(["dropped", "kept"]))
def test_recording_blocks_properties(recordings, n_folds, remainder):
    folds = make_folds(recordings, FoldSettings("recording_block", remainder, False, 0, n_folds))
    tested = [id for fold in folds for id in fold.test]
    n = len(recordings)
    assert tested == [r.id for r in recordings][: n // n_folds * n_folds if remainder == "dropped" else n]
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= (remainder == "kept")
    for fold in folds:
        assert sorted(fold.train + fold.test) == sorted(tested)


def test_folds_depend_on_the_protocols_seed_through_the_validation_subjects_alone():
    first, second = make_folds(SLEEP_EDF_20, clean(20, seed=0)), make_folds(SLEEP_EDF_20, clean(20, seed=1))
    assert [fold.test for fold in first] == [fold.test for fold in second]
    assert [fold.validation for fold in first] != [fold.validation for fold in second]
    assert make_folds(list(reversed(SLEEP_EDF_20)), clean(20)) == first


def test_too_few_units_are_errors_that_say_so():
    few = cohort([2, 2])
    with pytest.raises(BenchmarkError, match=r"2 subjects cannot be divided into 3 folds"):
        make_folds(few, clean(3))
    with pytest.raises(BenchmarkError, match=r"4 recordings cannot be divided into 5 folds"):
        make_folds(few, released(5))
    with pytest.raises(BenchmarkError, match=r"1 subject\(s\) outside the test fold, at least 2 are needed"):
        make_folds(few, clean(2))
    with pytest.raises(BenchmarkError, match="21 subjects are asked for, but the table of recordings holds 20"):
        first_subjects(SLEEP_EDF_20, 21)


def test_a_fold_file_says_who_recordings_are_of_and_which_night():
    document = folds_document("d", cohort([2, 1, 2]), clean(3))
    assert document["subjects"] == {"SC4001": "00", "SC4002": "00", "SC4011": "01", "SC4021": "02", "SC4022": "02"}
    assert document["nights"] == {"SC4001": 1, "SC4002": 2, "SC4011": 1, "SC4021": 1, "SC4022": 2}
    assert (document["remainder"], document["n_folds"], document["unit"]) == ("kept", 3, "subject")


def test_an_edited_fold_file_is_refused():
    document = folds_document("d", SLEEP_EDF_20, released(10))
    assert folds_of(document) == make_folds(SLEEP_EDF_20, released(10))
    document["folds"][0]["test"].append(document["folds"][0]["train"].pop())
    with pytest.raises(BenchmarkError, match="do not match their own hash"):
        folds_of(document)


def test_folds_stand_for_files_whose_checksums_are_known():
    first, *rest = cohort([2, 2, 2])
    unknown = replace(first, files=(SourceFile("psg", "psg.edf"),))
    with pytest.raises(BenchmarkError, match="d: the checksums of SC4001 are not known; fetch them first"):
        folds_document("d", [unknown, *rest], clean(3))


def test_hashes_tell_assignment_from_data():
    first = folds_document("d", cohort([2, 2, 2]), clean(3))
    other_bytes = [replace(r, files=(replace(r.files[0], sha256="x"), r.files[1])) for r in cohort([2, 2, 2])]
    second = folds_document("d", other_bytes, clean(3))
    assert first["folds_sha256"] == second["folds_sha256"]
    assert first["data_sha256"] != second["data_sha256"]


def test_names_tell_folds_apart():
    names = {s.name for s in (released(10), released(20), clean(10), clean(10, seed=1), clean(20))}
    assert len(names) == 5
