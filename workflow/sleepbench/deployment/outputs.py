"""What is written of a scored night, in a directory of its own that appears whole or not at all."""

import csv
import datetime
import io
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from edfio import Edf, EdfAnnotation
from edfio import Recording as EdfRecording

import sleepbench
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing_directory, write_document, write_text
from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.deployment.figure import night_figure
from sleepbench.deployment.page import write_page
from sleepbench.deployment.scorer import TEXTS, Scoring
from sleepbench.evaluation.metrics import confusion_items
from sleepbench.reporting.figures.style import save

HYPNOGRAM, ANNOTATIONS, PROBABILITIES = "hypnogram.csv", "hypnogram.edf", "probabilities.csv"
FIGURE, MEASURES, QUALITY, AGREEMENT, PAGE = (
    "hypnodensity",
    "measures.csv",
    "quality.json",
    "agreement.json",
    "night.html",
)
FILES = (HYPNOGRAM, ANNOTATIONS, PROBABILITIES, f"{FIGURE}.png", f"{FIGURE}.pdf", MEASURES, QUALITY, AGREEMENT, PAGE)


def write_night(night: Scoring, directory: Path) -> None:
    """Write everything of a scored night; what an earlier scoring left in the directory is replaced.

    BenchmarkError where the directory holds anything else, which would be lost.
    """
    require_own(directory)
    with replacing_directory(directory) as into:
        times = [
            night.recording.start + datetime.timedelta(seconds=i * EPOCH_SECONDS) for i in range(len(night.stages))
        ]
        onsets = [[i, i * EPOCH_SECONDS, time.isoformat()] for i, time in enumerate(times)]
        hypnogram = [[*onset, stage] for onset, stage in zip(onsets, night.hypnogram, strict=True)]
        _write_csv(into / HYPNOGRAM, ["epoch", "onset_s", "time", "stage"], hypnogram)
        write_annotations(night, into / ANNOTATIONS)
        rows = [
            [*onset, *map("{:.6f}".format, row)]
            for onset, row in zip(onsets, night.probabilities.tolist(), strict=True)
        ]
        _write_csv(into / PROBABILITIES, ["epoch", "onset_s", "time", *(f"p_{name}" for name in STAGES)], rows)
        save(night_figure(night), into / f"{FIGURE}.png", into / f"{FIGURE}.pdf")
        measures = [[name, "" if np.isnan(value) else value] for name, value in night.measures.items()]
        _write_csv(into / MEASURES, ["measure", "value"], measures)
        write_document(into / QUALITY, quality(night))
        if night.agreement:
            defined = {name: None if np.isnan(value) else value for name, value in night.agreement.items()}
            write_document(into / AGREEMENT, defined | confusion_items(night.confusion))
        write_page(night, into / f"{FIGURE}.png", into / PAGE)


def require_own(directory: Path) -> None:
    """BenchmarkError where a directory is there that holds something beside an earlier scoring."""
    if not directory.exists():
        return
    other = (
        sorted(path.name for path in directory.iterdir() if path.name not in FILES) if directory.is_dir() else ["it"]
    )
    if other:
        raise BenchmarkError(
            f"{directory}: is no directory of a scored night ({', '.join(other[:3])}), and would be replaced; take "
            "another --output, or move it away"
        )


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    write_text(path, file.getvalue())


def write_annotations(night: Scoring, path: Path) -> None:
    """The stages as an EDF+ file of annotations, one a bout, with the standard texts; nobody's name is copied into it.

    Its header says that it was scored automatically, and `simulated` where signals or the model's training were.
    """
    bouts, epoch = [], 0
    for stage, run in groupby(night.hypnogram):
        n = len(list(run))
        bouts.append(EdfAnnotation(float(epoch * EPOCH_SECONDS), float(n * EPOCH_SECONDS), TEXTS[stage]))
        epoch += n
    is_made_up = night.recording.simulated or night.description.data.kind == "simulated"
    said = ("automatic", night.description.model, *(["simulated"] if is_made_up else []))
    start = night.recording.start
    recording = EdfRecording(startdate=start.date(), additional=said)
    Edf([], annotations=bouts, recording=recording, starttime=start.time()).write(path)


def quality(night: Scoring) -> dict[str, Any]:
    """What the recording was like and what was handled, in the words of preparation's quality files."""
    recording, told = night.recording, night.description
    counts = np.bincount(night.stages, minlength=len(STAGES)).tolist()
    return {
        "recording": recording.path.name,
        "simulated": recording.simulated,
        "start": recording.start.isoformat(),
        "psg_seconds": recording.seconds,
        "epochs_in_night": recording.n_epochs,
        "stages": dict(zip(STAGES, counts, strict=True)),
        "smoothed": night.smoothed,
        "channels": {role: {"label": label, **recording.measured[role]} for role, label in recording.channels.items()},
        "handled": night.handled,
        "model": {
            **{"model": told.model, "run_keys": [fold.run_key for fold in told.folds], "trained_on": told.trained_on},
            **{"data": told.data.kind, "sleepbench": sleepbench.__version__},
        },
    }
