import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from synthetic import PROFILE, make_runs

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_json, write_json
from sleepbench.core.stages import STAGES
from sleepbench.reporting.figures.of_runs import confusion_figure
from sleepbench.reporting.page import report
from sleepbench.reporting.page.report import Line, ReportTable, dataset_report, known_figure, known_table, opening_lines
from sleepbench.reporting.statistics.compute import compute_statistics
from sleepbench.reporting.tables import audit as audit_table
from sleepbench.reporting.tables import main as tables
from sleepbench.reporting.tables import of_statistics as statistics_tables
from sleepbench.reporting.tables.published_sizes import write_published_sizes
from sleepbench.signals.totals import RECORDINGS

WORKFLOW = Path(__file__).parents[2] / "workflow"
PUBLISHED = WORKFLOW / "resources" / "published_results.csv"
SIZES = WORKFLOW / "resources" / "published_sizes.csv"
CLAIMS = WORKFLOW / "resources" / "claims.yaml"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser", "chrome"))), None)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
NASTY = "<script>document.title = 'owned'</script> & \"quoted\""


# ------------------------------------------------------------------------------------------------------ synthetic input


def write_folds(directory: Path, protocols: list[str]) -> list[Path]:
    """A fold file per protocol, named as the protocol."""
    paths = []
    for number, protocol in enumerate(protocols):
        folds = [{"train": ["SC4011"], "validation": [], "test": [f"SC40{number}1"]}]
        document = {
            "dataset": "any",
            "name": protocol,
            "unit": "recording_block",
            "k": 2,
            "folds_sha256": sha256_of_json(folds),
            "data_sha256": "d" * 64,
            "dropped": [],
            "folds": folds,
            "audit": {
                "recordings": 4,
                "recordings_tested": 4,
                "recordings_dropped": [],
                "test_recordings_whose_subject_trains": 2 - number,
                "share_of_test_recordings_whose_subject_trains": (2 - number) / 4,
            },
        }
        paths.append(directory / f"{protocol}.json")
        write_json(paths[-1], document)
    return paths


def write_training_records(runs: Path, folds: list[Path]) -> None:
    """The training.json of every run of a runs table."""
    documents = {path.stem: read_json(path) for path in folds}
    for run in tables.read_runs(runs).to_dict("records"):
        settings = {
            "dataset": run["dataset"],
            "data_sha256": "d" * 64,
            "folds": run["protocol"],
            "folds_sha256": documents[run["protocol"]]["folds_sha256"],
            "fold": run["fold"],
            "window": run["window"],
            "model": run["model"],
            "channels": ["EEG Fpz-Cz", "EEG Pz-Oz"],
            "recipe": {"name": run["recipe"], "training_epochs": run["training_epochs"]},
            "seed": run["seed"],
        }
        record = {
            "training_key": "t" * 16,
            "settings": settings,
            "code_sha256": "e" * 64,
            "provenance": {
                "simulated": bool(run["simulated"]),
                "git_commit": f"{COMMIT}+",
                "config_sha256": f"{run['seed']}" * 64,
            },
            "runs": {run["selection"]: {"run_key": run["run_key"], "training_epoch": run["selected_epoch"]}},
            "environment": {
                "device": "A Device",
                "threads": 1,
                "engine": "fast",
                "arrangement": "C kernel",
                "stacked_folds": [0, 1],
                "sleepbench": "0.1.0",
                "python": "3.11.99",
                "torch": "2.99.0+cpu",
                "numpy": "2.98.0",
                "platform": "A-Platform",
            },
            "duration_s": 100.5,
        }
        path = Path(run["directory"]) / "training.json"
        write_json(path, {**read_json(path), **record})


