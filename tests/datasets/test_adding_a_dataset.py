"""The examples of docs/adding-a-dataset.md, taken from the page: they do what it says."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import sleepbench.datasets
from sleepbench.core.files import read_json, write_document
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset, Signal, SourceSettings
from sleepbench.preparation.index import Index, write_index
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.preparation.prepared import load_prepared
from sleepbench.preparation.quality import gather_qualities
from sleepbench.preparation.rates import resampled
from sleepbench.preparation.totals import check_totals
from sleepbench.protocols.audit import audit_document, write_fold_file
from sleepbench.protocols.folds import FoldSettings, folds_of

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-dataset.md"
COMMON = {"n_folds", "training_epochs", "only_folds"}
"""Keys of a dataset's definition that are not its reader's."""


@pytest.fixture(scope="module")
def examples() -> dict[str, list[str]]:
    """The page's blocks of code by language."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {language: [code for other, code in blocks if other == language] for language, _ in blocks}


@pytest.fixture(scope="module")
def added(examples: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory):
    """The dataset, added as the page says, in a working directory that holds its files."""
    folder = tmp_path_factory.mktemp("project")
    reader, nights = examples["python"]
    (folder / "my_nights.py").write_text(reader, encoding="utf-8")
    configured = yaml.safe_load(examples["yaml"][0])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sleepbench.datasets, "__path__", [*sleepbench.datasets.__path__, str(folder)])
        Path("my-nights").mkdir()
        exec(nights, {})
        ((name, definition),) = configured["datasets"].items()
        settings = {key: value for key, value in definition.items() if key not in COMMON}
        sources = {source: SourceSettings(**said) for source, said in configured["data"].items()}
        yield open_dataset(name, settings, sources), definition
        sys.modules.pop("sleepbench.datasets.my_nights")


@pytest.fixture(scope="module")
def index(added) -> Index:
    """The dataset fetched, prepared and listed, as the workflow does it."""
    dataset, _ = added
    prepared, receipts = [], []
    for recording in dataset.recordings():
        receipt = dataset.fetch(recording, dataset.directory("results/data/my-nights/raw"))
        receipts.append(Path(f"results/data/my-nights/verified/{recording.id}.json"))
        write_document(receipts[-1], receipt)
        prepared.append(Path(f"results/data/my-nights/prepared/{recording.id}.json"))
        prepare_recording(dataset, receipt, prepared[-1].with_suffix(".npy"))
    return write_index(dataset, prepared, receipts, "results/my-nights/recordings.json")


def test_nights_are_read_as_the_file_says(added: tuple[Dataset, dict], index: Index) -> None:
    dataset, _ = added
    assert [recording.id for recording in index.recordings] == ["1b4e28ba", "N7", "anna-2024-01-05"]
    night = load_prepared(index.prepared["N7"])
    assert (night.id, night.subject, night.night, night.roles) == ("N7", "bo", 1, ("eeg1", "eog"))
    with np.load("my-nights/N7.npz") as file:
        eeg = file["C3-M2"]
        stages = file["stages"][night.epoch]
    expected = resampled(Signal(1e6 * eeg, 128.0), 100).microvolts[:].reshape(-1, 3000)[night.epoch]
    np.testing.assert_allclose(night.signals[:, 0], expected, rtol=1e-5, atol=1e-4)
    assert set(stages[night.stage == 3]) == {"deep"} and "?" not in stages
    assert dataset.label.title("Ladder") == "Ladder, My Nights"


def test_what_is_known_of_the_nights_is_listed(index: Index) -> None:
    table = pd.read_csv("results/my-nights/recordings.csv", keep_default_na=False)
    assert table.subject.tolist() == ["cleo", "bo", "anna"] and table.age.tolist() == [67, 38, 41]
    assert table.standard_epochs.tolist() == [125] * 3 and table.standard_N3.tolist() == [20] * 3
    assert set(table) >= {"npz_sha256", "signals", "authors_REM"}


def test_the_quality_table_has_its_channels(index: Index) -> None:
    paths = [files.signals.with_suffix(".quality.json") for files in index.prepared.values()]
    table = gather_qualities(paths, index.recordings, simulated=False)
    assert table.start.tolist() == ["2024-01-05T22:30:00"] * 3 and table.sex.tolist() == ["F", "M", "F"]
    assert table["flat C3-M2"].tolist() == [0] * 3 and table["clipped E1-M2"].isna().all()
    assert "recorded at 128 Hz and resampled to 100 Hz: C3-M2" in table.sentences[0]


def test_folds_tell_its_people_apart_and_totals_say_that_nothing_is_known(added, index: Index) -> None:
    dataset, definition = added
    settings = FoldSettings("subject", "kept", validation_subjects=True, seed=0, n_folds=definition["n_folds"])
    write_fold_file(dataset.name, index.recordings, settings, "results/my-nights/folds.json")
    document = read_json("results/my-nights/folds.json")
    assert [fold.test for fold in folds_of(document)] == [("anna-2024-01-05",), ("N7",), ("1b4e28ba",)]
    audit = audit_document(document, index.kept("standard"))
    assert audit["subject_disjoint"] and audit["subjects"] == ["anna", "bo", "cleo"] and audit["epochs"] == 3 * 125
    paths = ("results/my-nights/folds.json", index.path, "results/my-nights/totals.json")
    assert check_totals(dataset, "standard", *paths)["reason"].startswith("no total is known of these 3 recordings")


def test_the_page_names_files_that_exist() -> None:
    package = PAGE.parents[1] / "workflow" / "sleepbench"
    named = set(re.findall(r"`((?:datasets|core|signals)/[\w/]+(?:\.\w+)?)`", PAGE.read_text(encoding="utf-8")))
    assert named and all((package / path).exists() for path in named)
