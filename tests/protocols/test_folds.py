from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.datasets.recordings import Recording, first_subjects, read_recordings
from sleepbench.protocols.audit import (
    audit_folds,
    audit_sentence,
    require_each_tested_once,
    require_subject_disjoint,
    write_fold_file,
)
from sleepbench.protocols.folds import FoldSettings, folds_document, folds_of, make_folds

TABLE = Path(__file__).parents[2] / "workflow" / "resources" / "sleep_edf_recordings.csv"
SLEEP_EDF_78 = read_recordings(TABLE)
SLEEP_EDF_20 = first_subjects(SLEEP_EDF_78, 20)


def released(k: int) -> FoldSettings:
    return FoldSettings("recording_block", "floor", validation_subjects=False, seed=0, k=k)


def clean(k: int, seed: int = 0) -> FoldSettings:
    return FoldSettings("subject", "all", validation_subjects=True, seed=seed, k=k)


def cohort(nights: list[int]) -> list[Recording]:
    """One subject per entry, with that many nights (1 or 2)."""
    ids = [f"SC4{subject:02d}{night}" for subject, n in enumerate(nights) for night in range(1, n + 1)]
    return [
        Recording(id, id[3:5], int(id[5]), f"{id}E0-PSG.edf", "0", f"{id}EC-Hypnogram.edf", "1", 30, "F") for id in ids
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
    audit = audit_folds(SLEEP_EDF_20, folds)
    assert (audit["recordings_tested"], len(audit["recordings_dropped"])) == (30, 9)
    audit_78 = audit_folds(SLEEP_EDF_78, make_folds(SLEEP_EDF_78, released(10)))
    assert audit_78["recordings_dropped"] == ["SC4812", "SC4821", "SC4822"]


@pytest.mark.parametrize(
    ("recordings", "k", "percent"),
    [(SLEEP_EDF_20, 10, 27), (SLEEP_EDF_20, 20, 100), (SLEEP_EDF_78, 10, 7), (SLEEP_EDF_78, 20, 14)],
)
def test_share_of_test_recordings_whose_subject_trains(recordings, k, percent):
    audit = audit_folds(recordings, make_folds(recordings, released(k)))
    assert round(100 * audit["share_of_test_recordings_whose_subject_trains"]) == percent


@pytest.mark.parametrize(("recordings", "k", "n_validation"), [(SLEEP_EDF_20, 20, 2), (SLEEP_EDF_78, 10, 7)])
def test_clean_folds_of_the_real_datasets(recordings, k, n_validation):
    folds = make_folds(recordings, clean(k))
    audit = audit_folds(recordings, folds)
    require_subject_disjoint(audit, "clean")
    require_each_tested_once(recordings, folds, "clean")
    assert audit["recordings_dropped"] == []
    assert {len(subjects) for subjects in audit["validation_subjects"]} == {n_validation}
    if k == 20:
        assert [{id[3:5] for id in fold.test} for fold in folds] == [{f"{i:02d}"} for i in range(20)]


@given(cohorts, st.integers(2, 4), st.integers(0, 9))
def test_clean_folds_properties(recordings, k, seed):
    folds = make_folds(recordings, clean(k, seed))
    subject_of = {r.id: r.subject for r in recordings}
    assert sorted(id for fold in folds for id in fold.test) == [r.id for r in recordings]
    for number, fold in enumerate(folds):
        assert sorted(fold.train + fold.validation + fold.test) == [r.id for r in recordings]
        train, validation, test = ({subject_of[id] for id in ids} for ids in (fold.train, fold.validation, fold.test))
        assert train and validation and not (train & validation or train & test or validation & test)
        assert len(validation) == max(1, round(0.1 * len(train | validation)))
        assert {sorted(set(subject_of.values())).index(subject) % k for subject in test} == {number}


@given(cohorts, st.integers(2, 4), st.sampled_from(["floor", "all"]))
def test_recording_blocks_properties(recordings, k, rule):
    folds = make_folds(recordings, FoldSettings("recording_block", rule, False, 0, k))
    tested = [id for fold in folds for id in fold.test]
    n = len(recordings)
    assert tested == [r.id for r in recordings][: n // k * k if rule == "floor" else n]
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= (rule == "all")
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


def test_broken_promise_of_disjoint_subjects_fails_loudly_and_leaves_no_file(tmp_path):
    output = tmp_path / "folds.json"
    with pytest.raises(
        BenchmarkError, match=r"recording_block-10-floor.* promises disjoint subjects .* fold 0: 01; fold 1: 01"
    ):
        write_fold_file("sleep-edf-20", SLEEP_EDF_20, released(10), True, output)
    assert list(tmp_path.iterdir()) == []


def test_fold_file_is_audited_printed_and_hashed(tmp_path, capsys):
    output = tmp_path / "folds.json"
    write_fold_file("sleep-edf-20", SLEEP_EDF_20, released(10), False, output)
    assert "30 of 39 recordings tested" in capsys.readouterr().out
    document = read_json(output)
    assert folds_of(document) == make_folds(SLEEP_EDF_20, released(10))
    assert audit_sentence(document["audit"], "released").endswith(
        "the subject of 8 of 30 test recordings (27%) is also in training"
    )
    document["folds"][0]["test"].append(document["folds"][0]["train"].pop())
    with pytest.raises(BenchmarkError, match="do not match their own hash"):
        folds_of(document)


def test_hashes_tell_assignment_from_data():
    first = folds_document("d", cohort([2, 2, 2]), clean(3))
    other_bytes = [Recording(**{**vars(r), "psg_sha256": "x"}) for r in cohort([2, 2, 2])]
    second = folds_document("d", other_bytes, clean(3))
    assert first["folds_sha256"] == second["folds_sha256"]
    assert first["data_sha256"] != second["data_sha256"]


def test_names_tell_folds_apart():
    names = {s.name for s in (released(10), released(20), clean(10), clean(10, seed=1), clean(20))}
    assert len(names) == 5
