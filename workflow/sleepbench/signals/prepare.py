"""Prepared recordings: one night's kept epochs in microvolts, their stages, how they came to be, and their quality."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil, floor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from scipy.signal import resample

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing, sha256_of_file, write_json
from sleepbench.core.stages import EPOCH_SECONDS, MOVEMENT, SAMPLES_PER_EPOCH, SAMPLING_RATE, STAGES, UNKNOWN
from sleepbench.datasets.recordings import Recording
from sleepbench.signals.edf import (
    MICROVOLTS,
    EdfHeader,
    EdfSignal,
    check_complete,
    check_has_signals,
    read_channels,
    read_header,
    remarks,
)
from sleepbench.signals.hypnogram import WINDOWS, load_stages, select_window

EPOCH_COLUMNS = ("epoch", "onset_s", "stage", *WINDOWS)
EPOCHS_PER_BLOCK = 256
"""Epochs that are cut, resampled and written at once: 3 MB of output a channel."""

QUANTILES = ("0.1", "1", "5", "25", "50", "75", "95", "99", "99.9")
"""Percentages of a channel's samples, whose amplitudes describe it."""
LARGELY_FLAT = 0.1
"""Share of flat epochs from which a channel is called largely flat: two hours of a day or more."""
CLIPPED = 0.01
"""Share of samples at the recorder's limits from which a channel is called clipped: a quarter of an hour of a day."""
LOWEST_CODE, N_CODES = -(2**15), 2**16
"""The digital values of EDF are 16-bit integers."""
SAMPLES_PER_BLOCK = 2**18
"""Samples that are measured at once: 2 MB."""


@dataclass(frozen=True)
class PreparedRecording:
    """One night as training reads it: the epochs in either window, in order.

    signals (n_epochs, n_channels, 3000): float32 in microvolts, memory-mapped. All others (n_epochs,): index in the
    night; seconds from the start of the EDF; stage, 0 to 4; whether the epoch is in the standard and released windows.
    """

    id: str
    channels: tuple[str, ...]
    signals: np.ndarray
    epoch: np.ndarray
    onset_s: np.ndarray
    stage: np.ndarray
    standard: np.ndarray
    released: np.ndarray

    def window(self, rule: str) -> np.ndarray:
        """Indices into `signals` of the epochs in a window ("standard" or "released"), ascending."""
        if rule not in WINDOWS:
            raise BenchmarkError(f"the window is {rule!r}, expected one of {', '.join(map(repr, WINDOWS))}")
        return np.flatnonzero(getattr(self, rule))


def prepare_recording(
    recording: Recording,
    psg: Path,
    hypnogram: Path,
    channels: Sequence[str],
    output: Path,
    simulated: bool = False,
) -> dict[str, object]:
    """Cut one night into epochs; write X.npy (`output`), X.epochs.csv, X.quality.json and X.json, and return the last.

    Kept are the epochs in either window, so that a protocol chooses its own without going back to the EDF.
    Signals at 100 Hz are cut; at any other rate (the 1-Hz EMG) each epoch is resampled on its own by Fourier's method
    to 3000 samples, as the released program does. X.quality.json describes the whole night (`measure_channel` says what
    flat and clipped mean). Each file appears whole or not at all, X.json last.
    BenchmarkError when a checksum differs, the files are no pair, a channel cannot be had, the night has no sleep, or
    the files' headers and `simulated` disagree on whether the signals are simulated.
    """
    psg, hypnogram, output = Path(psg), Path(hypnogram), Path(output)
    _check_channels(channels)
    _check_checksum(psg, recording.psg_sha256)
    _check_checksum(hypnogram, recording.hypnogram_sha256)
    header, scored_header = read_header(psg), read_header(hypnogram)
    check_complete(psg, header)
    check_has_signals(psg, header)
    _check_pair(recording, psg, header, hypnogram, scored_header)
    _check_simulated(psg, header, simulated)
    _check_simulated(hypnogram, scored_header, simulated)

    n_epochs = floor(header.seconds / EPOCH_SECONDS)
    stages = load_stages(hypnogram, n_epochs)
    try:
        windows = {rule: select_window(stages, rule) for rule in WINDOWS}
    except BenchmarkError as error:
        raise BenchmarkError(f"{hypnogram}: in the {n_epochs} epochs of {psg.name} {error}") from error
    kept = np.union1d(*windows.values())

    signals = read_channels(psg, channels)
    for channel, (_, rate) in signals.items():
        if rate * EPOCH_SECONDS % 1:
            raise BenchmarkError(f"{psg}, channel {channel!r}: at {rate} Hz an epoch has no whole number of samples")
    described = {signal.label: signal for signal in header.signals}
    measured = {label: measure_channel(*signals[label], described[label], n_epochs) for label in channels}
    of_night = {
        "recording": recording.id,
        "simulated": simulated,
        "start": header.start.isoformat(),
        "psg_seconds": header.seconds,
        "epochs_in_night": n_epochs,
        "windows": {rule: _counts(stages[window]) for rule, window in windows.items()},
    }
    summary = of_night | {
        "channels": list(channels),
        "unit": "uV",
        "sampling_rate_hz": SAMPLING_RATE,
        "psg": {"file": psg.name, "sha256": recording.psg_sha256},
        "hypnogram": {"file": hypnogram.name, "sha256": recording.hypnogram_sha256},
        "epochs_kept": len(kept),
    }
    quality = of_night | {
        "stages": _stage_counts(stages),
        "hypnogram": [[stage, len(list(run))] for stage, run in groupby(stages.tolist())],
        "channels": measured,
        "handled": [
            *remarks(psg, header, channels),
            *remarks(hypnogram, scored_header, []),
            *_handled(header, stages, load_stages(hypnogram), signals),
            *(sentence for label in channels for sentence in _poor(label, measured[label])),
        ],
    }
    description, quality_file = output.with_suffix(".json"), output.with_suffix(".quality.json")
    with replacing(output) as temporary:
        _write_signals(temporary, output, signals, kept)
        # Without its JSON a prepared recording does not load: old and new files are never read together.
        description.unlink(missing_ok=True)
        quality_file.unlink(missing_ok=True)
    _write_epochs(output.with_suffix(".epochs.csv"), stages, kept, windows)
    write_json(quality_file, quality)
    write_json(description, summary)
    return summary


