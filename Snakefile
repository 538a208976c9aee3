# `snakemake` finds the workflow from here; where it stands is where Snakemake's catalogue of workflows looks for it.
include: "workflow/Snakefile"


workflow.default_target = "all"  # what is included sets none
