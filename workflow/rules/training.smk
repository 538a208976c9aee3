rule folds:
    input:
        table=lambda w: table_of(DATASETS[w.dataset].source),
    output:
        folds="results/{dataset}/folds/{folds}.json",
    log:
        "results/logs/{dataset}/folds/{folds}.log",
    conda:
        ENVIRONMENT
    params:
        subjects=lambda w: DATASETS[w.dataset].subjects,
        settings=lambda w: vars(fold_settings(w.dataset, w.folds)[0]),
        subject_disjoint=lambda w: any(
            config["protocols"][name]["subject_disjoint"] for name in fold_settings(w.dataset, w.folds)[1]
        ),
        published=f"{PUBLISHED_FOLDS}/{{dataset}}/{{folds}}.json",
        code=code_sha256(["protocols/*.py", "datasets/recordings.py"]),
    message:
        "Making and auditing the folds {wildcards.folds} of {wildcards.dataset}"
    script:
        "../scripts/folds.py"


rule train:
    input:
        folds="results/{dataset}/folds/{folds}.json",
        signals=lambda w: of_recordings(w.dataset, "prepared/{recording}.npy"),
        # Before any training: the recordings hold what they are known to hold.
        totals="results/{dataset}/totals/{folds}-{window}.json",
    output:
        # The files of each fold lie beside the receipt that lists them. Snakemake does not own them: a finished fold
        # outlives a failed job, a regrouping of folds and a new time stamp.
        receipt=f"{TRAININGS}/group-{{group}}.json",
    log:
        f"results/logs/{TRAININGS.removeprefix('results/')}/group-{{group}}.log",
    benchmark:
        f"results/benchmarks/{TRAININGS.removeprefix('results/')}/group-{{group}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["training"]["threads"]
    resources:
        gpu=int(USES_GPU),
    params:
        folds=folds_of_job,
        channels=lambda w: config["channels"][w.channels],
        recipe=lambda w: recipe_settings(config, w.recipe, w.dataset),
        k=lambda w: fold_settings(w.dataset, w.folds)[0].k,
        title=lambda w: describe(w.model).title,
        simulated=lambda w: DATASETS[w.dataset].simulated,
        code=lambda w: code_sha256(PREPARATION + TRAINING, w.model),
    message:
        "Training {wildcards.model} on {wildcards.dataset}: {wildcards.folds}, fold {wildcards.group}, seed {wildcards.seed}; progress in {log}"
    script:
        "../scripts/train.py"


rule training_files:
    input:
        receipt=lambda w: f"{TRAININGS.format(**w)}/group-{group_of(w.dataset, w.folds, int(w.fold))}.json",
    output:
        # So that files of a fold can be asked for by path. They are there once the receipt is: `update` keeps them.
        update(
            expand(
                f"{TRAININGS}/fold-{{fold}}/{{name}}",
                name=["training.json", "history.csv", "weights.pt"],
                allow_missing=True,
            )
        ),
    log:
        f"results/logs/{TRAININGS.removeprefix('results/')}/fold-{{fold}}.log",
    conda:
        ENVIRONMENT
    params:
        directory=f"{TRAININGS}/fold-{{fold}}",
    message:
        "Checking the files of fold {wildcards.fold}"
    script:
        "../scripts/training_files.py"


use rule training_files as run_files with:
    output:
        update(
            expand(
                f"{TRAININGS}/fold-{{fold}}/{{selection}}/{{name}}",
                name=["predictions.parquet", "metrics.json"],
                allow_missing=True,
            )
        ),
    log:
        f"results/logs/{TRAININGS.removeprefix('results/')}/fold-{{fold}}-{{selection}}.log",