def load_prepared(path: str | Path) -> PreparedRecording:
    """Open a prepared recording by its .npy, memory-mapped; BenchmarkError when its three files are not all right."""
    path = Path(path)
    description, table = path.with_suffix(".json"), path.with_suffix(".epochs.csv")
    for file in (path, table, description):
        if not file.exists():
            raise BenchmarkError(f"{file}: missing, so {path.stem} is not prepared; prepare it again")
    try:
        summary = read_json(description)
        id, channels, n_epochs = summary["recording"], tuple(summary["channels"]), int(summary["epochs_kept"])
        in_window = {rule: int(summary["windows"][rule]["epochs"]) for rule in WINDOWS}
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{description}: does not describe a prepared recording ({error}); prepare it again"
        ) from error
    signals = _map_signals(path, (n_epochs, len(channels), SAMPLES_PER_EPOCH))
    epochs = _read_epochs(table, n_epochs)
    for rule, expected in in_window.items():
        if (found := np.count_nonzero(epochs[rule])) != expected:
            raise BenchmarkError(
                f"{table}: has {found} epochs in the {rule} window, {description.name} says {expected}; "
                "prepare it again"
            )
    return PreparedRecording(
        id=id,
        channels=channels,
        signals=signals,
        epoch=epochs["epoch"],
        onset_s=epochs["onset_s"],
        stage=epochs["stage"].astype(np.int8),
        standard=epochs["standard"].astype(bool),
        released=epochs["released"].astype(bool),
    )


def _check_channels(channels: Sequence[str]) -> None:
    """At least one channel, none twice."""
    if not channels or len(set(channels)) != len(channels):
        raise BenchmarkError(
            f"the channels are {list(channels)}, expected one or more, each once; check the configuration"
        )


def _check_checksum(path: Path, expected: str) -> None:
    """The file is there and has the bytes the table of recordings says."""
    if not path.is_file():
        raise BenchmarkError(f"{path}: does not exist; fetch it first")
    found = sha256_of_file(path)
    if found != expected:
        raise BenchmarkError(
            f"{path}: its SHA-256 is {found}, expected {expected} ({path.stat().st_size} bytes); "
            "make verify-data DATASET=<dataset> says how to get the right one"
        )


def _check_pair(recording: Recording, psg: Path, header: EdfHeader, hypnogram: Path, scored_header: EdfHeader) -> None:
    """PSG and hypnogram belong to the recording (first six characters) and begin at the same time."""
    if not psg.name[:6] == hypnogram.name[:6] == recording.id:
        raise BenchmarkError(
            f"{psg} and {hypnogram}: are not a pair of recording {recording.id}: the first six characters must agree"
        )
    if scored_header.start != header.start:
        raise BenchmarkError(
            f"{hypnogram}: begins at {scored_header.start}, its PSG {psg.name} at {header.start}; "
            "they must begin together"
        )


