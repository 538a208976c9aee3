"""The table of people: real scorings of another database, by named conventions, beside any data."""

from pathlib import Path

import pytest
from fake_results import LABELS, RESOURCES

from sleepbench.evaluation.human_agreement import CONVENTIONS
from sleepbench.evaluation.published import FOLLOWABLE
from sleepbench.reporting.artefacts import Inputs
from sleepbench.reporting.rendering import make_table, read_cells
from sleepbench.reporting.tables.people import ARTEFACT

SCORINGS = RESOURCES / "human_scorings" / "scorings.csv"


@pytest.mark.parametrize("dataset", LABELS)
def test_each_database_and_convention_has_a_row_with_its_source(tmp_path: Path, dataset: str) -> None:
    csv, markdown, latex = (tmp_path / f"people.{form}" for form in ("csv", "md", "tex"))
    make_table(ARTEFACT, Inputs({"human_scorings": SCORINGS}, {}, LABELS[dataset]), csv, markdown, latex)
    cells = read_cells(ARTEFACT, csv)
    names = [column.heading for column in cells.columns]
    shown = [dict(zip(names, row, strict=True)) for row in cells.texts]
    assert [(one["Data"], one["Convention"]) for one in shown] == [
        (d, c) for d in ("DOD-H", "DOD-O") for c in CONVENTIONS
    ]
    assert [(one["Nights"], one["Acc."], one["Kappa"], one["MF1"]) for one in shown[:2]] == [
        ("25", "86.5 ± 8.1", ".799", "–"),
        ("25", "83.4", ".761", "77.7"),
    ]
    assert [one["Acc."] for one in shown[2:]] == ["79.1", "84.8 ± 8.6", "80.7", "77.5"]
    assert len(cells.notes) == len(CONVENTIONS) and all(FOLLOWABLE.search(note) for note in cells.notes)
    said = " ".join(markdown.read_text(encoding="utf-8").split())
    assert LABELS[dataset].title(ARTEFACT.heading) in said and "Real scorings of real nights by people" in said
    assert "nan" not in said and latex.read_text(encoding="utf-8").isascii()
    assert max(map(len, markdown.read_text(encoding="utf-8").splitlines())) <= 160
