from sleepbench.jobs import job, tables

with job(snakemake, reads=snakemake.params.files.get("quality", [])):
    tables(snakemake.wildcards.dataset, snakemake.input, snakemake.params)
