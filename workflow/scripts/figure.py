from sleepbench.core.logs import logged
from sleepbench.jobs import figure

with logged(snakemake.log[0]):
    figure(snakemake.wildcards.figure, snakemake.input, snakemake.params, dict(snakemake.output.items()))