def write_audit(directory: Path, protocols: list[str], folds: list[Path]) -> tuple[Path, Path]:
    """The audit of the protocols as a table's CSV and for machines: the first lets subjects straddle."""
    audits = []
    for number, (protocol, path) in enumerate(zip(protocols, folds, strict=True)):
        document = read_json(path)
        epochs = {"epochs": 100, "epochs_by_stage": dict.fromkeys(STAGES, 20)}
        parts = {
            f"{part}_{what}": value
            for part in audit_table.PARTS
            for what, value in {"subjects": ["00"], "recordings": 1, **epochs}.items()
        }
        audits.append(
            {
                "protocol": protocol,
                "unit": document["unit"],
                "folds": document["k"],
                "folds_name": document["name"],
                "folds_sha256": document["folds_sha256"],
                "window": "released",
                "selection": ["best_test", "best_validation"][number % 2],
                "selection_looks_at": "test fold",
                "recordings_used": ["SC4001", "SC4002", "SC4011"],
                "recordings_dropped": [] if number else ["SC4012"],
                "subjects": ["00", "01"],
                "share_of_test_recordings_whose_subject_trains": 0 if number else 0.274,
                "subject_disjoint": bool(number),
                "subject_disjoint_promised": bool(number),
                **epochs,
                "by_fold": [parts],
            }
        )
    write_json(directory / "audit.json", {"dataset": "any", "simulated": True, "protocols": audits})
    pd.DataFrame(map(audit_table.audit_row, audits)).to_csv(directory / "audit.csv", index=False)
    return directory / "audit.csv", directory / "audit.json"


class Inputs:
    """The files behind a report on synthetic runs."""

    def __init__(self, directory: Path, dataset: str = "simulated", seeds: tuple[int, ...] = (1, 2), **runs: object):
        self.dataset, self.simulated = dataset, dataset == "simulated"
        self.protocols = ["released", "clean"]
        self.runs = make_runs(directory, dataset=dataset, seeds=seeds, **runs)
        self.folds = write_folds(directory, self.protocols)
        write_training_records(self.runs, self.folds)
        self.profile = directory / "profile.json"
        write_json(self.profile, PROFILE)
        self.audit_csv, self.audit = write_audit(directory, self.protocols, self.folds)
        names = ("main_results", "complexity", "claims", "published_sizes")  # the others come from files of their own
        files = {n: [directory / f"{n}.{e}" for e in ("csv", "md", "tex")] for n in names}
        on = (dataset, self.simulated)
        tables.write_main_results(self.runs, PUBLISHED, *on, *files["main_results"])
        tables.write_complexity([self.profile], CLAIMS, *on, *files["complexity"])
        tables.write_claims(CLAIMS, self.runs, [self.profile], *on, *files["claims"])
        write_published_sizes([self.profile], SIZES, *on, *files["published_sizes"])
        self.tables = [csv for csv, _, _ in files.values()]
        self.claims = files["claims"][0]
        self.figure = directory / "confusion.png"
        confusion_figure(self.runs, *on, self.figure, directory / "confusion.pdf", directory / "confusion.csv")

    def write_statistics(self, directory: Path) -> list[Path]:
        """The tables of the statistics of these runs; returns their CSVs."""
        ladder, on = self.protocols, (self.dataset, self.simulated)
        compute_statistics(str(self.runs), str(RECORDINGS), *on, ladder, str(directory / "statistics"))
        for name in statistics_tables.TABLES:
            outputs = [str(directory / f"{name}.{form}") for form in ("csv", "md", "tex")]
            statistics_tables.write_statistics_table(name, str(directory / "statistics"), *on, *outputs)
        return [directory / f"{name}.csv" for name in statistics_tables.TABLES]

    def write(self, output: Path, **changed) -> str:
        """Write the report; returns its HTML."""
        arguments = {
            "csvs": self.tables,
            "pngs": [self.figure],
            "runs": self.runs,
            "folds": self.folds,
            "audit": self.audit,
            "claims": self.claims,
            "profiles": [self.profile],
            "output": output,
        }
        dataset_report(self.dataset, self.simulated, **{**arguments, **changed})
        return output.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return Inputs(tmp_path_factory.mktemp("simulated"))


@pytest.fixture(scope="module")
def page(simulated, tmp_path_factory):
    return simulated.write(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return Inputs(tmp_path_factory.mktemp("real"), "sleep-edf-20", seeds=(1,))


def text_of(fragment: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", fragment)).split())


def rows_of(page: str, table: str) -> list[list[tuple[str, str | None]]]:
    """The text and the order of each cell of a table's rows."""
    rows = re.findall(rf'<tr id="{table}-\d+"[^>]*>(.*?)</tr>', page, re.DOTALL)
    cells = [re.findall(r"<td([^>]*)>(.*?)</td>", row, re.DOTALL) for row in rows]
    order = re.compile(r'data-order="([^"]*)"')
    return [[(text_of(text), (order.search(at) or [None, None])[1]) for at, text in row] for row in cells]


# ------------------------------------------------------------------------------------------------------------- the page


def test_the_page_refers_to_itself_and_to_embedded_images_only(page):
    assert "http:" not in page and "https:" not in page and "@import" not in page and "url(" not in page
    for target in re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page):
        assert target.startswith(("#", "data:")), target
    identifiers = re.findall(r'\bid="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert {target for target in re.findall(r'href="#([^"]*)"', page)} <= set(identifiers)
    assert "default-src 'none'" in page


