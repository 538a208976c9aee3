"""The audit of protocols, from fold files and totals of made-up recordings."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_results import LABELS, RESOURCES

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_json, write_document
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import SIMULATED
from sleepbench.datasets.recordings_table import read_recordings
from sleepbench.protocols.audit import write_fold_file
from sleepbench.protocols.folds import FoldSettings
from sleepbench.reporting.artefacts import Inputs
from sleepbench.reporting.audit import write_audit
from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.tables.audit import ARTEFACT

RELEASED = {
    **{"unit": "recording_block", "remainder": "dropped", "validation_subjects": False, "n_folds": 10, "seed": 0},
    **{"trimming": "authors", "selection": "best_test"},
}
CLEAN = {
    **{"unit": "subject", "remainder": "kept", "validation_subjects": True, "n_folds": 20, "seed": 0},
    **{"trimming": "standard", "selection": "best_validation"},
}
PROTOCOLS = {"released": RELEASED, "validation_held_out": {**CLEAN, "selection": "best_test"}, "clean": CLEAN}


def counts(number: int) -> dict[str, int]:
    """Epochs of one night, in all and by stage, which tell it from the others."""
    by_stage = (200 + number, 70, 460 - number, 150, 180 + 2 * number)
    return {"epochs": sum(by_stage), **dict(zip(STAGES, by_stage, strict=True))}


class Audit:
    """Fold files and totals of protocols on the 39 recordings of 20 subjects, and their audit."""

    def __init__(self, folder: Path, protocols: dict[str, dict] = PROTOCOLS):
        self.folder, self.protocols = folder, {}
        recordings = read_recordings(RESOURCES / "sleep_edf_recordings.csv")
        recordings = [recording for recording in recordings if recording.subject < "20"]
        for name, protocol in protocols.items():
            names = ("unit", "remainder", "validation_subjects", "seed", "n_folds")
            settings = FoldSettings(**{key: protocol[key] for key in names})
            self.protocols[name] = {**protocol, "folds": settings.name}
            write_fold_file("simulated", recordings, settings, self.folds(name))
            self.write_totals(name)

    def folds(self, name: str) -> Path:
        return self.folder / f"{self.protocols[name]['folds']}.json"

    def totals(self, name: str) -> Path:
        return self.folder / f"{self.protocols[name]['folds']}-{self.protocols[name]['trimming']}.json"

    def write_totals(self, name: str, **changes: object) -> None:
        document = read_json(self.folds(name))
        recordings = sorted(id for fold in document["folds"] for id in fold["test"])
        nights = {id: counts(number) for number, id in enumerate(recordings)}
        totals = {
            **{"dataset": "simulated", "trimming": self.protocols[name]["trimming"], "folds": document["name"]},
            "recordings": recordings,
            "found": {part: sum(night[part] for night in nights.values()) for part in ("epochs", *STAGES)},
            "found_by_recording": nights,
            **{"known": False, "reason": "simulated", "verdict": "nothing is known of simulated recordings"},
        }
        write_document(self.totals(name), totals | changes)

    def move(self, name: str, id: str, part: str = "train") -> None:
        """Put a tested recording of the first fold into another part too; the audit in the file stays as it was."""
        document = read_json(self.folds(name))
        document["folds"][0][part].append(id)
        write_document(self.folds(name), {**document, "folds_sha256": sha256_of_json(document["folds"])})

    def write(self, totals: list[Path] | None = None) -> tuple[pd.DataFrame, str, str, dict[str, Any]]:
        """The table's CSV, Markdown and LaTeX, and audit.json."""
        label, output = LABELS["simulated"], self.folder / "audit.json"
        files = [list(dict.fromkeys(map(path, self.protocols))) for path in (self.folds, self.totals)]
        write_audit(self.protocols, files[0], files[1] if totals is None else totals, label, output)
        paths = [self.folder / f"table.{form}" for form in ("csv", "md", "tex")]
        make_table(ARTEFACT, Inputs({"audit": output}, {}, label), *paths)
        texts = [path.read_text(encoding="utf-8") for path in paths[1:]]
        return pd.read_csv(paths[0], index_col="protocol"), *texts, read_json(output)


