from sleepbench.core.logs import logged
from sleepbench.profiling.profile import write_profile

with logged(snakemake.log[0]):
    write_profile(snakemake.wildcards.model, int(snakemake.wildcards.n_channels), snakemake.output.profile)
