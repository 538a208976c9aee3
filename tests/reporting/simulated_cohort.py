"""A simulated cohort, prepared, for tests of its realism."""

from pathlib import Path

from sleepbench.core.files import write_document
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset
from sleepbench.preparation.index import Index, write_index
from sleepbench.preparation.prepare import prepare_recording


def prepared_cohort(folder: Path, hours: float, seed: int, nights: int, **settings: object) -> tuple[Dataset, Index]:
    """The first nights of a simulated cohort, prepared."""
    definition = {"reader": "simulated", "psg_hours": hours, "seed": seed, **settings}
    dataset = open_dataset("simulated", definition, {})
    chosen = dataset.recordings()[:nights]
    dataset.recordings = lambda: chosen
    paths = []
    for recording in chosen:
        paths.append((folder / f"{recording.id}.json", folder / f"{recording.id}.receipt.json"))
        receipt = dataset.fetch(recording, folder / "raw")
        prepare_recording(dataset, receipt, paths[-1][0].with_suffix(".npy"))
        write_document(paths[-1][1], receipt)
    return open_dataset("simulated", definition, {}), write_index(
        dataset, *zip(*paths, strict=True), folder / "index.json"
    )
