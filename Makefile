# `make help` lists the targets. Each sets up .venv when it is not there.
PYTHON ?= python3
RESULTS ?= results
LAUNCHER ?= joblib
TORCH ?= newest
VENV ?= .venv
BIN := $(VENV)/bin
export ASWA_PEERS_PYTHON ?= $(CURDIR)/.peers/bin/python

# The exact versions of constraints.txt, or with LATEST=1 the newest that pyproject.toml allows.
VERSIONS := $(if $(LATEST),,-c constraints.txt)
FAST := not slow and not gpu and not slurm and not root

.DEFAULT_GOAL := help
.PHONY: help setup reproduce reproduce-paper reproduce-images reproduce-queries ablation sensitivity populations \
	search-lr one-shot test test-all lint package site notebooks bench bench-large bench-queries bench-sweeps \
	bench-images bench-merging peers clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 20

setup: $(VENV)/.installed  ## make .venv with the versions of constraints.txt (LATEST=1: the newest)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aswa needs Python 3.11 or newer; make PYTHON=python3.x ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(VERSIONS) -e '.[all,test,lint]'
	@touch $@

reproduce: setup  ## the paper's comparison on graphs, at its rate and at others: tables, tests, report
	$(BIN)/aswa-train experiment=reproduce results_dir=$(RESULTS)
	$(BIN)/aswa-analyze $(RESULTS) --plan reproduce

# One command for all of the paper, for a cluster: make reproduce-paper LAUNCHER=submitit_slurm
reproduce-paper: setup  ## all 11 datasets and 7 families in the paper's regime; GPU weeks. LAUNCHER=joblib
	$(BIN)/aswa-fetch all || echo 'the runs of what is missing fail and say so; the others are made'
	-$(BIN)/aswa-train experiment=paper_graphs_full results_dir=$(RESULTS)/paper hydra/launcher=$(LAUNCHER)
	-$(BIN)/aswa-train experiment=images_published results_dir=$(RESULTS)/paper hydra/launcher=$(LAUNCHER)
	$(BIN)/aswa-analyze $(RESULTS)/paper --plan paper_graphs
	$(BIN)/python scripts/paper_grid.py $(RESULTS)/paper

reproduce-images: setup  ## a small image comparison on a CPU: 15 minutes, CIFAR-10 in $ASWA_DATA_DIR
	$(BIN)/aswa-train experiment=images_cpu results_dir=$(RESULTS)/images_cpu
	$(BIN)/aswa-analyze $(RESULTS)/images_cpu

reproduce-queries: setup  ## multi-hop queries on UMLS and KINSHIP: about 5 minutes, docs/queries.md
	$(BIN)/aswa-train experiment=query_answering_cpu results_dir=$(RESULTS)/query_answering_cpu
	$(BIN)/aswa-analyze $(RESULTS)/query_answering_cpu --plan query_answering

one-shot: setup  ## OWA and ACOWA on WordNet's glosses: docs/one_shot.md; half an hour
	$(BIN)/aswa-train experiment=one_shot results_dir=$(RESULTS)/one_shot
	$(BIN)/aswa-train experiment=one_shot_released results_dir=$(RESULTS)/one_shot
	$(BIN)/aswa-analyze $(RESULTS)/one_shot --plan one_shot

ablation: setup  ## what in ASWA matters: the experiment of docs/ablation.md
	$(BIN)/aswa-train experiment=ablation results_dir=$(RESULTS)/ablation
	$(BIN)/aswa-train experiment=ablation_images results_dir=$(RESULTS)/ablation
	$(BIN)/aswa-analyze $(RESULTS)/ablation --plan ablation

sensitivity: setup  ## start, interval, validation share, size, length: docs/sensitivity.md; half an hour
	for axis in start every valid dim epochs; do \
		$(BIN)/aswa-train experiment=sensitivity_$$axis results_dir=$(RESULTS)/sensitivity || exit; done
	$(BIN)/aswa-analyze $(RESULTS)/sensitivity --by optimizer.aswa.start --by optimizer.aswa.every \
		--by dataset.valid_share --by model.dim --by epochs

populations: setup  ## five models that are mixed against one of the same compute: docs/populations.md; four hours
	for part in populations populations_alone populations_tuned populations_tuned_alone; do \
		$(BIN)/aswa-train experiment=$$part results_dir=$(RESULTS)/populations || exit; done
	$(BIN)/aswa-analyze $(RESULTS)/populations --plan populations

search-lr: setup  ## the search of learning rates; writes results/search_lr.csv
	$(BIN)/aswa-train experiment=search_lr results_dir=$(RESULTS)/search_lr
	$(BIN)/python scripts/search_lr_table.py $(RESULTS)/search_lr results/search_lr.csv

test: setup  ## the fast tests: three minutes on two cores
	$(BIN)/python -m pytest -n auto -m '$(FAST)'

test-all: setup  ## all tests; those whose GPU, SLURM, browser or LaTeX is missing are skipped
	$(BIN)/python -m pytest -n auto --durations=15

site: setup  ## the documentation as a site, .site/index.html; links are checked
	$(BIN)/python -m pip install --quiet $(VERSIONS) -e '.[site]'
	$(BIN)/mkdocs build

package:  ## sdist and wheel, tried in an empty venv with the TORCH=newest or oldest allowed; minutes
	scripts/try_package.sh $(PYTHON) $(TORCH)

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: setup  ## run the notebooks and write their outputs
	$(BIN)/python scripts/run_notebooks.py

bench: setup peers  ## speed and parity beside dicee and PyKEEN (hours; quiet machine)
	$(BIN)/python -m benchmarks.averaging.step --out benchmarks/results/averaging_step.json
	$(BIN)/python -m benchmarks.graphs.score_parity
	$(BIN)/python -m benchmarks.graphs.speed --page docs/speed.md
	$(BIN)/python -m benchmarks.graphs.quality

bench-large: setup peers  ## the same on WN18RR and FB15k-237, and growth with the graph (hours; aswa-fetch first)
	$(BIN)/python -m benchmarks.graphs.ranking
	$(BIN)/python -m benchmarks.graphs.training
	$(BIN)/python -m benchmarks.graphs.scaling

bench-queries: setup peers  ## multi-hop queries beside dicee, and on FB15k-237 (half an hour; aswa-fetch first)
	$(BIN)/python -m benchmarks.queries.answering
	$(BIN)/python -m benchmarks.queries.scaling

bench-merging: setup  ## merges along a path, and growth (half an hour; quiet machine)
	$(BIN)/python -m benchmarks.merging.path

bench-images: setup  ## images: pipeline, training, what networks learn (two hours; quiet machine)
	$(BIN)/python -m benchmarks.images.pipeline --out benchmarks/results/image_pipeline.json
	$(BIN)/python -m benchmarks.images.training
	$(BIN)/python -m benchmarks.images.learning

bench-sweeps: setup  ## the overhead of a sweep, and a sweep killed 200 times (half an hour)
	$(BIN)/python -m benchmarks.sweeps.overhead
	$(BIN)/python -m benchmarks.sweeps.trackers
	$(BIN)/python -m benchmarks.sweeps.kills

peers: .peers/.installed  ## make .peers, the venv of the libraries that bench compares with

# dicee wants numpy below 2, and pyarrow without declaring it.
.peers/.installed:
	$(PYTHON) -m venv .peers
	.peers/bin/python -m pip install --quiet dicee==0.3.3 pykeen==1.11.1 torch==2.13.0 numpy==1.26.4 pyarrow==24.0.0
	@touch $@

clean:  ## delete .venv and caches; results and .peers stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
