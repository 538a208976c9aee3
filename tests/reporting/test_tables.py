import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from synthetic import PROFILE, make_runs

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.evaluation.claims import load_claims
from sleepbench.reporting.tables import main as tables

WORKFLOW = Path(__file__).parents[2] / "workflow"
PUBLISHED = WORKFLOW / "resources" / "published_results.csv"
CLAIMS = WORKFLOW / "resources" / "claims.yaml"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("simulated"), seeds=(1, 2))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("real"), dataset="sleep-edf-20")


def predictions(runs):
    """All predictions behind some rows of a runs table."""
    paths = [Path(run.directory) / run.selection / "predictions.parquet" for run in runs.itertuples()]
    return pd.concat(map(pd.read_parquet, paths), ignore_index=True)


def main(path, dataset="simulated"):
    runs, published = tables.read_runs(path), pd.read_csv(PUBLISHED)
    return runs, tables.main_results(runs, published, dataset, dataset == "simulated")


def written(tmp_path, runs, dataset="simulated"):
    """Every table of a dataset, written; the rendered files by name."""
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(PROFILE))
    files = {
        name: [tmp_path / f"{name}.{ending}" for ending in ("csv", "md", "tex")]
        for name in ("main", "complexity", "claims")
    }
    on = (dataset, dataset == "simulated")
    tables.write_main_results(runs, PUBLISHED, *on, *files["main"])
    tables.write_complexity([profile], CLAIMS, *on, *files["complexity"])
    tables.write_claims(CLAIMS, runs, [profile], *on, *files["claims"])
    return files


def test_pooled_metrics_are_the_mean_over_seeds_of_scikit_learns_on_all_predictions(simulated):
    runs, table = main(simulated)
    for protocol in ("released", "clean"):
        row = table[(table.protocol == protocol) & (table.mark == "measured")].iloc[0]
        of_seeds = [predictions(group) for _, group in runs[runs.protocol == protocol].groupby("seed")]
        assert len(of_seeds) == 2
        pairs = [(one.stage, one.predicted) for one in of_seeds]
        assert row.accuracy == pytest.approx(100 * np.mean([sk.accuracy_score(*pair) for pair in pairs]))
        assert row.macro_f1 == pytest.approx(100 * np.mean([sk.f1_score(*pair, average="macro") for pair in pairs]))
        assert row.cohen_kappa == pytest.approx(np.mean([sk.cohen_kappa_score(*pair) for pair in pairs]))
        expected = 100 * np.mean([sk.f1_score(*pair, average=None) for pair in pairs], axis=0)
        assert [row[f"f1_{stage}"] for stage in STAGES] == pytest.approx(list(expected))
        assert row.n_epochs == len(of_seeds[0])


def test_mean_and_spread_are_over_folds_and_seeds(simulated):
    runs, table = main(simulated)
    accuracy = 100 * runs[runs.protocol == "clean"].pivot(index="fold", columns="seed", values="accuracy").to_numpy()
    row = table[(table.protocol == "clean") & (table.mark == "measured")].iloc[0]
    assert row.accuracy_mean_of_folds == pytest.approx(accuracy.mean())
    assert row.accuracy_sd_of_folds == pytest.approx(accuracy.mean(axis=1).std(ddof=1))
    assert row.accuracy_sd_of_seeds == pytest.approx(accuracy.mean(axis=0).std(ddof=1))
    assert (row.folds, row.seeds) == ("2 of 2", 2)


def test_macro_f1_is_of_the_stages_that_occur_and_the_note_says_how_many(tmp_path):
    runs = tables.read_runs(make_runs(tmp_path))
    absent = [name for name in tables.CONFUSION if "REM" in name]
    runs.loc[runs.protocol == "clean", absent] = 0
    table = tables.main_results(runs, pd.DataFrame({"model": []}, dtype=str), "simulated", True)
    measured = table[table.mark == "measured"].set_index("protocol")
    assert measured.macro_f1_stages.to_dict() == {"released": 5, "clean": 4}
    f1 = measured.loc["clean", list(tables.F1)].astype(float)
    assert np.isnan(f1["f1_REM"]) and measured.macro_f1["clean"] == pytest.approx(f1.mean())
    notes = {protocol: tables.main_results_note(row) for protocol, row in measured.iterrows()}
    assert notes["clean"].endswith(" test epochs; macro-F1 of 4 of 5 stages") and "macro-F1" not in notes["released"]


