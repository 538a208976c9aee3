"""The tables of a network in fewer bits and on microcontrollers."""

import pandas as pd
import pytest
from fake_results import DEPLOYMENT, FakeResults

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_document
from sleepbench.evaluation.published import read_published_deployments
from sleepbench.reporting.rendering import make_table, read_cells
from sleepbench.reporting.tables import deployment, quantisation

COMMITTED = {**DEPLOYMENT, "boards": DEPLOYMENT["boards"][1:]}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return FakeResults(tmp_path_factory.mktemp("results"))


def made(table, results, folder, **files):
    """The cells of a table by heading, and its Markdown in one line."""
    write_document(folder / "committed.json", COMMITTED)
    paths = [folder / f"{table.name}.{form}" for form in ("csv", "md", "tex")]
    make_table(table, results.inputs(table, {"measured_deployment": folder / "committed.json", **files}), *paths)
    cells = read_cells(table, paths[0])
    shown = pd.DataFrame(cells.texts, columns=[column.heading for column in cells.columns])
    return shown, " ".join(paths[1].read_text(encoding="utf-8").split())


def test_forms_are_held_against_the_target_and_a_skipped_one_says_why(results, tmp_path):
    shown, text = made(quantisation.ARTEFACT, results, tmp_path)
    assert shown["Target is"].tolist() == ["met", "met", "skipped"]
    assert shown.loc[1, ["Accuracy, %", "Agree, %", "Target, %", "Bytes", "Latency, µs"]].tolist() == [
        *("73.0", "99.8", "72.3", "5,231", "1,300")
    ]
    assert shown.loc[2, ["Accuracy, %", "Latency, µs", "Bytes"]].tolist() == ["–", "–", "5,231"]
    assert "skipped: no C compiler" in text and "on 200 epochs of the training" in text
    assert "SIMULATED" in text and "quantisation-aware training was not tried" in text
    assert shown["Lost, points"].tolist() == ["0.0", "0.0", "–"]


def test_boards_measured_here_skipped_committed_and_published(results, tmp_path):
    shown, text = made(deployment.ARTEFACT, results, tmp_path)
    assert shown.Mark.tolist() == [*["measured"] * 3, *["committed"] * 2, "published"]
    assert shown.Limits.tolist() == ["skipped", *["kept"] * 4, "–"]
    of_w8a16 = shown.loc[2, ["Instr.", "Flash", "RAM", "Est. ms, 64 MHz"]].tolist()
    assert of_w8a16 == ["15.0M", "8,888", "4,140", "305–469 (1.6 %)"]
    assert shown.loc[5, ["Model", "Processor", "Publ., ms"]].tolist() == ["MorpheusNet", "Cortex-M4", "1,600"]
    assert "skipped: no qemu-system-arm" in text and "ESTIMATE" in text and "arXiv:2401.10284" in text
    assert "50 of 1,431 test epochs" in text and "SIMULATED" in text


def test_more_instructions_than_are_committed_break_a_limit(results, tmp_path):
    rows = [*DEPLOYMENT["boards"][:2], {**DEPLOYMENT["boards"][2], "instructions": 16e6}]
    write_document(tmp_path / "here.json", {**DEPLOYMENT, "boards": rows})
    shown, text = made(deployment.ARTEFACT, results, tmp_path, deployment=[tmp_path / "here.json"])
    assert shown.Limits.tolist()[1:3] == ["kept", "broken"] and "Broken: +7 % instructions" in text
    # A network of other channels is another one, whose instructions are not committed.
    write_document(tmp_path / "here.json", {**DEPLOYMENT, "n_channels": 1, "boards": rows})
    shown, _ = made(deployment.ARTEFACT, results, tmp_path, deployment=[tmp_path / "here.json"])
    assert shown.Limits.tolist()[1:3] == ["kept", "kept"]


def test_where_nothing_was_tried_there_is_what_is_committed(results, tmp_path):
    assert made(deployment.ARTEFACT, results, tmp_path, deployment=[])[0].Mark.tolist() == [
        *("committed", "committed", "published")
    ]
    assert made(quantisation.ARTEFACT, results, tmp_path, deployment=[])[0].empty


@pytest.mark.parametrize(
    ("column", "value"), [("seconds", "soon"), ("seconds", "0"), ("mark", "ours"), ("source", "a talk")]
)
def test_a_published_time_without_number_or_source_is_an_error(results, tmp_path, column, value):
    table = pd.read_csv(results.files["published_deployments"], dtype=str)
    table[column] = value
    table.to_csv(tmp_path / "published.csv", index=False)
    with pytest.raises(BenchmarkError, match=rf"line 2 \(MorpheusNet\): {column} is '{value}'"):
        read_published_deployments(tmp_path / "published.csv")
