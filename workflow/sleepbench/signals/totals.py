"""Known totals: what prepared recordings of Sleep-EDF must hold, and the check that they do, before any training.

python -m sleepbench.signals.totals HYPNOGRAMS makes
workflow/resources/known_epochs.csv from a folder of real hypnograms.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing, write_json
from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.datasets.recordings import Recording, read_recordings
from sleepbench.signals.hypnogram import WINDOWS, load_stages, read_annotations, select_window

RESOURCES = Path(__file__).parents[2] / "resources"
RECORDINGS = RESOURCES / "sleep_edf_recordings.csv"
KNOWN_TOTALS = RESOURCES / "known_totals.yaml"
KNOWN_EPOCHS = RESOURCES / "known_epochs.csv"

Counts = tuple[int, ...]
"""Epochs of W, N1, N2, N3, REM."""

EPOCHS_COLUMNS = ("recording", "window", "epochs", *STAGES)
OUTLASTING = {"SC4012": 2880}
"""Epochs of the signals that outlast their scoring; the other signals end where the last "Sleep stage ?" begins."""
LAST_RELEASED = "SC4222"
"""The last recording whose count in the released window is known by itself.

That window depends on where the signal ends. Without the signal its end is inferred from the hypnogram, and counts made
so are known to be right only as far as they add up to published ones: in Sleep-EDF-20, and in the first three released
folds of Sleep-EDF-78. The standard window does not depend on it, unless a signal ends within half an hour of sleep.
"""


@dataclass(frozen=True)
class KnownTotal:
    """A known total of known_totals.yaml; `folds` has a unit, k and the epochs of each test fold, or is None."""

    dataset: str
    window: str
    first: str
    last: str
    number: int
    counts: Counts
    folds: dict | None
    source: str
    verified: str

    def is_of(self, window: str, recordings: Sequence[str]) -> bool:
        """Whether it is the total of these recordings: as many as the table has from first to last, within them."""
        return (
            window == self.window
            and len(recordings) == self.number
            and all(self.first <= recording <= self.last for recording in recordings)
        )


def read_known_totals(path: Path = KNOWN_TOTALS) -> list[KnownTotal]:
    """Read the known totals; BenchmarkError when one lacks a key or does not add up."""
    totals = []
    for entry in yaml.safe_load(Path(path).read_text(encoding="utf-8")):
        try:
            total = KnownTotal(
                **{key: entry[key] for key in ("dataset", "window", "source", "verified")},
                **{key: entry["recordings"][key] for key in ("first", "last", "number")},
                counts=tuple(entry["counts"]),
                folds=entry.get("folds"),
            )
            epochs = entry["epochs"]
            sums = [sum(total.counts), *([sum(total.folds["epochs"])] if total.folds else [])]
        except (KeyError, TypeError) as error:
            raise BenchmarkError(f"{path}: not a known total ({error!r}): {entry}") from error
        if any(found != epochs for found in sums):
            raise BenchmarkError(
                f"{path}: {total.dataset}, window {total.window}: counts and folds sum to {sums}, not to {epochs}"
            )
        totals.append(total)
    return totals


def read_known_epochs(path: Path = KNOWN_EPOCHS) -> dict[tuple[str, str], Counts]:
    """Read the epochs known by recording: (recording, window) -> counts; BenchmarkError for a bad row."""
    path = Path(path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != EPOCHS_COLUMNS:
            raise BenchmarkError(f"{path}: the columns are {rows.fieldnames}, expected {list(EPOCHS_COLUMNS)}")
        known = {}
        for row in rows:
            try:
                counts, epochs = tuple(int(row[stage]) for stage in STAGES), int(row["epochs"])
            except (TypeError, ValueError) as error:
                raise BenchmarkError(f"{path}, line {rows.line_num}: not counts of epochs ({error}): {row}") from error
            if sum(counts) != epochs:
                raise BenchmarkError(f"{path}, line {rows.line_num}: the stages sum to {sum(counts)}, not to {epochs}")
            known[row["recording"], row["window"]] = counts
    return known


# --------------------------------------------------------------------------------------------------------------- check


def check_totals(
    dataset: str,
    window: str,
    folds: Path,
    prepared: Sequence[Path],
    simulated: bool,
    output: Path,
    known_totals: Path = KNOWN_TOTALS,
    known_epochs: Path = KNOWN_EPOCHS,
) -> dict:
    """Hold the epochs of the recordings that a fold file tests against what they are known to be; write and return it.

    `prepared` are the X.json of the dataset's prepared recordings. Compared are, as far as they are known: each
    recording's epochs by stage; those of all together, from known_totals.yaml or as the sum of recordings all of which
    are known; and the epochs of each test fold. `known` says whether the whole set has a known total. A `simulated`
    dataset has none. BenchmarkError when anything differs, with a table of the recordings that do.
    """
    document = read_json(folds)
    tests = [fold["test"] for fold in document["folds"]]
    recordings = sorted(recording for test in tests for recording in test)
    found = _read_prepared(prepared, recordings, window, simulated)
    total = _sum(found.values())
    result = {
        "dataset": dataset,
        "window": window,
        "folds": document["name"],
        "recordings": recordings,
        "found": _named(total),
        "found_by_recording": {id: _named(found[id]) for id in recordings},
    }
    if simulated:
        result |= {"known": False, "reason": "simulated", "verdict": "nothing is known of simulated recordings"}
        write_json(output, result)
        return result

    of_recordings = read_known_epochs(known_epochs)
    single = {id: of_recordings[id, window] for id in recordings if (id, window) in of_recordings}
    known = next((known for known in read_known_totals(known_totals) if known.is_of(window, recordings)), None)
    if known:
        expected, source = known.counts, f"{Path(known_totals).name}: {known.source}; {known.verified}"
    elif len(single) == len(recordings):
        expected = _sum(single.values())
        source = f"{Path(known_epochs).name}: the sum of its recordings, counted on the real hypnograms"
    else:
        expected, source = None, None
    differing = [id for id in single if single[id] != found[id]]
    wrong_folds = _wrong_folds(known, document, tests, found) if known else []
    if differing or wrong_folds or (expected and expected != total):
        raise BenchmarkError(_difference(dataset, window, found, single, expected, source, wrong_folds))
    result["recordings_known_by_themselves"] = len(single)
    if expected:
        result |= {"known": True, "expected": _named(expected), "source": source, "verdict": "as known"}
    else:
        reason = f"no total is known of these {len(recordings)} recordings in the {window} window"
        verdict = f"not testable; the {len(single)} recordings known by themselves are as known"
        result |= {"known": False, "reason": reason, "verdict": verdict}
    write_json(output, result)
    return result


def _named(counts: Counts) -> dict[str, int]:
    return {"epochs": sum(counts), **dict(zip(STAGES, counts, strict=True))}


def _sum(counts: Sequence[Counts]) -> Counts:
    return tuple(sum(column) for column in zip(*counts, strict=True))


def _read_prepared(
    prepared: Sequence[Path], recordings: Sequence[str], window: str, simulated: bool
) -> dict[str, Counts]:
    """The epochs in a window of the recordings that folds use; all files must be simulated, or none, as told."""
    found = {}
    for path in map(Path, prepared):
        try:
            summary = read_json(path)
            id, says = summary["recording"], summary["simulated"]
            in_window = summary["windows"][window]
            counts, epochs = tuple(int(in_window[stage]) for stage in STAGES), int(in_window["epochs"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(
                f"{path}: does not describe a prepared recording with a window {window!r} ({error!r}); prepare it again"
            ) from error
        if says is not simulated:
            raise BenchmarkError(
                f"{path}: says simulated: {says}, but simulated: {simulated} was asked for; correct the configuration "
                "or prepare the recording again"
            )
        if sum(counts) != epochs:
            raise BenchmarkError(f"{path}: the stages sum to {sum(counts)}, not to {epochs}; prepare it again")
        found[id] = counts
    if missing := [id for id in recordings if id not in found]:
        raise BenchmarkError(f"the folds use recordings that are not prepared: {', '.join(missing)}; prepare them")
    return {id: found[id] for id in recordings}


def _wrong_folds(
    known: KnownTotal, document: dict, tests: Sequence[Sequence[str]], found: Mapping[str, Counts]
) -> list[str]:
    """Test folds whose epochs differ from the known ones, where these are known for such folds."""
    if known.folds is None or (known.folds["unit"], known.folds["k"]) != (document["unit"], document["k"]):
        return []
    sizes = [sum(sum(found[id]) for id in test) for test in tests]
    return [
        f"fold {fold}, {test[0]} to {test[-1]}: {size} epochs, expected {expected}"
        for fold, (test, size, expected) in enumerate(zip(tests, sizes, known.folds["epochs"], strict=True))
        if size != expected
    ]


def _difference(
    dataset: str,
    window: str,
    found: Mapping[str, Counts],
    single: Mapping[str, Counts],
    expected: Counts | None,
    source: str | None,
    wrong_folds: Sequence[str],
) -> str:
    """The message: the totals, the folds and a table of the recordings that differ, and those that nobody can judge."""

    def line(name: str, counts: Counts) -> str:
        return f"  {name:<18}" + "".join(f"{number:>8}" for number in (sum(counts), *counts))

    lines = [
        f"{dataset}, window {window}: the {len(found)} prepared recordings do not hold the epochs they are known to",
        f"  {'':<18}" + "".join(f"{name:>8}" for name in ("epochs", *STAGES)),
        line("found", _sum(found.values())),
    ]
    if expected:
        off = tuple(a - b for a, b in zip(_sum(found.values()), expected, strict=True))
        lines += [line("expected", expected), line("difference", off), f"  source: {source}"]
    else:
        lines.append("  no total is known of these recordings together")
    lines += [f"  {fold}" for fold in wrong_folds]
    for id in single:
        if single[id] != found[id]:
            lines += [line(f"{id} found", found[id]), line(f"{id} expected", single[id])]
    if all(single[id] == found[id] for id in single):
        lines.append(f"  the {len(single)} recordings that are known by themselves are all as known")
    judged = any(single[id] != found[id] for id in single)
    if unknown := [id for id in found if id not in single]:
        lines.append(f"  of these {len(unknown)} recordings nothing is known by themselves:")
        lines += [f"  {', '.join(unknown)}"] if judged else [line(f"{id} found", found[id]) for id in unknown]
    lines.append(
        "Nothing is trained on them. The files' checksums are right: either the code that prepares differs (git diff "
        "workflow/sleepbench/data), or the known numbers are wrong where they were not counted again (see the source): "
        "then correct workflow/resources/known_totals.yaml or known_epochs.csv and say why"
    )
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------- counting hypnograms


def count_night(hypnogram: Path, recording: str) -> dict[str, Counts]:
    """Window -> epochs by stage of a real hypnogram, without its PSG: see OUTLASTING for the length of the signal."""
    annotations = read_annotations(hypnogram)
    unknown = [onset for onset, _, text in annotations if text == "Sleep stage ?"]
    end = max(unknown) if unknown else sum(annotations[-1][:2])
    stages = load_stages(hypnogram, OUTLASTING.get(recording, round(end / EPOCH_SECONDS)))
    return {
        rule: tuple(np.bincount(stages[select_window(stages, rule)], minlength=len(STAGES)).tolist())
        for rule in WINDOWS
    }


def count_nights(hypnograms: Path, recordings: Sequence[Recording]) -> dict[tuple[str, str], Counts]:
    """(recording, window) -> epochs by stage, of the recordings whose hypnogram is in the folder."""
    counts = {}
    for recording in sorted(recordings):
        path = Path(hypnograms) / recording.hypnogram
        if path.exists():
            for rule, of_night in count_night(path, recording.id).items():
                if rule == "standard" or recording.id <= LAST_RELEASED:
                    counts[recording.id, rule] = of_night
    return counts


def write_known_epochs(counts: Mapping[tuple[str, str], Counts], path: Path) -> None:
    """Write a table that `read_known_epochs` reads."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EPOCHS_COLUMNS)
        writer.writerows((*key, sum(of_night), *of_night) for key, of_night in counts.items())


if __name__ == "__main__":
    write_known_epochs(count_nights(Path(sys.argv[1]), read_recordings(RECORDINGS)), KNOWN_EPOCHS)
