"""Tables of other people's predictions for `sleepbench results import`, from the files that they published.

    python tools/others_predictions.py mt18 FOLDER OUT.parquet
    python tools/others_predictions.py attnsleep FOLDER EXCERPTS OUT.parquet

Each writes OUT.parquet and, beside it, OUT.yaml, which says what it is of. FOLDER is that of the published files: one
.npz a recording; or outs_N.npy and trgs_N.npy of each fold, whose recordings are found by their labels in EXCERPTS, one
.npz a recording. A third kind of file is one more function here. Nothing is read that needs pickle.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES

MT18 = {
    "source": "https://github.com/a1247418/MT18_LH_human-sleep-classification/tree/c4a4057139",
    "licence": "MIT",
    "dataset": "sleep-edf-20",
    "epochs": "standard",
}
MT18_NETWORKS = {
    "mt18_cnn": (
        "CNN of MT18",
        "cross-validation, predictions of each recording in a file of its own; nothing more is stated for Sleep-EDF",
    ),
    "deep_sleepnet_rerun": ("DeepSleepNet, rerun by MT18", "not stated; predictions of each recording in its own file"),
}
"""By folder: title, and the protocol as far as the repository states it."""
CHANNELS = {"Fpz-Cz": "EEG Fpz-Cz", "Pz-Cz": "second EEG channel, called Pz-Cz there"}
ATTNSLEEP = {
    "name": "attnsleep-5s",
    "title": "AttnSleep, adapted to 5 s",
    "source": "https://github.com/swapnil5053/AttnSleep-EEG-5s/tree/cde8b3995c",
    "licence": "MIT",
    "protocol": "10-fold cross-validation; 30 training epochs, the one with the lowest validation loss",
    "dataset": "sleep-edf-20-5s",
    "input": "EEG Fpz-Cz, first 5 s of each epoch",
    "epochs": "standard",
}


def mt18(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Predictions of one network on one channel, .npz files SC4ssNE0-PSG.npz, and what they are of."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise BenchmarkError(f"{folder}: holds no .npz file, expected one a recording; give mt18/NETWORK/CHANNEL")
    network, channel = folder.parent.name, folder.name
    title, protocol = MT18_NETWORKS.get(network, (network, "not stated"))
    name = f"{network}-{channel}".lower().replace("_", "-")
    said = {"name": name, "title": title, "protocol": protocol, "input": CHANNELS.get(channel, channel), **MT18}
    return pd.concat(map(_mt18_night, files), ignore_index=True), said


def _mt18_night(path: Path) -> pd.DataFrame:
    with np.load(path, allow_pickle=False) as night:
        if "probs" in night:
            stage, predicted, probabilities = night["y_true"], night["y_pred"], night["probs"]
        else:
            stage, predicted, probabilities = night["truth"], night["pred"], None
    return _table(path.name.partition("E0")[0], stage, predicted, probabilities)


def attnsleep(folder: Path, excerpts: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Predictions of ten folds, each recording found by its labels, and what they are of."""
    labels = {path.name.partition("E0")[0]: _labels(path) for path in sorted(excerpts.glob("*.npz"))}
    numbers = sorted(int(path.stem.partition("_")[2]) for path in folder.glob("trgs_*.npy"))
    targets, outputs = (
        [np.load(folder / f"{kind}_{n}.npy", allow_pickle=False).astype(int) for n in numbers]
        for kind in ("trgs", "outs")
    )
    held = recordings_of_folds(targets, labels)
    tables = []
    for target, output, recordings in zip(targets, outputs, held, strict=True):
        ends = np.cumsum([len(labels[id]) for id in recordings])[:-1]
        parts = zip(recordings, np.split(target, ends), np.split(output, ends), strict=True)
        tables += [_table(id, stage, predicted) for id, stage, predicted in parts]
    folds = "; ".join(f"{n}: {' '.join(recordings)}" for n, recordings in zip(numbers, held, strict=True))
    said = {**ATTNSLEEP, "remark": f"recordings of the folds, found by their labels: {folds}"}
    return pd.concat(tables, ignore_index=True), said


def recordings_of_folds(targets: Sequence[np.ndarray], labels: Mapping[str, np.ndarray]) -> list[list[str]]:
    """The recordings whose labels one after the other are those of each fold, every recording in one fold.

    `targets` are the labels of each fold, `labels` those of each recording. BenchmarkError where there are none.
    """
    found: list[list[str]] = []
    for number, target in enumerate(targets):
        left = [id for id in labels if not any(id in fold for fold in found)]
        order = _in_order(target, left, labels)
        if order is None:
            raise BenchmarkError(
                f"fold {number}: its {len(target)} labels are not those of any of the {len(left)} recordings left, one "
                "after the other; give the excerpts that it was trained on"
            )
        found.append(order)
    return found


def _in_order(target: np.ndarray, left: Sequence[str], labels: Mapping[str, np.ndarray]) -> list[str] | None:
    """Recordings whose labels one after the other are `target`; None where there are none."""
    if not len(target):
        return []
    for id in left:
        n = len(labels[id])
        if np.array_equal(target[:n], labels[id]):
            rest = _in_order(target[n:], [other for other in left if other != id], labels)
            if rest is not None:
                return [id, *rest]
    return None


def _labels(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as night:
        return night["y"].astype(int)


def _table(
    recording: str, stage: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None = None
) -> pd.DataFrame:
    """The rows of a recording, stages by name; its epochs are the first ones that the standard trimming keeps."""
    names = np.array(STAGES)
    table = pd.DataFrame({"recording": recording, "epoch": np.arange(len(stage))})
    table = table.assign(stage=names[stage], predicted=names[predicted])
    if probabilities is not None:
        table[[f"p_{name}" for name in STAGES]] = probabilities
    return table


def write(table: pd.DataFrame, said: Mapping[str, str], output: Path) -> None:
    """Write a table, and what it is of beside it."""
    table.to_parquet(output, index=False)
    text = yaml.safe_dump(dict(said), sort_keys=False, allow_unicode=True, width=120)
    output.with_suffix(".yaml").write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, folders in {"mt18": ("folder",), "attnsleep": ("folder", "excerpts")}.items():
        one = kinds.add_parser(kind)
        for name in (*folders, "output"):
            one.add_argument(name, type=Path)
    given = parser.parse_args(arguments)
    try:
        table, said = mt18(given.folder) if given.kind == "mt18" else attnsleep(given.folder, given.excerpts)
    except BenchmarkError as error:
        parser.exit(1, f"Error: {error}\n")
    write(table, said, given.output)
    print(f"{given.output}: {len(table):,} epochs of {table.recording.nunique()} recordings")
    print(f"{given.output.with_suffix('.yaml')}: read it, correct it, then: sleepbench results import {given.output}")


if __name__ == "__main__":
    main()
