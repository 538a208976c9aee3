"""A map of names: how our weights become another program's, and its gradients ours.

The map is JSON. Keys are names in our `state_dict`, values those in theirs. Both may end in a dot, and then stand for
all names that begin so. A value may also be an object: `name`; `split`, a shape that ours is brought to first;
`permute`, the order of axes that this is then given; `reshape`, true where its values then fill theirs in order of
memory. Axes of length 1 may be more or fewer. "only_ours" and "only_theirs" list names that need no counterpart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]
LISTS = ("only_ours", "only_theirs")
STEPS = {"name", "split", "permute", "reshape"}


class MapError(Exception):
    """What is wrong with a map, what was expected, and what to do."""


@dataclass(frozen=True)
class Counterpart:
    """A weight of theirs and how one of ours, of the shape `ours`, becomes it."""

    name: str
    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    split: tuple[int, ...] | None = None
    permute: tuple[int, ...] | None = None
    reshape: bool = False

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        """Ours, as they have it."""
        return self._arranged(array).reshape(self.theirs)

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """Theirs, as we have it."""
        made = np.empty(self.ours, array.dtype)
        positions = self.to_theirs(np.arange(made.size).reshape(self.ours))
        made.reshape(-1)[positions] = array
        return made

    def _arranged(self, array: np.ndarray) -> np.ndarray:
        array = array.reshape(self.split or array.shape)
        return array.transpose(self.permute) if self.permute else array

    def check(self, ours: str) -> None:
        """MapError where ours does not fit."""
        try:
            found = self._arranged(np.empty(self.ours)).shape
        except ValueError as error:
            raise MapError(
                f"{ours}: {self.ours} cannot be split as {self.split} and permuted as {self.permute}: {error}"
            ) from error
        enough = np.prod(found) == np.prod(self.theirs) if self.reshape else _long(found) == _long(self.theirs)
        if not enough:
            arranged = f", brought to {found}," if found != self.ours else ""
            raise MapError(
                f"{ours} has the shape {self.ours}{arranged} and {self.name} of theirs {self.theirs}: they do not fit. "
                "Map it to another name, or say in the map how its axes are to be permuted"
            )


def _long(shape: tuple[int, ...]) -> list[int]:
    return [n for n in shape if n != 1]


class Names:
    """The counterparts of all our weights.

    MapError where a name on either side has no counterpart, or one of another shape.
    """

    def __init__(self, entries: Mapping[str, object], ours: Shapes, theirs: Shapes):
        only_ours, only_theirs = (entries.get(name, []) for name in LISTS)
        self.of_ours: dict[str, Counterpart] = {}
        for key, value in entries.items():
            if key not in LISTS:
                self._add(key, {"name": value} if isinstance(value, str) else dict(value), ours, theirs)
        left_ours = [n for n in ours if n not in self.of_ours and not _matches(n, only_ours) and not _counter(n)]
        mapped = {counterpart.name for counterpart in self.of_ours.values()}
        left_theirs = [n for n in theirs if n not in mapped and not _matches(n, only_theirs) and not _counter(n)]
        if left_ours or left_theirs:
            raise MapError(
                f"nothing is mapped to {_shown(left_theirs, theirs)} of theirs, and nothing to which to map "
                f"{_shown(left_ours, ours)} of ours: add them to the map, or to its "
                "only_theirs or only_ours where they need no counterpart"
            )

    def _add(self, key: str, value: dict, ours: Shapes, theirs: Shapes) -> None:
        if unknown := value.keys() - STEPS:
            raise MapError(f"{key}: {', '.join(sorted(unknown))} is not known, expected {', '.join(sorted(STEPS))}")
        if "name" not in value or key.endswith(".") != value["name"].endswith((".", "/")):
            raise MapError(f"{key}: its value must have a name, which ends in a dot or slash where the key does")
        found = [name for name in ours if _matches(name, [key])]
        if not found:
            raise MapError(f"{key}: no name of ours is or begins so; ours are {_shown(list(ours), ours)}")
        steps = {step: tuple(value[step]) for step in ("split", "permute") if step in value}
        for name in found:
            target = value["name"] + (name[len(key) :] if key.endswith(".") else "")
            if _counter(name):
                continue
            if target not in theirs:
                raise MapError(f"{name}: theirs has no {target}; it has {_shown(list(theirs), theirs)}")
            counterpart = Counterpart(
                target, tuple(ours[name]), tuple(theirs[target]), **steps, reshape=value.get("reshape", False)
            )
            counterpart.check(name)
            self.of_ours[name] = counterpart

    def to_theirs(self, state: Mapping[str, np.ndarray]) -> Arrays:
        """Weights under their names."""
        return {counterpart.name: counterpart.to_theirs(state[name]) for name, counterpart in self.of_ours.items()}

    def to_ours(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        """What is known by their names, such as gradients, under ours."""
        return {
            name: counterpart.to_ours(arrays[counterpart.name])
            for name, counterpart in self.of_ours.items()
            if counterpart.name in arrays
        }


def _matches(name: str, keys: list[str]) -> bool:
    return any(name == key or (key.endswith((".", "/")) and name.startswith(key)) for key in keys)


def _counter(name: str) -> bool:
    """PyTorch's count of batches, which decides nothing here."""
    return name.endswith("num_batches_tracked")


def _shown(names: list[str], shapes: Shapes) -> str:
    few = [f"{name} {tuple(shapes[name])}" for name in names[:8]]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(few) + more or "none"
