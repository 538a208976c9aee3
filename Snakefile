# The benchmark: from EDF files to the paper's tables. `make help` lists the commands, config.yaml says what is run.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"  # checks the configuration; names and paths
include: "workflow/rules/data.smk"  # simulate or download, verify, prepare
include: "workflow/rules/training.smk"  # folds, trainings
include: "workflow/rules/postprocessing.smk"  # smoothed predictions, beside the runs
include: "workflow/rules/profiling.smk"  # operations, latency
include: "workflow/rules/reporting.smk"  # MLflow, tables, figures, summary


rule all:
    default_target: True
    input:
        # Named one by one, so that whichever is missing is made again.
        [products(dataset) for dataset in config["run"]["datasets"]],
