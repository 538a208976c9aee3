"""Networks of two folds on made-up nights of one dataset, and nights of another."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from edf_files import files_of
from fake_models import recipe_of
from synthetic_night import ROLES, write_night

from sleepbench.config.keys import CrossKey, TrainingKey
from sleepbench.core.files import sha256_of_json, write_document
from sleepbench.cross import remedies
from sleepbench.cross.job import CrossJob, cross
from sleepbench.training.job import TrainingJob, train

RECIPE = {
    **{"optimizer": "adam", "amsgrad": False, "epsilon": 1e-8, "learning_rate": 1e-2},
    **{"schedule": "cosine", "batch_size": 16, "training_epochs": 2},
}
HERE = ["SC4001", "SC4002", "SC4011", "SC4021"]
"""Nights of the dataset that is trained on."""
THERE = {f"X{number}": str(number) for number in range(7)}
"""Nights of the other, and whose they are."""
AUDIT = {
    **{"people_trained": 3, "people_tested": 7, "tested": [*THERE], "removed": {}, "known_from": "a table"},
    "not_prepared": [],
    "channels": {"eeg1": ["A", "B"], "eog": ["C", "C"]},
}


class Work:
    """Two folds, trained; `cross` tests them on the other nights."""

    def __init__(self, root, model="ulw_sleepnet"):
        self.root, self.model = root, model
        self.here = {id: write_night(root, id, 12, seed) for seed, id in enumerate(HERE)}
        self.there = {id: write_night(root, id, 12, 50 + int(n), n, 1) for id, n in THERE.items()}
        folds = [
            {"train": HERE[2:], "validation": [], "test": HERE[:2]},
            {"train": HERE[:2], "validation": [], "test": HERE[2:]},
        ]
        self.folds = root / "folds.json"
        document = {"dataset": "d", "name": "f", "data_sha256": "0" * 64, "folds": folds}
        write_document(self.folds, document | {"folds_sha256": sha256_of_json(folds)})
        self.trainings = {fold: root / "out" / f"fold-{fold}" for fold in range(2)}
        for fold, directory in self.trainings.items():
            key = TrainingKey("d", "f", "standard", model, "some", "r", 7, fold)
            train(
                TrainingJob(
                    {key: directory}, self.folds, self.files(self.here), recipe_of(RECIPE), ROLES, engine="fast",
                    device="cpu", threads=1, code_sha256="c", provenance={"simulated": True, "title": model},
                )
            )  # fmt: skip

    @staticmethod
    def files(nights):
        return {id: files_of(path) for id, path in nights.items()}

    def cross(self, *remedies, there=None, output="crossed"):
        """The directory of what the networks give on the other nights."""
        chosen = there or self.there
        key = CrossKey("d", "e", self.model, "some", "r", 7)
        audit = AUDIT | {"people_tested": len(chosen), "tested": [*chosen]}
        directory = self.root / output
        directory.mkdir(exist_ok=True)
        cross(
            CrossJob(
                key, self.trainings, "last", self.folds, self.files(self.here), self.files(chosen), audit, remedies,
                directory, device="cpu", threads=1, code_sha256="x", provenance={"simulated": True},
            )
        )  # fmt: skip
        return directory

    def with_trainings(self, root, trainings):
        """The same with other directories of folds, and outputs below `root`."""
        other = object.__new__(Work)
        vars(other).update(vars(self), root=root, trainings=trainings)
        return other


@pytest.fixture(scope="session", autouse=True)
def _short_fine_tuning():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remedies, "RECIPE", remedies.RECIPE.model_copy(update={"training_epochs": 1}))
        yield


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """Not to be changed but for new outputs."""
    return Work(tmp_path_factory.mktemp("cross"))