def test_each_measured_row_names_exactly_its_runs(simulated):
    runs, table = main(simulated)
    for protocol, keys in runs.groupby("protocol").run_key:
        row = table[(table.protocol == protocol) & (table.mark == "measured")].iloc[0]
        assert sorted(row.run_keys.split()) == sorted(keys)
        assert row.source.startswith("measured here (4 runs: ") and keys.iloc[0][:8] in row.source


def test_run_keys_of_digits_stay_text(simulated):
    assert tables.read_runs(simulated).run_key.iloc[0] == "001000" + "7" * 10


def test_reference_row_is_the_share_of_the_commonest_stage(simulated):
    runs, table = main(simulated)
    for protocol in ("released", "clean"):
        row = table[(table.protocol == protocol) & (table.mark == "reference")].iloc[0]
        stage = predictions(runs[(runs.protocol == protocol) & (runs.seed == 1)]).stage
        assert row.accuracy == pytest.approx(100 * stage.value_counts(normalize=True).iloc[0])
        assert row.cohen_kappa == pytest.approx(0)
        assert STAGES[stage.mode()[0]] in row.source


def test_real_data_stands_beside_every_published_row_of_its_dataset(real):
    _, table = main(real, "sleep-edf-20")
    expected = pd.read_csv(PUBLISHED).query("dataset == 'sleep-edf-20'")
    published = table[table.mark.isin(["published", "secondary"])]
    assert list(published.model) == list(expected.model)
    assert published.accuracy.to_numpy() == pytest.approx(expected.accuracy.to_numpy(), nan_ok=True)
    assert set(table.data) == {"Sleep-EDF-20"}


def test_simulated_data_stands_beside_published_rows_of_its_models_only(simulated):
    _, table = main(simulated)
    published = table[table.mark.isin(["published", "secondary"])]
    assert set(published.model) == {"ULW-SleepNet", "ULW-SleepNet (re-run of released code)"}
    assert set(published.data) == {"Sleep-EDF-20", "Sleep-EDF-78"}
    assert set(table.data[table.mark.isin(["measured", "reference"])]) == {"simulated"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda runs: runs[(runs.fold != 1) | (runs.seed != 2)], "seed 2: fold 1 of 2 missing"),
        (lambda runs: pd.concat([runs, runs.iloc[[0]]]), "fold 0: there 2 times"),
        (lambda runs: runs.assign(training_epochs=[50] + [8] * (len(runs) - 1)), "training_epochs differs"),
        (lambda runs: runs.assign(simulated=False), "says simulated: False"),
        (lambda runs: runs.assign(dataset="other"), "no run on simulated"),
    ],
)
def test_runs_that_cannot_be_summarised_are_listed(simulated, change, message):
    runs = change(tables.read_runs(simulated))
    with pytest.raises(BenchmarkError, match=re.escape(message)):
        tables.main_results(runs, pd.read_csv(PUBLISHED), "simulated", True)


def test_a_trial_of_some_folds_is_summarised_and_says_how_many(simulated):
    runs = tables.read_runs(simulated).assign(only_folds="0")
    table = tables.main_results(runs[runs.fold == 0], pd.read_csv(PUBLISHED), "simulated", True)
    assert table.folds.dropna().str.startswith("1 of ").all()
    with pytest.raises(BenchmarkError, match="fold 0 of"):
        tables.main_results(runs[runs.fold == 1], pd.read_csv(PUBLISHED), "simulated", True)


def test_a_trial_says_so_in_its_title():
    assert tables.TRIAL in tables.title("try-real", False, "Summary")
    assert tables.SIMULATED in tables.title("try-real", True, "Summary")
    assert tables.title("sleep-edf-20", False, "Summary") == "Summary, Sleep-EDF-20"


