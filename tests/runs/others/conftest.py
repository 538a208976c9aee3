"""Somebody else's predictions of made-up nights, whose hypnograms are at hand as those of prepared recordings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fake_results import scored_night

from sleepbench.config import paths, plan
from sleepbench.config.load import load
from sleepbench.config.models import Config
from sleepbench.core.files import sha256_of_file, write_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import Dataset
from sleepbench.runs.others.importing import import_predictions
from sleepbench.signals.trimming import select_trimming

ROOT = Path(__file__).parents[3]
NIGHTS = 4
DESCRIPTION = {
    **{"name": "theirs", "title": "Their Network", "source": "https://example.org/theirs", "licence": "MIT"},
    **{"protocol": "leave one subject out", "dataset": "simulated", "epochs": "standard"},
}


@dataclass
class Theirs:
    """A table in the working directory, and what it is of.

    nights : the stage of every epoch of each recording whose hypnogram is at hand
    """

    config: Config
    dataset: Dataset
    nights: dict[str, np.ndarray]

    def table(self) -> pd.DataFrame:
        """Right in about two of three epochs of the standard trimming; stages by name."""
        random = np.random.default_rng(0)
        tables = []
        for id, stages in self.nights.items():
            stage = stages[select_trimming(stages, "standard")]
            predicted = np.where(random.random(stage.size) < 0.6, stage, random.integers(0, 5, stage.size))
            rows = {"recording": id, "epoch": np.arange(stage.size), "stage": stage, "predicted": predicted}
            tables.append(pd.DataFrame(rows))
        table = pd.concat(tables, ignore_index=True)
        return table.assign(**{name: np.array(STAGES)[table[name]] for name in ("stage", "predicted")})

    def with_probabilities(self) -> pd.DataFrame:
        """The same, with probabilities whose largest is that of the predicted stage."""
        table = self.table()
        chosen = table.predicted.map(list(STAGES).index).to_numpy()
        values = 0.5 * np.eye(5)[chosen] + 0.5 * np.random.default_rng(1).dirichlet(np.ones(5), len(table))
        return table.assign(**{f"p_{name}": values[:, code] for code, name in enumerate(STAGES)})

    def write(self, table: pd.DataFrame, /, file: str = "theirs.csv", **said: object) -> Path:
        """Write a table and its description; a value None leaves a key out."""
        path = Path(file)
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path, index=False)
        content = {key: value for key, value in {**DESCRIPTION, **said}.items() if value is not None}
        path.with_suffix(".yaml").write_text(yaml.safe_dump(content))
        return path

    def read(self, table: pd.DataFrame, /, file: str = "theirs.csv", **said: object) -> str:
        """Import a table; returns what the command prints."""
        return import_predictions(self.config, self.write(table, file, **said), None)


def prepare(dataset: Dataset, id: str, stages: np.ndarray) -> None:
    """What of a prepared recording says what its hypnogram is."""
    quality = Path(paths.prepared(dataset.source, id, "quality.json"))
    write_json(quality, {"hypnogram": [[stage, 1] for stage in stages.tolist()]})
    write_json(quality.with_name(f"{id}.json"), {"sha256": {quality.name: sha256_of_file(quality)}})


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Theirs:
    """The first nights of the simulated cohort; others are not prepared, nor are their files there."""
    monkeypatch.chdir(tmp_path)
    config = load(ROOT / "config.yaml")
    dataset = plan.dataset(config, "simulated")
    nights = {}
    for number, recording in enumerate(dataset.recordings()[:NIGHTS]):
        around = np.zeros(100, dtype=np.int8)  # more wake than any trimming keeps
        nights[recording.id] = np.concatenate([around, scored_night(np.random.default_rng(number)), around])
        prepare(dataset, recording.id, nights[recording.id])
    return Theirs(config, dataset, nights)
