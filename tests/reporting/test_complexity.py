"""The table of size and cost: counts by their conventions beside those printed."""

import re
from pathlib import Path

import pandas as pd
import pytest
from fake_results import PROFILE, RESOURCES, FakeResults

from sleepbench.evaluation.claims import load_claims
from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.tables.complexity import ARTEFACT, COLUMNS, SIZE_IS, complexity, count

CLAIMS = load_claims(RESOURCES / "claims.yaml")
NUMBERS = list(COLUMNS[:-3])


def write(folder: Path, **files: object) -> tuple[pd.DataFrame, str]:
    paths = [folder / f"complexity.{form}" for form in ("csv", "md", "tex")]
    results = FakeResults(folder / "results")
    make_table(ARTEFACT, results.inputs(ARTEFACT, files), *paths)
    return pd.read_csv(paths[0]), paths[1].read_text(encoding="utf-8")


def test_conventions_and_the_published_numbers_are_named(tmp_path):
    table, text = write(tmp_path)
    counts = ("13,337", "3,498,352", "6,996,704", "7,885,806", "7,885,771", "4,002,544")
    for shown in (*counts, "1,345 [60]", "13.3K", "7.89M"):
        assert shown in text
    for convention in ("MACs", "2 × MACs", "TF FLOPs", "TF, graph", "fvcore FLOPs"):
        assert f" {convention} |" in text
    assert list(table.mark) == ["measured", "published"]


def of_sequences(length: int) -> dict:
    """The profile of a network that does the same for each epoch of a sequence."""
    operations = {name: n * (length if name != "parameters" else 1) for name, n in PROFILE["operations"].items()}
    engines = {
        engine: {name: us * (length if name.endswith("_us") else 1) for name, us in one.items()}
        for engine, one in PROFILE["latency"]["batches"]["1"].items()
    }
    operations["macs_per_epoch"] = PROFILE["operations"]["macs"]
    latency = {**PROFILE["latency"], "batches": {"1": engines}, "length": length}
    return {**PROFILE, "operations": {**operations, "length": length}, "latency": latency}


def test_numbers_of_a_sequence_model_are_of_one_epoch():
    one, sequence = (complexity([profile], []).iloc[0] for profile in (PROFILE, of_sequences(20)))
    assert sequence[NUMBERS].tolist() == pytest.approx(one[NUMBERS].tolist())
    assert "(400 passes of sequences of 20 epochs)" in sequence.source and "(400 passes), on" in one.source


def with_latency(**changed) -> dict:
    return {**PROFILE, "latency": {**PROFILE["latency"], **changed}}


def test_every_way_of_inference_has_its_latency(tmp_path):
    table, text = write(tmp_path)
    row = table.iloc[0]
    assert row[
        ["latency_fast_us_per_epoch", "latency_onnxruntime_us_per_epoch", "latency_ours_us_per_epoch"]
    ].tolist() == [*(940, 480, 70)]
    assert "| 940 | 480 | 70 |" in re.sub(" +", " ", text) and "UNRELIABLE" not in text


def test_a_network_may_lack_a_way_of_inference():
    engines = {**PROFILE["latency"]["batches"]["1"], "ours": None}
    (row,) = complexity([with_latency(batches={"1": engines})], []).itertuples()
    assert pd.isna(row.latency_ours_us_per_epoch) and row.latency_fast_us_per_epoch == 940


def test_a_latency_that_was_disturbed_is_never_shown_without_a_mark():
    table = complexity([with_latency(disturbances=["other processes used 1.90 cores"])], CLAIMS)
    row = table.iloc[0]
    assert not row.latency_reliable
    assert "UNRELIABLE times: other processes used 1.90 cores" in row.source
    shown = {column.heading: column.cell(row) for column in ARTEFACT.columns}
    assert [shown[title] for title in ("Latency, µs [IQR]", "p99, µs", "Own C, µs")] == [
        "1,345 [60] ?",
        "2,012 ?",
        "70 ?",
    ]


def test_without_a_network_there_are_the_published_rows(tmp_path):
    table, _ = write(tmp_path, profiles=[])
    assert table.mark.tolist() == ["published"]


def test_sizes_that_are_not_verified_are_said():
    profiles = [{**PROFILE, "model": name} for name in ("ulw_sleepnet", "ulw_no_skip")]
    said = ["after the description" in source for source in complexity(profiles, []).source]
    assert said == [False, True]
    assert SIZE_IS["size"].startswith("; size verified")


def test_a_network_without_a_tensorflow_count():
    profile = {**PROFILE, "operations": {**PROFILE["operations"], "flops_tensorflow": None}}
    table = complexity([profile], CLAIMS)
    assert table.flops_tensorflow.isna().tolist() == [True, False]
    assert count("flops_tensorflow")(table.iloc[0]) == "–"
