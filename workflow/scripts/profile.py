from sleepbench.jobs import job
from sleepbench.profiling.profile import write_profile

with job(snakemake):
    n_channels, _, n_samples = snakemake.wildcards.shape.partition("x")
    longer = {"n_samples": int(n_samples)} if n_samples else {}
    write_profile(snakemake.wildcards.model, int(n_channels), snakemake.output.profile, **longer)
