"""The audit of folds: people in training and test, dropped recordings, sizes, counted from a fold file alone."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import Recording, SourceFile
from sleepbench.datasets.recordings_table import first_subjects, read_recordings, write_recordings
from sleepbench.datasets.sleep_edf_cassette import OFFICIAL_TABLE
from sleepbench.protocols.audit import PARTS, audit_document, audit_sentence, write_fold_file
from sleepbench.protocols.folds import FoldSettings, folds_document, folds_of

SLEEP_EDF_78 = read_recordings(OFFICIAL_TABLE)
SLEEP_EDF_20 = first_subjects(SLEEP_EDF_78, 20)
FILES = SourceFile("psg", "psg.edf", "0"), SourceFile("scoring", "scoring.edf", "1")


def released(n_folds: int) -> FoldSettings:
    return FoldSettings("recording_block", "dropped", False, 0, n_folds)


def clean(n_folds: int) -> FoldSettings:
    return FoldSettings("subject", "kept", True, 0, n_folds)


def moved(document: dict, id: str, part: str = "train") -> dict:
    """A fold file in which somebody put a recording into a part of the first fold as well, and hashed it again."""
    document["folds"][0][part].append(id)
    return document | {"folds_sha256": sha256_of_json(document["folds"])}


# ------------------------------------------------------------------------------------------------------------ Sleep-EDF


def test_released_folds_drop_recordings_and_share_subjects() -> None:
    audit = audit_document(folds_document("sleep-edf-20", SLEEP_EDF_20, released(10)))
    assert (len(audit["recordings_used"]), len(audit["recordings_dropped"]), audit["n_folds"]) == (30, 9, 10)
    assert (audit["test_recordings"], audit["test_recordings_whose_subject_trains"]) == (30, 8)
    assert (audit["subject_disjoint"], audit["subject_disjoint_promised"]) == (False, False)
    # Blocks of three cut the pair of nights of a subject at 3, 9, 15 and 21; subject 13 has a single night.
    assert [fold["subjects_in_training_and_test"] for fold in audit["by_fold"]][:4] == [["01"], ["01"], ["04"], ["04"]]


@pytest.mark.parametrize(
    ("recordings", "n_folds", "percent"),
    [(SLEEP_EDF_20, 10, 27), (SLEEP_EDF_20, 20, 100), (SLEEP_EDF_78, 10, 7), (SLEEP_EDF_78, 20, 14)],
)
def test_share_of_test_recordings_whose_subject_trains(recordings: list, n_folds: int, percent: int) -> None:
    audit = audit_document(folds_document("d", recordings, released(n_folds)))
    assert round(100 * audit["share_of_test_recordings_whose_subject_trains"]) == percent


@pytest.mark.parametrize(("recordings", "n_folds", "n_validation"), [(SLEEP_EDF_20, 20, 2), (SLEEP_EDF_78, 10, 7)])
def test_clean_folds_of_the_real_datasets(recordings: list, n_folds: int, n_validation: int) -> None:
    audit = audit_document(folds_document("d", recordings, clean(n_folds)))
    assert audit["subject_disjoint"] and audit["subject_disjoint_promised"]
    assert audit["recordings_dropped"] == audit["recordings_tested_more_than_once"] == []
    assert {len(fold["validation_subjects"]) for fold in audit["by_fold"]} == {n_validation}
    assert [fold["validation_recordings"] for fold in audit["by_fold"]] == [
        sum(recording.subject in fold["validation_subjects"] for recording in recordings) for fold in audit["by_fold"]
    ]
    if n_folds == 20:
        assert [fold["test_subjects"] for fold in audit["by_fold"]] == [[f"{i:02d}"] for i in range(20)]


def test_sizes_of_every_part_by_stage() -> None:
    epochs = {
        recording.id: {"epochs": 15 + 5 * i, **{stage: i + code + 1 for code, stage in enumerate(STAGES)}}
        for i, recording in enumerate(SLEEP_EDF_20)
    }
    document = folds_document("d", SLEEP_EDF_20, clean(20))
    audit = audit_document(document, epochs)
    for fold, counted in zip(document["folds"], audit["by_fold"], strict=True):
        for part in PARTS:
            expected = Counter()
            for id in fold[part]:
                expected.update(epochs[id])
            assert counted[f"{part}_epochs"] == expected.pop("epochs")
            assert counted[f"{part}_epochs_by_stage"] == dict(expected)
    assert audit["epochs"] == sum(counts["epochs"] for counts in epochs.values())
    assert audit["epochs_by_stage"]["N2"] == sum(counts["N2"] for counts in epochs.values())
    assert "epochs" not in audit_document(document)


# ----------------------------------------------------------------------------------------------- people are told apart


STRANGERS = {
    "SN001": ("SN001", 1),
    "SN0011": ("a", 1),
    "SN1011": ("b", 1),
    "SN1012": ("b", 2),
    "ST7011": ("1", 1),
    "ST7012": ("1", 2),
    "SC4011": ("01", 1),
    "3f2b8c1e-5d1a-4c0e-9b52-7a3c9a1d2e4f": ("eve", 1),
    "9d1f6a70-0e0c-4b47-8a55-1c2d3e4f5a6b": ("eve", 2),
    "night.7": ("Ünal", 3),
}
"""Recordings with ids of any form: subject and night. Some ids have the same characters where Sleep-EDF's have them."""


