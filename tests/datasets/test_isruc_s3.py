"""ISRUC-S3: files by hand, .rec and text, two scorers, ten channels."""

import re
from pathlib import Path

import numpy as np
import pytest

from sleepbench.core.errors import BenchmarkError, UnusableError
from sleepbench.core.stages import REM
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset, SourceSettings
from sleepbench.datasets.isruc_s3 import read_text_scoring
from sleepbench.models.registry import create_model
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.simulation.databases.night import simulate


def opened(**settings: object) -> Dataset:
    return open_dataset("isruc-s3", {"reader": "isruc_s3", **settings}, {})


def simulated(**settings: object) -> Dataset:
    return opened(simulated=True, subjects=3, psg_hours=1, **settings)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict[str, Path]]:
    """A simulated night: its receipt and its files."""
    dataset = simulated()
    receipt = dataset.fetch(dataset.recordings()[0], tmp_path_factory.mktemp("isruc"))
    return receipt, {role: Path(said["path"]) for role, said in receipt.items() if role != "recording"}


def test_what_is_missing_is_said_with_where_to_get_it(tmp_path: Path) -> None:
    night = opened().recordings()[9]
    assert [file.name for file in night.files] == ["10/10.rec", "10/10_1.txt", "10/10_2.txt"]
    with pytest.raises(
        BenchmarkError,
        match=r"10/10.rec and .* missing, and there is no address .*sleeptight.isr.uc.pt/ and unpack them",
    ):
        opened().fetch(night, tmp_path)
    assert "data.isruc-s3.directory" in opened().how_to_restore(tmp_path)


def test_files_that_are_there_are_pinned_and_never_change_unseen(written, tmp_path: Path) -> None:
    _, files = written
    dataset = opened()
    (tmp_path / "1").mkdir()
    for path in files.values():
        (tmp_path / "1" / path.name).write_bytes(path.read_bytes())
    receipt = dataset.fetch(dataset.recordings()[0], tmp_path)
    assert dataset.fetch(dataset.recordings()[0], tmp_path) == receipt
    (tmp_path / "1" / "1_1.txt").write_text("0\n")
    with pytest.raises(BenchmarkError, match=r"1_1.txt: its SHA-256 is .*, expected .*; move it away"):
        dataset.fetch(dataset.recordings()[0], tmp_path)


def test_a_night_is_read_as_it_was_written(written, tmp_path: Path) -> None:
    receipt, files = written
    dataset, night = simulated(), simulate(0, 1, 1, 1, 200)
    assert files["psg"].suffix == ".rec" and len(dataset.montage) == 12
    signals = dataset.read_signals(files, list(dataset.montage))
    step = 2000 / 65535
    for role in ("eeg1", "eeg6", "eog_left", "emg_raw", "ecg"):
        np.testing.assert_allclose(signals[role].microvolts, night.signals[role].clip(-1000, 1000), atol=0.51 * step)
    np.testing.assert_allclose(
        signals["eog"].microvolts, signals["eog_left"].microvolts[:] - signals["eog_right"].microvolts[:]
    )
    stages = dataset.read_stages(files)
    text = files["scorer_1"].read_text().split()
    assert len(stages) == len(text) - 30 == 90
    assert [str(5 if stage == REM else stage) for stage in stages] == text[:90]
    assert not np.array_equal(simulated(scorer=2).read_stages(files), stages)
    assert any(
        re.fullmatch(r"scored by scorer 1; the two scorers agree in \d+ %", one) for one in dataset.remarks(files, [])
    )
    summary = prepare_recording(dataset, receipt, tmp_path / "ISRUC01.npy")
    assert summary["trimmings"]["whole"]["epochs"] == 90 and len(summary["roles"]) == 12


def test_channels_may_be_called_by_their_newer_names(written, tmp_path: Path) -> None:
    _, files = written
    content = files["psg"].read_bytes()
    for old, new in ((b"F4-A1", b"F4-M1"), (b"LOC-A2", b"E1-M2 "), (b"ROC-A1", b"E2-M1 ")):
        content = content.replace(old, new)
    renamed = tmp_path / "1.rec"
    renamed.write_bytes(content)
    roles = ["eeg1", "eog", "eeg3"]
    found = simulated().read_signals({**files, "psg": renamed}, roles)
    expected = simulated().read_signals(files, roles)
    assert all(np.array_equal(found[role].microvolts, expected[role].microvolts) for role in roles)


def test_two_scorings_of_different_length_leave_the_night_out(written, tmp_path: Path) -> None:
    _, files = written
    short = tmp_path / "1_2.txt"
    short.write_text("0\n" * 100)
    with pytest.raises(UnusableError, match=r"1_1.txt has 120 epochs and 1_2.txt has 100 epochs; nobody knows which"):
        simulated().read_stages({**files, "scorer_2": short})


@pytest.mark.parametrize(
    "text, said", [("0\n4\n", r"epoch 2: found '4', expected 0 \(W\)"), ("0\n" * 30, "has 30 epochs, .*; it is cut")]
)
def test_texts_that_are_no_scoring_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(BenchmarkError, match=said):
        read_text_scoring(tmp_path / "x.txt")


def test_what_others_count_is_checked() -> None:
    (total,) = opened().known_totals()
    assert sum(total.counts) == 8589 and total.covers("whole", [one.id for one in opened().recordings()])
    assert opened(scorer=2).known_totals() == simulated().known_totals() == []


def test_ulw_sleepnet_has_the_size_that_others_print_for_ten_channels() -> None:
    assert sum(one.numel() for one in create_model("ulw_sleepnet", 10).parameters()) == 25_625


def test_recordings_are_left_out_as_the_configuration_says() -> None:
    dataset = opened()
    dataset.source_settings = SourceSettings(exclude={"ISRUC03": "snored"})
    assert len(dataset.used()) == 9 and dataset.excluded() == {"ISRUC03": "snored"}
