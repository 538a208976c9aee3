rule smooth:
    input:
        receipt=lambda w: f"{TRAININGS.format(**w)}/group-{group_of(w.dataset, w.folds, int(w.fold))}.json",
        folds="results/{dataset}/folds/{folds}.json",
        signals=lambda w: of_recordings(w.dataset, "prepared/{recording}.npy"),
    output:
        # Not beside the run's own predictions: nothing that reads runs comes across these.
        predictions=f"{POSTPROCESSED}/fold-{{fold}}/{{selection}}/predictions.parquet",
        parameters=f"{POSTPROCESSED}/fold-{{fold}}/{{selection}}/hmm.json",
    log:
        f"results/logs/{POSTPROCESSED.removeprefix('results/')}/fold-{{fold}}-{{selection}}.log",
    benchmark:
        f"results/benchmarks/{POSTPROCESSED.removeprefix('results/')}/fold-{{fold}}-{{selection}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        gpu=int(USES_GPU),
    params:
        training=f"{TRAININGS}/fold-{{fold}}",
        simulated=lambda w: DATASETS[w.dataset].simulated,
        code=lambda w: code_sha256([*PREPARATION, *TRAINING, *POSTPROCESSING], w.model),
    message:
        "Smoothing the predictions of {wildcards.model} on {wildcards.dataset}: {wildcards.folds}, fold {wildcards.fold}, seed {wildcards.seed}, {wildcards.selection}"
    script:
        "../scripts/smooth.py"


rule postprocessing:
    input:
        runs="results/{dataset}/runs.csv",
        parameters=lambda w: expand("{directory}/hmm.json", directory=smoothed_runs(w.dataset)),
        predictions=lambda w: expand("{directory}/predictions.parquet", directory=smoothed_runs(w.dataset)),
    output:
        **table_files("postprocessing"),
    log:
        "results/logs/{dataset}/postprocessing.log",
    benchmark:
        "results/benchmarks/{dataset}/postprocessing.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
        models=config["postprocessing"]["hmm"],
        protocols=lambda w: postprocessed_protocols(w.dataset),
    message:
        "Table: post-processing of {wildcards.dataset}"
    script:
        "../scripts/postprocessing.py"
