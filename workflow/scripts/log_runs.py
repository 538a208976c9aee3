from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.runs.mlflow import log_runs

with logged(snakemake.log[0]):
    log_runs(
        [Path(path) for path in snakemake.input.receipts],
        snakemake.params.protocols,
        snakemake.params.uri,
        Path(snakemake.params.artifacts),
        snakemake.params.experiment,
        Path(snakemake.output.runs),
    )
