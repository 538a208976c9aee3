from sleepbench.jobs import figure, job

with job(snakemake, reads=snakemake.params.files.get("quality", [])):
    figure(snakemake.wildcards.figure, snakemake.input, snakemake.params, dict(snakemake.output.items()))
