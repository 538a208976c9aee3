"""The results page: archives of several people, kinds of data apart, each row to be cited."""

import contextlib
import html
import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from planned_results import CLEAN, DATASET, RELEASED, PlannedResults, rewrite
from test_report import CHROMIUM, browse, text_of, with_script

from sleepbench.cli import app
from sleepbench.config import benchmarks
from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file
from sleepbench.datasets.base import EXCERPTS, SIMULATED, TRIAL, DataLabel
from sleepbench.reporting.page import site
from sleepbench.reporting.page.site import EXCERPT, FULL, PAGE, results_site
from sleepbench.runs import archive as exchange

NASTY = "<script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """ada's results; bob's, who trained one row again; carol's, of other words; and where their configuration is."""
    root, folder = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("archives")
    with contextlib.chdir(root), contextlib.redirect_stdout(None):
        results = PlannedResults(root)
        results.train_all()
        results.write_tables()
        exchange.export(results.config, DATASET, folder / "ada.zip")
        for run in (run for run in results.planned if results.row(run) == CLEAN):
            results.train(run.training, errors=0.4, draw=1, torch="2.1")
        results.write_tables()
        exchange.export(results.config, DATASET, folder / "bob.zip")
    shutil.copy(folder / "ada.zip", folder / "carol.zip")
    rewrite(folder / "carol.zip", said_by_a_stranger, sign=True)
    return root, [folder / f"{name}.zip" for name in ("ada", "bob", "carol")]


def said_by_a_stranger(members):
    for name in members:
        if name.endswith("training.json"):
            record = json.loads(members[name])
            record["provenance"]["git_commit"] = NASTY
            members[name] = json.dumps(record).encode()


@pytest.fixture(scope="module")
def page(archives, tmp_path_factory):
    """The page of all three."""
    root, files = archives
    directory = tmp_path_factory.mktemp("site")
    with contextlib.chdir(root):
        return results_site(load(), files, directory).read_text(encoding="utf-8")