def test_simulated_is_said_in_title_banner_and_every_heading(page):
    assert tables.SIMULATED in re.search(r"<title>(.*?)</title>", page).group(1)
    assert text_of(re.search(r'<p class="banner".*?</p>', page).group()) == tables.SIMULATED
    by_id = dict(re.findall(r'<h3 id="([^"]*)">(.*?)</h3>', page, re.DOTALL))
    for name in ("main_results", "complexity", "claims", "confusion"):
        assert tables.SIMULATED in text_of(by_id[name])
    assert tables.SIMULATED in text_of(re.search(r"<h1>.*?</h1>", page, re.DOTALL).group())
    assert tables.SIMULATED in text_of(re.search(r'<h2 id="provenance">.*?</h2>', page, re.DOTALL).group())
    assert f"SIMULATED: {tables.NOT_COMPARABLE}" in page


def test_simulated_is_not_said_of_real_data(real, tmp_path):
    page = real.write(tmp_path / "report.html")
    assert "SIMULATED" not in page and 'class="banner"' not in page
    assert "<title>Sleep-staging benchmark, Sleep-EDF-20</title>" in page


def test_cells_are_those_of_the_markdown_and_every_row_is_there(simulated, page):
    for csv in simulated.tables:
        _, layout, _ = report.TABLES[csv.stem]
        cells = tables.read_cells(csv, layout)
        shown = rows_of(page, csv.stem)
        assert [[text for text, _ in row[:-2]] for row in shown] == cells.texts
        assert [row[-2][0] for row in shown] == [str(number) for number in cells.note_numbers]
        for note in cells.notes:
            assert html.escape(note, quote=False) in page.replace("&#39;", "'").replace("&#34;", '"')
        assert html.escape(report.TABLES[csv.stem][2]).replace("&#x27;", "&#39;") in page


def test_numbers_are_sorted_by_the_csv_and_missing_ones_have_no_order(simulated, page):
    records = pd.read_csv(simulated.tables[0])
    headings = [column.heading for column in tables.MAIN_RESULTS.columns]
    for heading, column in (("Acc.", "accuracy"), ("Kappa", "cohen_kappa"), ("By fold", "accuracy_mean_of_folds")):
        orders = [row[headings.index(heading)][1] for row in rows_of(page, "main_results")]
        expected = [None if pd.isna(value) else value for value in records[column]]
        assert [order and float(order) for order in orders] == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("82.2 ± 9.9", 82.2),
        ("1,345 [60]", 1345),
        (".731", 0.731),
        ("-.012", -0.012),
        ("−1.5", -1.5),
        ("13.3K", 13300),
        ("7.89M", 7.89e6),
        ("86.9 %", 86.9),
        ("1e-05", 1e-5),
        ("< .001", 0.001),
        ("–", None),
        ("see note", None),
    ],
)
def test_number_of_a_cell(text, number):
    assert report.shown_number(text) == (number if number is None else pytest.approx(number))


