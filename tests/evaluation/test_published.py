"""Published results and sizes: what a row must say, and the message where it does not."""

from pathlib import Path

import pandas as pd
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.published import (
    FOLLOWABLE,
    NOT_FOUND,
    RESULTS,
    read_published_results,
    read_published_sizes,
)

RESOURCES = Path(__file__).parents[2] / "workflow" / "resources"
ROW = {
    **dict.fromkeys(RESULTS, ""),
    **{"model": "A Net", "dataset": "sleep-edf-20", "accuracy": "80.1", "epochs": "42308", "input": "Fpz-Cz"},
    **{"protocol": "20-fold by subject", "mark": "published", "source": "doi:10.1000/182, Table 1"},
}


def written(folder: Path, **changed: str) -> Path:
    path = folder / "published.csv"
    pd.DataFrame([ROW, ROW | changed]).to_csv(path, index=False)
    return path


def test_committed_rows_can_be_read_and_followed():
    results = read_published_results(RESOURCES / "published_results.csv")
    assert len(results) > 50 and results.epochs.notna().sum() > 10
    lost = results[results.source.str.startswith(NOT_FOUND)]
    assert set(lost.model) <= {"NanoSleepNet", "NanoSleepNet-TCN causal"}
    assert (results.source.str.contains(FOLLOWABLE) | results.index.isin(lost.index)).all()
    assert len(read_published_sizes(RESOURCES / "published_sizes.csv")) > 5


def test_tiny_sleepnet_was_tested_on_other_epochs_than_the_usual_window():
    results = read_published_results(RESOURCES / "published_results.csv").set_index(["model", "dataset"])
    assert results.epochs["TinySleepNet"].tolist() == [44_220, 199_352]
    assert results.epochs["SleepEEGNet"].tolist() == [42_308, 195_479]


def test_numbers_are_numbers_and_texts_are_texts(tmp_path):
    row = read_published_results(written(tmp_path, epochs="", kappa="0.7")).iloc[1]
    assert row.accuracy == 80.1 and row.kappa == 0.7 and pd.isna(row.epochs) and row.protocol == "20-fold by subject"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "literature workbook"}, "source is 'literature workbook', expected one that can be followed"),
        ({"source": "github.com/a/b README"}, "or github.com/OWNER/NAME at COMMIT"),
        ({"source": ""}, "source is ''"),
        ({"mark": "ours"}, "mark is 'ours', expected one of published, secondary"),
        ({"model": ""}, "model is empty"),
        ({"protocol": ""}, "protocol is empty, expected a text; write 'not known' where it is"),
        ({"epochs": "42,308"}, "epochs is '42,308', expected a whole number above 0"),
        ({"epochs": "0"}, "epochs is '0'"),
        ({"accuracy": "801"}, "accuracy is '801', expected a number from 0 to 100"),
        ({"kappa": "80"}, "kappa is '80', expected a number from -1 to 1"),
        ({"f1_N1": "low"}, "f1_N1 is 'low'"),
        ({"accuracy": ""}, "no result is printed"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, changed, message):
    path = written(tmp_path, **changed)
    with pytest.raises(BenchmarkError) as error:
        read_published_results(path)
    assert f"{path}, line 3 ({changed.get('model', 'A Net')}): " in str(error.value) and message in str(error.value)


@pytest.mark.parametrize(
    "source",
    ["doi:10.1109/X.2021.1, Table 2", "arXiv:2108.10600", "github.com/a-b/C.d at 1e4c142: README.md", NOT_FOUND + "x"],
)
def test_sources_that_are_accepted(tmp_path, source):
    assert read_published_results(written(tmp_path, source=source)).source[1] == source


def test_a_missing_column_or_file_is_named(tmp_path):
    path = tmp_path / "published.csv"
    with pytest.raises(BenchmarkError, match="cannot be read as CSV"):
        read_published_results(path)
    pd.DataFrame([ROW]).drop(columns="epochs").to_csv(path, index=False)
    with pytest.raises(BenchmarkError, match="the column epochs is missing, expected model, dataset"):
        read_published_results(path)
