"""Made-up bundles: networks of random weights with a whole description, without any training."""

from typing import Any

import torch

from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.datasets.base import EXCERPTS, SIMULATED
from sleepbench.deployment.bundle import Bundle
from sleepbench.deployment.description import Description
from sleepbench.models import create_model, describe

MONTAGE = {"eeg1": "EEG Fpz-Cz", "eeg2": "EEG Pz-Oz", "eog": "EOG horizontal", "emg": "EMG submental"}
WARNINGS = {"simulated": SIMULATED, "excerpt": EXCERPTS, "full": ""}
HMM = {
    "initial": [0.9, 0.025, 0.025, 0.025, 0.025],
    "transition": [[0.96 if row == column else 0.01 for column in range(5)] for row in range(5)],
    "emission": [[0.8 if row == column else 0.05 for column in range(5)] for row in range(5)],
}


def fake_bundle(
    model: str = "ulw_sleepnet",
    roles: tuple[str, ...] = ("eeg1", "eeg2", "eog", "emg"),
    members: int = 1,
    kind: str = "simulated",
    n_samples: int = SAMPLES_PER_EPOCH,
    seed: int = 0,
    **changed: Any,
) -> Bundle:
    """A bundle of networks with fresh weights; `changed` replaces keys of its description."""
    told = {
        **{"sleepbench": "0.1.0", "model": model, "title": describe(model).title, "paper": describe(model).paper},
        **{"input": "four", "montage": {role: MONTAGE[role] for role in roles}},
        "recorded_at": {role: 1.0 if role == "emg" else 100.0 for role in roles},
        "input_transformation": describe(model).input_transformation.settings(),
        **{"sampling_rate": 100, "epoch_seconds": 30, "samples_per_epoch": n_samples},
        **{"sequence_length": describe(model).sequence_length, "inference": describe(model).inference},
        **{"stages": list(STAGES), "hmm": HMM, "recipe": "ulw", "protocols": ["clean"]},
        "folds": [_fold(number, members) for number in range(members)],
        "data": {
            **{"dataset": "a-dataset", "name": "A dataset", "kind": kind, "warning": WARNINGS[kind]},
            **{"licence": "a licence", "citation": "a citation"},
        },
        "metrics": _metrics(),
        **{"licence": "Apache-2.0", "intended_use": "Tests.", "limits": ["Knows nothing."]},
    }
    torch.manual_seed(seed)
    states = [create_model(model, len(roles), n_samples=n_samples).state_dict() for _ in range(members)]
    arrays = [{name: tensor.numpy().copy() for name, tensor in state.items()} for state in states]
    return Bundle(Description.model_validate({**told, **changed}), arrays)


def _fold(number: int, of: int) -> dict[str, Any]:
    return {
        **{"run_key": f"{number:016x}", "training_key": f"{number + 100:016x}", "fold": number, "n_folds": max(of, 2)},
        **{"seed": 32, "selection": "best_validation", "training_epoch": 3, "git_commit": "c0ffee"},
        **{"training_subjects": ["00", "01"], "validation_subjects": ["02"], "test_subjects": ["03"]},
        "code_sha256": "a" * 64,
    }


def _metrics() -> dict[str, Any]:
    stage = {"f1": 0.5, "precision": None, "recall": 0.5, "n_epochs": 100}
    overall = {"accuracy": 0.5, "macro_f1": 0.5, "cohen_kappa": 0.4}
    group = {"grouping": "sex", "group": "F", "n_subjects": 1, "n_epochs": 500, **overall}
    counted = {"n_epochs": 500, "n_subjects": 1, "by_stage": dict.fromkeys(STAGES, stage), "by_group": [group]}
    return {**overall, "balanced_accuracy": 0.5, **counted}