def test_provenance_names_all_that_a_row_rests_on(simulated, page):
    runs = tables.read_runs(simulated.runs)
    rows = rows_of(page, "main_results")
    records = pd.read_csv(simulated.tables[0], dtype={"run_keys": str})
    assert {rows[i][-1][0] for i in records.index[records.run_keys.notna()]} == {"P1", "P2", "P3", "P4"}
    assert {rows[i][-1][0] for i in records.index[records.run_keys.isna()]} == {"–"}
    assert [row[-1][0] for row in rows_of(page, "complexity")] == ["N1", "–"]
    assert [row[-1][0] for row in rows_of(page, "published_sizes")] == ["N1"]
    # P2 and P4 are what the reference rows rest on: the runs of one seed.
    for number, protocol in ((1, "released"), (3, "clean")):
        record = re.search(rf'<div id="P{number}">(.*?)</details>', page, re.DOTALL).group(1)
        mine = runs[runs.protocol == protocol]
        folds = read_json(simulated.folds[simulated.protocols.index(protocol)])
        for value in (
            *mine.run_key,
            *mine.directory,
            folds["folds_sha256"],
            *(
                "1" * 64,
                "2" * 64,
                "e" * 64,
                f"{COMMIT}+",
                "A Device",
                "fast, by C kernel, folds 0, 1 as one stack",
                "1; 2",
                protocol,
            ),
            *("0.1.0", "3.11.99", "2.99.0+cpu", "2.98.0", "A-Platform", "6 min 42 s", "EEG Fpz-Cz, EEG Pz-Oz"),
        ):
            assert str(value) in text_of(record), value
    overview = text_of(re.search(r'aria-labelledby="origins">.*?</table>', page, re.DOTALL).group())
    assert f"{COMMIT[:8]}+" in overview and "11111111; 22222222" in overview


def test_every_row_leads_to_the_runs_or_folds_or_profile_it_is_computed_from(tmp_path):
    inputs = Inputs(tmp_path, models=("ULW-SleepNet", "TinySleepNet"))
    csvs = [*inputs.tables, inputs.audit_csv, *inputs.write_statistics(tmp_path)]
    page = inputs.write(tmp_path / "report.html", csvs=csvs)
    behind = {
        id: re.findall(r'<td class="left hash">([0-9a-f]{16})</td>', record)
        for id, record in re.findall(r'<div id="(P\d+)">(.*?)</details>', page, re.DOTALL)
    }
    for csv in csvs:
        records, rows = pd.read_csv(csv, dtype={"run_keys": str}), rows_of(page, csv.stem)
        assert len(records) == len(rows) > 0
        for (_, record), row in zip(records.iterrows(), rows, strict=True):
            ids = row[-1][0].replace(" ,", ",").split(", ")
            if csv.stem == "audit":
                assert ids == [f"F{1 + inputs.protocols.index(record.protocol)}"]
            elif csv.stem in statistics_tables.TABLES or record.get("mark") == "reference":
                assert {key for id in ids for key in behind[id]} == set(record.run_keys.split())
    # A comparison is of two networks, and a change of two rungs; of one protocol and network all tables share the runs.
    ids = {csv.stem: [row[-1][0] for row in rows_of(page, csv.stem)] for csv in csvs}
    assert len(behind) == 8 and all(len(text.split()) == 3 for text in ids["comparisons"])
    assert [len(text.split()) for text in ids["ladder"]] == [1, 3, 1, 3]
    assert ids["claims"] == ["–", "–", "N1", "N1", "–"] and ids["complexity"] == ["N1", "–"]
    # And back from the runs to the rows.
    record = re.search(r'<div id="P1">(.*?)</dl>', page, re.DOTALL).group(1)
    listed = text_of(re.search(r"<dt>Table rows</dt><dd>(.*?)</dd>", record, re.DOTALL).group(1))
    assert listed.startswith("Sleep staging by protocol, row 1 ; Metrics, pooled and over subjects, rows 1 , 2 ;")
    folds = text_of(re.search(r'<dt id="F2">.*?</dl>', page, re.DOTALL).group())
    assert "Table rows Audit of the protocols, row 2" in folds and read_json(inputs.folds[1])["folds_sha256"] in folds


def test_what_was_not_trained_is_said_where_something_was_not(simulated, page, tmp_path):
    assert "Not trained" not in page
    again = simulated.write(tmp_path / "report.html", not_trained=["Input four: not defined (A & B).", "Recipe x: no."])
    said = re.search(r'<p class="caption" id="not-trained">(.*?)</p>', again).group(1)
    assert text_of(said) == "Not trained. Input four: not defined (A & B). Recipe x: no."


def test_an_audit_of_other_folds_is_refused(simulated, tmp_path):
    audit = pd.read_csv(simulated.audit_csv).assign(folds_sha256="0" * 64)
    audit.to_csv(tmp_path / "audit.csv", index=False)
    with pytest.raises(BenchmarkError, match=r"protocol released is of the folds released \(00000000\), not one of"):
        simulated.write(tmp_path / "report.html", csvs=[tmp_path / "audit.csv"])


