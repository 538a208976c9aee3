"""The command that scores, as a user sees it."""

import io
import sys

import numpy as np
import pytest
from edf_files import write_hypnogram, write_psg
from fake_bundles import fake_bundle

from sleepbench.cli import app
from sleepbench.deployment import outputs
from sleepbench.deployment.bundle import write_bundle


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A bundle and two recordings, one with a hypnogram."""
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "a.bundle", fake_bundle())
    (tmp_path / "psgs").mkdir()
    write_psg(tmp_path / "psgs" / "one-PSG.edf", 3)
    write_psg(tmp_path / "psgs" / "two-PSG.EDF", 4)
    write_hypnogram(tmp_path / "psgs" / "one-Hypnogram.edf", [("W", 3)])
    return tmp_path


def score(capfd, *arguments):
    with pytest.raises(SystemExit) as ended:
        app.main(["score", *map(str, arguments)])
    return ended.value.code, *capfd.readouterr()


def test_a_recording_is_scored_and_compared(folder, capfd):
    status, out, err = score(
        capfd, "psgs/one-PSG.edf", "--model", "a.bundle", "--output", "out", "--hypnogram", "psgs/one-Hypnogram.edf"
    )
    assert status == 0 and (folder / "out" / "one-PSG" / "night.html").exists()
    assert out.startswith("one-PSG.edf: 3 epochs, ") and "the hypnogram's stage in" in out and "SIMULATED" in out
    assert "trained on SIMULATED SIGNALS" in err


def test_a_folder_is_a_batch_in_which_a_bad_file_stops_nothing(folder, capfd):
    (folder / "psgs" / "bad-PSG.edf").write_bytes(b"<html>")
    status, out, err = score(capfd, "psgs", "--model", "a.bundle", "--output", "out", "--smooth")
    assert status == 1 and "2 of 3 recordings scored, in out" in out
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["one-PSG", "two-PSG"]
    assert "is not an EDF file but a web page" in err and err.endswith(
        "Failed, for reasons above:\n  psgs/bad-PSG.edf\n"
    )


def test_what_goes_wrong_unforeseen_stops_nothing_either(folder, capfd, monkeypatch):
    monkeypatch.setattr(outputs, "write_night", lambda *_: 1 / 0)
    status, _, err = score(capfd, "psgs", "--model", "a.bundle", "--output", "out")
    assert status == 1 and err.count("failed, which it should not (ZeroDivisionError") == 2


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("psgs/one-PSG.edf",), 2, "Missing option '--output'"),
        (("psgs", "--output", "out", "--hypnogram", "x"), 2, "--hypnogram is for one recording, found 2"),
        (("psgs/one-PSG.edf", "other/one-PSG.edf", "--output", "out"), 1, "both would be written to out/one-PSG"),
        (("psgs/none.edf", "--output", "out"), 1, "psgs/none.edf: cannot be read"),
        (("psgs/one-PSG.edf", "--output", "a.bundle"), 1, "a.bundle: is a file, expected a directory"),
        ((".", "--output", "out"), 1, "holds no file *.edf"),
        (("psgs/one-PSG.edf", "--output", "out", "--map", "eeg9=x"), 1, "the model has no role 'eeg9'"),
        (("psgs/one-PSG.edf", "--output", "out", "--map", "eog=EEG C4"), 1, "has no channel 'EEG C4'"),
        ((), 2, "Missing argument 'PSGS...'"),
        (("psgs/one-PSG.edf", "--stream"), 2, "psgs/one-PSG.edf is EDF: score it without --stream"),
        (("-", "--stream", "--output", "out"), 2, "--output is not for --stream"),
    ],
)
def test_what_cannot_be_done_is_said(folder, capfd, arguments, status, said):
    found, _, err = score(capfd, *arguments, "--model", "a.bundle")
    assert found == status and said in err and "Traceback" not in err and not (folder / "out").exists()


def test_a_bundle_that_is_not_there_is_named_with_what_to_do(folder, capfd):
    status, _, err = score(capfd, "psgs", "--model", "b.bundle", "--output", "out")
    assert status == 1 and "b.bundle: is missing; make a bundle: sleepbench model bundle RUN --output b.bundle" in err


@pytest.mark.parametrize("named", [("-",), ()])
def test_samples_on_standard_input_are_scored_as_they_come(folder, capfd, monkeypatch, named):
    samples = np.random.default_rng(0).normal(0, 30, (2 * 3000 + 10, 4)).astype("<f4").tobytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(samples))))
    status, out, err = score(capfd, *named, "--stream", "--smooth", "--lag", "1", "--model", "a.bundle")
    lines = out.splitlines()
    assert status == 0 and lines[0] == "epoch,onset_s,stage,p_W,p_N1,p_N2,p_N3,p_REM"
    assert [line.split(",")[:2] for line in lines[1:]] == [["0", "0"], ["1", "30"]]
    assert "smoothed causally, with a lag of 1 epoch (30 s)" in err and "the last 0.1 s fill no epoch" in err


def test_the_card_of_a_bundle_is_printed(folder, capfd):
    with pytest.raises(SystemExit) as ended:
        app.main(["model", "card", "a.bundle"])
    assert ended.value.code == 0 and "# ULW-SleepNet (SIMULATED data" in capfd.readouterr().out
