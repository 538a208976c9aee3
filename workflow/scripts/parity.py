from sleepbench.core.logs import logged
from sleepbench.profiling.parity import write_parity

with logged(snakemake.log[0]):
    write_parity(snakemake.wildcards.model, snakemake.output.parity)
