# The only commands a reader must know; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
DATASET ?= simulated
GPU ?=
SIMULATED = $(if $(filter simulated,$(DATASET)),simulated-20,$(DATASET))

BIN = $(VENV)/bin
SNAKEMAKE = $(BIN)/python -m sleepbench.cli.launch
comma := ,
# The trial has a protocol of its own.
RUN = run={datasets: [$(DATASET)]$(if $(filter try-real,$(DATASET)),$(comma) protocols: [trial])}
MODELS = $$($(BIN)/python -c 'from sleepbench.models import model_names; print(", ".join(model_names()))')
RIVALS_RUN = run={datasets: [$(DATASET)], protocols: [clean], models: [$(MODELS)], channels: [fpz, two, three, four], recipes: [common, published]}
ESTIMATE = $(BIN)/python -m sleepbench.benchmarks.estimate
NO_ESTIMATE = echo "Warning: no estimate could be made; the run goes on without one." >&2

export PYTHONUNBUFFERED = 1

.PHONY: help setup demo try-real estimate paper rivals rehearsal data verify-data prepare realism verify tables report export compare trace folds \
  benchmark benchmark-training benchmark-stack benchmark-memory benchmark-reporting ui test fuzz hostile-edf data-card lint format lock clean
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-19s %s\n", $$1, $$2}'
	@echo "DATASET=sleep-edf-20 | sleep-edf-78 | simulated | simulated-tiny | simulated-20 | simulated-78 (the sizes of the real ones) | try-real"
	@echo "GPU=1 takes PyTorch's CUDA build; PYTHON=python3.x another Python"

setup: ## make or update .venv (the other commands do it by themselves)
	@envs/setup.sh "$(PYTHON)" "$(VENV)" "$(GPU)"

demo: setup ## the whole benchmark on a small simulated cohort, a few minutes
	@$(SNAKEMAKE) --config 'run={datasets: [simulated]}'
	@cat results/simulated/summary.md

try-real: setup ## minutes: fetch two subjects (200 MB), train one fold a little: whether the real path works here
	@$(MAKE) --no-print-directory paper DATASET=try-real

estimate: setup ## hours and gigabytes that `make paper` takes here, in a minute; RIVALS=1: `make rivals`; CHECK=1: held against what was run
	@$(ESTIMATE) --config "$(if $(RIVALS),$(RIVALS_RUN),$(RUN))" $(if $(CHECK),--check)

paper: setup ## the benchmark on Sleep-EDF: DATASET=sleep-edf-20 or sleep-edf-78 (33 hours and 4 days on two cores)
	@[ "$(DATASET)" != simulated ] || { echo "Name the dataset: make paper DATASET=sleep-edf-20 (or sleep-edf-78)"; exit 2; }
	@$(ESTIMATE) --config '$(RUN)' || $(NO_ESTIMATE)
	@$(SNAKEMAKE) --config '$(RUN)'
	@cat results/$(DATASET)/summary.md

rivals: setup ## every model under the clean protocol, by one recipe and by its paper's, on Fpz-Cz alone up to four channels
	@[ "$(DATASET)" = simulated-tiny ] || $(ESTIMATE) --config "$(RIVALS_RUN)" || $(NO_ESTIMATE)
	@$(SNAKEMAKE) --config "$(RIVALS_RUN)"
	@cat results/$(DATASET)/summary.md

rehearsal: setup ## `make paper DATASET=sleep-edf-20` against a local server with short simulated nights, 10 minutes
	@$(BIN)/python -m sleepbench.simulation.rehearsal results/rehearsal "$(abspath $(VENV))"

data: setup ## fetch (or simulate) and verify the files of a DATASET; what is right is not fetched again
	@$(SNAKEMAKE) data --forcerun fetch --config '$(RUN)'

verify-data: setup ## hash again the files of a DATASET on disk; nothing is fetched or changed
	@$(BIN)/python -m sleepbench.signals.verify $(DATASET)

prepare: setup ## prepare the recordings of a DATASET and hold them against the known totals
	@$(SNAKEMAKE) prepared --config '$(RUN)'

