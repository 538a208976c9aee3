"""What a network does as C, where it can be tried and where it cannot."""

from types import SimpleNamespace

import numpy as np
import pytest
from fake_bundles import fake_bundle

from sleepbench.core.errors import BenchmarkError
from sleepbench.deployment import built, measuring
from sleepbench.deployment.quantisation import calibrate
from sleepbench.deployment.to_c import c_network, made_up_epochs
from sleepbench.models.kernels.folded import fold

N_SAMPLES = 200


class Epochs(SimpleNamespace):
    """What is asked of an EpochSet."""

    def __len__(self):
        return len(self.x)

    def signals(self, indices):
        return self.x[indices]


@pytest.fixture
def made():
    bundle = fake_bundle(roles=("eeg1",), n_samples=N_SAMPLES)
    x = np.concatenate([made_up_epochs(1, N_SAMPLES)] * 3)
    ranges = calibrate(fold(bundle.network()), x)
    object.__setattr__(bundle, "description", bundle.description.model_copy(update={"activation_ranges": ranges}))
    return c_network(bundle), Epochs(x=x), measuring._pytorch(bundle, x)


@pytest.mark.skipif(bool(built.lacks_compiler()), reason=built.lacks_compiler())
def test_each_form_has_quality_and_speed_of_the_same_pass(made, tmp_path):
    network, train, reference = made
    stage = reference.stages.copy()
    stage[0] = (stage[0] + 1) % 5
    rows = measuring._forms(network, train, stage, train.x, reference, tmp_path)
    assert [row["form"] for row in rows] == ["pytorch", "float32", "w8a16", "int8", "int8"]
    assert {row["epochs"] for row in rows} == {len(stage)} and min(row["latency_p90_us"] for row in rows) >= 0
    exact = rows[1]
    assert exact["accuracy"] == rows[0]["accuracy"] == 5 / 6 and exact["meets_target"]
    assert exact["agreement"] == 1 and 0 < exact["probability_difference"] < 1e-6
    assert rows[2]["probability_difference"] < min(row["probability_difference"] for row in rows[3:])
    assert rows[3]["title"] != rows[4]["title"] and rows[3]["ranges"] != rows[4]["ranges"]


def test_what_cannot_be_tried_is_a_row_that_says_why(made, tmp_path, monkeypatch):
    network, train, reference = made
    monkeypatch.setattr(measuring, "lacks_compiler", lambda: "no compiler")
    monkeypatch.setattr(measuring, "lacks_boards", lambda: "no emulator")
    rows = measuring._forms(network, train, reference.stages, train.x, reference, tmp_path)
    assert [row.get("skipped") for row in rows] == [None, *["no compiler"] * 4]
    assert all(row["weight_bytes"] > 0 for row in rows)
    boards = measuring._boards(network, train.x, reference, tmp_path, 1)
    assert [(row["core"], row["form"]) for row in boards] == [
        (core, form) for core in ("Cortex-M3", "Cortex-M4F", "Cortex-M7") for form in ("float32", "w8a16")
    ]
    assert {row["skipped"] for row in boards} == {"no emulator"}


def test_what_fails_is_a_row_too(made, tmp_path, monkeypatch):
    network, train, reference = made

    def fail(*arguments):
        raise BenchmarkError("the emulator knows no such board")

    monkeypatch.setattr(measuring, "lacks_boards", lambda: "")
    monkeypatch.setattr(measuring, "run_on", fail)
    boards = measuring._boards(network, train.x, reference, tmp_path, 1)
    assert {row["skipped"] for row in boards} == {"the emulator knows no such board"}
