from pathlib import Path

import pytest

from sleepbench.benchmarks.scale import measure_scale


@pytest.mark.slow
def test_a_line_for_the_plan_the_store_and_the_bootstrap(capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    measure_scale(recordings=20, trainings=10, runs=3, subjects=5)
    plan, store, bootstrap = capsys.readouterr().out.splitlines()
    assert plan.startswith("plan of 20 recordings and 10 trainings: ") and "3 runs read back" in store
    assert bootstrap.startswith("intervals of 5 subjects") and bootstrap.endswith(" MB")
