"""A study on paper against numbers worked out by hand, and what is refused."""

from pathlib import Path

import pytest

from sleepbench.benchmarks import large_study
from sleepbench.benchmarks.large_study import Study, limits, lines, study_of
from sleepbench.cli.app import main
from sleepbench.runs.schema import MOST_EPOCHS

SMALL = Study(subjects=100, nights=2, night_epochs=1000, training_epochs=50, batch_size=32, samples=3000)


def test_the_sizes_are_those_worked_out_by_hand():
    assert (SMALL.recordings, SMALL.epochs, SMALL.trainings) == (200, 200_000, 30)
    assert SMALL.files == 16 * 200 + 20 * 30
    assert SMALL.prepared_gb == pytest.approx(200_000 * 4 * 3000 * 4 / 1e9)
    assert SMALL.recorded_gb == pytest.approx(200 * 0.0497)
    # 545 metrics, 55 latest ones, 33 parameters and 16 tags
    assert SMALL.mlflow_bytes_a_run == 545 * 288 + 55 * 185 + 33 * 196 + 16 * 217


def test_hours_are_those_of_the_passes_and_whole_trainings():
    passes = 200_000 * (0.81 + 0.19 * 0.25) * 50 * 30
    assert SMALL.passes == pytest.approx(passes)
    assert SMALL.cpu_hours(1) == pytest.approx(passes / 874 / 3600)
    assert SMALL.gpu_hours(1, 30e6) == pytest.approx(passes * 30e6 / 2.2e12 / 3600)
    # 30 trainings on 8 GPUs are four rounds, on 30 or more one.
    assert SMALL.gpu_hours(8, 30e6) == pytest.approx(SMALL.gpu_hours(1, 30e6) * 4 / 30)
    assert SMALL.gpu_hours(1000, 30e6) == SMALL.gpu_hours(30, 30e6)
    assert SMALL.asked_bytes_s(30e6) == pytest.approx(2.2e12 / 30e6 * 48_000)


def test_a_study_has_nights_and_the_recipe_that_are_known():
    study = study_of(5000, 1)
    assert study.night_epochs == pytest.approx(195_479 / 153)
    assert (study.training_epochs, study.batch_size, study.samples) == (50, 32, 3000)
    twice = study_of(5000, 2)
    assert (twice.recordings, twice.epochs) == (2 * study.recordings, 2 * study.epochs)


def test_the_page_says_what_is_computed():
    page = " ".join((Path(__file__).parents[2] / "docs/large-studies.md").read_text(encoding="utf-8").split())
    study = study_of(5000, 1)
    disk = study.recorded_gb + study.prepared_gb + study.results_gb
    assert f"{study.files:,} files, {disk:.0f} GB" in page
    assert f"{study.gpu_hours(1, 30.1e6):.0f} hours on one GPU" in page
    assert f"{study.asked_bytes_s(30.1e6) / 1e9:.1f} GB of signals a second" in page


def test_what_breaks_first_is_of_this_machine_and_does_not_depend_on_the_size(tmp_path, monkeypatch):
    monkeypatch.setattr(large_study.psutil, "virtual_memory", lambda: type("memory", (), {"total": 48e9}))
    found = {limit.name: limit.subjects for limit in limits(SMALL, tmp_path)}
    assert list(found.values()) == sorted(found.values()) and {"memory", "disk", "archive"} <= {*found}
    assert found["memory"] == pytest.approx(48e9 / (2 * 1000 * 48_000))
    assert found["archive of a fold"] == pytest.approx(MOST_EPOCHS * 10 / 2000)
    larger = Study(5000, 2, 1000, 50, 32, 3000)
    assert {one.name: one.subjects for one in limits(larger, tmp_path)} == pytest.approx(found, rel=0.05)


def test_a_row_for_each_number_of_gpus_and_a_source_for_each_figure(tmp_path):
    said = lines(SMALL, 6, tmp_path, lambda: 30e6)
    text = "\n".join(said)
    assert [line.split("  ")[0] for line in said if " GPU" in line[:8]] == ["1 GPU", "2 GPUs", "4 GPUs", "6 GPUs"]
    assert f"Files: {SMALL.files:,}" in said and "On paper: 100 subjects, 200 nights" in text
    assert "Signals for each GPU: 3.5 GB a second" in said
    assert "ASSUMED" in text and text.count("What breaks first") == 1
    assert not [line for line in lines(SMALL, 0, tmp_path, lambda: 30e6) if " GPU" in line[:8]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gpus", "8"], "give its --subjects too"),
        (["--nights", "2"], "give its --subjects too"),
        (["--subjects", "5000", "--check"], "leave --check away"),
        (["--subjects", "5000", "--experiment", "demo", "--models", "all"], "leave --experiment and --models away"),
        (["--subjects", "3"], "3 is not in the range 10<=x<=1000000"),
        (["--subjects", "12"], "12 subjects with 1 night(s) are too few for 10 folds; give at least 20 nights"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["estimate", *arguments])
    assert ended.value.code in (1, 2) and said in capsys.readouterr().err
