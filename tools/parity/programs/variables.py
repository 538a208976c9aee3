"""Programs that keep weights in named variables, and views of these: what no map of names can say.

A view is an array that is made of the values of some variables in any order: an LSTM's kernel in two parts and with its
gates in another order, the two directions of a layer as one, a dense layer's inputs in another order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Arrays = dict[str, np.ndarray]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """An array of values of some variables.

    positions : of each value among those of the variables, one after the other
    added : what the program adds to a variable's value
    """

    variables: tuple[str, ...]
    positions: np.ndarray
    added: np.ndarray | float = 0.0

    def read(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The view of values of the variables."""
        return np.concatenate([np.ravel(values[name]) for name in self.variables])[self.positions]

    def write(self, array: np.ndarray, values: Arrays) -> None:
        """Change the values of the variables to those of a view."""
        flat = np.concatenate([np.ravel(values[name]) for name in self.variables])
        flat[self.positions] = array - self.added
        sizes = np.cumsum([values[name].size for name in self.variables])[:-1]
        for name, part in zip(self.variables, np.split(flat, sizes), strict=True):
            values[name] = part.reshape(values[name].shape)


def positions(*shapes: Shape) -> list[np.ndarray]:
    """Arrays of these shapes with consecutive numbers: positions of values of several variables."""
    ends = np.cumsum([np.prod(shape) for shape in shapes]).astype(int)
    return [
        np.arange(end - np.prod(shape), end).astype(int).reshape(shape) for shape, end in zip(shapes, ends, strict=True)
    ]


class Variables:
    """`shapes` and `load` of an `Other` by `values()` and `assign(values)`.

    Every variable is known by its name, but those that `views` has are known by the names of the views.
    """

    def values(self) -> Arrays:
        """All variables."""
        raise NotImplementedError

    def assign(self, values: Arrays) -> None:
        """Set all variables."""
        raise NotImplementedError

    def views(self, shapes: Mapping[str, Shape]) -> dict[str, View]:
        """Views by name, of variables of these shapes."""
        return {}

    def _views(self) -> dict[str, View]:
        shapes = {name: array.shape for name, array in self.values().items()}
        views = self.views(shapes)
        seen = {variable for view in views.values() for variable in view.variables}
        whole = {name: View((name,), positions(shape)[0]) for name, shape in shapes.items() if name not in seen}
        return whole | views

    def shapes(self) -> dict[str, Shape]:
        """Shapes of the views."""
        return {name: view.positions.shape for name, view in self._views().items()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the variables by views of them."""
        values, views = self.values(), self._views()
        for name, array in state.items():
            views[name].write(array, values)
        self.assign(values)

    def seen(self, values: Mapping[str, np.ndarray]) -> Arrays:
        """Views of arrays by variable, such as gradients."""
        return {name: v.read(values) for name, v in self._views().items() if set(v.variables) <= set(values)}
