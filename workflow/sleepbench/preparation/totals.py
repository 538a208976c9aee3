"""What prepared recordings must hold, and the check that they do, before any training."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_document
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import Dataset, KnownTotal
from sleepbench.preparation.index import Index, read_index
from sleepbench.protocols.folds import read_folds

Counts = tuple[int, ...]
"""Epochs of W, N1, N2, N3, REM."""


def check_totals(
    dataset: Dataset, trimming: str, folds: str | Path, index: str | Path, output: str | Path
) -> dict[str, Any]:
    """Check the epochs of a fold file's test recordings against the known counts.

    The result is written to `output` and returned.

    Compared are, as far as the dataset knows them: each recording's epochs by stage; those of all together, or as the
    sum of recordings all of which are known; and the epochs of each test fold. `known` says whether the whole set has a
    known total. BenchmarkError when anything differs, with a table of the recordings that do.
    """
    document = read_folds(folds)
    tests = [fold["test"] for fold in document["folds"]]
    recordings = sorted(recording for test in tests for recording in test)
    found = _found(read_index(index), recordings, trimming)
    total = _sum(found.values())
    result = {
        "dataset": dataset.name,
        "trimming": trimming,
        "folds": document["name"],
        "recordings": recordings,
        "excluded": document.get("excluded", {}),
        "found": _named(total),
        "found_by_recording": {id: _named(found[id]) for id in recordings},
    }
    if dataset.label.simulated:
        result |= {"known": False, "reason": "simulated", "verdict": "nothing is known of simulated recordings"}
    else:
        result |= _compare(dataset, trimming, document, tests, found, total)
    write_document(output, result)
    return result


def _compare(
    dataset: Dataset,
    trimming: str,
    document: Mapping[str, Any],
    tests: Sequence[Sequence[str]],
    found: Mapping[str, Counts],
    total: Counts,
) -> dict[str, Any]:
    by_recording = dataset.known_epochs()
    single = {id: by_recording[id, trimming] for id in found if (id, trimming) in by_recording}
    known = next((one for one in dataset.known_totals() if one.covers(trimming, list(found))), None)
    if known:
        expected, source = known.counts, f"{known.source}; {known.verified}"
    elif single and len(single) == len(found):
        expected, source = _sum(single.values()), "the sum of its recordings, each of which is known by itself"
    else:
        expected, source = None, None
    differing = [id for id in single if single[id] != found[id]]
    wrong_folds = _wrong_folds(known, document, tests, found) if known else []
    if differing or wrong_folds or (expected and expected != total):
        raise BenchmarkError(_difference(dataset, trimming, found, single, expected, source, wrong_folds))
    if expected:
        said = {"known": True, "expected": _named(expected), "source": source, "verdict": "as known"}
    else:
        reason = f"no total is known of these {len(found)} recordings with the {trimming} trimming"
        reason += "".join(f"; left out: {id} ({why})" for id, why in document.get("excluded", {}).items())
        verdict = f"not testable; the {len(single)} recordings known by themselves are as known"
        said = {"known": False, "reason": reason, "verdict": verdict}
    return {"recordings_known_by_themselves": len(single), **said}


def _named(counts: Counts) -> dict[str, int]:
    return {"epochs": sum(counts), **dict(zip(STAGES, counts, strict=True))}


def _sum(counts: Iterable[Counts]) -> Counts:
    return tuple(sum(column) for column in zip(*counts, strict=True))


def _found(index: Index, recordings: Sequence[str], trimming: str) -> dict[str, Counts]:
    """The epochs that a trimming keeps of the recordings that folds use."""
    kept = index.kept(trimming)
    if missing := [id for id in recordings if id not in kept]:
        raise BenchmarkError(
            f"{index.path}: the folds use recordings that are not prepared: {', '.join(missing)}; prepare them"
        )
    return {id: tuple(kept[id][stage] for stage in STAGES) for id in recordings}


def _wrong_folds(
    known: KnownTotal, document: Mapping[str, Any], tests: Sequence[Sequence[str]], found: Mapping[str, Counts]
) -> list[str]:
    """Test folds whose epochs differ from the known ones, where these are known for such folds."""
    if known.folds is None or any(known.folds[key] != document[key] for key in ("unit", "n_folds")):
        return []
    sizes = [sum(sum(found[id]) for id in test) for test in tests]
    return [
        f"fold {fold}, {test[0]} to {test[-1]}: {size} epochs, expected {expected}"
        for fold, (test, size, expected) in enumerate(zip(tests, sizes, known.folds["epochs"], strict=True))
        if size != expected
    ]


def _difference(
    dataset: Dataset,
    trimming: str,
    found: Mapping[str, Counts],
    single: Mapping[str, Counts],
    expected: Counts | None,
    source: str | None,
    wrong_folds: Sequence[str],
) -> str:
    """The error message: the totals, the folds, and a table of the recordings that differ.

    It also lists the recordings of which no counts are known.
    """

    def line(name: str, counts: Counts) -> str:
        return f"  {name:<18}" + "".join(f"{number:>8}" for number in (sum(counts), *counts))

    lines = [
        f"{dataset.name}, trimming {trimming}: the {len(found)} prepared recordings do not hold the epochs they are "
        "known to",
        f"  {'':<18}" + "".join(f"{name:>8}" for name in ("epochs", *STAGES)),
        line("found", _sum(found.values())),
    ]
    if expected:
        off = tuple(a - b for a, b in zip(_sum(found.values()), expected, strict=True))
        lines += [line("expected", expected), line("difference", off), f"  source: {source}"]
    else:
        lines.append("  no total is known of these recordings together")
    lines += [f"  {fold}" for fold in wrong_folds]
    differing = [id for id in single if single[id] != found[id]]
    for id in differing:
        lines += [line(f"{id} found", found[id]), line(f"{id} expected", single[id])]
    if not differing:
        lines.append(f"  the {len(single)} recordings that are known by themselves are all as known")
    if unknown := [id for id in found if id not in single]:
        lines.append(f"  of these {len(unknown)} recordings nothing is known by themselves:")
        lines += [f"  {', '.join(unknown)}"] if differing else [line(f"{id} found", found[id]) for id in unknown]
    files = " or ".join(str(path) for path in dataset.known_files) or "what the dataset knows"
    lines.append(
        "Nothing is trained on them. The files' checksums are right: either the code that prepares differs (git diff "
        "workflow/sleepbench), or the known numbers are wrong where they were not counted again (see the source): then "
        f"correct {files} and say why"
    )
    return "\n".join(lines)
