renew_store_mark(config["tracking"]["uri"], Path(STORE_MARK))


rule log_runs:
    input:
        receipts=lambda w: receipts(w.dataset),
        store=STORE_MARK,
    output:
        runs="results/{dataset}/logged_runs.json",
    log:
        "results/logs/{dataset}/log_runs.log",
    benchmark:
        "results/benchmarks/{dataset}/log_runs.tsv"
    conda:
        ENVIRONMENT
    resources:
        mlflow=1,
    params:
        code=code_sha256(["runs/mlflow.py"]),
        protocols=lambda w: {
            name: {
                "folds": FOLD_SETTINGS[w.dataset, name].name,
                "window": config["protocols"][name]["window"],
                "selection": config["protocols"][name]["selection"],
            }
            for name in protocols_of(w.dataset)
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
    benchmark:
        "results/benchmarks/{dataset}/collect_runs.tsv"
    conda:
        ENVIRONMENT
    resources:
        mlflow=1,
    params:
        code=code_sha256(["runs/mlflow.py"]),
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
    benchmark:
        "results/benchmarks/{dataset}/main_results.tsv"
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
    benchmark:
        "results/benchmarks/{dataset}/complexity.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: size and cost of the networks of {wildcards.dataset}"
    script:
        "../scripts/complexity.py"


rule published_sizes:
    input:
        profiles=lambda w: profiles(w.dataset),
        published=PUBLISHED_SIZES,
    output:
        **table_files("published_sizes"),
    log:
        "results/logs/{dataset}/published_sizes.log",
    benchmark:
        "results/benchmarks/{dataset}/published_sizes.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: published sizes of the networks of {wildcards.dataset}"
    script:
        "../scripts/published_sizes.py"


rule claims:
    input:
        claims=CLAIMS,
        runs="results/{dataset}/runs.csv",
        profiles=lambda w: profiles(w.dataset),
    output:
        **table_files("claims"),
    log:
        "results/logs/{dataset}/claims.log",
    benchmark:
        "results/benchmarks/{dataset}/claims.tsv"
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
    benchmark:
        "results/benchmarks/{dataset}/confusion.tsv"
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
    benchmark:
        "results/benchmarks/{dataset}/night.tsv"
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
    benchmark:
        "results/benchmarks/{dataset}/training_curves.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: training curves of {wildcards.dataset}"
    script:
        "../scripts/training_curves.py"


rule statistics:
    input:
        runs="results/{dataset}/runs.csv",
        recordings=lambda w: table_of(DATASETS[w.dataset].source),
        folds=lambda w: sorted(set(by_protocol(w.dataset, "folds/{folds}.json").values())),
        quality=lambda w: of_recordings(w.dataset, "prepared/{recording}.quality.json"),
    output:
        **{name: f"results/{{dataset}}/statistics/{name}.csv" for name in STATISTICS},
    log:
        "results/logs/{dataset}/statistics.log",
    benchmark:
        "results/benchmarks/{dataset}/statistics.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1500,
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
        ladder=config["ladder"],
        own_recipes=own_recipes(),
        alone=next((name for name, channels in config["channels"].items() if channels == ["EEG Fpz-Cz"]), None),
        undefined=undefined_channels(),
        folds=lambda w: by_protocol(w.dataset, "folds/{folds}.json"),
    message:
        "Statistics over the subjects of {wildcards.dataset}"
    script:
        "../scripts/compute_statistics.py"


rule statistics_table:
    input:
        lambda w: expand(f"results/{w.dataset}/statistics/{{name}}.csv", name=STATISTICS_TABLES[w.table]),
    output:
        **table_files("{table}"),
    log:
        "results/logs/{dataset}/{table}_table.log",
    benchmark:
        "results/benchmarks/{dataset}/{table}_table.tsv"
    wildcard_constraints:
        table="|".join(STATISTICS_TABLES),
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        name=lambda w: w.table,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: {wildcards.table} of {wildcards.dataset}"
    script:
        "../scripts/statistics_table.py"


rule audit:
    input:
        folds=lambda w: sorted(set(by_protocol(w.dataset, "folds/{folds}.json").values())),
        totals=lambda w: totals(w.dataset),
    output:
        **table_files("audit"),
        json="results/{dataset}/tables/audit.json",
    log:
        "results/logs/{dataset}/audit.log",
    benchmark:
        "results/benchmarks/{dataset}/audit.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
        protocols=lambda w: {name: config["protocols"][name] for name in protocols_of(w.dataset)},
        folds=lambda w: by_protocol(w.dataset, "folds/{folds}.json"),
        totals=lambda w: by_protocol(w.dataset, "totals/{folds}-{window}.json"),
    message:
        "Table: audit of the protocols on {wildcards.dataset}"
    script:
        "../scripts/audit.py"


rule ladder_figure:
    input:
        ladder="results/{dataset}/statistics/ladder.csv",
    output:
        **figure_files("ladder"),
    log:
        "results/logs/{dataset}/ladder_figure.log",
    benchmark:
        "results/benchmarks/{dataset}/ladder_figure.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: ladder of protocols of {wildcards.dataset}"
    script:
        "../scripts/ladder_figure.py"


rule cost:
    input:
        intervals="results/{dataset}/statistics/intervals.csv",
        runs="results/{dataset}/runs.csv",
        profiles=lambda w: profiles(w.dataset),
        published=PUBLISHED,
        claims=CLAIMS,
    output:
        **figure_files("cost"),
    log:
        "results/logs/{dataset}/cost.log",
    benchmark:
        "results/benchmarks/{dataset}/cost.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        estimators=[describe(n.model).title for n in NETWORKS if describe(n.model).kind == "estimator"],
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: accuracy against cost on {wildcards.dataset}"
    script:
        "../scripts/cost.py"


rule subjects:
    input:
        subjects="results/{dataset}/statistics/subjects.csv",
    output:
        **figure_files("subjects"),
    log:
        "results/logs/{dataset}/subjects.log",
    benchmark:
        "results/benchmarks/{dataset}/subjects.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: results by subject of {wildcards.dataset}"
    script:
        "../scripts/subjects.py"


rule reliability:
    input:
        reliability="results/{dataset}/statistics/reliability.csv",
        intervals="results/{dataset}/statistics/intervals.csv",
    output:
        **figure_files("reliability"),
    log:
        "results/logs/{dataset}/reliability.log",
    benchmark:
        "results/benchmarks/{dataset}/reliability.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: reliability of the probabilities on {wildcards.dataset}"
    script:
        "../scripts/reliability.py"


rule sleep_agreement:
    input:
        nights="results/{dataset}/statistics/nights.csv",
        sleep_measures="results/{dataset}/statistics/sleep_measures.csv",
    output:
        **figure_files("sleep_agreement"),
    log:
        "results/logs/{dataset}/sleep_agreement.log",
    benchmark:
        "results/benchmarks/{dataset}/sleep_agreement.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: agreement of sleep measures on {wildcards.dataset}"
    script:
        "../scripts/sleep_agreement.py"


rule html_report:
    input:
        tables=expand("results/{{dataset}}/tables/{table}.csv", table=TABLES),
        figures=expand("results/{{dataset}}/figures/{figure}.png", figure=FIGURES),
        runs="results/{dataset}/runs.csv",
        folds=lambda w: sorted(set(by_protocol(w.dataset, "folds/{folds}.json").values())),
        audit="results/{dataset}/tables/audit.json",
        claims="results/{dataset}/tables/claims.csv",
        profiles=lambda w: profiles(w.dataset),
    output:
        report="results/{dataset}/report.html",
    log:
        "results/logs/{dataset}/report.log",
    benchmark:
        "results/benchmarks/{dataset}/report.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        not_trained=NOT_TRAINED,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Report of {wildcards.dataset}"
    script:
        "../scripts/report.py"


rule summary:
    input:
        tables=expand("results/{{dataset}}/tables/{table}.md", table=SUMMARY_TABLES),
        figures=expand("results/{{dataset}}/figures/{figure}.png", figure=FIGURES),
        folds=lambda w: sorted(set(by_protocol(w.dataset, "folds/{folds}.json").values())),
    output:
        summary="results/{dataset}/summary.md",
    log:
        "results/logs/{dataset}/summary.log",
    benchmark:
        "results/benchmarks/{dataset}/summary.tsv"
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
        code=REPORTING_CODE,
        not_trained=NOT_TRAINED,
        protocols=lambda w: {name: FOLD_SETTINGS[w.dataset, name].name for name in protocols_of(w.dataset)},
    message:
        "Joining the tables of {wildcards.dataset}"
    script:
        "../scripts/summary.py"
