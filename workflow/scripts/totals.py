from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.signals.totals import check_totals

with logged(snakemake.log[0]):
    check_totals(
        snakemake.wildcards.dataset,
        snakemake.wildcards.window,
        Path(snakemake.input.folds),
        [Path(path) for path in snakemake.input.prepared],
        snakemake.params.simulated,
        Path(snakemake.output.totals),
    )
