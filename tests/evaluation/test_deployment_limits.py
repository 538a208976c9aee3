"""The limits that a network on a board is held to, and the estimate of its time."""

import pytest
from fake_results import DEPLOYMENT
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.evaluation.deployment import broken_limits, duty_percent, estimated_ms

SINGLE, W8A16 = DEPLOYMENT["boards"][1:]


def test_what_keeps_all_limits_breaks_none():
    assert broken_limits(SINGLE, SINGLE) == broken_limits(W8A16, None) == []


@pytest.mark.parametrize(
    ("row", "changed", "said"),
    [
        (SINGLE, {"probability_difference": 1.1e-5}, "probabilities differ by 1.1e-05"),
        (SINGLE, {"probability_difference": float("nan")}, "probabilities differ by nan"),
        (W8A16, {"agreement": 0.9899}, "0.990 of the stages agree, at least 0.99"),
        (SINGLE, {"flash_bytes": 32_769}, "32,769 bytes of flash"),
        (SINGLE, {"state_bytes": 8192 - 1248 + 1}, "8,193 bytes of RAM, at most 8,192"),
        (W8A16, {"stack_bytes": 5120 - 2892 + 1}, "5,121 bytes of RAM, at most 5,120"),
        (SINGLE, {"instructions": 1.06 * SINGLE["instructions"]}, "+6 % instructions"),
        (SINGLE, {"instructions": 0.94 * SINGLE["instructions"]}, "-6 % instructions"),
    ],
)
def test_each_limit_that_is_broken_is_named_with_what_was_found(row, changed, said):
    (broken,) = broken_limits({**row, **changed}, row)
    assert said in broken


def test_w8a16_may_differ_in_probabilities_and_single_precision_in_no_stage_that_is_not_one():
    assert broken_limits({**W8A16, "probability_difference": 0.1}, None) == []


@given(st.floats(1, 1e12), st.sampled_from([64, 168, 480]))
def test_the_estimate_is_of_assumed_cycles(instructions, clock):
    few, many = estimated_ms(instructions, clock)
    assert few == pytest.approx(1.3 * instructions / (clock * 1e6) * 1000)
    assert many == pytest.approx(few * 2 / 1.3)
    assert duty_percent(instructions, clock) == pytest.approx(many / 30_000 * 100)