def test_models_tested_on_different_epochs_are_an_error(simulated):
    runs = tables.read_runs(simulated)
    runs.loc[runs.seed == 2, "confusion_W_W"] += 1
    with pytest.raises(BenchmarkError, match="tested on different epochs"):
        tables.main_results(runs, pd.read_csv(PUBLISHED), "simulated", True)


def test_a_runs_table_without_a_column_is_an_error(tmp_path, simulated):
    pd.read_csv(simulated).drop(columns="selection").to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(BenchmarkError, match="lacks selection"):
        tables.read_runs(tmp_path / "runs.csv")


def test_simulated_is_in_every_title_and_nowhere_else(tmp_path, simulated, real):
    for name, (_, markdown, latex) in written(tmp_path, simulated).items():
        assert tables.SIMULATED in markdown.read_text().splitlines()[0], name
        caption = re.search(r"\\caption\{(.*)\}\n", latex.read_text()).group(1)
        assert tables.SIMULATED.translate(tables.LATEX) in caption, name
    assert "cannot be compared" in (tmp_path / "main.md").read_text().splitlines()[0]
    for _, markdown, latex in written(tmp_path, real, "sleep-edf-20").values():
        assert "SIMULATED" not in markdown.read_text() + latex.read_text()


def test_missing_numbers_are_empty_in_the_csv_and_a_dash_when_rendered(tmp_path, simulated):
    csv, markdown, latex = written(tmp_path, simulated)["main"]
    published = next(line for line in csv.read_text().splitlines() if ",published," in line)
    assert ",86.9,,,,,,,,,,published," in published
    assert "nan" not in (csv.read_text() + markdown.read_text() + latex.read_text()).lower().replace("nano", "")
    row = next(line for line in markdown.read_text().splitlines() if "published [" in line)
    assert [cell.strip() for cell in row.split("|")][5:9] == ["–", "86.9", "–", "–"]


def test_rendering_reads_the_csv_only(tmp_path, simulated):
    csv, markdown, latex = written(tmp_path, simulated)["main"]
    table = pd.read_csv(csv)
    table.loc[0, ["accuracy", "cohen_kappa"]] = [12.34, -0.056]
    table.to_csv(csv, index=False)
    tables.render_table(csv, tables.MAIN_RESULTS, "simulated", "A title", "A caption.", markdown, latex)
    assert markdown.read_text().startswith("## A title\n")
    for text in (markdown.read_text(), latex.read_text()):
        assert "12.3" in text and "-.056" in text


def test_csv_keeps_full_precision(tmp_path, simulated):
    csv, _, _ = written(tmp_path, simulated)["main"]
    _, table = main(simulated)
    assert (pd.read_csv(csv).accuracy.dropna().to_numpy() == table.accuracy.dropna().to_numpy()).all()


def test_latex_is_escaped_and_every_row_has_every_column(tmp_path):
    table = pd.DataFrame({"a": [r"50 % of A_1 & {b} $5 #2 ~^\ <x> 1–2 ± µ"], "b": [1.5], "note": ["see a_b | c"]})
    layout = tables.Layout((tables.Column("a_b", tables.text("a"), "left"),) * 2, tables.text("note"))
    paths = [tmp_path / name for name in ("x_y.csv", "t.md", "t.tex")]
    tables.write_table(table, paths[0], layout, "made-up", "100 % & more", "Caption_1.", *paths[1:])
    latex = paths[2].read_text()
    assert r"\caption{100 \% \& more. Caption\_1.}" in latex
    escaped = r"50 \% of A\_1 \& \{b\} \$5 \#2 \textasciitilde{}\textasciicircum{}\textbackslash{} "
    assert escaped + r"\textless{}x\textgreater{} 1--2 $\pm$ $\mu$" in latex
    assert r"[1] see a\_b | c\par" in latex and r"\label{tab:made-up:x_y}" in latex


