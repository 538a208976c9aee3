from pathlib import Path

import pytest

from sleepbench.benchmarks import memory as benchmark_memory
from sleepbench.core.errors import BenchmarkError
from sleepbench.models import describe


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])


@pytest.mark.slow
def test_table_has_a_line_for_each_recipe_and_more_sequences_take_more_memory(capsys):
    benchmark_memory.print_memory(["tiny_sleepnet"], night=20)
    title, head, common, own = capsys.readouterr().out.splitlines()
    assert "1 channel(s)" in title and "20 epochs" in title and "GB" in title
    assert head.split() == ["model", "recipe", "batch", "training", "and", "night"]
    assert common.split()[:2] == ["tiny_sleepnet", "common"] and "6 x 20 epochs" in common
    assert own.split()[:2] == ["tiny_sleepnet", "tiny_sleepnet"] and "15 x 20 epochs" in own
    (small, with_night), (large, _) = ([float(value) for value in line.split()[-2:]] for line in (common, own))
    assert 0.2 < small < large and small <= with_night


def test_the_first_phase_is_measured_too_and_the_number_of_sequences_can_be_given():
    common, own = benchmark_memory.recipes("deep_sleepnet", None)
    assert common.pretrain is None and own.pretrain.model == "deep_sleepnet_cnn"
    (recipe,) = benchmark_memory.recipes("u_sleep", 64)
    assert recipe.items_per_batch(describe("u_time")) == 64


@pytest.mark.parametrize("model", ["mma_sleepnet", "band_power"])
def test_what_has_no_such_network_is_refused(model):
    with pytest.raises(BenchmarkError, match=f"model {model}: no network of 1 channel"):
        benchmark_memory.print_memory([model])
