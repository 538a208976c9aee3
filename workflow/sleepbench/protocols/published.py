"""The folds of the real datasets, committed so that anybody can use the same: workflow/resources/folds.

python -m sleepbench.protocols.published writes them from config.yaml and the table of recordings; no data is needed.
"""

from pathlib import Path

import yaml

from sleepbench.config.load import dataset_of, validate
from sleepbench.datasets.recordings import first_subjects, read_recordings
from sleepbench.protocols.audit import write_fold_file
from sleepbench.protocols.folds import FoldSettings

RESOURCES = Path(__file__).parents[2] / "resources"
PUBLISHED_FOLDS = RESOURCES / "folds"
DATASETS = ("sleep-edf-20", "sleep-edf-78")


def write_published_folds(config: dict, directory: Path) -> list[Path]:
    """Write the fold file of every protocol on the real datasets to `directory`/<dataset>/<folds>.json."""
    table = read_recordings(RESOURCES / "sleep_edf_recordings.csv")
    written = {}
    for dataset in DATASETS:
        recordings = first_subjects(table, dataset_of(config, dataset).subjects)
        for protocol in config["protocols"].values():
            if not protocol["folds"].get(dataset):
                continue
            settings = FoldSettings.of_protocol(protocol, dataset)
            path = directory / dataset / f"{settings.name}.json"
            # Protocols may share folds; one that promises disjoint subjects has them checked.
            written[path] = written.get(path, False) or protocol["subject_disjoint"]
            write_fold_file(dataset, recordings, settings, written[path], path)
    return sorted(written)


if __name__ == "__main__":
    settings = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    validate(settings)
    for path in write_published_folds(settings, PUBLISHED_FOLDS):
        print(path)
