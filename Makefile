# The few commands a reader starts with; `.venv/bin/sleepbench --help` lists all. Values reach the commands by the
# environment, never as part of what make or a shell reads: a DATASET with quotes in it is a name that is not known.
PYTHON ?= python3
VENV ?= .venv
GPU ?=
DATASET ?=
PYTEST ?=
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(sort PYTHON VENV GPU DATASET PYTEST $(given)),$(eval override $(name) := $$(value $(name))))
export PYTHON VENV GPU DATASET PYTEST
unknown := $(sort $(filter-out PYTHON VENV GPU DATASET PYTEST,$(given)))
$(if $(unknown),$(warning $(unknown): nothing here takes that; .venv/bin/sleepbench has more options))
export PYTHONUNBUFFERED = 1

.PHONY: help no-dataset setup demo demo-real docs paper try-real rivals check-gpu test test-slurm \
  lint format lock release
.DEFAULT_GOAL := help

##@ Start here
help: ## this list
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@printf '\n%s\n%s\n' "GPU=1 takes PyTorch's CUDA build; PYTHON=python3.x another Python." \
	  "All other commands: .venv/bin/sleepbench --help"

setup: ## make or update .venv (the other commands do it by themselves)
	@envs/setup.sh "$$PYTHON" "$$VENV" "$$GPU"

no-dataset:
	@[ -z "$$DATASET" ] || { printf '%s\n' "demo and try-real take no DATASET: they are on a simulated cohort and on two subjects" \
	  "of Sleep-EDF. Of your choice: make paper, make rivals, make demo-real" >&2; exit 2; }

demo: no-dataset setup ## the whole benchmark on a small simulated cohort, a few minutes
	@"$$VENV/bin/sleepbench" run --experiment demo

demo-real: setup ## real EEG, 5 s an epoch: hours; short form: docs/real-eeg.md
	@"$$VENV/bin/sleepbench" run --experiment real-5s --datasets="$${DATASET:-sleep-edf-20-5s}"

docs: setup ## the documentation as a site that opens offline
	@"$$VENV/bin/sphinx-build" -q -W --keep-going -c docs . docs/_build
	@echo "Open docs/_build/index.html"

##@ On Sleep-EDF
try-real: no-dataset setup ## fetch 200 MB, train one fold a little: does it work here?
	@"$$VENV/bin/sleepbench" run --experiment try-real

paper: setup ## the ladder of protocols: DATASET=sleep-edf-20 or sleep-edf-78
	@[ -n "$$DATASET" ] || { echo "Name the dataset: make paper DATASET=sleep-edf-20 (or sleep-edf-78)" >&2; exit 2; }
	@"$$VENV/bin/sleepbench" estimate --experiment paper --datasets="$$DATASET" || { \
	  [ $$? -ne 2 ] || exit 2; echo "Warning: no estimate could be made; the run starts without one." >&2; }
	@"$$VENV/bin/sleepbench" run --experiment paper --datasets="$$DATASET"

rivals: setup ## every model, one protocol; DATASET=sleep-edf-20 by default
	@[ "$$DATASET" = simulated-tiny ] || \
	  "$$VENV/bin/sleepbench" estimate --experiment rivals --datasets="$${DATASET:-sleep-edf-20}" || { \
	  [ $$? -ne 2 ] || exit 2; echo "Warning: no estimate could be made; the run starts without one." >&2; }
	@"$$VENV/bin/sleepbench" run --experiment rivals --datasets="$${DATASET:-sleep-edf-20}"

check-gpu: ## is a GPU right, and how fast: 7 minutes, sets up nothing
	@python=$$VENV/bin/python; [ -x "$$python" ] || python=$$PYTHON; \
	  PYTHONPATH=workflow "$$python" -m sleepbench.benchmarks.gpu_check

##@ For developers
test: lint ## lint, then the test suite; PYTEST="-m slow" the slow tests
	@PYTEST_ADDOPTS="-n 2 --dist loadfile --no-loadscope-reorder $$PYTEST" "$$VENV/bin/python" -m pytest

test-slurm: setup ## a run through a SLURM of two nodes here; as root, minutes
	@PYTEST_ADDOPTS="-m slow -rs $$PYTEST" "$$VENV/bin/python" -m pytest tests/workflow/test_slurm.py

lint: setup ## ruff, snakefmt, snakemake --lint, import-linter
	@"$$VENV/bin/ruff" check .
	@"$$VENV/bin/ruff" format --check --quiet .
	@"$$VENV/bin/snakefmt" --check Snakefile workflow
	@"$$VENV/bin/snakemake" --lint --sdm conda
	@"$$VENV/bin/lint-imports" --no-cache

format: setup ## format Python and Snakemake files
	@"$$VENV/bin/ruff" format --quiet .
	@"$$VENV/bin/ruff" check --fix --quiet .
	@"$$VENV/bin/snakefmt" Snakefile workflow

lock: ## remake the lock files from envs/requirements.in
	@envs/lock.sh "$$PYTHON"

release: setup ## wheel, sdist, results, checksums; how a DOI is minted
	@"$$VENV/bin/python" tools/release.py
