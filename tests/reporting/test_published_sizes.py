"""The table of published sizes: printed numbers beside ours, and the convention that explains them."""

import pandas as pd
import pytest
from fake_results import LABELS, PROFILE, RESOURCES

from sleepbench.core.files import write_json
from sleepbench.datasets.base import SIMULATED
from sleepbench.profiling.conventions import NONE
from sleepbench.reporting.artefacts import Inputs
from sleepbench.reporting.rendering import make_table, read_cells
from sleepbench.reporting.tables.published_sizes import ARTEFACT, published_sizes

SIZES = RESOURCES / "published_sizes.csv"
PRINTED = pd.read_csv(SIZES, dtype=str, keep_default_na=False)


def of(model: str, n_channels: int = 1, **operations: int | None) -> dict:
    counts = {**PROFILE["operations"], **operations}
    return {**PROFILE, "model": model, "title": model.upper(), "n_channels": n_channels, "operations": counts}


def test_a_printed_number_stands_beside_ours_and_its_convention():
    row = published_sizes([PROFILE], PRINTED).iloc[0]
    assert (row.model, row.n_channels, row.mark) == ("ULW-SleepNet", 4, "published")
    assert (row.published_parameters, row.our_parameters, row.published_flops) == ("13.3K", 13_337, "7.89M")
    assert (row.macs, row.flops_2x, row.convention) == (3_498_352, 6_996_704, "TensorFlow profiler")
    assert row.parameters_agree and "2602.23852" in row.source


def test_only_networks_with_a_printed_size_have_a_row():
    profiles = [of("ulw_sleepnet", 1), of("chambon2018", 4), of("sleepnet_lite"), of("micro_sleepnet")]
    table = published_sizes(profiles, PRINTED)
    assert list(table.model) == ["SLEEPNET_LITE", "MICRO_SLEEPNET"]
    assert table.convention.isna().tolist() == [True, False] and table.convention.iloc[1] == NONE


def test_operations_of_sequences_are_those_of_an_epoch():
    counts = {name: None for name in ("flops_tensorflow", "flops_tensorflow_graph", "fvcore_flops")}
    profile = of("nano_sleepnet_tcn", length=10, macs=68_400_000, flops_2x=136_800_000, parameters=17_100, **counts)
    row = published_sizes([profile], PRINTED).iloc[0]
    assert (row.macs, row.flops_2x, row.convention) == (6_840_000, 13_680_000, "multiply-accumulates")
    assert pd.isna(row.flops_tensorflow)


@pytest.mark.parametrize("models", [[], ["ulw_sleepnet"], ["sleepnet_lite", "micro_sleepnet", "light_sleepnet"]])
def test_the_table_is_written_and_read_back(models, tmp_path):
    profiles = [tmp_path / f"{model}.json" for model in models]
    for path, model in zip(profiles, models, strict=True):
        write_json(path, of(model, 4 if model == "ulw_sleepnet" else 1))
    csv, markdown, latex = (tmp_path / f"sizes.{form}" for form in ("csv", "md", "tex"))
    inputs = Inputs({"profiles": profiles, "published_sizes": SIZES}, {}, LABELS["simulated"])
    make_table(ARTEFACT, inputs, csv, markdown, latex)
    text = markdown.read_text()
    assert SIMULATED in text.splitlines()[0] and max(map(len, text.splitlines()[1:])) <= 150
    cells = read_cells(ARTEFACT, csv)
    assert len(cells.texts) == len(models) and latex.read_text().isascii()
    assert sum("parameters differ" in note for note in cells.notes) == sum(model != "ulw_sleepnet" for model in models)
    if "sleepnet_lite" in models:
        assert any(note.endswith("leave out the 1,536 of batch norm") for note in cells.notes)
    assert "nan" not in text.lower().replace("nano", "")