def test_latex_tables_are_well_formed_and_ascii(tmp_path, simulated, real):
    for runs, dataset in ((simulated, "simulated"), (real, "sleep-edf-20")):
        for _, _, latex in written(tmp_path, runs, dataset).values():
            text = latex.read_text()
            assert text.isascii()
            environments = ("longtable",) if "longtable" in text else ("table", "tabular", "minipage")
            for environment in environments:
                assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 1
            unescaped = re.sub(r"\\[{}]", "", text)
            assert unescaped.count("{") == unescaped.count("}")
            columns = len(re.search(r"\\begin\{(?:tabular|longtable)\}\{([lr]+)\}", text).group(1))
            rows = [line for line in text.splitlines() if line.endswith(r" \\")]
            assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in rows} == {columns}
            assert [line for line in text.splitlines() if line.startswith(r"\toprule")]


def test_the_narrowest_columns_keep_their_alignment(tmp_path):
    table = pd.DataFrame({"a": ["1"], "note": ["n"]})
    columns = (tables.Column("a", tables.text("a")), tables.Column("b", tables.text("a"), "left"))
    layout = tables.Layout(columns, tables.text("note"))
    tables.write_table(table, tmp_path / "t.csv", layout, "made-up", "T", "C.", tmp_path / "t.md", tmp_path / "t.tex")
    rule = (tmp_path / "t.md").read_text().splitlines()[3]
    assert rule == "| -: | ----- |"


def test_a_bar_in_a_cell_does_not_break_markdown(tmp_path):
    table = pd.DataFrame({"a": ["x|y"], "note": ["n"]})
    layout = tables.Layout((tables.Column("a", tables.text("a"), "left"),), tables.text("note"))
    tables.write_table(table, tmp_path / "t.csv", layout, "made-up", "T", "C.", tmp_path / "t.md", tmp_path / "t.tex")
    assert r"| x\|y [1] |" in (tmp_path / "t.md").read_text()


def test_complexity_names_conventions_and_the_published_numbers(tmp_path, simulated):
    csv, markdown, _ = written(tmp_path, simulated)["complexity"]
    text = markdown.read_text()
    for shown in (
        "13,337",
        "3,498,352",
        "6,996,704",
        "7,885,806",
        "7,885,771",
        "4,002,544",
        "1,345 [60]",
        "13.3K",
        "7.89M",
    ):
        assert shown in text
    for convention in ("MACs", "2 × MACs", "TF FLOPs", "TF, graph", "fvcore FLOPs"):
        assert f" {convention} |" in text
    assert list(pd.read_csv(csv).mark) == ["measured", "published"]


def of_sequences(length: int) -> dict:
    """The profile of a network that does the same for each epoch of a sequence."""
    operations = {name: n * (length if name != "parameters" else 1) for name, n in PROFILE["operations"].items()}
    latency = {name: length * PROFILE["latency"][name] for name in ("median_us", "iqr_us", "p99_us", "length")}
    operations["macs_per_epoch"] = PROFILE["operations"]["macs"]
    return {**PROFILE, "operations": operations, "latency": {**PROFILE["latency"], **latency}}


def test_complexity_of_a_sequence_model_is_of_one_epoch():
    one, sequence = (tables.complexity([profile], []).iloc[0] for profile in (PROFILE, of_sequences(20)))
    names = tables.COMPLEXITY_COLUMNS
    assert sequence[list(names)].tolist() == pytest.approx(one[list(names)].tolist())
    assert "(400 passes of sequences of 20 epochs)" in sequence.source and "(400 passes), on" in one.source


def test_complexity_without_a_network_has_the_published_rows(tmp_path, simulated):
    outputs = [tmp_path / f"c.{form}" for form in ("csv", "md", "tex")]
    tables.write_complexity([], CLAIMS, "simulated", True, *outputs)
    assert pd.read_csv(outputs[0]).mark.tolist() == ["published"]