def bodies(page):
    """The table's bodies: the heading, and the rows by anchor, each with its cells as text."""
    table = page[page.index("data-chosen>") :].split("</table>")[0]
    for body in table.split("<tbody>")[1:]:
        rows = re.findall(r'<tr id="([^"]+)"(.*?)</tr>', body, re.DOTALL)
        cells = {name: [text_of(cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for name, row in rows}
        yield text_of(re.search(r"<th colspan.*?</th>", body, re.DOTALL)[0]), cells


def test_kinds_of_data_are_never_in_one_body(page):
    found = list(bodies(page))
    assert [title.split(":")[0] for title, _ in found] == ["Simulated", *["Published"] * 2]
    assert SIMULATED in found[0][0] and [len(rows) for _, rows in found[:1]] == [6]
    assert "sleep-edf-20" in found[1][0] and "sleep-edf-78" in found[2][0]
    assert all(cells[8] in ("published", "secondary") for _, rows in found[1:] for cells in rows.values())
    labels = [DataLabel("a", "a"), DataLabel("a", "a", f"{EXCERPTS}; 2"), DataLabel("a", "a", TRIAL)]
    assert [site.kind_of(label) for label in labels] == [FULL, EXCERPT, site.TRIAL]


def test_numbers_are_those_of_the_main_table_with_intervals(page, archives):
    root, _ = archives
    table = pd.read_csv(root / "results" / DATASET / "tables" / "main_results.csv").query("mark == 'measured'")
    (_, rows), *_ = bodies(page)
    (mine,) = [cells for cells in rows.values() if cells[7:9][-1] == "bob" and cells[2] == "clean"]
    row = table[table.protocol == "clean"].iloc[0]
    assert mine[:4] == ["none", "ULW-SleepNet", "clean", "four, ulw"]
    assert re.fullmatch(rf"{row.accuracy:.1f} \[[\d.]+, [\d.]+\]", mine[4])


def test_each_row_has_an_anchor_that_stays_and_a_line_to_cite_it_by(page, archives, tmp_path):
    root, files = archives
    (_, rows), *_ = bodies(page)
    (anchor,) = [name for name, cells in rows.items() if cells[8] == "ada" and cells[2] == "clean"]
    sha256 = sha256_of_file(files[0])
    assert anchor == f"none.simulated.clean.ulw-sleepnet.four.ulw.{sha256[:12]}"
    cited = text_of(page[page.index(f'<details id="cite.{anchor}"') :].split("</details>")[0])
    assert sha256 in cited and SIMULATED in cited and anchor in cited and "of no benchmark version" in cited
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    with contextlib.chdir(root):
        alone = results_site(load(), files[:1], tmp_path / "alone").read_text(encoding="utf-8")
    assert f'<tr id="{anchor}"' in alone and "No two of these archives" in alone


def test_a_row_of_a_version_is_cited_by_it(archives, tmp_path, monkeypatch):
    root, files = archives
    with contextlib.chdir(root):
        rule = benchmarks.as_defined(load(), {DATASET: ["clean"]})
        known = {**benchmarks.versions(), "sleepbench-simulated v2": rule}
        monkeypatch.setattr(benchmarks, "versions", lambda: known)
        page = results_site(load(), files[:1], tmp_path).read_text(encoding="utf-8")
    (_, rows), *_ = bodies(page)
    assert {cells[2]: cells[0] for cells in rows.values()} == {"released": "none", "clean": "sleepbench-simulated v2"}
    assert f"sleepbench, sleepbench-simulated v2 ({benchmarks.digest('sleepbench-simulated v2')[:12]})" in page


def test_what_differs_between_two_people_is_said(page):
    part = page[page.index('<h2 id="differences">') : page.index('<h2 id="rows">')]
    rows = [[text_of(cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
            for row in re.findall(r"<tr data-group.*?</tr>", part, re.DOTALL)]  # fmt: skip
    found = {(row[0].split(", ")[1], row[2]): row[6:] for row in rows}
    assert found["released", "bob"] == ["4 of 4", "100.00 %", "identical"]
    assert found["released", "carol"] == found["clean", "carol"] == ["4 of 4", "100.00 %", "identical"]
    assert found["clean", "bob"][0] == "0 of 4" and found["clean", "bob"][2] in ("within", "BEYOND")
    said = text_of(part)
    assert "torch: 2.0 in ada, 2.1 in bob" in said and f"git commit: 01234567 in ada, {NASTY} in carol" in said


def test_all_rows_can_be_taken_as_csv(page):
    import base64

    uri = re.search(r'download="sleepbench-results.csv" href="data:text/csv;base64,([^"]+)"', page)
    table = pd.read_csv(io.BytesIO(base64.b64decode(html.unescape(uri[1]))))
    assert table.contributor.tolist() == [name for name in ("ada", "bob", "carol") for _ in range(2)]
    assert {*table.protocol} == {RELEASED.protocol, CLEAN.protocol} and (table.accuracy_low < table.accuracy).all()


def test_an_archive_that_is_not_as_it_says_gives_no_page(archives, tmp_path, monkeypatch, capsys):
    root, files = archives
    monkeypatch.chdir(root)
    bad = shutil.copy(files[0], tmp_path / "bad.zip")
    rewrite(bad, lambda members: members.pop("config.yaml"))
    with pytest.raises(SystemExit) as ended:
        app.main(["results", "site", str(files[0]), str(bad), "--output", str(tmp_path / "site")])
    assert ended.value.code == 1 and f"Error: {bad}: is damaged" in capsys.readouterr().err
    assert not (tmp_path / "site" / PAGE).exists()
    with pytest.raises(BenchmarkError, match="give it once"):
        results_site(load(), [files[0], files[0]], tmp_path / "site")


def test_nothing_is_loaded_and_what_strangers_wrote_is_text(page):
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page) and "default-src 'none'" in page
    assert NASTY not in page and html.escape(NASTY, quote=False).replace("'", "&#39;") in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")
def test_rows_are_chosen_and_sorted_within_their_kind(page, tmp_path):
    act = """
        const shown = () => [...document.querySelectorAll("table[data-chosen] tbody")].map(body => body.hidden ? null :
            [...body.rows].filter(row => !row.hidden).map(row => row.cells.length > 1 && row.cells[8].textContent));
        const log = [];
        const choose = (name, value) => { const one = document.getElementById(`choose-${name}`);
            one.value = value; one.dispatchEvent(new Event("change")); };
        choose("kind_of_data", "simulated: no result"); log.push(shown());
        choose("protocol", "clean"); log.push(shown(), document.querySelector(".choice output").textContent);
        const head = document.querySelectorAll("table[data-chosen] thead button")[8];
        head.click(); head.click(); log.push(shown());
        document.title = JSON.stringify(log);"""
    (tmp_path / PAGE).write_text(with_script(page, act), encoding="utf-8")
    dom, console = browse(tmp_path / PAGE, tmp_path)
    assert console == ""
    of_kind, clean, said, sorted_down = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom)[1]))
    names = ["ada", "ada", "bob", "bob", "carol", "carol"]
    assert of_kind == [[False, *names], None, None] and clean[0] == [False, "ada", "bob", "carol"]
    assert re.fullmatch(r"3 of \d+ rows", said) and sorted_down[0] == [False, "carol", "bob", "ada"]


def test_the_page_is_written_where_it_is_asked_for(archives, tmp_path, monkeypatch, capsys):
    root, files = archives
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit) as ended:
        app.main(["results", "site", str(files[0]), "--output", str(tmp_path / "new" / "site")])
    assert ended.value.code == 0 and Path(capsys.readouterr().out.strip()) == tmp_path / "new" / "site" / PAGE
