from sleepbench.jobs import figures, job

with job(snakemake, reads=snakemake.params.files.get("quality", [])):
    figures(snakemake.wildcards.dataset, snakemake.input, snakemake.params)
