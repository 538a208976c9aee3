"""How tables are written, whatever is in them: the CSV is the data, Markdown and LaTeX are made of it alone."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_results import LABELS, FakeResults

from sleepbench.datasets.base import SIMULATED, TRIAL, DataLabel
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import (
    LATEX,
    Column,
    make_table,
    read_cells,
    render_table,
    text,
    with_contenders,
)
from sleepbench.reporting.tables import claims, main_results

MADE_UP = DataLabel("made-up", "Made-up")
COLUMN = Column("a_b", text("a"), "left")


def table(content: pd.DataFrame, **changes: object) -> Table:
    """A table of this content, with the notes of its column note."""
    plain = Table(
        name="x_y",
        place=0,
        heading="100 % & more",
        caption="Caption_1.",
        inputs=(),
        build=lambda inputs: content,
        columns=(COLUMN, COLUMN),
        note=text("note"),
    )
    return replace(plain, **changes)


def write(folder: Path, table: Table, inputs: Inputs | None = None) -> list[Path]:
    """The three files of a table."""
    paths = [folder / f"{table.name}.{form}" for form in ("csv", "md", "tex")]
    make_table(table, inputs or Inputs({}, {}, MADE_UP), *paths)
    return paths


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, FakeResults]:
    return {name: FakeResults(tmp_path_factory.mktemp(name), dataset=name, seeds=(1, 2)) for name in LABELS}


def test_a_label_says_which_data_a_title_is_of():
    assert DataLabel("trial", "trial", TRIAL).title("Summary") == f"Summary ({TRIAL})"
    assert LABELS["simulated"].title("Summary") == f"Summary ({SIMULATED})"
    assert LABELS["sleep-edf-20"].title("Summary") == "Summary, Sleep-EDF-20"


def test_simulated_is_in_every_title_and_nowhere_else(tmp_path, results):
    for artefact in (main_results.ARTEFACT, claims.ARTEFACT):
        _, markdown, latex = write(tmp_path, artefact, results["simulated"].inputs(artefact))
        assert SIMULATED in markdown.read_text().splitlines()[0]
        caption = re.search(r"\\caption\{(.*?)\}(?: \\label.*)?\n", latex.read_text()).group(1)
        assert SIMULATED.translate(LATEX) in caption
        _, markdown, latex = write(tmp_path, artefact, results["sleep-edf-20"].inputs(artefact))
        assert "SIMULATED" not in markdown.read_text() + latex.read_text()


def test_rendering_reads_the_csv_only(tmp_path, results):
    artefact = main_results.ARTEFACT
    csv, markdown, latex = write(tmp_path, artefact, results["simulated"].inputs(artefact))
    content = pd.read_csv(csv)
    content.loc[0, ["accuracy", "cohen_kappa"]] = [12.34, -0.056]
    content.to_csv(csv, index=False)
    render_table(artefact, csv, MADE_UP, markdown, latex)
    assert markdown.read_text().startswith("## Sleep staging by protocol, Made-up\n")
    for written in (markdown.read_text(), latex.read_text()):
        assert "12.3" in written and "-.056" in written


def test_latex_is_escaped(tmp_path):
    content = pd.DataFrame({"a": [r"50 % of A_1 & {b} $5 #2 ~^\ <x> 1–2 ± µ"], "note": ["see a_b | c"]})
    latex = write(tmp_path, table(content))[2].read_text()
    assert r"\caption{100 \% \& more, Made-up. Caption\_1.}" in latex
    escaped = r"50 \% of A\_1 \& \{b\} \$5 \#2 \textasciitilde{}\textasciicircum{}\textbackslash{} "
    assert escaped + r"\textless{}x\textgreater{} 1--2 $\pm$ $\mu$" in latex
    assert r"[1] see a\_b | c\par" in latex and r"\label{tab:made-up:x_y}" in latex


def test_latex_tables_are_well_formed_and_ascii(tmp_path, results):
    for fake in results.values():
        for artefact in (main_results.ARTEFACT, claims.ARTEFACT):
            latex = write(tmp_path, artefact, fake.inputs(artefact))[2].read_text()
            assert latex.isascii()
            environments = ("longtable",) if "longtable" in latex else ("table", "tabular", "minipage")
            for environment in environments:
                assert latex.count(rf"\begin{{{environment}}}") == latex.count(rf"\end{{{environment}}}") == 1
            unescaped = re.sub(r"\\[{}]", "", latex)
            assert unescaped.count("{") == unescaped.count("}")
            assert columns_of_rows(latex) == {len(alignment(latex))}
            assert [line for line in latex.splitlines() if line.startswith(r"\toprule")]


def alignment(latex: str) -> str:
    return re.search(r"\\begin\{(?:tabular|longtable)\}\{([lr]+)\}", latex).group(1)


def columns_of_rows(latex: str) -> set[int]:
    """How many columns the rows of a table have."""
    rows = [line for line in latex.splitlines() if line.endswith(r" \\")]
    rows = [row for row in rows if not row.startswith((r"\caption", r"\multicolumn"))]
    return {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows}


@pytest.mark.parametrize(("rows", "width", "turned"), [(3, 30, None), (60, 30, "center"), (60, 90, "landscape")])
def test_a_long_table_goes_over_pages_and_a_wide_one_is_turned(tmp_path, rows, width, turned):
    content = pd.DataFrame({"a": [f"{n} " + "w" * width for n in range(rows)], "note": "n"})
    latex = write(tmp_path, table(content, columns=(COLUMN, Column("Change", text("a")))))[2].read_text()
    assert alignment(latex) == "lr" and columns_of_rows(latex) == {2}
    assert (
        (r"\resizebox" in latex) == (turned is None) and latex.count(r"\caption{") == 1 and r"\caption[]" not in latex
    )
    if turned:
        assert latex.count("a\\_b & Change \\\\") == 2  # on the first page and on the others
        assert rf"\begin{{{turned}}}" in latex and rf"\end{{{turned}}}" in latex


def test_a_table_without_rows_is_rendered(tmp_path):
    empty = pd.DataFrame({"a": [], "title": [], "input": [], "recipe": [], "note": []})
    _, markdown, latex = write(tmp_path, table(empty, caption=lambda content: "Nothing." if content.empty else "Some."))
    assert "| a_b | a_b |" in markdown.read_text() and markdown.read_text().rstrip().endswith("Nothing.")
    assert r"\bottomrule" in latex.read_text() and "Nothing." in latex.read_text()


def test_columns_may_follow_from_the_table(tmp_path):
    content = pd.DataFrame({"a": ["1"], "b": ["2"], "note": ["n"]})
    named = table(
        content, columns=lambda records: tuple(Column(name, text(name)) for name in records if name != "note")
    )
    csv = write(tmp_path, named)[0]
    assert [column.heading for column in read_cells(named, csv).columns] == ["a", "b"]


def test_like_notes_share_a_number(tmp_path):
    csv, markdown, _ = write(tmp_path, table(pd.DataFrame({"a": list("xyz"), "note": ["n", "m", "n"]})))
    cells = read_cells(table(pd.DataFrame()), csv)
    assert (cells.notes, cells.note_numbers) == (["n", "m"], [1, 2, 1])
    assert "| z [1] |" in markdown.read_text() and markdown.read_text().endswith("\n\n1.  n\n2.  m\n")


def test_the_narrowest_columns_keep_their_alignment(tmp_path):
    content = pd.DataFrame({"a": ["1"], "note": ["n"]})
    columns = (Column("a", text("a")), Column("b", text("a"), "left"))
    _, markdown, _ = write(tmp_path, table(content, columns=columns))
    assert markdown.read_text().splitlines()[3] == "| -: | ----- |"


def test_a_bar_in_a_cell_does_not_break_markdown(tmp_path):
    _, markdown, _ = write(tmp_path, table(pd.DataFrame({"a": ["x|y"], "note": ["n"]}), columns=(COLUMN,)))
    assert r"| x\|y [1] |" in markdown.read_text()


def test_names_of_digits_stay_text(tmp_path):
    content = pd.DataFrame({"a": ["1"], "input": ["02"], "run_keys": ["0010007777777777"], "note": ["n"]})
    records = read_cells(table(content), write(tmp_path, table(content))[0]).records
    assert (records.input[0], records.run_keys[0]) == ("02", "0010007777777777")


def test_contenders_of_one_model_are_told_apart_by_input_and_recipe():
    rows = [("A", "one", "common"), ("A", "four", "common"), ("B", "one", "own"), ("B", "one", "own")]
    records = pd.DataFrame(rows, columns=["title", "input", "recipe"])
    assert list(with_contenders(records).contender) == ["A (one, common)", "A (four, common)", "B", "B"]
    without = records.drop(columns="recipe")
    assert with_contenders(without) is without
