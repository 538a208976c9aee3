"""Which channel of a file a network's role is given: the one that is named, or one that goes by a known name."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.signals import edf

ALIASES = {
    "EEG Fpz-Cz": ("Fpz-Cz", "EEG1 Fpz-Cz"),
    "EEG Pz-Oz": ("Pz-Oz", "EEG2 Pz-Oz"),
    "EOG horizontal": ("EOG hor", "horizontal EOG", "EOG H", "HEOG", "ROC-LOC", "EOG ROC-LOC"),
    "EMG submental": ("submental EMG", "EMG chin", "chin EMG", "chin", "EMG submentalis", "EMG"),
}
"""Other names of the same derivation, by the label that recordings of the training have; case, blanks, dashes and
underscores do not count. Another derivation is no other name: it is given by the user, who knows what that means."""


def parse_map(terms: Iterable[str], roles: Iterable[str]) -> dict[str, str]:
    """Labels by role, from terms such as eeg1=EEG Fpz-Cz.

    BenchmarkError for another form, or a role that is not among `roles`, those of the model.
    """
    mapping: dict[str, str] = {}
    known = list(roles)
    for term in terms:
        role, equals, label = term.partition("=")
        if not (equals and role and label.strip()):
            raise BenchmarkError(f"--map {term!r}: expected ROLE=LABEL, such as --map {known[0]}='EEG Fpz-Cz'")
        if mapping.setdefault(role, label.strip()) != label.strip():
            raise BenchmarkError(f"--map: {role} is given as {mapping[role]!r} and as {label.strip()!r}; name one")
    _check_roles(mapping, known)
    return mapping


def _check_roles(mapping: Mapping[str, str], roles: Iterable[str]) -> None:
    if unknown := [role for role in mapping if role not in roles]:
        raise BenchmarkError(f"the model has no role '{unknown[0]}'; {nearest(unknown[0], roles)}")


def choose_channels(
    path: Path, header: edf.EdfHeader, montage: Mapping[str, str], mapping: Mapping[str, str]
) -> dict[str, str]:
    """The label in a file for each role of a montage.

    It is the one that `mapping` names; else that of the montage; else another name of it, or the role's own.
    BenchmarkError, with the nearest label and all of them, where a role has no channel or several, or two roles the
    same.
    """
    _check_roles(mapping, montage)
    chosen: dict[str, str] = {}
    labels = [signal.label for signal in header.signals]
    for role, label in montage.items():
        found = mapping.get(role) or _called(path, header, role, label)
        try:
            edf.find_channel(path, header, found)
        except BenchmarkError as error:
            named = "" if labels.count(found) > 1 else f": name the file's channel by --map {role}=LABEL"
            raise BenchmarkError(f"{error}; it is for {role}{named}") from error
        if (other := next((one for one, taken in chosen.items() if taken == found), None)) is not None:
            raise BenchmarkError(
                f"{path}: channel {found!r} would be both {other} and {role}; name one by --map {role}=LABEL"
            )
        chosen[role] = found
    return chosen


def _called(path: Path, header: edf.EdfHeader, role: str, label: str) -> str:
    """The label of the file that means this one, or, where none does, this one."""
    labels = list(dict.fromkeys(signal.label for signal in header.signals if signal.label != edf.ANNOTATIONS))
    if label in labels:
        return label
    for names in ((label, *ALIASES.get(label, ())), (role,)):
        wanted = {_plain(name) for name in names}
        if len(found := [one for one in labels if _plain(one) in wanted]) > 1:
            raise BenchmarkError(
                f"{path}: {', '.join(map(repr, found))} may all be {label!r}; name one by --map {role}=LABEL"
            )
        if found:
            return found[0]
    return label


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]", "", label).casefold()
