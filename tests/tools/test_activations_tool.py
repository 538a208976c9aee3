"""What the tool says of accuracies that are known."""

import activations
import pytest


def test_a_difference_stands_beside_what_another_seed_changes():
    *_, said = activations.lines({"float32": [70.0, 72.0, 74.0], "bfloat16": [70.5, 72.0, 75.0]})
    assert said.startswith("bfloat16 - float32: +0.50 points on average of 3 seeds, standard error 0.29;")
    assert "another seed changes 2.00" in said


def test_one_seed_is_nothing_to_hold_a_difference_against(capsys):
    with pytest.raises(SystemExit):
        activations.main(["simulated", "--seeds", "1"])
    assert "at least 2" in capsys.readouterr().err
