renew_store_mark(config["tracking"]["uri"], Path(STORE_MARK))


rule log_runs:
    input:
        receipts=lambda w: receipts(w.dataset),
        store=STORE_MARK,
    output:
        runs="results/{dataset}/logged_runs.json",
    log:
        "results/logs/{dataset}/log_runs.log",
    conda:
        ENVIRONMENT
    resources:
        mlflow=1,
    params:
        code=code_sha256(["tracking.py"]),
        protocols=lambda w: {
            name: {
                "folds": FOLD_SETTINGS[w.dataset, name].name,
                "window": config["protocols"][name]["window"],
                "selection": config["protocols"][name]["selection"],
            }
            for name in config["run"]["protocols"]
        },
        uri=config["tracking"]["uri"],
        artifacts="results/mlflow-artifacts/{dataset}",
        experiment=lambda w: experiment(w.dataset),
    message:
        "Logging the finished runs on {wildcards.dataset} to MLflow"
    script:
        "../scripts/log_runs.py"


rule collect_runs:
    input:
        runs="results/{dataset}/logged_runs.json",
    output:
        table="results/{dataset}/runs.csv",
    log:
        "results/logs/{dataset}/collect_runs.log",
    conda:
        ENVIRONMENT
    resources:
        mlflow=1,
    params:
        code=code_sha256(["tracking.py"]),
        uri=config["tracking"]["uri"],
        experiment=lambda w: experiment(w.dataset),
        simulated=lambda w: DATASETS[w.dataset].simulated,
        only_folds=lambda w: DATASETS[w.dataset].only_folds,
    message:
        "Collecting the metrics of the runs on {wildcards.dataset} from MLflow"
    script:
        "../scripts/collect_runs.py"


rule main_results:
    input:
        runs="results/{dataset}/runs.csv",
        published=PUBLISHED,
    output:
        **table_files("main_results"),
    log:
        "results/logs/{dataset}/main_results.log",
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: main results of {wildcards.dataset}"
    script:
        "../scripts/main_results.py"


rule complexity:
    input:
        profiles=lambda w: profiles(w.dataset),
        claims=CLAIMS,
    output:
        **table_files("complexity"),
    log:
        "results/logs/{dataset}/complexity.log",
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: size and cost of the networks of {wildcards.dataset}"
    script:
        "../scripts/complexity.py"


rule claims:
    input:
        claims=CLAIMS,
        runs="results/{dataset}/runs.csv",
        profiles=lambda w: profiles(w.dataset),
    output:
        **table_files("claims"),
    log:
        "results/logs/{dataset}/claims.log",
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: published claims of {wildcards.dataset}"
    script:
        "../scripts/claims.py"


rule confusion:
    input:
        runs="results/{dataset}/runs.csv",
    output:
        **figure_files("confusion"),
    log:
        "results/logs/{dataset}/confusion.log",
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: confusion matrices of {wildcards.dataset}"
    script:
        "../scripts/confusion.py"


rule night:
    input:
        runs="results/{dataset}/runs.csv",
    output:
        **figure_files("night"),
    log:
        "results/logs/{dataset}/night.log",
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: one night of {wildcards.dataset}"
    script:
        "../scripts/night.py"


rule training_curves:
    input:
        runs="results/{dataset}/runs.csv",
    output:
        **figure_files("training_curves"),
    log:
        "results/logs/{dataset}/training_curves.log",
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: training curves of {wildcards.dataset}"
    script:
        "../scripts/training_curves.py"


rule summary:
    input:
        tables=expand("results/{{dataset}}/tables/{table}.md", table=TABLES),
        figures=expand("results/{{dataset}}/figures/{figure}.png", figure=FIGURES),
        folds=lambda w: sorted(
            {
                f"results/{w.dataset}/folds/{FOLD_SETTINGS[w.dataset, name].name}.json"
                for name in config["run"]["protocols"]
            }
        ),
    output:
        summary="results/{dataset}/summary.md",
    log:
        "results/logs/{dataset}/summary.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
        code=REPORTING_CODE,
        protocols=lambda w: {name: FOLD_SETTINGS[w.dataset, name].name for name in config["run"]["protocols"]},
    message:
        "Joining the tables of {wildcards.dataset}"
    script:
        "../scripts/summary.py"
