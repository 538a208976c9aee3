from sleepbench.core.logs import logged
from sleepbench.jobs import table

with logged(snakemake.log[0]):
    table(snakemake.wildcards.table, snakemake.input, snakemake.params, dict(snakemake.output.items()))