def test_trainings_that_runs_share_are_timed_once(simulated):
    runs = tables.read_runs(simulated.runs).query("protocol == 'released'").iloc[:2]
    first = runs.directory.iloc[0]
    other = json.loads((Path(first) / "training.json").read_text())["settings"]
    shared = runs.assign(directory=first, fold=other["fold"], seed=other["seed"], run_key=runs.run_key.iloc[0])
    origins = report.Origins(shared, simulated.folds, True)
    assert origins.of_runs(" ".join(shared.run_key)).duration_s == 100.5


def test_text_is_escaped(simulated, tmp_path):
    layout = tables.Layout((tables.Column("A <b>", tables.text("a"), "left"),), tables.text("a"))
    pd.DataFrame({"a": [NASTY]}).to_csv(tmp_path / "t.csv", index=False)
    table = ReportTable("t", NASTY, tmp_path / "t.csv", layout, NASTY)
    figure = report.ReportFigure("f", NASTY, simulated.figure, NASTY)
    files = (simulated.runs, simulated.folds, simulated.claims)
    report.write_report("simulated", True, [table], [figure], *files, [Line(NASTY, NASTY)], tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert page.count("<script>") == 1 and "<b>" not in page
    assert page.count("&lt;script&gt;") >= 8
    assert '"quoted"' not in page


def test_the_same_inputs_give_the_same_bytes(simulated, page, tmp_path):
    assert simulated.write(tmp_path / "again.html") == page
    assert [path.name for path in tmp_path.iterdir()] == ["again.html"]


# ---------------------------------------------------------------------------------------------------------- the opening


def test_opening_names_runs_verdicts_audit_and_the_next_command(simulated, page):
    lines = [text_of(line) for line in re.findall(r"<li><span class=.label.*?</li>", page)]
    assert lines[0].startswith("Run 8 runs on simulated signals (SIMULATED")
    assert "(released: 2 folds, clean: 2 folds)" in lines[0] and "2 seeds (1, 2)" in lines[0]
    verdicts = ["Reproduced"] * 2 + ["Not testable here"] * 3
    assert [line.startswith(verdict) for line, verdict in zip(lines[1:6], verdicts, strict=True)] == [True] * 5
    assert lines[6:8] == [
        "Audit Subjects disjoint: clean; not: released (27 % of test recordings have their subject in training). "
        "Recordings dropped: released (1 of 4).",
        "Selection The reported training epoch is selected on the test fold: released; on validation subjects: clean.",
    ]
    assert lines[-1].startswith("Next") and "make paper DATASET=sleep-edf-20" in lines[-1]
    assert not [line for line in lines if "86.9" in line and not line.startswith("Not testable here")]


def test_opening_has_ten_lines_at_most_and_says_what_it_leaves_out(simulated):
    runs, claims = tables.read_runs(simulated.runs), report.read_claims(simulated.claims)
    many = pd.concat([claims] * 4)
    many.iloc[-1, many.columns.get_loc("verdict")] = "not reproduced"
    lines = opening_lines("simulated", True, runs, many, read_json(simulated.audit)["protocols"])
    assert len(lines) == 10
    assert lines[1].label == "Not reproduced"
    assert lines[6] == Line("More claims", "4 reproduced, 11 not testable here: see the table of published claims.")
    assert [line.label for line in lines[7:]] == ["Audit", "Selection", "Next"]


def test_audit_lines_gather_the_protocols(simulated):
    numbers = {"recordings_used": ["SC4001"], "recordings_dropped": []}
    apart = {"subject_disjoint": True, "share_of_test_recordings_whose_subject_trains": 0.0, **numbers}
    mixed = {"subject_disjoint": False, "share_of_test_recordings_whose_subject_trains": 0.5, **numbers}
    audits = [
        {"protocol": "a", "selection": "best_test", **mixed},
        {"protocol": "b", "selection": "best_test", **mixed},
        {"protocol": "c", "selection": "last", **apart},
    ]
    inputs = ("simulated", True, tables.read_runs(simulated.runs), report.read_claims(simulated.claims))
    subjects, selected = opening_lines(*inputs, audits)[-3:-1]
    assert subjects.text == (
        "Subjects disjoint: c; not: a (50 % of test recordings have their subject in training), b (50 %). "
        "Recordings dropped: none."
    )
    assert selected.text == (
        "The reported training epoch is selected on the test fold: a, b; on no data, the last epoch: c."
    )
    assert opening_lines(*inputs, audits[2:])[-3].text.startswith("Subjects disjoint: c; not: none. ")


def test_next_step_on_real_data_names_the_other_dataset_only(real):
    audits = read_json(real.audit)["protocols"]
    lines = opening_lines("sleep-edf-20", False, tables.read_runs(real.runs), report.read_claims(real.claims), audits)
    assert "DATASET=sleep-edf-78" in lines[-1].text and "DATASET=sleep-edf-20" not in lines[-1].text
    assert "Sleep-EDF-20" in lines[0].text


# -------------------------------------------------------------------------------------------------------------- errors


def test_no_verdict_may_rest_on_simulated_runs(simulated, tmp_path):
    claims = report.read_claims(simulated.claims)
    claims.loc[0, ["verdict", "run_keys"]] = ["reproduced", "0010007777777777"]
    claims.to_csv(tmp_path / "claims.csv", index=False)
    with pytest.raises(BenchmarkError, match=r"accuracy-sleep-edf-20: 'reproduced' rests on runs with simulated"):
        simulated.write(tmp_path / "report.html", claims=tmp_path / "claims.csv")
    claims.loc[0, "verdict"] = "confirmed"
    with pytest.raises(BenchmarkError, match="the verdict is 'confirmed'"):
        report.check_verdicts(claims, False)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["settings"].update(seed=99), "seed is 99, expected 1"),
        (lambda record: record["settings"].update(folds_sha256="f"), "hash of the folds released is f, expected"),
        (lambda record: record["settings"].update(folds="other"), "expected a fold file among those given"),
        (lambda record: record["provenance"].update(simulated=False), "simulated is False, expected True"),
        (lambda record: record.update(runs={}), "run_key is None, expected 0010007777777777"),
    ],
)
def test_records_that_contradict_the_runs_table_are_named(simulated, tmp_path, change, message):
    runs = tables.read_runs(simulated.runs)
    record = read_json(Path(runs.directory[0]) / "training.json")
    change(record)
    write_json(tmp_path / "training.json", record)
    runs.loc[0, "directory"] = str(tmp_path)
    with pytest.raises(BenchmarkError, match=message):
        report.Origins(runs, simulated.folds, True)