def test_trainings_that_ended_early_are_counted_in_the_note(simulated):
    runs = tables.read_runs(simulated)
    cases = {", 8 training": [8] * 4, ", 3 to 8 of at most 8": [3, 8, 8, 7], ", 5 of at most 8": [5] * 4}
    for said, trained in cases.items():
        runs.loc[runs.protocol == "clean", "trained_epochs"] = trained
        table = tables.main_results(runs, pd.read_csv(PUBLISHED), "simulated", True)
        row = table[(table.protocol == "clean") & (table.mark == "measured")].iloc[0]
        assert said in tables.main_results_note(row) and row.training_epochs == 8


def test_a_model_that_is_fitted_in_one_go_has_no_training_epochs(simulated):
    runs = tables.read_runs(simulated)
    for column, value in (("model", "band_power"), ("title", "Band power"), ("trained_epochs", 1)):
        runs.loc[runs.protocol == "clean", column] = value
    table = tables.main_results(runs, pd.read_csv(PUBLISHED), "simulated", True)
    row = table[(table.protocol == "clean") & (table.mark == "measured")].iloc[0]
    assert ", fitted in one go, nothing of the recipe applies, " in tables.main_results_note(row)
    assert row[list(tables.TRAINED)].isna().all()


def test_complexity_says_which_sizes_are_not_verified():
    profiles = [{**PROFILE, "model": name} for name in ("ulw_sleepnet", "seq_sleepnet")]
    said = ["after the description" in source for source in tables.complexity(profiles, []).source]
    assert said == [False, True]


def test_complexity_of_a_network_without_a_tensorflow_count():
    profile = {**PROFILE, "operations": {**PROFILE["operations"], "flops_tensorflow": None}}
    table = tables.complexity([profile], load_claims(CLAIMS))
    assert table.flops_tensorflow.isna().tolist() == [True, False]
    assert tables.count("flops_tensorflow")(table.iloc[0]) == "–"


@pytest.mark.parametrize(
    ("value", "mark", "shown"),
    [
        (0.8204, "measured", ".820"),
        (-0.0123, "measured", "-.012"),
        (1.0, "measured", "1.000"),
        (0.8, "secondary", ".80"),
        (0.8233, "secondary", ".823"),
        (np.nan, "published", "–"),
    ],
)
def test_kappa_is_shown_as_papers_print_it(value, mark, shown):
    assert tables.kappa(pd.Series({"cohen_kappa": value, "mark": mark})) == shown


def test_the_summary_says_what_was_not_trained(tmp_path):
    reason = "Recipe published: no recipe of the paper is known (EEGNet)."
    text = tables.summary("simulated", True, ["one"], [], [], tmp_path / "summary.md", [reason])
    assert f"\n\nNot trained. {reason}\n\n" in text
    assert "Not trained" not in tables.summary("simulated", True, ["one"], [], [], tmp_path / "summary.md")


def test_summary_holds_the_tables_and_fits_a_terminal(tmp_path, simulated):
    files = written(tmp_path, simulated)
    figure = tmp_path / "figures" / "night.png"
    rendered = [paths[1] for paths in files.values()]
    audit = "clean: 11 of 11 recordings tested"
    text = tables.summary("simulated", True, [audit], rendered, [figure], tmp_path / "out" / "summary.md")
    assert f"\n- {audit}\n" in text
    assert (tmp_path / "out" / "summary.md").read_text() == text
    for _, markdown, _ in files.values():
        assert markdown.read_text().strip() in text
    assert "[night.png](../figures/night.png)" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("#")) <= 160
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert all(tables.SIMULATED in heading for heading in headings)


def test_models_with_several_networks_are_told_apart_by_input_and_recipe():
    rows = [("A", "fpz", "common"), ("A", "four", "common"), ("B", "fpz", "own"), ("B", "fpz", "own")]
    records = pd.DataFrame(rows, columns=["title", "channels", "recipe"])
    assert list(tables.with_network_names(records).network) == ["A (fpz, common)", "A (four, common)", "B", "B"]
    without = records.drop(columns="recipe")
    assert tables.with_network_names(without) is without
