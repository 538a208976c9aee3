"""Steps of a stack and of one fold, timed on the CPU at a small size."""

import re
from pathlib import Path

import pytest
import torch

from sleepbench.benchmarks import made_up, passes
from sleepbench.benchmarks import stack as benchmark_stack
from sleepbench.config.load import load

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("dataset", "steps"), [("sleep-edf-20", 46950), ("sleep-edf-78", 279200)])
def test_steps_of_the_largest_fold_are_extrapolated_to(dataset, steps, monkeypatch):
    """939 batches of 32 in the largest of Sleep-EDF-20's training sets; its epochs are known exactly."""
    monkeypatch.chdir(ROOT)
    found = benchmark_stack.steps_on(dataset)
    assert found == steps if dataset == "sleep-edf-20" else found == pytest.approx(steps, rel=0.01)


def test_both_sizes_are_printed(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(made_up, "NIGHT", 40)
    benchmark_stack.measure_stack(n_folds=2, seconds=0.1, device="cpu", steps=1)
    title, two, one, passes, ratio, *extrapolated = capsys.readouterr().out.splitlines()
    assert "made-up signals" in title and "CPU, 1 thread(s)" in title
    rates = [float(re.search(r"([\d.]+) steps a second", line)[1]) for line in (two, one)]
    assert re.fullmatch(r"A step of 2 folds as a GPU takes it: \d+ operators, .* [\d.]+ GB, [\d.]+ MB an epoch", passes)
    gain = float(re.search(r"train ([\d.]+) times", ratio)[1])
    assert gain == pytest.approx(2 * rates[0] / rates[1], abs=0.1)
    minutes = float(re.search(r"([\d.]+) minutes", extrapolated[0])[1])
    assert minutes == pytest.approx(46950 / rates[0] / 60, rel=0.02) and len(extrapolated) == 2


def test_bytes_that_are_read_and_written_are_counted():
    x, scale = torch.empty(10, 100, device="meta"), torch.empty(10, 1, device="meta")
    cases = [
        (4000 + 4000, lambda: x.relu_()),
        (4000 + 40 + 4000, lambda: x * scale),
        (4000 + 40, lambda: x.sum(1)),
        (4000 + 4000 + 4000, lambda: torch.add(x, x, out=torch.empty_like(x))),
        (4000, lambda: x.zero_()),
        (40 + 4000, lambda: x.copy_(scale)),
        (0, lambda: (x.view(5, 200), x[2:], x.reshape(-1), torch.empty_like(x))),
    ]
    for n_bytes, run in cases:
        with passes.Traffic() as counted:
            run()
        assert counted.n_bytes == n_bytes


def test_a_step_of_more_folds_has_as_many_operators_and_passes_over_more_bytes():
    one, four = (benchmark_stack.traffic(load(ROOT / "config.yaml"), 4, n_folds) for n_folds in (1, 4))
    assert one.n_operators == four.n_operators
    assert 3 < four.n_bytes / one.n_bytes < 4
