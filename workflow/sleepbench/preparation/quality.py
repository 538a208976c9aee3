"""The quality files that preparation writes, one a recording, and one table of them all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document
from sleepbench.core.stages import UNKNOWN
from sleepbench.datasets.base import Recording
from sleepbench.preparation.measure import NIGHT_STAGES
from sleepbench.signals.trimming import TRIMMINGS, WHOLE, select_trimming

MEASURES = {
    "flat": lambda channel: float(channel["flat_share"]),
    "clipped": lambda channel: np.nan if channel["clipped_share"] is None else float(channel["clipped_share"]),
    "q01_uv": lambda channel: float(channel["quantiles_uv"]["1"]),
    "median_uv": lambda channel: float(channel["quantiles_uv"]["50"]),
    "q99_uv": lambda channel: float(channel["quantiles_uv"]["99"]),
}
"""What the table keeps of a channel: shares, and amplitudes in microvolts."""


def read_quality(path: str | Path) -> dict:
    """Read X.quality.json; BenchmarkError when it is missing, damaged or contradicts itself.

    Of a recording that was left out it says little more than why ("excluded").
    """
    path = Path(path)
    quality = read_document(path, "delete it and run again: its recording is prepared again")
    if "excluded" in quality:
        return quality
    try:
        stages = stages_of(quality)
        rows_of([quality])
        quality["handled"] = [str(sentence) for sentence in quality["handled"]]
        found = np.bincount(stages, minlength=UNKNOWN + 1).tolist()
        expected = [quality["stages"][stage] for stage in NIGHT_STAGES]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BenchmarkError(f"{path}: does not describe a night ({error!r}); prepare its recording again") from error
    if found != expected or len(stages) != quality["epochs_in_night"]:
        raise BenchmarkError(
            f"{path}: its hypnogram has {found} epochs of {', '.join(NIGHT_STAGES)}, but its counts are {expected} "
            f"in {quality['epochs_in_night']} epochs; prepare its recording again"
        )
    return quality


def read_qualities(paths: Sequence[str | Path], simulated: bool) -> list[dict]:
    """Read quality files in ascending order of recording, but for those of recordings that were left out.

    BenchmarkError when there is none, a recording is there twice, channels differ, or one is not `simulated` as told.
    """
    if not paths:
        raise BenchmarkError("no quality file was given, expected one per recording; prepare the recordings first")
    qualities: dict[str, dict] = {}
    for path in paths:
        quality = read_quality(path)
        id, channels = quality["recording"], list(quality.get("channels", ()))
        if quality["simulated"] is not simulated:
            raise BenchmarkError(
                f"{path}: says simulated: {quality['simulated']}, but simulated: {simulated} was asked for; correct "
                "the configuration or prepare the recording again"
            )
        if id in qualities:
            raise BenchmarkError(f"{path}: the quality of {id} was given twice, expected once per recording")
        if "excluded" in quality:
            continue
        first = list(next(iter(qualities.values()), quality)["channels"])
        if channels != first:
            raise BenchmarkError(f"{path}: has the channels {channels}, others have {first}; prepare all again")
        qualities[id] = quality
    return [qualities[id] for id in sorted(qualities)]


def stages_of(quality: Mapping[str, Any]) -> np.ndarray:
    """Stage of each epoch of the whole night, decoded from the run-length encoding.

    Returns int8 (epochs_in_night,) with codes 0 to 6. ValueError when a run has an unknown stage or no length.
    """
    codes, lengths = np.array(quality["hypnogram"], dtype=np.int64).T
    if codes.min() < 0 or codes.max() > UNKNOWN or lengths.min() < 1:
        raise ValueError("the hypnogram has runs of no known stage or no length")
    return np.repeat(codes.astype(np.int8), lengths)


def _n_kept(quality: Mapping[str, Any], trimming: str) -> int:
    """How many epochs a trimming keeps; the one that few databases offer may be left out of a file."""
    kept = quality["trimmings"]
    return 0 if trimming == WHOLE and kept and trimming not in kept else int(kept[trimming]["epochs"])


def epochs_in_trimmings(
    paths: Sequence[str | Path], simulated: bool
) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """Epochs by recording and trimming: their indices in the night and their stages.

    Indices are in ascending order. The result is empty where `paths` is. `paths` are quality files; BenchmarkError as
    `read_qualities`.
    """
    epochs = {}
    for quality in read_qualities(paths, simulated) if paths else ():
        stages = stages_of(quality)
        for trimming in TRIMMINGS:
            kept = select_trimming(stages, trimming) if _n_kept(quality, trimming) else np.empty(0, np.int64)
            epochs[quality["recording"], trimming] = (kept, stages[kept])
    return epochs


def rows_of(qualities: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per quality file: what it says of the night and, as "measure channel", of each channel."""
    return pd.DataFrame(
        [
            {
                **{name: quality[name] for name in ("recording", "subject", "night")},
                "simulated": bool(quality["simulated"]),
                "start": str(quality["start"] or ""),
                "hours": quality["psg_seconds"] / 3600,
                "epochs": int(quality["epochs_in_night"]),
                **{stage: int(quality["stages"][stage]) for stage in NIGHT_STAGES},
                **{trimming: _n_kept(quality, trimming) for trimming in TRIMMINGS},
                **{
                    f"{name} {channel['label']}": measure(channel)
                    for channel in quality["channels"].values()
                    for name, measure in MEASURES.items()
                },
                "handled": len(quality["handled"]),
                "sentences": "; ".join(quality["handled"]),
            }
            for quality in qualities
        ]
    )


def gather_qualities(paths: Sequence[str | Path], recordings: Sequence[Recording], simulated: bool) -> pd.DataFrame:
    """One row per recording, in ascending order; `recordings` say the age and sex of people.

    Returns
    -------
    recording, subject, night, age (years), sex; simulated, start, hours, epochs; epochs by stage of the whole night,
    with movement and unknown; epochs that each trimming keeps; per channel, as "measure channel", the shares flat and
    clipped (0 to 1) and the quantiles q01_uv, median_uv and q99_uv (microvolts); the number of oddities handled, and
    sentences
    """
    rows = rows_of(read_qualities(paths, simulated))
    people = {recording.id: recording for recording in recordings}
    if unknown := sorted(set(rows.recording) - set(people)):
        raise BenchmarkError(f"quality files of {', '.join(unknown)}, which are not among the {len(people)} recordings")
    for position, name in ((3, "age"), (4, "sex")):
        rows.insert(position, name, [getattr(people[id], name) for id in rows.recording])
    return rows
