"""The tables in LaTeX, compiled in one document where pdflatex is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from smoothed import write_smoothed
from synthetic import PROFILE, make_runs
from test_audit_table import Audit
from test_quality_figure import nights
from test_statistics_files import LADDER, MODELS, make_folds

from sleepbench.core.files import write_json
from sleepbench.reporting.quality import quality_table
from sleepbench.reporting.statistics.compute import compute_statistics
from sleepbench.reporting.tables import main as tables
from sleepbench.reporting.tables.of_statistics import TABLES as STATISTICS_TABLES
from sleepbench.reporting.tables.of_statistics import write_statistics_table
from sleepbench.reporting.tables.postprocessing import write_postprocessing
from sleepbench.reporting.tables.published_sizes import write_published_sizes
from sleepbench.signals.totals import RECORDINGS

RESOURCES = Path(__file__).parents[2] / "workflow" / "resources"
PUBLISHED, CLAIMS = RESOURCES / "published_results.csv", RESOURCES / "claims.yaml"
SIZES = RESOURCES / "published_sizes.csv"
DATASETS = ("simulated", "sleep-edf-20")
NAMES = (
    *("main_results", "complexity", "published_sizes", "claims", "audit", "quality", "postprocessing"),
    *STATISTICS_TABLES,
)
PREAMBLE = r"""\documentclass[a4paper]{article}
\usepackage{booktabs,graphicx,longtable,lscape}
"""
"""What a document needs that holds the tables."""


def write_tables(folder: Path, dataset: str) -> list[Path]:
    """Every table of a dataset from made-up runs; returns the LaTeX files in the order of NAMES."""
    simulated = dataset == "simulated"
    folder.mkdir()
    files = {name: [str(folder / f"{name}.{form}") for form in ("csv", "md", "tex")] for name in NAMES}
    on = (dataset, simulated)
    runs = make_runs(folder / "runs", models=MODELS, nights_per_fold=8, dataset=dataset)
    write_json(folder / "profile.json", PROFILE)
    tables.write_main_results(runs, PUBLISHED, *on, *files["main_results"])
    tables.write_complexity([folder / "profile.json"], CLAIMS, *on, *files["complexity"])
    write_published_sizes([folder / "profile.json"], SIZES, *on, *files["published_sizes"])
    tables.write_claims(CLAIMS, runs, [folder / "profile.json"], *on, *files["claims"])
    # More rows than a page holds; the audit and the recordings are of the simulated cohort under either name.
    quality_table(nights(folder, 100), str(RECORDINGS), dataset, True, *files["quality"])
    latex = Audit(folder).write()[2]
    Path(files["audit"][2]).write_text(latex.replace("{tab:simulated:", f"{{tab:{dataset}:"), encoding="utf-8")
    smoothed, read = write_smoothed(folder / "smoothed", runs), tables.read_runs(runs)
    networks = (sorted(set(read.model)), sorted(set(read.protocol)))
    write_postprocessing(runs, smoothed, *networks, *on, *files["postprocessing"])
    folds = make_folds(folder, tables.read_runs(runs))
    compute_statistics(str(runs), str(RECORDINGS), *on, LADDER, str(folder / "statistics"), folds)
    for name in STATISTICS_TABLES:
        write_statistics_table(name, str(folder / "statistics"), *on, *files[name])
    return [Path(files[name][2]) for name in NAMES]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("latex")
    return [path for dataset in DATASETS for path in write_tables(folder / dataset, dataset)]


def test_labels_of_two_datasets_do_not_collide(written: list[Path]) -> None:
    labels = [label for path in written for label in re.findall(r"\\label\{(.*?)\}", path.read_text())]
    assert labels == [f"tab:{dataset}:{name}" for dataset in DATASETS for name in NAMES]


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
