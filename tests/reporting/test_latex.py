"""The tables in LaTeX, compiled in one document where pdflatex is installed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fake_results import LABELS, FakeResults

from sleepbench.core.files import read_json, write_document
from sleepbench.reporting.artefacts import make_statistics, statistics, tables
from sleepbench.reporting.audit import write_audit
from sleepbench.reporting.rendering import make_table

PREAMBLE = r"""\documentclass[a4paper]{article}
\usepackage{booktabs,graphicx,longtable,lscape}
"""
"""What a document needs that holds the tables."""


def write_tables(folder: Path, dataset: str) -> list[Path]:
    """Every table of a dataset from made-up runs; returns the LaTeX files in the order of the report."""
    models = ("ULW-SleepNet", "TinySleepNet")
    results = FakeResults(folder, dataset=dataset, models=models, nights_per_fold=8)
    said = results.all_settings()
    write_audit(
        said["protocols"], results.files["folds"], results.files["totals"], results.label, results.files["audit"]
    )
    made = statistics()["subjects"]
    make_statistics(made, results.inputs(made), {name: results.statistics(name) for name in made.names})
    results.write_smoothed()
    settings: dict[str, Any] = {"smoothed_models": ["ulw_sleepnet"], "smoothed_protocols": ["released", "clean"]}
    paths = []
    for name, table in tables().items():
        outputs = [folder / f"{name}.{form}" for form in ("csv", "md", "tex")]
        files = {"quality": more_nights(results)} if name == "quality" else {}
        make_table(table, results.inputs(table, files, **settings), *outputs)
        paths.append(outputs[2])
    return paths


def more_nights(results: FakeResults) -> list[Path]:
    """Quality files of more nights than a page holds."""
    index = results.files["recordings"]
    document, paths = read_json(index), []
    rows = {row["recording"]: row for row in document["recordings"]}
    for number in range(100):
        like = results.recordings[number % len(results.recordings)].id
        quality = read_json(results.quality_path(results.recordings[number % len(results.recordings)]))
        id = f"x{number:03d}"
        paths.append(results.root / f"{id}.quality.json")
        write_document(paths[-1], {**quality, "recording": id})
        rows[id] = {**rows[like], "recording": id}
    write_document(index, {**document, "recordings": list(rows.values())})
    return paths


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("latex")
    return [path for dataset in LABELS for path in write_tables(folder / dataset, dataset)]


def test_labels_of_two_datasets_do_not_collide(written: list[Path]) -> None:
    labels = [label for path in written for label in re.findall(r"\\label\{(.*?)\}", path.read_text())]
    assert labels == [f"tab:{dataset}:{name}" for dataset in LABELS for name in tables()]


def test_preamble_has_what_the_tables_say_they_need(written: list[Path]) -> None:
    for path in written:
        packages = re.search(r"% needs \\usepackage\{(.*?)\}", path.read_text()).group(1)
        assert set(packages.split(",")) <= set(re.search(r"\\usepackage\{(.*?)\}", PREAMBLE).group(1).split(",")), path


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_tables_compile_in_one_document(tmp_path: Path, written: list[Path]) -> None:
    body = "".join(f"\\input{{{path.with_suffix('')}}}\n\\clearpage\n" for path in written)
    document = PREAMBLE + "\\begin{document}\n" + body + "\\end{document}\n"
    (tmp_path / "document.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    for _ in range(2):  # the second time with the labels and the widths of columns of the first
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    log = (tmp_path / "document.log").read_text(encoding="utf-8", errors="replace").replace("\n", " ")
    for problem in ("Float too large", "multiply defined", "Missing character", "Overfull"):
        assert problem not in log, re.findall(rf".{{200}}{problem}.{{300}}", log)
    assert (tmp_path / "document.pdf").read_bytes().startswith(b"%PDF")
