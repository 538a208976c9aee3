"""The audit of protocols, from fold files and totals of made-up recordings."""

from pathlib import Path

import pandas as pd
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_json, write_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.recordings import read_recordings
from sleepbench.protocols.audit import write_fold_file
from sleepbench.protocols.folds import FoldSettings
from sleepbench.reporting.tables import main as tables
from sleepbench.reporting.tables.audit import write_audit
from sleepbench.signals.totals import RECORDINGS

RELEASED = {
    "unit": "recording_block",
    "recordings": "floor",
    "validation_subjects": False,
    "window": "released",
    "selection": "best_test",
    "subject_disjoint": False,
    "seed": 0,
    "folds": {"simulated": 10},
}
CLEAN = {
    "unit": "subject",
    "recordings": "all",
    "validation_subjects": True,
    "window": "standard",
    "selection": "best_validation",
    "subject_disjoint": True,
    "seed": 0,
    "folds": {"simulated": 20},
}
PROTOCOLS = {"released": RELEASED, "validation_held_out": {**CLEAN, "selection": "best_test"}, "clean": CLEAN}


def counts(number: int) -> dict[str, int]:
    """Epochs of one night, in all and by stage, which tell it from the others."""
    of_stages = (200 + number, 70, 460 - number, 150, 180 + 2 * number)
    return {"epochs": sum(of_stages), **dict(zip(STAGES, of_stages, strict=True))}


class Audit:
    """Fold files and totals of protocols on the 39 recordings of 20 subjects, and their audit."""

    def __init__(self, folder: Path, protocols: dict[str, dict] = PROTOCOLS):
        self.folder, self.protocols = folder, protocols
        recordings = [recording for recording in read_recordings(RECORDINGS) if recording.subject < "20"]
        self.folds, self.totals = {}, {}
        for name, protocol in protocols.items():
            self.folds[name], self.totals[name] = (str(folder / f"{name}.{what}.json") for what in ("folds", "totals"))
            settings = FoldSettings.of_protocol(protocol, "simulated")
            write_fold_file("simulated", recordings, settings, False, Path(self.folds[name]))
            self.write_totals(name)

    def write_totals(self, name: str, **changes: object) -> None:
        document = read_json(self.folds[name])
        recordings = sorted(id for fold in document["folds"] for id in fold["test"])
        of_night = {id: counts(number) for number, id in enumerate(recordings)}
        totals = {
            "dataset": "simulated",
            "window": self.protocols[name]["window"],
            "folds": document["name"],
            "recordings": recordings,
            "found": {part: sum(night[part] for night in of_night.values()) for part in ("epochs", *STAGES)},
            "found_by_recording": of_night,
            "known": False,
            "reason": "simulated",
            "verdict": "nothing is known of simulated recordings",
        }
        write_json(self.totals[name], totals | changes)

    def move(self, name: str, id: str, part: str = "train") -> None:
        """Put a tested recording of the first fold into another part too; the audit in the file stays as it was."""
        document = read_json(self.folds[name])
        document["folds"][0][part].append(id)
        write_json(self.folds[name], {**document, "folds_sha256": sha256_of_json(document["folds"])})

    def write(self) -> tuple[pd.DataFrame, str, str, dict]:
        paths = [str(self.folder / f"audit.{form}") for form in ("csv", "md", "tex", "json")]
        write_audit(self.protocols, self.folds, self.totals, "simulated", True, *paths)
        texts = [Path(path).read_text(encoding="utf-8") for path in paths[1:3]]
        return pd.read_csv(paths[0], index_col="protocol"), *texts, read_json(paths[3])


def test_audit_counts_what_folds_do(tmp_path: Path) -> None:
    table, markdown, latex, document = Audit(tmp_path).write()
    released, clean = table.loc["released"], table.loc["clean"]
    assert (released.folds, released.recordings_used, released.recordings_dropped) == (10, 30, 9)
    assert (released.subject_disjoint, clean.subject_disjoint) == ("no", "yes")
    # Blocks of 3 cut the pair of nights of a subject at 3, 9, 15 and 21; subject 13 has a single night.
    assert released.test_recordings_whose_subject_trains == 8
    assert clean.share_of_test_recordings_whose_subject_trains == 0
    assert (clean.test_subjects_per_fold_min, clean.test_subjects_per_fold_max) == (1, 1)
    assert (clean.validation_subjects_per_fold_min, clean.recordings_used) == (2, 39)
    assert list(table.selection_looks_at) == ["test fold", "test fold", "validation subjects"]
    nights = [counts(number) for number in range(30)]
    assert released.share_N2 == pytest.approx(sum(n["N2"] for n in nights) / sum(n["epochs"] for n in nights))
    by_name = {protocol["protocol"]: protocol for protocol in document["protocols"]}
    assert len(by_name["released"]["recordings_dropped"]) == 9 and len(by_name["clean"]["by_fold"]) == 20
    shared = [fold["test_recordings_whose_subject_trains"] for fold in by_name["released"]["by_fold"]]
    assert sum(map(len, shared)) == 8
    assert tables.SIMULATED in markdown.splitlines()[0] and latex.isascii()
    assert max(len(line) for line in markdown.splitlines()[1:]) <= 150
    assert document["simulated"] is True and released.folds_sha256[:8] in markdown


