"""Steps of a stack and of one fold, timed on the CPU at a small size."""

import re
from pathlib import Path

import pytest

from sleepbench import benchmark_stack, timed_steps
from sleepbench.config import load

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("dataset", "steps"), [("sleep-edf-20", 46950), ("sleep-edf-78", 279200)])
def test_steps_of_the_largest_fold_are_extrapolated_to(dataset, steps):
    """939 batches of 32 in the largest of Sleep-EDF-20's training sets; its epochs are known exactly."""
    found = benchmark_stack.steps_of(load(ROOT / "config.yaml"), dataset)
    assert found == steps if dataset == "sleep-edf-20" else found == pytest.approx(steps, rel=0.01)


def test_both_sizes_are_printed(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(timed_steps, "NIGHT", 40)
    assert benchmark_stack.main(["--folds", "2", "--seconds", "0.1", "--device", "cpu", "--steps", "1"]) == 0
    title, two, one, ratio, *extrapolated = capsys.readouterr().out.splitlines()
    assert "made-up signals" in title and "CPU, 1 thread(s)" in title
    rates = [float(re.search(r"([\d.]+) steps a second", line)[1]) for line in (two, one)]
    gain = float(re.search(r"train ([\d.]+) times", ratio)[1])
    assert gain == pytest.approx(2 * rates[0] / rates[1], abs=0.1)
    minutes = float(re.search(r"([\d.]+) minutes", extrapolated[0])[1])
    assert minutes == pytest.approx(46950 / rates[0] / 60, rel=0.02) and len(extrapolated) == 2