def _check_simulated(path: Path, header: EdfHeader, simulated: bool) -> None:
    """Simulated files belong to a simulated dataset and real ones to a real one: no result may look like the other."""
    if header.simulated and not simulated:
        raise BenchmarkError(
            f"{path}: holds simulated signals (its header says so), but the dataset is not marked as simulated, so "
            "results on it would look like results on Sleep-EDF; put the real file there, or set data.simulated: true "
            "in config.yaml for a rehearsal"
        )
    if simulated and not header.simulated:
        raise BenchmarkError(
            f"{path}: the dataset is marked as simulated, but the file's header does not say 'simulated'; give real "
            "files to a dataset that is not simulated (data.simulated: false in config.yaml), or simulate it again"
        )


def _counts(stages: np.ndarray) -> dict[str, int]:
    """Epochs in all and per stage."""
    per_stage = np.bincount(stages, minlength=len(STAGES)).tolist()
    return {"epochs": len(stages), **dict(zip(STAGES, per_stage, strict=True))}


def _stage_counts(stages: np.ndarray) -> dict[str, int]:
    """Epochs of a whole night per stage, movement and unknown."""
    counts = np.bincount(stages, minlength=UNKNOWN + 1).tolist()
    return dict(zip(STAGES, counts, strict=False)) | {"movement": counts[MOVEMENT], "unknown": counts[UNKNOWN]}


def measure_channel(microvolts: np.ndarray, rate: float, signal: EdfSignal, n_epochs: int) -> dict[str, object]:
    """Describe a channel over the whole epochs of a night, exactly, by counting the digital values it was stored as.

    `microvolts` (n_samples,) are at `rate` Hz, `signal` is the channel's header. Returns
    - flat_share: share of the 30-s epochs all of whose samples have the same digital value, at any rate: 3000 samples
      of a 100-Hz channel, 30 of a 1-Hz one;
    - clipped_share: share of samples at (or beyond) the header's digital minimum or maximum, whatever the unit and
      polarity: there the recorder could not follow the signal. An epoch that is flat at a limit is clipped too;
    - quantiles_uv: per percentage p of QUANTILES the smallest amplitude in microvolts that at least p % of the samples
      do not exceed; always an amplitude that occurs.
    """
    gain, offset = signal.scale
    unit = MICROVOLTS[signal.dimension]
    samples = round(rate * EPOCH_SECONDS)
    epochs = microvolts[: n_epochs * samples].reshape(n_epochs, samples)
    counts = np.zeros(N_CODES, dtype=np.int64)
    n_flat = 0
    step = max(1, SAMPLES_PER_BLOCK // samples)
    for start in range(0, n_epochs, step):
        digital = epochs[start : start + step] / unit
        digital -= offset
        digital /= gain
        # 16 bits hold all there can be; an extreme scale's rounding must not lead beyond.
        codes = np.rint(digital, out=digital).astype(np.intp).clip(LOWEST_CODE, LOWEST_CODE + N_CODES - 1)
        n_flat += int((codes == codes[:, :1]).all(axis=1).sum())
        counts += np.bincount(codes.ravel() - LOWEST_CODE, minlength=N_CODES)
    total = int(counts.sum())
    low, high = signal.digital_min - LOWEST_CODE, signal.digital_max - LOWEST_CODE
    n_clipped = int(counts[: low + 1].sum() + counts[high:].sum())
    amplitudes = (np.arange(LOWEST_CODE, LOWEST_CODE + N_CODES) * gain + offset) * unit
    if gain < 0:
        amplitudes, counts = amplitudes[::-1], counts[::-1]
    # Fractions, because 0.1 % of a whole number of samples must not be rounded up to the next.
    ranks = [ceil(Fraction(percentage) * total / 100) for percentage in QUANTILES]
    quantiles = amplitudes[np.searchsorted(counts.cumsum(), ranks)]
    return {
        "unit": "uV",
        "sampling_rate_hz": rate,
        "flat_share": n_flat / n_epochs,
        "clipped_share": n_clipped / total,
        "quantiles_uv": dict(zip(QUANTILES, (round(float(value), 6) for value in quantiles), strict=True)),
    }


def _poor(channel: str, measured: dict) -> list[str]:
    """Sentences on a channel that is flat or clipped; it is prepared as it is."""
    flat, clipped = measured["flat_share"], measured["clipped_share"]
    sentences = []
    if flat == 1:
        sentences.append(f"{channel} does not change in any epoch: it holds no signal; it is kept as it is")
    elif flat >= LARGELY_FLAT:
        sentences.append(f"{channel} does not change in {100 * flat:.1f} % of the epochs; they are kept as they are")
    if clipped >= CLIPPED:
        sentences.append(f"{channel} is at the recorder's limits in {100 * clipped:.1f} % of the samples")
    return sentences


def _handled(
    header: EdfHeader, stages: np.ndarray, scored: np.ndarray, signals: dict[str, tuple[np.ndarray, float]]
) -> list[str]:
    """What a reader of the numbers may want to know about this night."""
    notes = []
    if header.record_seconds != EPOCH_SECONDS:
        notes.append(f"data records last {header.record_seconds:g} s; epochs are placed by seconds")
    if left_over := header.seconds - len(stages) * EPOCH_SECONDS:
        notes.append(f"the last {left_over:g} s of the signal fill no epoch and are left out")
    if len(scored) < len(stages):
        notes.append(f"the signal outlasts the hypnogram by {len(stages) - len(scored)} epochs, which count as unknown")
    if len(scored) > len(stages):
        notes.append(f"the hypnogram outlasts the signal by {len(scored) - len(stages)} epochs, which are cut")
    for code, name in ((MOVEMENT, "movement"), (UNKNOWN, "unknown")):
        if count := int((stages == code).sum()):
            notes.append(f"{count} epochs within the signal are {name}")
    for channel, (_, rate) in signals.items():
        if rate != SAMPLING_RATE:
            notes.append(
                f"{channel} is recorded at {rate:g} Hz; each epoch is resampled to {SAMPLES_PER_EPOCH} samples"
            )
    return notes


def _write_signals(
    temporary: Path, output: Path, signals: dict[str, tuple[np.ndarray, float]], kept: np.ndarray
) -> None:
    """Write the kept epochs as a standard .npy, block by block."""
    shape = (len(kept), len(signals), SAMPLES_PER_EPOCH)
    try:
        with temporary.open("wb") as file:
            # Plain writes, not a writable memory map, which a full disk would end with SIGBUS instead of an error.
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(kept), EPOCHS_PER_BLOCK):
                _write_block(file, signals, kept[start : start + EPOCHS_PER_BLOCK])
    except OSError as error:
        raise BenchmarkError(
            f"{output}: cannot be written ({error.strerror}); it needs {4 * np.prod(shape)} bytes in {output.parent}"
        ) from error


