from sleepbench.core.logs import logged
from sleepbench.simulation.cohort import simulate_cohort

with logged(snakemake.log[0]):
    simulate_cohort(
        snakemake.params.directory,
        snakemake.output.manifest,
        snakemake.params.recordings,
        snakemake.params.psg_hours,
        snakemake.params.seed,
        processes=snakemake.threads,
    )
