# The benchmark: from EDF files to the paper's tables. `sleepbench --help` lists the commands, config.yaml says what is run.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"  # checks the configuration
include: "workflow/rules/data.smk"  # fetch or simulate, verify, prepare
include: "workflow/rules/training.smk"  # folds, trainings, smoothed predictions
include: "workflow/rules/profiling.smk"  # operations, latency
include: "workflow/rules/cross.smk"  # networks of one dataset tested on another
include: "workflow/rules/deployment.smk"  # a network as C
include: "workflow/rules/reporting.smk"  # MLflow, statistics, tables, figures, report


rule all:
    default_target: True
    input:
        # Named one by one, so that whichever is missing is made again.
        [W.products(dataset) for dataset in W.plan.datasets],
        W.cross_products(),
