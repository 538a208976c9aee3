from pathlib import Path

from sleepbench.data.totals import check_totals
from sleepbench.logs import logged

with logged(snakemake.log[0]):
    check_totals(
        snakemake.wildcards.dataset,
        snakemake.wildcards.window,
        Path(snakemake.input.folds),
        [Path(path) for path in snakemake.input.prepared],
        snakemake.params.simulated,
        Path(snakemake.output.totals),
    )