def test_every_part_of_every_fold_is_counted_by_stage(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    table, markdown, _, document = audit.write()
    for protocol in document["protocols"]:
        name = protocol["protocol"]
        folds, found = read_json(audit.folds[name])["folds"], read_json(audit.totals[name])["found_by_recording"]
        for fold, counted in zip(folds, protocol["by_fold"], strict=True):
            for part in ("train", "validation", "test"):
                expected = {stage: sum(found[id][stage] for id in fold[part]) for stage in STAGES}
                assert counted[f"{part}_epochs_by_stage"] == expected
                assert counted[f"{part}_epochs"] == sum(expected.values())
        sizes = [fold["test_epochs_by_stage"]["REM"] for fold in protocol["by_fold"]]
        assert (table.test_REM_per_fold_min[name], table.test_REM_per_fold_max[name]) == (min(sizes), max(sizes))
        # Every recording is tested once.
        assert sum(fold["test_epochs"] for fold in protocol["by_fold"]) == protocol["epochs"]
    released = document["protocols"][0]["by_fold"]
    sizes = [fold["train_epochs"] for fold in released]
    words = " ".join(markdown.split())
    assert f"epochs in a fold: train {min(sizes):,}–{max(sizes):,} (W " in words and "; test 3," in words
    assert table.validation_epochs_per_fold_max["released"] == 0


@pytest.mark.parametrize("part", ["train", "validation"])
def test_audit_is_counted_anew(tmp_path: Path, part: str) -> None:
    audit = Audit(tmp_path, {"loose": {**CLEAN, "subject_disjoint": False}})
    first = read_json(audit.folds["loose"])["folds"][0]["test"][0]
    audit.move("loose", first, part)
    table, _, _, document = audit.write()
    assert table.subject_disjoint["loose"] == "no"
    assert document["protocols"][0]["by_fold"][0]["subjects_in_training_and_test"] == [first[3:5]]


def test_a_broken_promise_is_an_error(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.move("clean", read_json(audit.folds["clean"])["folds"][0]["test"][0])
    with pytest.raises(BenchmarkError, match=r"promises disjoint subjects .* fold 0: 00; correct"):
        audit.write()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": "released"}, "window is released, expected standard"),
        ({"folds": "other"}, "folds is other, expected subject-20-all-validation0"),
        ({"dataset": "sleep-edf-20"}, "dataset is sleep-edf-20, expected simulated"),
        ({"recordings": []}, r"recordings is \[\], expected"),
        ({"reason": "no total is known"}, "is of real data, but simulated: True"),
        ({"found_by_recording": {}}, r"recordings of found_by_recording is \[\], expected \['SC4001'"),
        ({"found": {"epochs": 1}}, "the epochs found by recording sum to .*, expected {'epochs': 1}"),
    ],
)
def test_totals_of_something_else_are_an_error(tmp_path: Path, changes: dict, message: str) -> None:
    audit = Audit(tmp_path)
    audit.write_totals("clean", **changes)
    with pytest.raises(BenchmarkError, match=message):
        audit.write()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": "best"}, "selection is 'best', expected one of best_test"),
        ({"unit": "recording_block"}, "unit is subject, expected recording_block"),
    ],
)
def test_folds_of_another_protocol_are_an_error(tmp_path: Path, changes: dict, message: str) -> None:
    audit = Audit(tmp_path)
    audit.protocols = {**PROTOCOLS, "clean": CLEAN | changes}
    with pytest.raises(BenchmarkError, match=message):
        audit.write()


def test_selection_without_validation_subjects_is_an_error(tmp_path: Path) -> None:
    audit = Audit(tmp_path, {"odd": {**CLEAN, "validation_subjects": False}})
    with pytest.raises(BenchmarkError, match="holds no validation subject"):
        audit.write()


def test_a_protocol_without_files_is_an_error(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    del audit.totals["clean"]
    with pytest.raises(BenchmarkError, match="no file of totals was given of protocol clean"):
        audit.write()
    assert not (tmp_path / "audit.json").exists()
