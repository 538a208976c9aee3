from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.runs.mlflow import collect_runs

with logged(snakemake.log[0]):
    collect_runs(
        Path(snakemake.input.runs),
        snakemake.params.uri,
        snakemake.params.experiment,
        snakemake.params.simulated,
        snakemake.params.only_folds,
        Path(snakemake.output.table),
    )
