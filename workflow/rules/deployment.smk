rule deployment:
    input:
        training=lambda w: W.made_by(W.deployed(w.dataset).training),
        folds=lambda w: paths.folds(w.dataset, W.deployed(w.dataset).training.folds),
    output:
        deployment=paths.deployment("{dataset}"),
    log:
        paths.log(paths.deployment("{dataset}")),
    benchmark:
        paths.benchmark(paths.deployment("{dataset}"))
    conda:
        ENVIRONMENT
    resources:
        mem_mb=2 * MEMORY_MB,
        runtime=MINUTES,
    params:
        key=lambda w: vars(W.deployed(w.dataset).training),
        recordings=paths.recordings("{dataset}"),
        code=module_sha256("sleepbench.deployment.measuring"),
        source=W.resources_sha256(W.c_sources()),
    message:
        "Trying the network of {wildcards.dataset} as C, here and on emulated boards"
    script:
        "../scripts/deployment.py"
