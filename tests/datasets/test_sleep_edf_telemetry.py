"""Sleep-EDF's telemetry recordings: placed by seconds, an EMG made comparable, two conditions a person."""

import csv
from pathlib import Path

import numpy as np
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.core.stages import N1, UNKNOWN, W
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset, SourceSettings
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.signals import edf
from sleepbench.signals.trimming import select_trimming

LATE = {"ST7041": 750, "ST7042": 540, "ST7051": 750, "ST7061": 30, "ST7062": 30, "ST7071": 30, "ST7072": 30}
"""Seconds at which the first annotation of a real hypnogram begins."""


def opened(**settings: object) -> Dataset:
    return open_dataset("sleep-edf-st", {"reader": "sleep_edf_telemetry", **settings}, {})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, dict, dict[str, Path]]:
    """A simulated night whose scoring begins late, its receipt and its files."""
    dataset = opened(simulated=True, subjects=2, psg_hours=1)
    receipt = dataset.fetch(dataset.recordings()[0], tmp_path_factory.mktemp("st"))
    return dataset, receipt, {role: Path(receipt[role]["path"]) for role in ("psg", "scoring")}


def test_44_nights_of_22_people_each_with_placebo_and_temazepam() -> None:
    nights = opened().recordings()
    assert len(nights) == 44 and len({night.subject for night in nights}) == 22
    assert not {"ST03", "ST23"} & {night.subject for night in nights}
    by_person: dict[str, set] = {}
    for night in nights:
        by_person.setdefault(night.subject, set()).add((night.condition, night.sex, night.age))
        assert night.file("psg").name == f"{night.id}J0-PSG.edf" and night.file("psg").sha256
    assert all({condition for condition, *_ in found} == {"placebo", "temazepam"} for found in by_person.values())
    assert all(len({who[1:] for who in found}) == 1 for found in by_person.values())
    assert sum(night.sex == "F" for night in nights) == 2 * 15


def test_the_table_is_the_official_list(shared: Path) -> None:
    with (shared / "sleep-edf" / "sleep-edfx-sizes.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"].split("/")[1]: row for row in csv.DictReader(file)}
    files = [file for night in opened().recordings() for file in night.files]
    assert len(files) == 88
    assert all((rows[f.name]["sha256"], int(rows[f.name]["bytes"])) == (f.sha256, f.n_bytes) for f in files)


def test_real_hypnograms_are_placed_by_seconds(shared: Path) -> None:
    dataset, found = opened(), {}
    for night in dataset.recordings():
        path = shared / "sleep-edf" / "hypnograms" / night.file("scoring").name
        if path.exists():
            stages = dataset.read_stages({"scoring": path})
            late = int(np.argmax(stages != UNKNOWN))
            found[night.id] = 30 * late
            annotations = [
                a for part in edf.read_annotation_lists(path, edf.read_header(path)) for a in part.annotations
            ]
            assert len(stages) * 30 == max(a.onset + a.duration for a in annotations)
            # what the header says of the sleeper is what the table says
            assert edf.read_header(path).patient.endswith(f"{'Female' if night.sex == 'F' else 'Male'}_{night.age}yr")
            kept = stages[select_trimming(stages, "standard")]
            assert tuple(np.bincount(kept, minlength=5)) == dataset.known_epochs()[night.id, "standard"]
    assert len(found) == 12 and {id: late for id, late in found.items() if late} == LATE
    assert dataset.read_stages({"scoring": shared / "sleep-edf/hypnograms/ST7041JO-Hypnogram.edf"})[25] == N1


def test_a_simulated_night_is_read_as_it_was_written(written, tmp_path: Path) -> None:
    dataset, receipt, files = written
    stages = dataset.read_stages(files)
    assert (stages[:25] == UNKNOWN).all() and stages[25] == W
    said = dataset.remarks(files, list(dataset.montage))
    assert "the scoring begins 750 s into the night; the epochs before count as unknown" in said
    summary = prepare_recording(dataset, receipt, tmp_path / "ST7011.npy")
    assert summary["roles"] == ["eeg1", "eeg2", "eog", "emg", "emg_raw"] and summary["simulated"]
    assert summary["channels"][3:] == ["EMG submental, envelope", "EMG submental"]
    assert summary["trimmings"]["whole"]["epochs"] == np.count_nonzero(stages < 5)


def test_the_emg_is_prepared_as_an_envelope_and_as_it_was_recorded(written, tmp_path: Path) -> None:
    dataset, receipt, files = written
    prepare_recording(dataset, receipt, tmp_path / "ST7011.npy")
    channels = read_json(tmp_path / "ST7011.quality.json")["channels"]
    assert (channels["emg"]["sampling_rate_hz"], channels["emg_raw"]["sampling_rate_hz"]) == (1, 100)
    raw = np.array(dataset.read_signals(files, ["emg_raw"])["emg_raw"].microvolts)
    kept = np.loadtxt(tmp_path / "ST7011.epochs.csv", delimiter=",", skiprows=1, dtype=int)[:, 0]
    loud = np.sqrt((raw.reshape(-1, 30, 100) ** 2).mean(axis=2))[kept]
    slow, fast = np.load(tmp_path / "ST7011.npy").transpose(1, 0, 2)[3:]
    np.testing.assert_allclose(fast, raw.reshape(-1, 3000)[kept], atol=1e-3)
    assert np.corrcoef(slow.mean(axis=1), loud.mean(axis=1))[0, 1] > 0.99


def test_simulated_and_real_nights_are_never_mistaken(written) -> None:
    _, _, files = written
    with pytest.raises(BenchmarkError, match="is not marked as simulated"):
        opened().check(opened().recordings()[0], files)
    assert opened(simulated=True).label.warning.startswith("SIMULATED") and opened().label.warning == ""
    assert opened(subjects=3).label.warning.startswith("TRIAL on 3 subjects")


def test_files_lie_in_the_folder_of_the_database(tmp_path: Path) -> None:
    dataset = opened()
    assert dataset.base_url == "https://physionet-open.s3.amazonaws.com/sleep-edfx/1.0.0/"
    dataset.source_settings = SourceSettings(base_url=None)
    with pytest.raises(BenchmarkError, match=r"sleep-telemetry, or set base_url. .*physionet.org"):
        dataset.fetch(dataset.recordings()[0], tmp_path)
    (tmp_path / "sleep-telemetry").mkdir()
    (tmp_path / "sleep-telemetry" / "x.edf").touch()
    assert dataset.locate("x.edf", tmp_path).parent.name == "sleep-telemetry"
    dataset.source_settings = SourceSettings(exclude={"ST7011": "chewed"})
    assert len(dataset.used()) == 43 and dataset.excluded() == {"ST7011": "chewed"}
    dataset.source_settings = SourceSettings(exclude={"ST7031": "chewed"})
    with pytest.raises(BenchmarkError, match=r"exclude: no recording of sleep-edf-st is 'ST7031'; the nearest"):
        dataset.used()