realism: setup ## how near the simulated cohort comes to the real recordings (39 full nights, 20 minutes)
	@case "$(SIMULATED)" in simulated*) ;; *) echo "DATASET=$(DATASET): realism compares a simulated cohort: simulated-20 (the default) or simulated-78"; exit 2;; esac
	@$(SNAKEMAKE) results/$(SIMULATED)/realism.md --config 'run={datasets: [$(SIMULATED)], protocols: [clean]}'
	@cat results/$(SIMULATED)/realism.md
	@! grep -q "| *NO |" results/$(SIMULATED)/realism.md || { echo "The simulated cohort is not within its bounds."; exit 1; }

verify: setup ## verdicts on the published claims from what has been run; fails when one is not reproduced
	@$(SNAKEMAKE) profiles
	@$(BIN)/python -m sleepbench.runs.verdicts

tables: setup ## the main table's rows so far, each marked "n of k folds": also of an unfinished experiment
	@$(BIN)/python -m sleepbench.runs.progress $(DATASET)

report: setup ## one HTML page of everything that was run, which opens offline
	@$(SNAKEMAKE) results/$(DATASET)/report.html --config '$(RUN)'
	@echo "results/$(DATASET)/report.html"

export: setup ## results without weights as one small archive: DATASET=... [TO=file.zip]
	@$(BIN)/python -m sleepbench.runs.archive export $(DATASET) $(TO)

compare: setup ## row by row what differs from somebody's archive: DATASET=... WITH=archive.zip [CSV=file]
	@[ -n "$(WITH)" ] || { echo "Name the archive: make compare DATASET=$(DATASET) WITH=archive.zip"; exit 2; }
	@$(BIN)/python -m sleepbench.runs.archive compare $(DATASET) "$(WITH)" $(if $(CSV),--csv "$(CSV)")

trace: setup ## a table row back to its runs, files, EDF hashes: DATASET=... ROW="protocol=clean", "table=ladder row=2", a run key
	@$(BIN)/python -m sleepbench.runs.trace $(DATASET) $(ROW)

folds: setup ## remake the committed folds of the real datasets, workflow/resources/folds
	@$(BIN)/python -m sleepbench.protocols.published

benchmark: setup ## time and memory of the jobs that were run for a DATASET, from Snakemake's benchmark files
	@$(BIN)/python -m sleepbench.benchmarks.jobs $(DATASET)

benchmark-training: setup ## windows a second that both engines train and classify here, interleaved, 2 threads
	@$(BIN)/python -m sleepbench.benchmarks.training

benchmark-stack: setup ## steps a second of ten folds trained at once, as a GPU does, and what `released` takes at that rate
	@$(BIN)/python -m sleepbench.benchmarks.stack

benchmark-memory: setup ## peak memory of training and of scoring a night, every model of sequences, 5 minutes
	@$(BIN)/python -m sleepbench.benchmarks.memory

benchmark-reporting: setup ## time and memory of all tables, figures and reports of 1,600 made-up runs, 2 minutes
	@$(BIN)/python tests/reporting/benchmark_reporting.py

ui: setup ## browse the runs in MLflow
	@uri=$$($(BIN)/python -c 'import yaml; print(yaml.safe_load(open("config.yaml"))["tracking"]["uri"])') && \
	  echo "MLflow on http://127.0.0.1:5000 shows $$uri; Ctrl-C ends it" && \
	  MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --backend-store-uri "$$uri"

test: setup lint ## lint, then the test suite
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST)

fuzz: setup ## 20,000 damaged EDF and EDF+ files, 3 minutes
	@$(BIN)/python tests/signals/fuzz.py --cases 20000 --seed 1

hostile-edf: setup ## remake docs/hostile-edf.md: what this pipeline, MNE, pyedflib and edfio do with hostile files
	@$(BIN)/python tests/signals/hostile_matrix.py

data-card: setup ## remake docs/data-card.md
	@$(BIN)/python tools/data_card.py

lint: setup ## ruff, snakefmt, snakemake --lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint

format: setup ## format Python and Snakemake files
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/snakefmt Snakefile workflow

lock: ## remake envs/requirements.lock and environment.yaml from requirements.in
	@envs/lock.sh "$(PYTHON)"

clean: setup ## say what results hold and what they cost to remake; YES=1 deletes them
	@$(BIN)/python -m sleepbench.runs.clean $(if $(YES),--yes)
