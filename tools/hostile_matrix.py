"""What four EDF readers make of every hostile file, as docs/hostile-edf.md.

`python tools/hostile_matrix.py` writes that document.

Other libraries read in a process of their own with a time limit: a crash or a hang is an outcome like any other.
"""

import json
import multiprocessing
import re
import tempfile
import warnings
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from edf_files import CHANNELS, prepare_night, recording_of
from hostile import HYPNOGRAM, PSG, Case, cases, noise

from sleepbench.core.errors import BenchmarkError
from sleepbench.signals.edf import MICROVOLTS

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "hostile-edf.md"
OWN_COLUMN = "this pipeline"
READERS = {"mne": "MNE", "pyedflib": "pyedflib", "edfio": "edfio"}
TIME_LIMIT = 60
"""Seconds that a reader has for a night of 21 minutes."""
LONGEST_TEXT = 150
FIRST = CHANNELS[0]

Found = dict[str, object]
"""What a reader makes of a file: "seconds", "values" and "labels", or "annotations"; or "raises"; and "warnings"."""


class _Reader:
    """A library in a process of its own, which is started again when it crashes or does not end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._start()

    def read(self, path: Path, recorded: np.ndarray) -> Found:
        """What the library makes of a file, whose first channel recorded these microvolts."""
        self.connection.send((path, recorded))
        try:
            if self.connection.poll(TIME_LIMIT):
                return self.connection.recv()
            outcome = f"nothing, but does not end within {TIME_LIMIT} s"
        except EOFError:
            self.process.join()
            outcome = f"nothing, but crashes with status {self.process.exitcode}"
        self.end()
        self._start()
        return {"raises": outcome, "warnings": []}

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.name, other), daemon=True)
        self.process.start()
        other.close()  # so that its end is seen here


def main() -> None:
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(f"{DOCUMENT.name}: {len(cases())} cases")


def document() -> str:
    """The whole document, with every reader's column."""
    rows = []
    readers = [_Reader(name) for name in READERS]
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            own = describe_own(case, Path(folder))
            others = [_describe_other(reader, case, Path(folder)) for reader in readers]
            rows.append("| " + " | ".join(map(_cell, (case.name, own, *others))) + " |")
    for reader in readers:
        reader.end()
    versions = ", ".join(f"{name} {version(package)}" for package, name in READERS.items())
    head = ["case", OWN_COLUMN, *READERS.values()]
    return "\n".join(
        [
            "# Hostile EDF files",
            "",
            f"What this pipeline does with {len(rows)} pairs of PSG and hypnogram that are odd or damaged, and what",
            f"other readers do with the same files, without options: {versions}.",
            "Each pair is a night of 1260 s (42 epochs) unless its case says otherwise, with right checksums, so that",
            "only the content can give it away. *Refused* is an error that names the file and what to do; *handled*",
            "means that the values are right, and that the sentences are in the night's quality file. Of the other",
            "readers the table gives the duration or annotations read, values off by a factor, warnings, and errors.",
            "Made by `tools/hostile_matrix.py`; `tools/hostile.py` makes the files, and a test checks our column.",
            "",
            f"| {' | '.join(head)} |",
            f"|{' --- |' * len(head)}",
            *rows,
            "",
        ]
    )


def own_outcomes_of_document(text: str) -> dict[str, str]:
    """Case -> this pipeline's outcome, as a document has them."""
    rows = [re.split(r"(?<!\\) \| ", line[2:-2]) for line in text.splitlines() if line.startswith("| ")]
    return {row[0].replace("\\|", "|"): row[1].replace("\\|", "|") for row in rows[2:]}


def describe_own(case: Case, folder: Path) -> str:
    """What this pipeline does with a case, which is built into the folder."""
    case.build(folder)
    output = folder / "prepared" / "SC4001.npy"
    try:
        prepare_night(folder, recording_of(folder / PSG, folder / HYPNOGRAM))
    except BenchmarkError as error:
        return f"refused: {_short(str(error), folder)}"
    quality = json.loads(output.with_suffix(".quality.json").read_text(encoding="utf-8"))
    usual = "4 epochs within the signal are unknown"  # the hypnogram's own tail
    rates = [f"{channel} is recorded at" for channel, rate in zip(CHANNELS, case.rates, strict=True) if rate <= 2]
    said = [s for s in quality["handled"] if s != usual and not s.startswith(tuple(rates))]
    return f"handled, {quality['epochs_in_night']} epochs" + (f": {'; '.join(said)}" if said else "")


def _describe_other(reader: _Reader, case: Case, folder: Path) -> str:
    """What another reader does with the hostile file of a case, which lies in the folder."""
    kinds = {"PSG": [PSG], "hypnogram": [HYPNOGRAM], "both": [PSG, HYPNOGRAM]}[case.file]
    said = []
    for name in kinds:
        found = reader.read(folder / name, case.microvolts(noise(case.epochs, case.rates))[0])
        text = _outcome(found, case, name, folder)
        said.append(text if len(kinds) == 1 else f"{'PSG' if name == PSG else 'hypnogram'} {text}")
    return "; ".join(said)


