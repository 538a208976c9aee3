"""The report: one page of all tables and figures, with where each number is from."""

import base64
import html
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from fake_results import COMMIT, LABELS, FakeResults

from sleepbench.config import paths
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_document, write_json
from sleepbench.protocols.selection import SELECTION_RULES
from sleepbench.reporting import artefacts, declared
from sleepbench.reporting import figures as figures_room
from sleepbench.reporting.artefacts import FigureArtefact, Table, figures, make_statistics, statistics, tables
from sleepbench.reporting.audit import write_audit
from sleepbench.reporting.figures.style import make_figure
from sleepbench.reporting.page import report
from sleepbench.reporting.page.opening import Line, check_verdicts, opening_lines
from sleepbench.reporting.page.origins import Origins
from sleepbench.reporting.page.report import dataset_report, row_anchors, shown_figure, shown_table
from sleepbench.reporting.page.template import sentences
from sleepbench.reporting.reading import read_csv
from sleepbench.reporting.rendering import Cells, Column, make_table, read_cells, text

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser", "chrome"))), None)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
NASTY = "<script>document.title = 'owned'</script> & \"quoted\""
WARNING = LABELS["simulated"].warning
FROM_STATISTICS = [name for name, one in tables().items() if any(key.startswith("statistics/") for key in one.inputs)]


class Report:
    """The files behind a report on made-up runs, and the report."""

    def __init__(self, directory: Path, dataset: str = "simulated", seeds: tuple[int, ...] = (1, 2), **runs: object):
        self.results = FakeResults(directory, dataset=dataset, seeds=seeds, **runs)
        self.label, self.runs, self.folds = self.results.label, self.results.runs, self.results.folds
        for directory in self.results.read_runs().directory:
            record = read_json(Path(directory) / "training.json")
            record["provenance"]["git_commit"] = f"{COMMIT}+"
            record["environment"]["stacked_folds"] = [0, 1]
            write_document(Path(directory) / "training.json", record)
        self.audit, self.profiles = self.results.files["audit"], self.results.files["profiles"]
        protocols, totals = self.results.all_settings()["protocols"], self.results.files["totals"]
        write_audit(protocols, self.folds, totals, self.label, self.audit)
        document = read_json(self.audit)
        document["protocols"][0] |= {"subject_disjoint": False, "share_of_test_recordings_whose_subject_trains": 0.274}
        write_json(self.audit, document)
        names = ("main_results", "complexity", "claims", "published_sizes")  # the others come from files of their own
        self.tables = {name: self.make_table(name) for name in names}
        self.figures = {"confusion": self.make_figure("confusion")}

    def make_table(self, name: str) -> Path:
        """Make a table; returns its CSV."""
        outputs = [self.results.path(paths.table(self.label.dataset, name, form)) for form in ("csv", "md", "tex")]
        make_table(tables()[name], self.results.inputs(tables()[name]), *outputs)
        return outputs[0]

    def make_figure(self, name: str) -> Path:
        """Make a figure; returns its PNG."""
        outputs = [self.results.path(paths.figure(self.label.dataset, name, form)) for form in ("png", "pdf", "csv")]
        make_figure(figures()[name], self.results.inputs(figures()[name]), *outputs)
        return outputs[0]

    def make_statistics(self) -> dict[str, Path]:
        """Make the tables of the statistics of these runs; returns their CSVs."""
        for artefact in statistics().values():
            files = {name: self.results.statistics(name) for name in artefact.names}
            make_statistics(artefact, self.results.inputs(artefact, ladder=list(self.results.protocols)), files)
        return {name: self.make_table(name) for name in FROM_STATISTICS}

    def write(self, output: Path, **changed) -> str:
        """Write the report; returns its HTML."""
        names = ("label", "tables", "figures", "runs", "folds", "audit", "profiles")
        dataset_report(**{**{name: getattr(self, name) for name in names}, "output": output, **changed})
        return output.read_text(encoding="utf-8")

    def opening(self, **changed) -> list[Line]:
        """The first lines."""
        given = {"claims": read_csv(self.tables["claims"]), "audits": read_json(self.audit)["protocols"]}
        return opening_lines(self.label, self.results.read_runs(), **{**given, **changed})


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return Report(tmp_path_factory.mktemp("simulated"))


