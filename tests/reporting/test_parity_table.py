"""The table of parity: a row per model and program, the largest difference, what differs."""

from pathlib import Path

import pandas as pd
from fake_results import PARITY, FakeResults

from sleepbench.core.files import write_json
from sleepbench.reporting.rendering import make_table, read_cells
from sleepbench.reporting.tables.parity import ARTEFACT, parity_table, what_differs

AGAINST = PARITY["against"][0]
ABLATION = {**PARITY, "model": "ulw_no_skip", "title": "No shortcut", "verified": None, "against": []}


def write(folder: Path, *found: dict) -> tuple[pd.DataFrame, str]:
    """The table of these as CSV and Markdown."""
    files = [folder / f"{one['model']}.json" for one in found]
    for file, one in zip(files, found, strict=True):
        write_json(file, one)
    paths = [folder / f"parity.{form}" for form in ("csv", "md", "tex")]
    make_table(ARTEFACT, FakeResults(folder / "results").inputs(ARTEFACT, {"parity": files}), *paths)
    cells = read_cells(ARTEFACT, paths[0])
    return pd.DataFrame(cells.texts, columns=[c.heading for c in cells.columns]), paths[1].read_text(encoding="utf-8")


def test_a_model_and_one_without_another_program(tmp_path):
    shown, text = write(tmp_path, PARITY, ABLATION)
    assert shown.iloc[0].tolist() == [
        *("ULW-SleepNet", "github.com/wzw999/ULW-SLEEPNET at ff5839b", "authors", "A Framework", "float64", "4"),
        *("6e-16", "3e-15", "1e-15"),
    ]
    assert shown.iloc[1].tolist() == ["No shortcut", "ours, no other program", *"–––––––"]
    assert "nothing is known to differ" in text and "nothing to hold it against" in text


def test_what_is_known_by_its_size_alone_is_said():
    table = parity_table([{**ABLATION, "verified": "size"}])
    assert table.source[0].startswith("size alone")


def test_numbers_of_channels_share_a_row_with_the_largest_difference():
    files = [{**AGAINST, "n_channels": n, "outputs": n / 1e15} for n in (9, 4)]
    (row,) = parity_table([{**PARITY, "against": files}]).itertuples()
    assert (row.n_channels, row.outputs) == ("4 9", 9e-15)
    other = {**AGAINST, "source": "github.com/a/b at 1234567", "by": "independent"}
    assert len(parity_table([{**PARITY, "against": [*files, other]}])) == 2


def test_differences_by_choice_are_named_and_measured():
    against = [{**AGAINST, "remark": "causal=True", "outputs_carried": 3.4e-15}]
    row = parity_table([{**PARITY, "differs": "the tail, by 4e-3", "against": against}]).iloc[0]
    assert what_differs(row) == "the tail, by 4e-3; theirs with causal=True; state carried on: 3e-15"