@pytest.fixture
def strangers(tmp_path: Path) -> list[Recording]:
    """The same, by way of a table."""
    recordings = [Recording(id, *who, FILES) for id, who in STRANGERS.items()]
    write_recordings(tmp_path / "table.csv", recordings)
    return read_recordings(tmp_path / "table.csv")


def test_people_are_told_apart_whatever_their_ids(strangers: list[Recording], tmp_path: Path) -> None:
    document = write_fold_file("strangers", strangers, clean(3), tmp_path / "folds.json")
    assert document == read_document(tmp_path / "folds.json")
    assert document["subjects"] == {id: subject for id, (subject, _) in sorted(STRANGERS.items())}
    audit = audit_document(document)
    assert audit["subjects"] == sorted({subject for subject, _ in STRANGERS.values()})
    assert len(audit["subjects"]) == 7 and audit["subject_disjoint"]
    together = [fold["test_subjects"] for fold in audit["by_fold"]]
    assert sorted(subject for subjects in together for subject in subjects) == audit["subjects"]
    tests = [set(fold.test) for fold in folds_of(document)]
    assert any({"SN1011", "SN1012"} <= test and "SN0011" not in test for test in tests)


def test_nights_of_one_person_are_found_whatever_their_ids(strangers: list[Recording]) -> None:
    """Blocks of one recording: the subject of five nights trains, that of the others does not."""
    audit = audit_document(folds_document("strangers", strangers, released(len(strangers))))
    shared = [id for fold in audit["by_fold"] for id in fold["test_recordings_whose_subject_trains"]]
    of_two_nights = Counter(subject for subject, _ in STRANGERS.values())
    assert shared == [id for id in sorted(STRANGERS) if of_two_nights[STRANGERS[id][0]] == 2]
    assert "SN0011" not in shared and "SN1011" in shared


@given(st.lists(st.tuples(st.text("ab1", min_size=1, max_size=3), st.integers(1, 3)), min_size=4, unique=True))
def test_the_audit_agrees_with_the_people_it_is_given(nights: list[tuple[str, int]]) -> None:
    recordings = [Recording(f"{i:03d}", *night, FILES) for i, night in enumerate(nights)]
    audit = audit_document(folds_document("d", recordings, FoldSettings("recording_block", "kept", False, 0, 2)))
    half = -(-len(nights) // 2)
    shared = {who for who, _ in nights[:half]} & {who for who, _ in nights[half:]}
    assert audit["by_fold"][0]["subjects_in_training_and_test"] == sorted(shared)
    assert audit["subject_disjoint"] == (not shared)


# ------------------------------------------------------------------------------------------------------------- promises


def test_folds_of_subjects_that_share_one_are_refused() -> None:
    """No settings make them; a file may be edited."""
    document = folds_document("sleep-edf-20", SLEEP_EDF_20, clean(20))
    for part in ("train", "validation"):
        with pytest.raises(
            BenchmarkError, match=r"subject-20-kept-validation0: are of subjects, .* fold 0: 00; delete"
        ):
            audit_document(moved(folds_document("sleep-edf-20", SLEEP_EDF_20, clean(20)), "SC4001", part))
    assert audit_document(document)["subject_disjoint"]


def test_a_broken_promise_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = folds_document("sleep-edf-20", SLEEP_EDF_20, clean(20))
    output = tmp_path / "folds.json"
    monkeypatch.setattr("sleepbench.protocols.audit.folds_document", lambda *_: moved(made, "SC4001"))
    with pytest.raises(BenchmarkError, match="promises that nobody is in training and test"):
        write_fold_file("sleep-edf-20", SLEEP_EDF_20, clean(20), output)
    twice = moved(
        folds_document("d", SLEEP_EDF_20, FoldSettings("recording_block", "kept", False, 0, 3)), "SC4191", "test"
    )
    monkeypatch.setattr("sleepbench.protocols.audit.folds_document", lambda *_: twice)
    with pytest.raises(BenchmarkError, match="must test every recording exactly once; not so: SC4191"):
        write_fold_file("d", SLEEP_EDF_20, FoldSettings("recording_block", "kept", False, 0, 3), output)
    assert list(tmp_path.iterdir()) == []


def test_a_fold_file_keeps_its_audit_and_says_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    document = write_fold_file("sleep-edf-20", SLEEP_EDF_20, released(10), tmp_path / "folds.json")
    assert "30 of 39 recordings tested (dropped: SC4152, " in capsys.readouterr().out
    assert audit_sentence(document["audit"], "released").endswith(
        "the subject of 8 of 30 test recordings (27%) is also in training"
    )
    assert document["audit"]["subjects_in_training_and_test"][0] == ["01"]
    assert document["audit"]["validation_subjects"] == [[]] * 10
