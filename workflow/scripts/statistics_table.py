from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.reporting.tables.of_statistics import write_statistics_table

with logged(snakemake.log[0]):
    write_statistics_table(
        snakemake.params.name,
        str(Path(snakemake.input[0]).parent),
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.csv,
        snakemake.output.md,
        snakemake.output.tex,
    )