@pytest.fixture(scope="module")
def page(simulated, tmp_path_factory):
    return simulated.write(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return Report(tmp_path_factory.mktemp("real"), "sleep-edf-20", seeds=(1,))


def text_of(fragment: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", fragment)).split())


def rows_of(page: str, table: str) -> list[list[tuple[str, str | None]]]:
    """The text and the order of each cell of a table's rows, without their notes."""
    page = re.sub(r"<sup>.*?</sup>", "", page)
    rows = re.findall(rf'<tr id="{table}\.[^"]*"[^>]*>(.*?)</tr>', page, re.DOTALL)
    cells = [re.findall(r"<td([^>]*)>(.*?)</td>", row, re.DOTALL) for row in rows]
    order = re.compile(r'data-order="([^"]*)"')
    return [[(text_of(text), (order.search(at) or [None, None])[1]) for at, text in row] for row in cells]


# -------------------------------------------------------------------------------------------------- rows and downloads


@pytest.mark.parametrize(
    ("record", "chosen"),
    [
        ({"model": "ULW-SleepNet", "protocol": "clean", "mark": "measured"}, (["ULW-SleepNet"], ["clean"])),
        ({"title": "ULW-SleepNet", "rival": "EEGNet", "protocol": "clean"}, (["ULW-SleepNet", "EEGNet"], ["clean"])),
        ({"model": "commonest stage, always", "protocol": "clean", "mark": "reference"}, (None, ["clean"])),
        ({"model": "people, another database", "protocol": "majority", "mark": "people"}, (None, None)),
        ({"model": "ULW-SleepNet (re-run)", "protocol": "not known", "mark": "secondary"}, (["ULW-SleepNet"], None)),
        ({"model": None, "protocol": None}, (None, None)),
    ],
)
def test_rows_are_chosen_by_what_they_say(simulated, record, chosen):
    found = report.chosen_by(pd.Series(record), Origins(simulated.results.read_runs()))
    assert (found.get("model"), found.get("protocol")) == chosen


def test_files_behind_tables_and_figures_are_embedded_as_they_are(simulated, page):
    links = dict(re.findall(r'<a download="([^"]*)" href="data:[a-z/-]*;base64,([^"]*)">', page))
    files = {
        f"simulated-tables-{name}.{form}": csv.with_suffix(f".{form}")
        for name, csv in simulated.tables.items()
        for form in ("csv", "tex")
    }
    files |= {
        f"simulated-figures-{name}.{form}": png.with_suffix(f".{form}")
        for name, png in simulated.figures.items()
        for form in ("pdf", "csv")
    }
    assert {name: base64.b64decode(content) for name, content in links.items()} == {
        name: file.read_bytes() for name, file in files.items()
    }


def test_a_file_too_large_for_a_link_is_named_instead(simulated, tmp_path, monkeypatch):
    size = simulated.tables["claims"].stat().st_size
    monkeypatch.setattr(report, "MOST_EMBEDDED_BYTES", size)
    assert report.shown_files([simulated.tables["claims"]], "simulated")[0].uri
    monkeypatch.setattr(report, "MOST_EMBEDDED_BYTES", size - 1)
    page = simulated.write(tmp_path / "report.html")
    assert 'download="simulated-tables-claims.csv"' not in page and "CSV: <code>tables/claims.csv</code>" in page


# ------------------------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Acc. (accuracy) is pooled. MF1 too. By fold.", ("Acc. (accuracy) is pooled.", "MF1 too. By fold.")),
        ("One sentence of 5.3 points.", ("One sentence of 5.3 points.", "")),
        ("", ("", "")),
    ],
)
def test_a_caption_is_folded_to_its_first_sentence(text, parts):
    assert sentences(text) == parts


