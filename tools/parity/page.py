"""The table of docs/rivals.md."""

from sleepbench.models import model_names
from sleepbench.profiling.parity import parity
from sleepbench.reporting.tables.parity import ARTEFACT, parity_table, what_differs


def markdown() -> str:
    """The report's table of parity, of all registered models, with what differs as its last column."""
    rows = [row for _, row in parity_table([parity(name) for name in model_names()]).iterrows()]
    columns = [column for column in ARTEFACT.columns if column.heading != "Precision"]
    texts = [[*(column.cell(row) for column in columns), what_differs(row)] for row in rows]
    rules = [*("--:" if column.align == "right" else "---" for column in columns), "---"]
    lines = [[*(column.heading for column in columns), "What differs"], rules, *texts]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
