from sleepbench.core.logs import logged
from sleepbench.jobs import statistics

with logged(snakemake.log[0]):
    statistics("subjects", snakemake.input, snakemake.params, dict(snakemake.output.items()))