def test_missing_records_and_unknown_runs_are_named(simulated, tmp_path):
    runs = tables.read_runs(simulated.runs)
    with pytest.raises(BenchmarkError, match="does not hold \\(unknown\\)"):
        report.Origins(runs, simulated.folds, True).of_runs("unknown")
    with pytest.raises(BenchmarkError, match=str(tmp_path / "training.json")):
        report.Origins(runs.assign(directory=str(tmp_path)), simulated.folds, True)


def test_unknown_tables_and_broken_images_are_named(tmp_path):
    for known in (known_table, known_figure):
        with pytest.raises(BenchmarkError, match=r"odd\.csv: the report knows"):
            known(tmp_path / "odd.csv")
    (tmp_path / "night.png").write_text("no image")
    with pytest.raises(BenchmarkError, match=r"night\.png: not a PNG"):
        report.shown_figure(known_figure(tmp_path / "night.png"), "simulated", True)


# -------------------------------------------------------------------------------------------------------- in a browser


def browse(page: Path, directory: Path, *options: str) -> tuple[str, str]:
    """The document after its scripts ran in headless Chromium, and what the console said; no host can be resolved."""
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--no-first-run"),
        *("--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--enable-logging=stderr", "--v=0", "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,2000"),
        *(f"--user-data-dir={directory / 'profile'}", *options, "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def with_script(page: str, script: str) -> str:
    """The page with one more script at its end."""
    return page.replace("</body>", f"<script>{script}</script></body>")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")
class TestInChromium:
    @pytest.mark.parametrize("asks", [False, True], ids=["as_it_is", "with_a_request"])
    def test_no_console_message_and_no_request(self, page, tmp_path, asks):
        if asks:  # to see that a request would be seen
            page = page.replace("</main>", '<img src="https://example.org/x.png" alt=""></main>')
        (tmp_path / "report.html").write_text(page, encoding="utf-8")
        dom, console = browse(tmp_path / "report.html", tmp_path)
        assert "</html>" in dom and ("Content Security Policy" in console if asks else console == "")

        # Without the policy that would stop them, no requests either. Chromium's own, for updates, are not listed.
        listed = """
            const names = () => performance.getEntriesByType("resource").map(entry => entry.name);
            addEventListener("load", () => setTimeout(() => { document.title = JSON.stringify(names()); }, 500));"""
        (tmp_path / "open.html").write_text(with_script(POLICY.sub("", page), listed), encoding="utf-8")
        dom, _ = browse(tmp_path / "open.html", tmp_path)
        asked = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom).group(1)))
        assert asked == (["https://example.org/x.png"] if asks else [])

    def test_nothing_is_wider_than_the_window(self, page, tmp_path):
        measure = """
            const root = document.documentElement;
            const wide = [...document.querySelectorAll("body *")].filter(
                e => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1);
            const small = [...document.querySelectorAll("p, li, td, th, dd, summary, figcaption")].filter(
                e => parseFloat(getComputedStyle(e).fontSize) < 11);
            const scrolling = [...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth);
            parent.postMessage({width: innerWidth, scroll: root.scrollWidth, wide: wide.map(e => e.outerHTML),
                small: small.length, scrolling: scrolling.length}, "*");"""
        opened = page.replace("<details>", "<details open>")
        (tmp_path / "report.html").write_text(with_script(opened, measure), encoding="utf-8")
        for width in (400, 1280):
            # A window of headless Chromium is at least 500 pixels wide; a frame may be narrower.
            frame = (
                f'<iframe src="report.html" style="width:{width}px;height:900px;border:0"></iframe><p id="found"></p>'
            )
            listener = "onmessage = e => { document.getElementById('found').textContent = JSON.stringify(e.data); };"
            wrapper = tmp_path / f"frame-{width}.html"
            wrapper.write_text(f"<!DOCTYPE html><script>{listener}</script>{frame}", encoding="utf-8")
            dom, console = browse(wrapper, tmp_path)
            assert console == ""
            found = json.loads(html.unescape(re.search(r'<p id="found">(.*?)</p>', dom).group(1)))
            assert found["width"] == width and found["scroll"] <= width
            assert found["wide"] == [] and found["small"] == 0
            assert found["scrolling"] or width == 1280  # wide tables scroll in a container of their own

    def test_sorting_links_and_buttons(self, page, tmp_path):
        act = """
            const table = document.querySelector('table[aria-labelledby="main_results"]');
            const heads = [...table.tHead.rows[0].cells];
            const column = name => heads.findIndex(head => head.textContent.trim() === name);
            const read = name => [...table.tBodies[0].rows].map(row => row.cells[column(name)].textContent);
            const log = {printed: read("MF1"), clicks: []};
            for (const name of ["MF1", "MF1", "MF1", "Model", "Runs"]) {
                heads[column(name)].querySelector("button").click();
                log.clicks.push([heads[column(name)].getAttribute("aria-sort"), read(name),
                    document.querySelectorAll("[aria-sort]").length]);
            }
            log.focusable = heads.every(head => head.querySelector("button").tabIndex === 0);
            document.querySelector("button.size").click();
            log.pressed = document.querySelector("button.size").getAttribute("aria-pressed");
            location.hash = "#P2";
            setTimeout(() => {
                log.open = [...document.querySelectorAll("details")].map(details => details.open);
                document.title = JSON.stringify(log);
            }, 300);"""
        (tmp_path / "report.html").write_text(with_script(page, act), encoding="utf-8")
        dom, console = browse(tmp_path / "report.html", tmp_path)
        assert console == ""
        log = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom).group(1)))
        numbers = sorted(float(text) for text in log["printed"] if text != "–")
        missing = ["–"] * log["printed"].count("–")
        (up, rising, one), (down, falling, _), (no, restored, none), (text, models, _), (*_, ids, _) = log["clicks"]
        assert (up, down, no, text, one, none) == ("ascending", "descending", None, "ascending", 1, 0)
        assert missing and [float(text) for text in rising if text != "–"] == numbers and rising[-1] == "–"
        assert falling == [f"{number:.1f}" for number in numbers[::-1]] + missing
        assert restored == log["printed"]
        assert models == sorted(models, key=str.casefold)
        assert [text for text in ids if text != "–"] == ["P1", "P2", "P3", "P4"] and ids[-1] == "–"
        assert log["focusable"] and log["pressed"] == "true" and log["open"] == [False, True, False, False]
