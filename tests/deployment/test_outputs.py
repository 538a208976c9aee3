import csv
import re

import mne
import numpy as np
import pyedflib
import pytest
from edf_files import write_hypnogram, write_psg
from fake_bundles import fake_bundle

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document
from sleepbench.core.stages import STAGES
from sleepbench.deployment.outputs import FILES, write_night
from sleepbench.deployment.scorer import READ_TEXTS, TEXTS, Scorer
from sleepbench.signals.edf import read_header
from sleepbench.signals.scoring import read_scoring

N = 30


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A night compared with a hypnogram, and the directory of what is written of it."""
    folder = tmp_path_factory.mktemp("scored")
    psg = write_psg(folder / "My <i>PSG.edf", N)
    hypnogram = write_hypnogram(folder / "hypnogram.edf", [("W", 10), ("2", 15), ("?", 5)])
    night = Scorer(fake_bundle()).score(psg, hypnogram=hypnogram)
    stages = np.random.default_rng(0).integers(0, 5, N // 3).repeat(3).astype(np.int8)
    night = type(night)(**{**vars(night), "stages": stages})
    write_night(night, folder / "out")
    return night, folder / "out"


def test_every_file_is_written(scored):
    assert {path.name for path in scored[1].iterdir()} == set(FILES)


def test_the_hypnogram_is_a_table_of_stages_by_the_clock(scored):
    night, out = scored
    rows = list(csv.DictReader((out / "hypnogram.csv").open()))
    assert [row["stage"] for row in rows] == night.hypnogram
    assert (rows[1]["epoch"], rows[1]["onset_s"], rows[1]["time"]) == ("1", "30", "1989-04-24T16:13:30")


def test_the_edf_is_read_back_by_our_reader_by_mne_and_by_pyedflib(scored):
    night, out = scored
    path = out / "hypnogram.edf"
    assert np.array_equal(read_scoring(path, READ_TEXTS), night.stages)
    header = read_header(path)
    assert header.start == night.recording.start and header.simulated and "automatic" in header.recording.split()
    assert header.patient == "X X X X"

    found = mne.read_annotations(path)
    by_text = {text: name for name, text in TEXTS.items()}
    spelled = [
        by_text[text] for text, n in zip(found.description, found.duration, strict=True) for _ in range(int(n / 30))
    ]
    assert spelled == night.hypnogram and np.array_equal(found.onset[1:], np.cumsum(found.duration)[:-1])

    with pyedflib.EdfReader(str(path)) as reader:
        _, durations, texts = reader.readAnnotations()
    assert [
        by_text[text] for text, n in zip(texts, durations, strict=True) for _ in range(int(n / 30))
    ] == night.hypnogram


def test_a_real_recording_scored_by_a_model_of_real_nights_is_not_called_simulated(tmp_path):
    night = Scorer(fake_bundle(kind="full")).score(write_psg(tmp_path / "psg.edf", 2))
    write_night(night, tmp_path / "out")
    assert not read_header(tmp_path / "out" / "hypnogram.edf").simulated
    page = (tmp_path / "out" / "night.html").read_text()
    assert 'banner">' not in page and "SIMULATED" not in page and "Not a medical device" in page


def test_probabilities_and_measures_are_tables(scored):
    night, out = scored
    rows = list(csv.DictReader((out / "probabilities.csv").open()))
    found = np.array([[float(row[f"p_{name}"]) for name in STAGES] for row in rows])
    assert np.allclose(found, night.probabilities, atol=1e-6)
    measures = {row["measure"]: row["value"] for row in csv.DictReader((out / "measures.csv").open())}
    assert float(measures["total_sleep_time"]) == night.measures["total_sleep_time"]


def test_the_quality_file_says_what_was_handled_and_by_which_model(scored):
    night, out = scored
    quality = read_document(out / "quality.json")
    assert quality["handled"] == night.handled and quality["epochs_in_night"] == N
    assert quality["channels"]["emg"]["sampling_rate_hz"] == 1
    assert quality["model"]["data"] == "simulated" and "SIMULATED SIGNALS" in quality["model"]["trained_on"]


def test_the_comparison_is_written(scored):
    night, out = scored
    found = read_document(out / "agreement.json")
    assert found["n_epochs"] == 25 and found["accuracy"] == night.agreement["accuracy"]


def test_the_page_is_self_contained_and_says_what_a_reader_must_know(scored):
    page = (scored[1] / "night.html").read_text(encoding="utf-8")
    assert "Model trained on SIMULATED signals" in page.split("<h1>")[0].split("<body>")[1]
    assert "Not a medical device" in page and "Total sleep time" in page and "Cohen's kappa" in page
    assert "<i>PSG" not in page and "&lt;i&gt;PSG" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page) and "<script" not in page


def test_the_figure_warns_in_its_title_and_is_the_same_twice(scored, tmp_path):
    night, out = scored
    assert b"SIMULATED" in (out / "hypnodensity.png").read_bytes()
    write_night(night, tmp_path / "again")
    for name in ("hypnodensity.png", "hypnodensity.pdf", "hypnogram.edf", "night.html"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_an_earlier_scoring_is_replaced_and_nothing_else(scored, tmp_path):
    night, _ = scored
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "night.html").write_text("earlier")
    write_night(night, tmp_path / "out")
    assert (tmp_path / "out" / "night.html").read_text() != "earlier"
    (tmp_path / "out" / "thesis.docx").write_text("mine")
    with pytest.raises(BenchmarkError, match=r"is no directory of a scored night \(thesis.docx\)"):
        write_night(night, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.docx").read_text() == "mine"


def test_a_failure_leaves_nothing_half_written(scored, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sleepbench.deployment.outputs.night_figure", full)
    with pytest.raises(OSError, match="No space"):
        write_night(scored[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()
