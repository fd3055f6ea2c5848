# `make help` lists the targets. Each sets up .venv by itself when it has to.
PYTHON ?= python3
RESULTS ?= results
VENV ?= .venv
BIN := $(VENV)/bin
export ASWA_PEERS_PYTHON ?= $(CURDIR)/.peers/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup reproduce reproduce-images reproduce-queries ablation test lint notebooks bench bench-large \
	bench-images bench-sweeps bench-queries peers search-lr clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

setup: $(VENV)/.installed  ## make .venv and install aswa into it

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aswa needs Python 3.11 or newer; make PYTHON=python3.x ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test,lint]'
	@touch $@

reproduce: setup  ## the paper's link-prediction comparison: tables, tests, figures, report
	$(BIN)/aswa-train experiment=reproduce results_dir=$(RESULTS)
	$(BIN)/aswa-analyze $(RESULTS)

reproduce-images: setup  ## the image half in small, on a CPU: 15 minutes, CIFAR-10 in $ASWA_DATA_DIR
	$(BIN)/aswa-train experiment=images_cpu results_dir=$(RESULTS)/images_cpu
	$(BIN)/aswa-analyze $(RESULTS)/images_cpu

reproduce-queries: setup  ## multi-hop queries on UMLS and KINSHIP: docs/queries.md; about 5 minutes
	$(BIN)/aswa-train experiment=query_answering_cpu results_dir=$(RESULTS)/query_answering_cpu
	$(BIN)/aswa-analyze $(RESULTS)/query_answering_cpu --plan query_answering

ablation: setup  ## what in ASWA matters: the experiment of docs/ablation.md
	$(BIN)/aswa-train experiment=ablation results_dir=$(RESULTS)/ablation
	$(BIN)/aswa-train experiment=ablation_images results_dir=$(RESULTS)/ablation
	$(BIN)/aswa-analyze $(RESULTS)/ablation --plan ablation

notebooks: setup  ## run the notebooks and write their outputs
	$(BIN)/python scripts/run_notebooks.py

test: setup  ## the tests
	$(BIN)/python -m pytest -n auto

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup peers  ## speed and parity, side by side with dicee and PyKEEN (hours; quiet machine)
	$(BIN)/python benchmarks/averaging_step.py --out benchmarks/results/averaging_step.json
	$(BIN)/python benchmarks/score_parity.py
	$(BIN)/python benchmarks/link_prediction_speed.py
	$(BIN)/python benchmarks/link_prediction_quality.py

bench-large: setup peers  ## the same on WN18RR and FB15k-237, and how cost grows (hours; aswa-fetch first)
	$(BIN)/python benchmarks/large_ranking.py
	$(BIN)/python benchmarks/large_training.py
	$(BIN)/python benchmarks/scaling.py

bench-queries: setup peers  ## multi-hop queries beside dicee, and on FB15k-237 (half an hour; aswa-fetch first)
	$(BIN)/python benchmarks/query_answering.py
	$(BIN)/python benchmarks/query_scaling.py

bench-sweeps: setup  ## a sweep killed 200 times, and what sweeps cost besides their runs (half an hour)
	$(BIN)/python benchmarks/sweep_overhead.py
	$(BIN)/python benchmarks/kills.py

bench-images: setup  ## the image half: pipeline, training, what networks learn (two hours; quiet machine)
	$(BIN)/python benchmarks/image_pipeline.py --out benchmarks/results/image_pipeline.json
	$(BIN)/python benchmarks/image_training.py
	$(BIN)/python benchmarks/image_learning.py

peers: .peers/.installed  ## make .peers, the venv of the libraries that bench compares with

# dicee wants numpy below 2, and pyarrow without saying so.
.peers/.installed:
	$(PYTHON) -m venv .peers
	.peers/bin/python -m pip install --quiet dicee==0.3.3 pykeen==1.11.1 torch==2.13.0 numpy==1.26.4 pyarrow==24.0.0
	@touch $@

search-lr: setup  ## how the learning rates were chosen; writes results/search_lr.csv
	$(BIN)/aswa-train experiment=search_lr results_dir=$(RESULTS)/search_lr
	$(BIN)/python scripts/search_lr_table.py $(RESULTS)/search_lr results/search_lr.csv

clean:  ## delete .venv and caches; results and .peers stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
