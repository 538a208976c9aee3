"""What artefacts declare, read from their source without importing them.

Planning a workflow therefore spends no time on imports.
"""

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

from sleepbench.core.errors import BenchmarkError

STATISTICS = "statistics/"
"""What the names of inputs begin with that are files of statistics."""

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Declared:
    """What a rule must know of an artefact; `names` are the files that a set of statistics makes."""

    name: str
    room: str
    place: int = 0
    inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    in_summary: bool = False

    @property
    def module(self) -> str:
        """The module that declares it."""
        return f"sleepbench.reporting.{self.room}.{self.name}"


@functools.cache
def declared(room: str) -> dict[str, Declared]:
    """The artefacts of a room ("tables", "figures", "statistics", "cross.tables", ...) in the order of the report."""
    files = sorted((PACKAGE / "reporting" / room.replace(".", "/")).glob("*.py"))
    found = [one for file in files if (one := _declaration(file, room))]
    return {one.name: one for one in sorted(found, key=lambda one: one.place)}


def _declaration(file: Path, room: str) -> Declared | None:
    """What the ARTEFACT of a file says; None where it has none."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["ARTEFACT"]:
            keywords = {one.arg: one.value for one in node.value.keywords}
            known = {name: keywords[name] for name in Declared.__dataclass_fields__ if name in keywords}
            try:
                said = {name: ast.literal_eval(value) for name, value in known.items()}
            except ValueError as error:
                raise BenchmarkError(
                    f"{file}: ARTEFACT must give {', '.join(known)} as plain values: they are read without importing"
                ) from error
            if said["name"] != file.stem:
                raise BenchmarkError(f"{file}: its ARTEFACT is called '{said['name']}', expected '{file.stem}'")
            return Declared(room=room, **said)
    return None
