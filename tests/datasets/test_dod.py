"""DOD-H and DOD-O: HDF5 of 250 Hz, a consensus and five scorers."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from sleepbench.core.errors import BenchmarkError, MissingChannelError, UnusableError
from sleepbench.core.files import read_json
from sleepbench.core.stages import REM, UNKNOWN
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset
from sleepbench.datasets.dod import read_json_scoring
from sleepbench.datasets.dod_o import WITHOUT_CONSENSUS
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.simulation.databases.night import simulate

CUT = {
    "3e842aa8-bcd9-521e-93a2-72124233fe2c": (0, 620),
    "5bf0f969-304c-581e-949c-50c108f62846": (60, None),
    "b5d5785d-87ee-5078-b9b9-aac6abd4d8de": (60, None),
}
"""Nights of DOD-H that are cut further than to what everybody scored, by their right ids."""


def opened(reader: str = "dod_h", **settings: object) -> Dataset:
    return open_dataset(reader, {"reader": reader, **settings}, {})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict[str, Path]]:
    """A simulated night of DOD-H: its receipt and its files."""
    dataset = opened(simulated=True, subjects=2, psg_hours=1)
    receipt = dataset.fetch(dataset.recordings()[0], tmp_path_factory.mktemp("dod"))
    return receipt, {role: Path(said["path"]) for role, said in receipt.items() if role != "recording"}


def simulated(**settings: object) -> Dataset:
    return opened(simulated=True, subjects=2, psg_hours=1, **settings)


def test_25_healthy_people_and_55_with_apnoea_but_for_the_night_that_nobody_scored() -> None:
    assert len(opened().used()) == 25 and opened().excluded() == {}
    patients = opened("dod_o")
    assert len(patients.recordings()) == 56 and len(patients.used()) == 55
    assert list(patients.excluded()) == [WITHOUT_CONSENSUS] and "no consensus" in patients.excluded()[WITHOUT_CONSENSUS]


def test_the_scorings_of_real_nights_are_those_of_their_files(shared: Path, tmp_path: Path) -> None:
    for reader, folder in (("dod_h", "dodh"), ("dod_o", "dodo")):
        for night in opened(reader).used():
            for n in (1, 2, 3, 4, 5):
                theirs = read_json_scoring(shared / "dod" / "scorers" / folder / f"scorer_{n}" / f"{night.id}.json")
                found = opened(reader, scorer=n)._scored({"h5": tmp_path / f"{night.id}.h5"})
                np.testing.assert_array_equal(found.stages, theirs)
                assert (theirs[found.first : found.end] != -1).all() or n  # the others may leave single epochs out
                first, end = CUT.get(night.id, (None, None))
                assert first in (None, found.first) and end in (None, found.end)


def test_a_night_is_read_as_it_was_written(written: tuple[dict, dict[str, Path]]) -> None:
    _, files = written
    dataset, night = simulated(), simulate(0, 1, 1, 1, 250)
    signals = dataset.read_signals(files, list(dataset.montage))
    # O1-M2, which the files of DOD-H do not have, from two derivations that they have
    np.testing.assert_allclose(signals["eeg2"].microvolts, night.signals["eeg2"], atol=1e-3)
    eyes = night.signals["eog_left"] - night.signals["eog_right"]
    np.testing.assert_allclose(signals["eog"].microvolts, eyes, atol=1e-3)
    assert signals["eeg1"].rate == signals["emg"].rate == 250
    assert dataset.start(files) == night.start
    stages = dataset.read_stages(files)
    assert (stages == night.true).mean() > 0.8 and stages.max() <= REM


def test_every_scorer_can_be_read_and_has_a_place_of_its_own(written: tuple[dict, dict[str, Path]]) -> None:
    _, files = written
    for n in (1, 2, 3, 4, 5):
        dataset = simulated(scorer=n)
        theirs = np.array(json.loads(files[f"scorer_{n}"].read_text()))
        np.testing.assert_array_equal(dataset.read_stages(files), np.where(theirs == -1, UNKNOWN, theirs))
        assert dataset.source == f"dod_h-scorer_{n}" and dataset.files_source == "dod_h"
        assert dataset.label.name == f"simulated DOD-H, scorer {n}"
    assert opened(scorer=3).source == "dod-h-scorer_3" and opened(scorer=3).files_source == "dod-h"
    with pytest.raises(BenchmarkError, match=r"datasets.dod_h.scorer: found 6, expected"):
        opened(scorer=6)


def test_a_night_is_prepared(written: tuple[dict, dict[str, Path]], tmp_path: Path) -> None:
    receipt, _ = written
    summary = prepare_recording(simulated(), receipt, tmp_path / "x.npy")
    assert summary["channels"] == ["F3_M2", "F3_M2 - F3_O1", "EOG1 - EOG2", "EMG, envelope", "C3_M2", "EMG"]
    handled = read_json(tmp_path / "x.quality.json")["handled"]
    assert handled[0] == "the consensus of five scorers"
    assert "recorded at 250 Hz and resampled to 100 Hz: F3_M2, F3_M2 - F3_O1, EOG1 - EOG2, C3_M2, EMG" in handled


def changed(files: dict[str, Path], folder: Path, change) -> dict[str, Path]:
    path = folder / files["h5"].name
    path.write_bytes(files["h5"].read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return {**files, "h5": path}


def without_rates(file: h5py.File) -> None:
    del file.attrs["description"]
    for group in file["signals"].values():
        del group.attrs["fs"]


@pytest.mark.parametrize(
    "change, error, said",
    [
        (lambda f: f.__delitem__("signals/eog/EOG2"), MissingChannelError, r"has no channel 'eog/EOG2'; the nearest"),
        (lambda f: f.__delitem__("signals"), MissingChannelError, r"has no channel 'eeg/F3_M2'; none is known"),
        (without_rates, BenchmarkError, r"nothing says its rate \(fs\); it is of another version"),
        (lambda f: f.attrs.update(description="[{}]"), BenchmarkError, "description says no rate of a channel"),
        (lambda f: f["signals/eeg"].attrs.update(unit="parsec"), BenchmarkError, "its unit is 'parsec', expected uV"),
    ],
)
def test_signals_of_another_version_are_refused(
    written: tuple[dict, dict[str, Path]], tmp_path: Path, change, error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        simulated().read_signals(changed(written[1], tmp_path, change), ["eeg1", "eog"])


def hypnogram(codes: object):
    def change(file: h5py.File) -> None:
        del file["hypnogram"]
        if codes is not None:
            file["hypnogram"] = codes

    return change


@pytest.mark.parametrize(
    "codes, error, said",
    [
        (None, UnusableError, "no consensus is in it"),
        ([0, 1, 9], BenchmarkError, r"with the codes \[0 1 9\], expected one whole number from -1 to 4"),
        ([[0], [1]], BenchmarkError, "it is of another version"),
    ],
)
def test_hypnograms_of_another_version_are_refused(written, tmp_path: Path, codes, error: type, said: str) -> None:
    files = changed(written[1], tmp_path, hypnogram(codes))
    with pytest.raises(error, match=said):
        simulated().read_stages(files)


def test_two_scorings_of_different_length_are_never_put_together(written, tmp_path: Path) -> None:
    files = changed(written[1], tmp_path, hypnogram(np.zeros(7, int)))
    with pytest.raises(UnusableError, match=r"has 7 epochs, that of scorer_2 120; nobody knows where one begins"):
        simulated(scorer=2).read_stages(files)
    assert simulated().read_stages(files).tolist() == [0] * 7
    assert any("which epochs all scored is not known" in one for one in simulated().remarks(files, []))


def test_what_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"<html>")
    with pytest.raises(BenchmarkError, match="cannot be read as HDF5"):
        opened().read_stages({"h5": tmp_path / "x.h5"})
    (tmp_path / "x.json").write_text("[0, 5]")
    with pytest.raises(BenchmarkError, match="is no list of whole numbers from -1 to 4"):
        read_json_scoring(tmp_path / "x.json")


def test_real_and_simulated_nights_are_never_mistaken(written: tuple[dict, dict[str, Path]]) -> None:
    _, files = written
    with pytest.raises(BenchmarkError, match="is not marked as simulated"):
        opened().check(opened().recordings()[0], files)
