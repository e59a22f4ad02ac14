# Two commands do everything on a fresh machine, set-up included: make demo, make test
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
RUNS ?= runs

# One thread a process: the embedded networks are small, and two processes run side by side
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo trade-off information calibrate notebooks test test-slow lint docs format bench bench-data clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed  ## Make .venv and install the project with the tested versions

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup  ## Train cross-entropy and CTC on glyphs; print the table, draw the picture (about 5 minutes)
	rm -rf $(RUNS)/demo
	$(BIN)/python -m ctc_lightning.train -m sweep=demo hydra.sweep.dir=$(RUNS)/demo
	$(BIN)/python -m ctc_lightning.report $(RUNS)/demo --output $(RUNS)/demo/report

TRANSFER = $(BIN)/python -m ctc_lightning.transfer run=$(RUNS)/trade_off target=[own,digits/digit] \
	protocol=[whitened,scores,geometry] num_threads=1

trade-off: setup  ## Three seeds of four methods on glyphs and digits, every checkpoint on every target (about 15 minutes)
	rm -rf $(RUNS)/trade_off
	$(BIN)/python -m ctc_lightning.train -m sweep=trade_off_glyphs hydra.sweep.dir=$(RUNS)/trade_off/glyphs
	$(BIN)/python -m ctc_lightning.train -m sweep=trade_off_digits hydra.sweep.dir=$(RUNS)/trade_off/digits
	$(TRANSFER) & other=$$!; $(TRANSFER) && wait $$other  # two processes share the work
	$(BIN)/python -m ctc_lightning.report $(RUNS)/trade_off --output docs/trade_off

INFORMATION = $(BIN)/python -m ctc_lightning.information run=$(RUNS)/trade_off noise=[1,2] num_threads=1

information: setup  ## I(X;T) and I(T;Y) of every checkpoint of the trade-off, into its report (after make trade-off)
	$(INFORMATION) & other=$$!; $(INFORMATION) && wait $$other
	$(BIN)/python -m ctc_lightning.report $(RUNS)/trade_off --output docs/trade_off

calibrate: setup  ## Every estimator of mutual information against known values (docs/calibration)
	$(BIN)/python benchmarks/calibration/calibrate.py

notebooks: setup  ## Execute the notebooks (after make trade-off, make information and the sweep temperature_queue)
	$(BIN)/python notebooks/execute.py

test: setup  ## Run the tests, two at a time, without the slow ones
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: setup  ## Run the slow tests: full trainings, several ranks, kill loops
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lint: setup  ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Without --quiet, which hides the warnings that --strict counts
docs: setup  ## Build the documentation in site/, strictly: open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: setup  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## Measure the speed ratios of benchmarks/README.md
	@for name in epoch_ratio step_ratio naive_queue ema lightning_overhead bare_trainer sampled_bank full_bank results_table logreg_path; do $(BIN)/python benchmarks/$$name.py || exit 1; done

bench-data: setup  ## Measure the loaders against torchvision's: images per second (benchmarks/README.md)
	@for name in decoders cifar_loading imagenet_loading; do $(BIN)/python benchmarks/$$name.py || exit 1; done

clean:  ## Remove runs and caches, not .venv
	rm -rf $(RUNS) outputs site .pytest_cache .ruff_cache .mypy_cache
