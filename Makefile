# `make help` lists the targets. Each sets up .venv by itself when it has to.
PYTHON ?= python3
RESULTS ?= results
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup reproduce test lint bench search-lr clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

setup: .venv/.installed  ## make .venv and install aswa into it

.venv/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aswa needs Python 3.11 or newer; make PYTHON=python3.x ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test,lint]'
	@touch $@

reproduce: setup  ## the paper's link-prediction comparison: tables, tests, figures, report
	$(BIN)/aswa-train experiment=reproduce results_dir=$(RESULTS)
	$(BIN)/aswa-analyze $(RESULTS)

test: setup  ## the tests
	$(BIN)/python -m pytest

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## speed, side by side with the peers of benchmarks/README.md where they are installed
	$(BIN)/python benchmarks/averaging_step.py
	$(BIN)/python benchmarks/link_prediction_speed.py

search-lr: setup  ## how the learning rates were chosen; writes results/search_lr.csv
	$(BIN)/aswa-train experiment=search_lr results_dir=$(RESULTS)/search_lr
	$(BIN)/python scripts/search_lr_table.py $(RESULTS)/search_lr results/search_lr.csv

clean:  ## delete .venv and caches; results stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
