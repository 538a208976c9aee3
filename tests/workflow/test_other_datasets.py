"""Two small cohorts, and networks of each tested on the other, from nothing to the page."""

import pandas as pd
import pytest

from sleepbench.config import paths

COHORT = {"reader": "simulated", "subjects": 4, "single_night_subjects": [0, 1, 2, 3], "psg_hours": 1.75, "n_folds": 2}


@pytest.mark.slow
def test_networks_of_each_cohort_are_tested_on_the_other(project):
    project.configure(
        run={"protocols": ["clean"], "inputs": ["one"], "datasets": ["a", "b"], "test_on": ["a", "b"]},
        datasets={name: {**COHORT, "seed": seed, "training_epochs": 1} for name, seed in (("a", 5), ("b", 6))},
        cross={"remedies": ["scaled", "adabn", "finetuned_1", "finetuned_3"]},
    )
    result = project.run(paths.cross_page())
    assert result.returncode == 0, result.stdout
    matrix = pd.read_csv(project.directory / paths.cross_product("tables", "cross_matrix", "csv"))
    ways = {"own", "as_is", "together", "scaled", "adabn", "finetuned_1"}
    assert set(matrix.way) == ways and len(matrix) == 2 * len(ways)
    assert (matrix[matrix.way == "as_is"].n_shared == 4).all() and (
        matrix[matrix.way == "finetuned_1"].n_subjects == 3
    ).all()
    page = (project.directory / paths.cross_page()).read_text(encoding="utf-8")
    assert "SIMULATED data" in page and "without finetuned_3: of 4 people too few are left to be tested" in page
    again = project.run(paths.cross_page())
    assert again.returncode == 0 and "Nothing to be done" in again.stdout

    (project.directory / paths.cross_product("tables", "cross_matrix", "csv")).write_text("changed\n")
    mended = project.run(paths.cross_page())
    assert mended.returncode == 0 and "not as it was made" in mended.stdout
    found = pd.read_csv(project.directory / paths.cross_product("tables", "cross_matrix", "csv"))
    pd.testing.assert_frame_equal(found, matrix)
