from sleepbench.jobs import job
from sleepbench.profiling.parity import write_parity

with job(snakemake):
    write_parity(snakemake.wildcards.model, snakemake.output.parity)