def test_audit_counts_what_folds_do(tmp_path: Path) -> None:
    table, markdown, latex, document = Audit(tmp_path).write()
    released, clean = table.loc["released"], table.loc["clean"]
    assert (released.n_folds, released.recordings_used, released.recordings_dropped) == (10, 30, 9)
    assert (released.subject_disjoint, clean.subject_disjoint) == ("no", "yes")
    assert (released.subject_disjoint_promised, clean.subject_disjoint_promised) == ("no", "yes")
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
    assert SIMULATED in markdown.splitlines()[0] and latex.isascii()
    assert max(len(line) for line in markdown.splitlines()[1:]) <= 150
    assert document["simulated"] is True and released.folds_sha256[:8] in markdown


def test_every_part_of_every_fold_is_counted_by_stage(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    table, markdown, _, document = audit.write()
    for protocol in document["protocols"]:
        name = protocol["protocol"]
        folds, found = read_json(audit.folds(name))["folds"], read_json(audit.totals(name))["found_by_recording"]
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
def test_audit_is_counted_from_the_assignment(tmp_path: Path, part: str) -> None:
    """Whatever audit the fold file carries."""
    audit = Audit(tmp_path, {"loose": {**RELEASED, "remainder": "kept", "n_folds": 39}})
    first = read_json(audit.folds("loose"))["folds"][0]["test"][0]
    audit.move("loose", first, part)
    _, _, _, document = audit.write()
    assert document["protocols"][0]["by_fold"][0]["subjects_in_training_and_test"] == ["00"]
    assert first in document["protocols"][0]["by_fold"][0]["test_recordings_whose_subject_trains"]


def test_folds_of_subjects_promise_to_keep_them_apart(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.move("clean", read_json(audit.folds("clean"))["folds"][0]["test"][0])
    with pytest.raises(BenchmarkError, match=r"promises that nobody is in training and test, .* fold 0: 00; delete"):
        audit.write()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "sleep-edf-20"}, "dataset is sleep-edf-20, expected simulated"),
        ({"recordings": []}, r"recordings is \[\], expected"),
        ({"reason": "no total is known"}, "simulated is False, expected True"),
        ({"found_by_recording": {}}, r"recordings of found_by_recording is \[\], expected \['SC4001'"),
        ({"found": {"epochs": 1}}, "epochs by recording sum to .*, expected {'epochs': 1}"),
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
        ({"selection": "best"}, "no selection rule is called 'best'; the nearest known name is 'best_test'"),
        ({"unit": "recording_block"}, "unit is subject, expected recording_block"),
    ],
)
def test_folds_of_another_protocol_are_an_error(tmp_path: Path, changes: dict, message: str) -> None:
    audit = Audit(tmp_path)
    audit.protocols["clean"] |= changes
    with pytest.raises(BenchmarkError, match=message):
        audit.write()


def test_selection_without_validation_subjects_is_an_error(tmp_path: Path) -> None:
    audit = Audit(tmp_path, {"odd": {**CLEAN, "validation_subjects": False}})
    with pytest.raises(BenchmarkError, match="holds no validation subject"):
        audit.write()


def test_a_protocol_without_files_is_an_error(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    with pytest.raises(BenchmarkError, match="no file of totals was given of protocol validation_held_out"):
        audit.write([audit.totals("released")])
    assert not (tmp_path / "audit.json").exists()
    known = [audit.totals(name) for name in PROTOCOLS]
    audit.protocols["clean"]["trimming"] = "authors"  # the totals are of another trimming
    with pytest.raises(BenchmarkError, match=r"no file of totals was given of protocol clean \(.*'authors'\)"):
        audit.write(known)