def test_links_to_rows_stay_when_rows_are_moved_or_added():
    def anchors(keys: tuple[str, ...], **columns: list) -> list[str]:
        records = pd.DataFrame(columns)
        shown = (Column("A", text("a"), "left"), Column("B", text("b")))
        cells = Cells(shown, "", records, [[str(row.a), str(row.b)] for row in records.itertuples()], [], [])
        return row_anchors(Table("t", 0, "", "", (), lambda inputs: None, shown, text("a"), keys), cells)

    first = anchors(("a", "b"), a=["ULW-SleepNet", "x"], b=["clean", None], data=["Sleep-EDF-20"] * 2)
    assert first == ["t.sleep-edf-20.ulw-sleepnet.clean", "t.sleep-edf-20.x"]
    more = anchors(("a", "b"), a=["x", "new", "ULW-SleepNet"], b=[None, "1", "clean"], data=["Sleep-EDF-20"] * 3)
    assert {*first} < {*more}
    # Without keys, what stands at the left names a row; two of one name are told apart.
    assert anchors((), a=["x (y)", "x y", "<b>"], b=[1, 2, 3]) == ["t.x-y", "t.x-y.2", "t.b"]


def test_the_page_refers_to_itself_and_to_embedded_images_only(page):
    assert "http:" not in page and "https:" not in page and "@import" not in page and "url(" not in page
    for target in re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page):
        assert target.startswith(("#", "data:")), target
    assert_links_lead_somewhere(page)
    assert "default-src 'none'" in page


