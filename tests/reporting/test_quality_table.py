"""The table of what the recordings hold, of made-up nights."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_results import LABELS, FakeRecording, FakeResults, quality

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_document
from sleepbench.datasets.base import SIMULATED
from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.tables.quality import ARTEFACT

STAGES = np.repeat([0, 1, 2, 5, 3, 4, 0, 6], [70, 10, 30, 1, 19, 20, 80, 10]).astype(np.int8)
"""A night of 240 epochs with movement inside, and unknown epochs after more wake than the standard trimming keeps."""
KEPT = {"standard": 199, "authors": 219}


def night(person: int, number: int, **changes: Any) -> dict[str, Any]:
    """The quality file of a night; the EEG's second channel is flat in a quarter of the epochs."""
    recording = FakeRecording(f"n{person:03d}{'ab'[number - 1]}", f"p{person:02d}", number, 30, "F", STAGES)
    found = quality(recording)
    channels = {role: {**channel, "flat_share": 0.25 * (role == "eeg2")} for role, channel in found["channels"].items()}
    said = [f"{number} epochs within the signal are movement", f"{recording.id}E0-PSG.edf has odd bytes"]
    trimmings = {name: {"epochs": n, "W": 100} for name, n in KEPT.items()}
    return {**found, "channels": channels, "handled": said, "trimmings": trimmings, **changes}


def write(
    folder: Path, nights: list[dict[str, Any]], dataset: str = "simulated", **people: Any
) -> tuple[pd.DataFrame, str, str]:
    """The table's CSV, Markdown and LaTeX, of recordings that belong to made-up results."""
    results = FakeResults(folder / "results", dataset=dataset)
    results.write_recordings(**people)
    files = [folder / f"{one['recording']}.quality.json" for one in nights]
    for path, one in zip(files, nights, strict=True):
        write_document(path, one)
    paths = [folder / f"quality.{form}" for form in ("csv", "md", "tex")]
    make_table(ARTEFACT, results.inputs(ARTEFACT, {"quality": files}), *paths)
    return pd.read_csv(paths[0]), *(path.read_text(encoding="utf-8") for path in paths[1:])


def cells(markdown: str) -> list[str]:
    """The cells of the first row."""
    row = next(line for line in markdown.splitlines() if line.startswith("| n0"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_table(tmp_path: Path) -> None:
    table, markdown, latex = write(tmp_path, [night(0, 1), night(0, 2), night(1, 1)])
    assert list(table.recording) == ["n000a", "n000b", "n001a"] and list(table.subject) == ["p00", "p00", "p01"]
    assert list(table["flat EEG Pz-Oz"]) == [0.25] * 3 and list(table.standard) == [199] * 3
    assert cells(markdown)[:8] == ["n000a", "25 F", "2.0", "150", "10", "30", "19", "20"]
    assert cells(markdown)[8:] == ["1", "10", "199", "219", "25.0 Pz-Oz", "<0.1", "120 / 120 / 120 / 120", "2 [1]"]
    assert max(map(len, markdown.splitlines())) <= 150
    said = " ".join(markdown.split())
    assert "3 recordings of 2 subjects, 6 hours, 720 epochs, of which the standard trimming keeps 597" in said
    assert SIMULATED in markdown.splitlines()[0] and "SIMULATED" in latex


def test_like_recordings_share_a_note(tmp_path: Path) -> None:
    _, markdown, _ = write(tmp_path, [night(person, number) for person in (0, 1) for number in (1, 2)])
    notes = markdown[markdown.index("\n1. ") :].strip()
    assert notes == "1.  n epochs within the signal are movement; the PSG has odd bytes"


def test_what_is_not_known_of_people_and_channels_is_a_dash(tmp_path: Path) -> None:
    one = night(0, 1)
    channels = {role: {**channel, "clipped_share": None} for role, channel in one["channels"].items()}
    trimmings = {**one["trimmings"], "authors": {"epochs": 0}}
    table, markdown, _ = write(tmp_path, [{**one, "channels": channels, "trimmings": trimmings}], age=None, sex=None)
    assert table[["age", "sex", "clipped EEG Fpz-Cz"]].isna().all(axis=None)
    assert cells(markdown)[1] == "–" and cells(markdown)[-3] == "–"
    assert "| Std. |" in markdown and "Auth." not in markdown  # a trimming that keeps nothing is not offered


def test_real_data_is_named_and_cannot_be_mistaken(tmp_path: Path) -> None:
    real = [night(0, number, simulated=False) for number in (1, 2)]
    _, markdown, _ = write(tmp_path, real, "sleep-edf-20")
    assert markdown.splitlines()[0] == f"## {LABELS['sleep-edf-20'].title('The recordings')}"
    with pytest.raises(BenchmarkError, match="says simulated: False, but simulated: True"):
        write(tmp_path / "simulated", real)


def test_the_files_of_made_up_results_make_the_table(tmp_path: Path) -> None:
    results = FakeResults(tmp_path)
    table = ARTEFACT.build(results.inputs(ARTEFACT))
    assert list(table.recording) == [recording.id for recording in results.recordings]
    assert list(table.epochs) == [read_json(path)["epochs_in_night"] for path in results.files["quality"]]
