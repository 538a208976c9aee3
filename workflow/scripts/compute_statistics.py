from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.reporting.statistics.compute import Asked, compute_statistics

with logged(snakemake.log[0]):
    compute_statistics(
        snakemake.input.runs,
        snakemake.input.recordings,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.params.ladder,
        str(Path(snakemake.output.intervals).parent),
        snakemake.params.folds,
        snakemake.input.quality,
        Asked(snakemake.params.own_recipes, snakemake.params.alone, snakemake.params.undefined),
    )
