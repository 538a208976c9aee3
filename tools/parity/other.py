"""The other implementation: found by FILE.py:FACTORY, in this interpreter or in another one."""

import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Arrays = dict[str, np.ndarray]


class ProgramError(Exception):
    """Why the other implementation is not to be had, and what to do."""


class Other(Protocol):
    """What a FACTORY may return instead of a `torch.nn.Module`; names and arrays are its own.

    It may also have `carried(x)`: logits of x with the epochs of its sequences in reverse order, from the state after
    x; and `initial(n)`, the weights of n fresh networks, a dict for each.
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of its weights, moving statistics among them."""

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Take these weights; what is not among them stays."""

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Logits in evaluation."""

    def trained(self, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, Arrays, Arrays]:
        """Logits in training without dropout, gradients of sum(logits * weights), moving statistics."""


def factory(where: str) -> Any:
    """The factory FILE.py:FACTORY; ProgramError where it is not there."""
    path, _, name = where.rpartition(":")
    if not path or not Path(path).is_file():
        raise ProgramError(f"{where}: expected FILE.py:FACTORY, and there is no file {path or where!r}")
    folder = str(Path(path).resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # programs import from files beside them
    specification = importlib.util.spec_from_file_location(f"{Path(path).stem}_program", path)
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except ImportError as error:
        raise ProgramError(f"{path}: {error}; install it, or name with --python an interpreter that has it") from error
    if not hasattr(module, name):
        known = [n for n, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
        raise ProgramError(f"{path} has no {name!r}; it has {', '.join(n for n in known if n[0] != '_') or 'nothing'}")
    return getattr(module, name)


class Remote:
    """An `Other` that another interpreter runs, which has NumPy and the program's own packages."""

    def __init__(self, python: str, where: str, *arguments: Any):
        try:
            self.process = subprocess.Popen([python, __file__, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except FileNotFoundError as error:
            raise ProgramError(f"--python {python}: there is no such interpreter") from error
        self.methods, self.about = self._ask("build", *arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.__dict__.get("methods", ()):
            raise AttributeError(name)
        return lambda *arguments: self._ask(name, *arguments)

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            pickle.dump((method, arguments), self.process.stdin)
            self.process.stdin.flush()
            answer = pickle.load(self.process.stdout)
        except (BrokenPipeError, EOFError) as error:
            raise ProgramError(f"the other interpreter ended with {self.process.wait()} at {method!r}") from error
        found, value = answer
        if not found:
            raise ProgramError(value)
        return value

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


def serve(where: str) -> None:
    """Answer what a Remote asks on standard input; the program prints to standard error."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    program = None
    while True:
        try:
            method, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if method == "build":
                build = factory(where)
                program = build(*arguments)
                methods = [name for name in dir(program) if not name.startswith("_")]
                answer = True, (methods, getattr(build, "about", {}))
            else:
                answer = True, getattr(program, method)(*arguments)
        except Exception as error:
            said = f"{error}" if isinstance(error, ProgramError) else f"{type(error).__name__}: {error}"
            answer = False, f"{where}, {method}: {said}"
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose names are none of the program's
    serve(sys.argv[1])
