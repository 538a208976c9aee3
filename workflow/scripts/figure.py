from sleepbench.jobs import figure, job

with job(snakemake):
    figure(snakemake.wildcards.figure, snakemake.input, snakemake.params, dict(snakemake.output.items()))