def assert_links_lead_somewhere(page: str) -> None:
    """No two elements have one id, and links and labels name ids that are there."""
    identifiers = re.findall(r'\bid="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))
    referred = re.findall(r'(?:href="#|aria-labelledby="|aria-describedby="|\bfor=")([^"]*)"', page)
    assert set(referred) <= set(identifiers)


def test_headings_controls_and_images_can_be_read_aloud(page):
    levels = [int(level) for level in re.findall(r"<h(\d)\b", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for tag in ("button", "th", "summary", "h2", "h3", "label", "option"):
        assert all(text_of(inner) for inner in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page, re.DOTALL)), tag
    assert all(text_of(inner) or "aria-label=" in at for at, inner in re.findall(r"<a\b([^>]*)>(.*?)</a>", page))
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img\b[^>]*>", page))
    assert set(re.findall(r'<select id="([^"]*)"', page)) == set(re.findall(r'<label for="([^"]*)"', page)) != set()


def test_simulated_is_said_in_title_banner_and_every_heading(page):
    assert page.count('class="banner"') == 1
    assert WARNING in re.search(r"<title>(.*?)</title>", page).group(1)
    assert text_of(re.search(r'<aside class="banner".*?</aside>', page).group()) == WARNING
    by_id = dict(re.findall(r'<h3 id="([^"]*)">(.*?)</h3>', page, re.DOTALL))
    for name in ("main_results", "complexity", "claims", "figure-confusion"):
        assert WARNING in text_of(by_id[name])
    assert WARNING in text_of(re.search(r"<h1>.*?</h1>", page, re.DOTALL).group())
    assert WARNING in text_of(re.search(r'<h2 id="provenance">.*?</h2>', page, re.DOTALL).group())
    said = re.findall(r'<p class="caution">(.*?)</p>', page)
    others = "DOD-H, DOD-O, Sleep-EDF-20, Sleep-EDF-78"
    assert said == [f"SIMULATED: rows on {others} cannot be compared with those on simulated data."]


def test_simulated_is_not_said_of_real_data(real, tmp_path):
    page = real.write(tmp_path / "report.html")
    assert "SIMULATED" not in page and 'class="banner"' not in page
    assert "ULW-SleepNet on Sleep-EDF-20: accuracy 86.9 % (published: arXiv:2602.23852, abstract)" in text_of(page)
    assert "<title>Sleep-staging benchmark, Sleep-EDF-20</title>" in page


def test_cells_are_those_of_the_markdown_and_every_row_is_there(simulated, page):
    for name, csv in simulated.tables.items():
        cells = read_cells(tables()[name], csv)
        shown = rows_of(page, name)
        assert [[text for text, _ in row[:-1]] for row in shown] == cells.texts
        assert re.findall(rf'<sup><a href="#{name}-note-(\d+)"', page) == [str(number) for number in cells.note_numbers]
        for note in cells.notes:
            assert html.escape(note, quote=False) in page.replace("&#39;", "'").replace("&#34;", '"')
        caption = re.search(rf'<(\w+) class="caption">(<summary id="{name}-caption">.*?)</\1>', page, re.DOTALL).group(
            2
        )
        assert text_of(caption) == text_of(html.escape(cells.caption))


def test_tables_and_figures_stand_in_the_order_of_the_registry(simulated, page, tmp_path):
    files = dict(reversed(simulated.tables.items()))
    assert simulated.write(tmp_path / "report.html", tables=files) == page
    headings = [name for name in re.findall(r'<h3 id="([^"]*)">', page) if name not in ("origins", "folds", "profiles")]
    assert headings == [*(name for name in tables() if name in files), "figure-confusion"]


def test_numbers_are_sorted_by_the_csv_and_missing_ones_have_no_order(simulated, page):
    records = pd.read_csv(simulated.tables["main_results"])
    headings = [column.heading for column in tables()["main_results"].columns]
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
    runs = simulated.results.read_runs()
    rows = rows_of(page, "main_results")
    records = read_csv(simulated.tables["main_results"])
    assert {rows[i][-1][0] for i in records.index[records.run_keys.notna()]} == {"P1", "P2", "P3", "P4"}
    assert {rows[i][-1][0] for i in records.index[records.run_keys.isna()]} == {"–"}
    assert [row[-1][0] for row in rows_of(page, "complexity")] == ["N1", "–"]
    assert [row[-1][0] for row in rows_of(page, "published_sizes")] == ["N1"]
    # P2 and P4 are what the reference rows rest on: the runs of one seed.
    for number, protocol in ((1, "released"), (3, "clean")):
        record = re.search(rf'<div id="P{number}">(.*?)</details>', page, re.DOTALL).group(1)
        mine = runs[runs.protocol == protocol]
        folds = simulated.results.fold_document(protocol)
        for value in (
            *(*mine.run_key, *mine.directory, folds["folds_sha256"], "1" * 64, "2" * 64, "e" * 64, f"{COMMIT}+"),
            *("A Device", "fast, by C kernel, folds 0, 1 as one stack", "1; 2", protocol),
            *(f"Trimming {mine.trimming.iloc[0]}", "Input four (eeg1, eeg2, eog, emg)"),
            *("0.1.0", "3.11.99", "2.99.0+cpu", "2.98.0", "A-Platform", "6 min 42 s"),
        ):
            assert str(value) in text_of(record), value
    overview = text_of(re.search(r'aria-labelledby="origins">.*?</table>', page, re.DOTALL).group())
    assert f"{COMMIT[:8]}+" in overview and "11111111; 22222222" in overview


def test_every_row_leads_to_the_runs_or_folds_or_profile_it_is_computed_from(tmp_path):
    made = Report(tmp_path, models=("ULW-SleepNet", "TinySleepNet"))
    csvs = {**made.tables, "audit": made.make_table("audit"), **made.make_statistics()}
    pngs = {"ladder": made.make_figure("ladder"), **made.figures}
    page = made.write(tmp_path / "report.html", tables=csvs, figures=pngs)
    assert_links_lead_somewhere(page)
    # The answer comes first, and the ladder with it.
    answer = re.search(r'<section aria-labelledby="answer">(.*?)</section>', page, re.DOTALL).group(1)
    assert re.findall(r'<figure aria-labelledby="(.*?)">', answer) == ["figure-ladder"]
    assert page.count('<figure aria-labelledby="figure-ladder">') == 1 and page.index(answer) < page.index(
        'id="opening"'
    )
    assert re.findall(r'<dd>.*?href="#(.*?)"', answer) == [
        "intervals",
        "main_results",
        "ladder",
        "non_inferiority",
        "claims",
    ]
    pooled = read_csv(csvs["intervals"]).query("over == 'pooled'").iloc[0]
    assert f"under {pooled.protocol} accuracy {pooled.accuracy:.1f} % [{pooled.accuracy_low:.1f}," in text_of(answer)
    behind = {
        id: re.findall(r'<td class="left hash">([0-9a-f]{16})</td>', record)
        for id, record in re.findall(r'<div id="(P\d+)">(.*?)</details>', page, re.DOTALL)
    }
    protocols = list(made.results.protocols)
    for name, csv in csvs.items():
        records, rows = read_csv(csv), rows_of(page, name)
        assert len(records) == len(rows)
        assert len(rows) or name == "marginal_loss"  # no rival has a profile here
        for (_, record), row in zip(records.iterrows(), rows, strict=True):
            ids = row[-1][0].replace(" ,", ",").split(", ")
            if name == "audit":
                assert ids == [f"F{1 + protocols.index(record.protocol)}"]
            elif name in FROM_STATISTICS or record.get("mark") == "reference":
                assert {key for id in ids for key in behind[id]} == set(record.run_keys.split())
    # A comparison is of two contenders, and a change of two rungs; of one protocol and contender all tables share runs.
    ids = {name: [row[-1][0] for row in rows_of(page, name)] for name in csvs}
    assert len(behind) == 8 and all(len(text.split()) == 3 for text in ids["comparisons"])
    assert [len(text.split()) for text in ids["ladder"]] == [1, 3, 1, 3]
    assert ids["claims"] == ["–", "–", "N1", "N1", "–", "N1", "N1", "–"] and ids["complexity"] == ["N1", "–"]
    # And back from the runs to the rows.
    record = re.search(r'<div id="P1">(.*?)</dl>', page, re.DOTALL).group(1)
    listed = text_of(re.search(r"<dt>Table rows</dt><dd>(.*?)</dd>", record, re.DOTALL).group(1))
    assert listed.startswith("Sleep staging by protocol, row 1 ; The ladder of protocols, rows 1 , 2 ;")
    folds = text_of(re.search(r'<dt id="F2">.*?</dl>', page, re.DOTALL).group())
    assert "Table rows Audit of the protocols, row 2" in folds and read_json(made.folds[1])["folds_sha256"] in folds


def test_what_was_not_trained_is_said_where_something_was_not(simulated, page, tmp_path):
    assert "Not trained" not in page
    again = simulated.write(tmp_path / "report.html", not_trained=["Input four: not defined (A & B).", "Recipe x: no."])
    said = re.search(r'<p class="caption" id="not-trained">(.*?)</p>', again).group(1)
    assert text_of(said) == "Not trained. Input four: not defined (A & B). Recipe x: no."


def test_an_audit_of_other_folds_is_refused(simulated, tmp_path):
    audit = read_csv(simulated.make_table("audit")).assign(folds_sha256="0" * 64)
    audit.to_csv(tmp_path / "audit.csv", index=False)
    name = read_json(simulated.folds[0])["name"]
    with pytest.raises(BenchmarkError, match=rf"protocol released is of the folds {name} \(00000000\), not one of"):
        simulated.write(tmp_path / "report.html", tables=simulated.tables | {"audit": tmp_path / "audit.csv"})


def test_trainings_that_runs_share_are_timed_once(simulated):
    runs = simulated.results.read_runs().query("protocol == 'released'").iloc[:2]
    shared = runs.assign(directory=runs.directory.iloc[0])
    (origin,) = Origins(shared).behind(" ".join(shared.run_key))
    assert len(origin.runs) == 2 and origin.duration_s == 100.5


def test_text_is_escaped(simulated, tmp_path):
    pd.DataFrame({"a": [NASTY]}).to_csv(tmp_path / "t.csv", index=False)
    columns = (Column("A <b>", text("a"), "left"),)
    table = Table("t", 0, NASTY, NASTY, (), lambda inputs: None, columns, text("a"))
    figure = FigureArtefact("f", 0, NASTY, NASTY, (), lambda inputs: None, lambda numbers, inputs: None)
    sources = report.Sources(Origins(simulated.results.read_runs()), [], [])
    shown = [shown_table(table, tmp_path / "t.csv", simulated.label, sources)]
    drawn = [shown_figure(figure, simulated.figures["confusion"], simulated.label)]
    report.write_page(
        simulated.label, shown, drawn, [Line(NASTY, NASTY, "t")], [Line(NASTY, NASTY)], sources, tmp_path / "r.html"
    )
    page = (tmp_path / "r.html").read_text()
    assert page.count("<script>") == 1 and "<b>" not in page
    assert page.count("&lt;script&gt;") >= 8
    assert '"quoted"' not in page


def test_the_same_inputs_give_the_same_bytes(simulated, page, tmp_path):
    assert simulated.write(tmp_path / "again.html") == page
    assert [path.name for path in tmp_path.iterdir()] == ["again.html"]


# ---------------------------------------------------------------------------------------------------------- the opening


def test_opening_names_runs_verdicts_audit_and_the_next_command(page):
    lines = [text_of(line) for line in re.findall(r"<li><span class=.label.*?</li>", page)]
    assert lines[0].startswith("Run 8 runs on simulated signals (SIMULATED")
    assert "(released: 2 folds, clean: 2 folds)" in lines[0] and "2 seeds (1, 2)" in lines[0]
    verdicts = ["Reproduced"] * 4 + ["Not testable here"]
    assert [line.startswith(verdict) for line, verdict in zip(lines[1:6], verdicts, strict=True)] == [True] * 5
    assert lines[6:9] == [
        "More claims 3 not testable here: see the table of published claims.",
        "Audit Subjects disjoint: clean; not: released (27 % of test recordings have their subject in training). "
        "Recordings dropped: released (1 of 4).",
        "Selection The reported training epoch is selected on the test fold: released; on validation subjects: clean.",
    ]
    assert lines[-1].startswith("Next") and "make paper DATASET=sleep-edf-20" in lines[-1]
    assert not [line for line in lines if "86.9" in line and not line.startswith("Not testable here")]


def test_opening_has_ten_lines_at_most_and_says_what_it_leaves_out(simulated):
    many = pd.concat([read_csv(simulated.tables["claims"])] * 4)
    many.iloc[-1, many.columns.get_loc("verdict")] = "not reproduced"
    lines = simulated.opening(claims=many)
    assert len(lines) == 10
    assert lines[1].label == "Not reproduced"
    assert lines[6] == Line("More claims", "12 reproduced, 15 not testable here: see the table of published claims.")
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
    subjects, selected = simulated.opening(audits=audits)[-3:-1]
    assert subjects.text == (
        "Subjects disjoint: c; not: a (50 % of test recordings have their subject in training), b (50 %). "
        "Recordings dropped: none."
    )
    assert selected.text == (
        "The reported training epoch is selected on the test fold: a, b; on no data, the last epoch: c."
    )
    assert simulated.opening(audits=audits[2:])[-3].text.startswith("Subjects disjoint: c; not: none. ")


@pytest.mark.parametrize("rule", SELECTION_RULES.values(), ids=SELECTION_RULES)
def test_the_opening_says_of_every_selection_rule_where_it_looks(simulated, rule):
    audits = [{**read_json(simulated.audit)["protocols"][0], "selection": rule.name}]
    assert simulated.opening(audits=audits)[-2].text.endswith(f"is selected {rule.sentence}: released.")


def test_next_step_on_real_data_names_the_other_dataset_only(real):
    lines = real.opening()
    assert "DATASET=sleep-edf-78" in lines[-1].text and "DATASET=sleep-edf-20" not in lines[-1].text
    assert "Sleep-EDF-20" in lines[0].text


# -------------------------------------------------------------------------------------------------------------- errors


def test_no_verdict_may_rest_on_simulated_runs(simulated, tmp_path):
    claims = read_csv(simulated.tables["claims"])
    claims.loc[0, ["verdict", "run_keys"]] = ["reproduced", "0010007777777777"]
    claims.to_csv(tmp_path / "claims.csv", index=False)
    with pytest.raises(BenchmarkError, match=r"accuracy-sleep-edf-20: 'reproduced' rests on runs with simulated"):
        simulated.write(tmp_path / "report.html", tables=simulated.tables | {"claims": tmp_path / "claims.csv"})
    claims.loc[0, "verdict"] = "confirmed"
    with pytest.raises(BenchmarkError, match="the verdict is 'confirmed'"):
        check_verdicts(claims, False)
    assert not (tmp_path / "report.html").exists()


def test_missing_records_and_unknown_runs_are_named(simulated, tmp_path):
    runs = simulated.results.read_runs()
    with pytest.raises(BenchmarkError, match="does not hold \\(unknown\\)"):
        Origins(runs).behind("unknown")
    with pytest.raises(BenchmarkError, match=str(tmp_path / "training.json")):
        Origins(runs.assign(directory=str(tmp_path)))


def test_unknown_tables_and_broken_images_are_named(simulated, tmp_path):
    with pytest.raises(BenchmarkError, match="no table is called 'odd'; the nearest known name"):
        simulated.write(tmp_path / "report.html", tables=simulated.tables | {"odd": tmp_path / "odd.csv"})
    with pytest.raises(BenchmarkError, match="no figure is called 'nigth'; the nearest known name is 'night'"):
        simulated.write(tmp_path / "report.html", figures={"nigth": tmp_path / "nigth.png"})
    (tmp_path / "night.png").write_text("no image")
    with pytest.raises(BenchmarkError, match=r"night\.png: not a PNG"):
        simulated.write(tmp_path / "report.html", figures={"night": tmp_path / "night.png"})


# -------------------------------------------------------------------------------------------------------- one file more

FIGURE = '''
"""Figure: how many epochs each run was tested on."""

from sleepbench.reporting.artefacts import FigureArtefact
from sleepbench.reporting.figures.style import COLUMN_WIDTH, heading, new_figure
from sleepbench.reporting.reading import read_runs


def draw(runs, inputs):
    figure = new_figure(COLUMN_WIDTH, 2, heading(inputs, "Test epochs"))
    figure.subplots().bar(runs.run_key, runs.n_test)
    return figure


ARTEFACT = FigureArtefact(
    name="tested",
    place=35,
    heading="Test epochs",
    caption="Epochs of each run.",
    inputs=("runs",),
    build=lambda inputs: read_runs(inputs)[["run_key", "n_test"]],
    draw=draw,
)
'''


def test_a_figure_is_added_by_one_file(simulated, tmp_path, monkeypatch):
    room = tmp_path / "reporting" / "figures"
    room.mkdir(parents=True)
    (room / "tested.py").write_text(FIGURE)
    known = list(figures())
    monkeypatch.setattr(figures_room, "__path__", [*figures_room.__path__, str(room)])
    monkeypatch.setattr(artefacts, "figures", figures.__wrapped__)
    place = known.index("confusion") + 1
    assert list(artefacts.figures()) == [*known[:place], "tested", *known[place:]]

    outputs = [tmp_path / f"tested.{end}" for end in ("png", "pdf", "csv")]
    added = artefacts.figures()["tested"]
    make_figure(added, simulated.results.inputs(added), *outputs)
    assert list(pd.read_csv(outputs[2])) == ["run_key", "n_test", "simulated"]
    page = simulated.write(tmp_path / "report.html", figures={"tested": outputs[0], **simulated.figures})
    assert re.findall(r'<figure aria-labelledby="(.*?)">', page) == ["figure-confusion", "figure-tested"]
    assert text_of(re.search(r'<h3 id="figure-tested">.*?</h3>', page, re.DOTALL).group()) == f"Test epochs ({WARNING})"

    # What the rules read of it, without importing it.
    monkeypatch.setattr(declared, "PACKAGE", tmp_path)
    read = declared.declared.__wrapped__("figures")["tested"]
    assert (read.place, read.inputs, read.module) == (35, ("runs",), "sleepbench.reporting.figures.tested")


# -------------------------------------------------------------------------------------------------------- in a browser


def played(page: str, act: str, directory: Path) -> dict:
    """What a script in the page leaves as its title, JSON; it has nothing to complain of."""
    (directory / "report.html").write_text(with_script(page, act), encoding="utf-8")
    dom, console = browse(directory / "report.html", directory)
    assert console == ""
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom).group(1)))


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
                e => !e.closest(".scroll, .said") && e.getBoundingClientRect().right > innerWidth + 1);
            const small = [...document.querySelectorAll("p, li, td, th, dd, summary, figcaption")].filter(
                e => parseFloat(getComputedStyle(e).fontSize) < 11);
            const scrolling = [...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth);
            parent.postMessage({width: innerWidth, scroll: root.scrollWidth, wide: wide.map(e => e.outerHTML),
                small: small.length, scrolling: scrolling.length}, "*");"""
        opened = re.sub("<details\\b", "<details open", page)
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

    def test_rows_are_chosen_in_all_tables_and_shown_where_a_link_leads(self, page, tmp_path):
        act = """
            const shown = name => [...document.querySelectorAll(`table[aria-labelledby="${name}"] tbody tr`)].filter(
                row => !row.hidden).map(row => [...row.cells].map(cell => cell.textContent));
            const said = () => document.querySelector(".choice output").textContent;
            const select = document.getElementById("choose-protocol");
            const log = {options: [...select.options].map(one => one.value), all: [shown("main_results"), said()]};
            select.value = "clean";
            select.dispatchEvent(new Event("change"));
            log.clean = [shown("main_results"), said(), shown("complexity").length];
            const hidden = document.querySelector("#tables ~ section tr[hidden]");
            location.hash = hidden.id;
            setTimeout(() => {
                log.led = [hidden.hidden, said(), select.value];
                document.title = JSON.stringify(log);
            }, 300);"""
        log = played(page, act, tmp_path)
        rows, said = log["all"]
        assert log["options"] == ["", "released", "clean"] and log["led"] == [False, said, ""]
        chosen, fewer, networks = log["clean"]
        assert chosen == [row for row in rows if "released" not in row[2]] and len(chosen) < len(rows)
        n_rows = int(said.split()[0])
        assert fewer == f"{n_rows - len(rows) + len(chosen)} of {said}" and networks == 2

    def test_sorting_links_and_buttons(self, page, tmp_path):
        act = """
            const table = document.querySelector('table[aria-labelledby="main_results"]');
            const heads = [...table.tHead.rows[0].cells];
            const column = name => heads.findIndex(head => head.textContent.trim() === name);
            const read = name => [...table.tBodies[0].rows].map(row => row.cells[column(name)].textContent);
            const groups = () => [...table.tBodies[0].rows].map(row => row.dataset.group);
            const log = {printed: read("MF1"), clicks: [], groups: groups()};
            for (const name of ["MF1", "MF1", "MF1", "Model", "Runs"]) {
                heads[column(name)].querySelector("button").click();
                log.clicks.push([heads[column(name)].getAttribute("aria-sort"), read(name),
                    document.querySelectorAll("[aria-sort]").length]);
            }
            log.sorted = groups();
            log.focusable = heads.every(head => head.querySelector("button").tabIndex === 0);
            document.querySelector("button.size").click();
            log.pressed = document.querySelector("button.size").getAttribute("aria-pressed");
            location.hash = "#P2";
            setTimeout(() => {
                const around = id => document.getElementById(id).closest("details");
                log.open = ["P1", "P2", "P3", "P4"].map(id => around(id).open);
                log.around = around("P2").parentElement.closest("details").open;
                document.title = JSON.stringify(log);
            }, 300);"""
        log = played(page, act, tmp_path)
        # What is published, or of people, stays below what was measured, in whatever order the rows are.
        apart = log["groups"].index("1")
        assert apart > 0 and log["groups"] == sorted(log["groups"]) == log["sorted"]
        numbers = sorted(float(text) for text in log["printed"][:apart])
        others = [
            sorted([text for text in log["printed"][start:end] if text != "–"], key=float)
            for start, end in ((apart, log["groups"].index("2")), (log["groups"].index("2"), None))
        ]
        missing = ["–"] * log["printed"].count("–")
        (up, rising, one), (down, falling, _), (no, restored, none), (text, models, _), (*_, ids, _) = log["clicks"]
        assert (up, down, no, text, one, none) == ("ascending", "descending", None, "ascending", 1, 0)
        assert missing and [float(text) for text in rising[:apart]] == numbers
        assert rising[apart:] == [*others[0], *missing, *others[1]]
        assert falling[:apart] == [f"{number:.1f}" for number in numbers[::-1]]
        assert falling[apart:] == [*others[0][::-1], *missing, *others[1][::-1]]
        assert restored == log["printed"]
        assert models[:apart] == sorted(models[:apart], key=str.casefold)
        assert [text for text in ids if text != "–"] == ["P1", "P2", "P3", "P4"] and ids[-1] == "–"
        assert (
            log["focusable"]
            and log["pressed"] == "true"
            and log["open"] == [False, True, False, False]
            and log["around"]
        )