def _write_block(file: BinaryIO, signals: dict[str, tuple[np.ndarray, float]], epochs: np.ndarray) -> None:
    """Write some epochs (indices in the night) of all channels."""
    block = np.empty((len(epochs), len(signals), SAMPLES_PER_EPOCH), dtype="<f4")
    for column, (microvolts, rate) in enumerate(signals.values()):
        samples = round(rate * EPOCH_SECONDS)
        n_whole = len(microvolts) // samples
        cut = microvolts[: n_whole * samples].reshape(n_whole, samples)[epochs]
        block[:, column] = cut if samples == SAMPLES_PER_EPOCH else resample(cut, SAMPLES_PER_EPOCH, axis=-1)
    file.write(block.data)


def _write_epochs(path: Path, stages: np.ndarray, kept: np.ndarray, windows: dict[str, np.ndarray]) -> None:
    """Write the table of kept epochs."""
    columns = [
        kept,
        kept * EPOCH_SECONDS,
        stages[kept],
        *(np.isin(kept, windows[rule]).astype(int) for rule in WINDOWS),
    ]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EPOCH_COLUMNS)
        writer.writerows(np.stack(columns, axis=1).tolist())


def _read_epochs(path: Path, n_epochs: int) -> dict[str, np.ndarray]:
    """Read the table of kept epochs: column -> int64 (n_epochs,)."""
    with path.open(encoding="utf-8") as file:
        names = tuple(file.readline().rstrip("\n").split(","))
        if names != EPOCH_COLUMNS:
            raise BenchmarkError(f"{path}: the columns are {names}, expected {EPOCH_COLUMNS}; prepare it again")
        try:
            rows = np.loadtxt(file, delimiter=",", dtype=np.int64, ndmin=2)
        except ValueError as error:
            raise BenchmarkError(f"{path}: is not a table of whole numbers ({error}); prepare it again") from error
    if rows.shape != (n_epochs, len(EPOCH_COLUMNS)):
        raise BenchmarkError(f"{path}: has {len(rows)} epochs, its JSON says {n_epochs}; prepare it again")
    return dict(zip(EPOCH_COLUMNS, rows.T, strict=True))


def _map_signals(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Memory-map the signals and hold their shape, type and file size against what is expected."""
    try:
        signals = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise BenchmarkError(f"{path}: is not a whole .npy file ({error}); prepare it again") from error
    if signals.shape != shape or signals.dtype != np.float32 or path.stat().st_size != signals.offset + signals.nbytes:
        raise BenchmarkError(
            f"{path}: holds {signals.dtype} {signals.shape} in {path.stat().st_size} bytes, expected float32 {shape}; "
            "prepare it again"
        )
    return signals
