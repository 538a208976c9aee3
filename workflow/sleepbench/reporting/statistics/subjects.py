"""Statistics of every contender, computed once from its runs' predictions and kept as CSV files.

Tables and figures read these files and nothing else, so that a number is the same wherever it is shown. A contender is
a model's title, an input and a recipe; its runs under one protocol are read together, all test folds of each seed, and
every metric is in 0..1 (kappa in -1..1). Subjects are text: read them with dtype str.

    intervals.csv       pooled metrics with bootstrap intervals over subjects, and their spread over seeds
    subjects.csv        the metrics of each subject
    groups.csv          pooled metrics by age group and sex
    comparisons.csv     models compared pairwise over subjects
    non_inferiority.csv networks that claims are about against each rival, by margin
    ranks.csv           all networks of an input and recipe ranked within each subject
    ladder.csv          the change from one rung of the ladder of protocols to the next
    inputs.csv          models on several inputs under the final protocol, and what an input changes
    nights.csv          sleep measures of each night, scored and predicted, by the first seed
    sleep_measures.csv  their agreement over nights, by the first seed
    reliability.csv     confidence and accuracy by bin of confidence, all seeds together

The macro-F1 of a row is the mean F1 of the stages that were scored or predicted in what the row is of (all epochs, a
group, a subject); `macro_f1_stages` is the number of these stages, of several seeds the fewest.

What is undefined (the recall of a stage that nobody shows, the interval of a single subject) is an empty cell.

The last column, `run_keys`, names the runs that a row was computed from, separated by spaces: those that test the
subject or the night; else those of the contender under the protocol, and of what it is compared with. A single key may
be all digits: read it with dtype str.
"""

from collections.abc import Sequence

import pandas as pd

from sleepbench.evaluation.claims import load_claims
from sleepbench.reporting.artefacts import Inputs, StatisticsArtefact
from sleepbench.reporting.reading import KEY, OVERALL, read_predictions, read_recordings, read_runs
from sleepbench.reporting.statistics.changes import inputs_table, ladder_table
from sleepbench.reporting.statistics.comparisons import comparisons_table
from sleepbench.reporting.statistics.contender import ContenderStatistics, contender_statistics
from sleepbench.reporting.statistics.groups import conditions, people
from sleepbench.reporting.statistics.non_inferiority import non_inferiority_table
from sleepbench.reporting.statistics.ranks import ranks_table


def compute(inputs: Inputs) -> dict[str, pd.DataFrame]:
    """The content of every file, by its name."""
    recordings, said = read_recordings(inputs), inputs.settings
    described, given = people(recordings), conditions(recordings)
    claimed = list(dict.fromkeys(claim.model for claim in load_claims(inputs.path("claims"))))
    # One contender at a time: the predictions of all of them together would not fit in memory.
    results = [
        contender_statistics(key, runs, read_predictions(runs), described, given)
        for key, runs in read_runs(inputs).groupby(list(KEY), sort=False)
    ]
    return {
        **{name: _joined(results, name) for name in ("intervals", "groups", "nights", "sleep_measures", "reliability")},
        "subjects": subjects_table(results, described),
        "comparisons": comparisons_table(results, said["own_recipes"]),
        "non_inferiority": non_inferiority_table(
            results, said["own_recipes"], claimed, said["margins"], inputs.label.simulated
        ),
        "ranks": ranks_table(results, said["own_recipes"]),
        "ladder": ladder_table(results, said["ladder"]),
        "inputs": inputs_table(results, said["alone"], said["undefined"]),
    }


def _joined(results: Sequence[ContenderStatistics], part: str) -> pd.DataFrame:
    """One table of all contenders, whose names come first and whose run keys come last."""
    tables = []
    for result in results:
        table = getattr(result, part)
        names = pd.DataFrame(result.named(), index=table.index)
        seeds = result.seeds[:1] if part == "sleep_measures" else result.seeds
        keys = {} if "run_keys" in table else {"run_keys": result.run_keys(seeds)}
        tables.append(pd.concat([names, table], axis=1).assign(**keys))
    return pd.concat(tables, ignore_index=True)


def subjects_table(results: Sequence[ContenderStatistics], people: pd.DataFrame) -> pd.DataFrame:
    """The metrics of each subject's own epochs, mean over seeds, with its age and sex.

    The age is that of the first night.
    """
    rows = [
        {
            **result.named(),
            **{"subject": subject, "age": people.age[subject], "sex": people.sex[subject]},
            **{name: values[name] for name in OVERALL},
            **{name: int(values[name]) for name in ("macro_f1_stages", "n_epochs", "n_recordings")},
            "run_keys": result.run_keys(subject=subject),
        }
        for result in results
        for subject, values in result.per_subject.to_dict("index").items()
    ]
    return pd.DataFrame(rows).astype({"age": "Int64"})


ARTEFACT = StatisticsArtefact(
    name="subjects",
    names=(
        "intervals",
        "subjects",
        "groups",
        "comparisons",
        "non_inferiority",
        "ranks",
        "ladder",
        "inputs",
        "nights",
        "sleep_measures",
        "reliability",
    ),
    inputs=("runs", "trainings", "recordings", "claims"),
    settings=("ladder", "own_recipes", "alone", "undefined", "margins"),
    build=compute,
)
