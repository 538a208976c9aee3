"""Which network a report, and the end of a run, are about, and which rival is its best: one choice for both."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from sleepbench.reporting.reading import CONTENDER

Tables = Mapping[str, pd.DataFrame]
"""CSVs of tables by name; one that is not there has no rows."""


class About(NamedTuple):
    """A network with the input and the recipe that it is spoken of with."""

    title: str
    input: str
    recipe: str

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table with titles that are of it."""
        return table[(table[list(CONTENDER)] == list(self)).all(axis=1)] if len(table) else table

    def __str__(self) -> str:
        return f"{self.title} ({self.input}, {self.recipe})"


def about(tables: Tables) -> About | None:
    """The first network that claims are about and that was measured, else the first that was; None: none was.

    Its input and recipe are those with which it is on the ladder, else the first that it was measured with.
    """
    main = measured(tables)
    if main.empty:
        return None
    claimed = [name for name in _table(tables, "claims").get("model", ()) if name in set(main.title)]
    title = claimed[0] if claimed else main.title.iloc[0]
    ladder = _table(tables, "ladder")
    of_ladder = ladder[ladder.title == title] if len(ladder) else ladder
    first = (of_ladder if len(of_ladder) else main[main.title == title]).iloc[0]
    return About(*(str(first[name]) for name in CONTENDER))


def measured(tables: Tables) -> pd.DataFrame:
    """The measured rows of the main table, the model called `title` as in other tables."""
    main = _table(tables, "main_results")
    return main[main["mark"] == "measured"].rename(columns={"model": "title"}) if len(main) else main


def best_rival(tables: Tables, network: About) -> tuple[pd.Series, int] | None:
    """The rival that is ahead of the network by most in accuracy, or behind it by least, and of how many it is one.

    It is a row of the table of non-inferiority; None where that has no pair of the network.
    """
    table = _table(tables, "non_inferiority")
    if table.empty:
        return None
    pairs = table[(table.title == network.title) & (table.metric == "accuracy") & table.difference.notna()]
    return None if pairs.empty else (pairs.loc[pairs.difference.idxmin()], pairs.rival.nunique())


def _table(tables: Tables, name: str) -> pd.DataFrame:
    return tables.get(name, pd.DataFrame())