def _outcome(found: Found, case: Case, name: str, folder: Path) -> str:
    """One reader's outcome in words."""
    warned = [_short(text, folder) for text in found["warnings"]]
    spoken = f"; warns: {warned[0]}" if warned else "; no warning"
    if "raises" in found:
        return f"raises {_short(found['raises'], folder)}"
    if "annotations" in found:
        return f"loads, {found['annotations']} annotations to {found['seconds']:g} s{spoken}"
    text = f"loads, {found['seconds']:.6g} s"
    if case.seconds and abs(found["seconds"] - case.seconds) > 0.01:
        text += f" of {case.seconds:.6g} s"
    if FIRST not in found["labels"]:
        text += f", without {FIRST!r}, with {', '.join(map(repr, found['labels'][:1])) or 'nothing'}"
    if found["values"]:
        text += f", {found['values']}"
    return text + spoken


def _short(text: str, folder: Path) -> str:
    """The first part of a message, without the folder."""
    text = " ".join(text.replace(f"{folder}/", "").split())
    text = re.split(
        r"; (?=the file is|the header is|all bytes|EDF\+ asks|move it|choose|correct|every epoch|rename|it has)", text
    )[0]
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3].rsplit(" ", 1)[0] + " …"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _serve(reader: str, connection: Connection) -> None:
    """Read the files that are asked for, one after the other."""
    while True:
        connection.send(_read(reader, *connection.recv()))


def _read(reader: str, path: Path, recorded: np.ndarray) -> Found:
    """Read a file with one library."""
    signals, annotations = {
        "mne": (_mne_signals, _mne_annotations),
        "pyedflib": (_pyedflib_signals, _pyedflib_annotations),
        "edfio": (_edfio_signals, _edfio_annotations),
    }[reader]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = signals(path, recorded) if path.name == PSG else annotations(path)
        except Exception as error:  # whatever a library raises is its outcome
            found = {"raises": f"{type(error).__name__}: {error}"}
    return found | {"warnings": [str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning)]}


def _compared(microvolts: np.ndarray | None, recorded: np.ndarray) -> str:
    """In words, how the first channel's values differ from what was recorded; "" where they agree."""
    if microvolts is None or len(microvolts) != len(recorded):
        return ""
    if not np.isfinite(microvolts).all():
        return "values not finite"
    factor = float(microvolts @ recorded / (recorded @ recorded))
    if np.std(microvolts - factor * recorded) > 0.05 * np.std(microvolts) + 1e-6 or abs(factor) < 1e-9:
        return "values unlike those recorded"
    return "" if abs(factor - 1) < 0.01 else f"values {factor:.4g} times those recorded"


def _mne_signals(path: Path, recorded: np.ndarray) -> Found:
    import mne

    raw = mne.io.read_raw_edf(path)
    values = raw.get_data(picks=[raw.ch_names.index(FIRST)])[0] * 1e6 if FIRST in raw.ch_names else None
    seconds = float(raw.n_times / raw.info["sfreq"])
    return {"labels": raw.ch_names, "seconds": seconds, "values": _compared(values, recorded)}


def _mne_annotations(path: Path) -> Found:
    import mne

    found = mne.read_annotations(path)
    return {"annotations": len(found), "seconds": float((found.onset + found.duration)[-1]) if len(found) else 0.0}


def _pyedflib_signals(path: Path, recorded: np.ndarray) -> Found:
    import pyedflib

    with pyedflib.EdfReader(str(path)) as reader:
        labels = reader.getSignalLabels()
        values = None
        if FIRST in labels:
            channel = labels.index(FIRST)
            values = reader.readSignal(channel) * MICROVOLTS.get(reader.getPhysicalDimension(channel).strip(), 1)
        seconds = float(reader.getFileDuration())
        return {"labels": labels, "seconds": seconds, "values": _compared(values, recorded)}


def _pyedflib_annotations(path: Path) -> Found:
    import pyedflib

    with pyedflib.EdfReader(str(path)) as reader:
        onsets, durations, _ = reader.readAnnotations()
        end = float(onsets[-1] + max(durations[-1], 0)) if len(onsets) else 0.0
        return {"annotations": len(onsets), "seconds": end}


def _edfio_signals(path: Path, recorded: np.ndarray) -> Found:
    import edfio

    edf = edfio.read_edf(path)
    labels = list(edf.labels)
    values = None
    if FIRST in labels:
        signal = edf.signals[labels.index(FIRST)]
        values = signal.data * MICROVOLTS.get(signal.physical_dimension, 1)
    return {"labels": labels, "seconds": float(edf.duration), "values": _compared(values, recorded)}


def _edfio_annotations(path: Path) -> Found:
    import edfio

    found = edfio.read_edf(path).annotations
    end = found[-1].onset + (found[-1].duration or 0) if found else 0.0
    return {"annotations": len(found), "seconds": float(end)}


if __name__ == "__main__":
    main()
