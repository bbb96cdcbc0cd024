# `make run` and `make test` work on a machine with Python 3.11 and make alone: each sets up .venv first.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONHASHSEED := 0
# Progress bars in stored outputs would differ from run to run.
export HF_HUB_DISABLE_PROGRESS_BARS := 1
export HF_DATASETS_DISABLE_PROGRESS_BARS := 1
export JAX_PLATFORMS ?= cpu
ifneq ($(wildcard ../shared/data/SHA256SUMS),)
export SOCIALRM_DATA_DIR ?= $(abspath ../shared/data)
endif
NOTEBOOKS := $(wildcard nbs/*.ipynb nbs/experiments/*.ipynb nbs/tutorials/*.ipynb nbs/guide/*.ipynb)

.PHONY: help run test lab export sync lint notebooks execute reproduce bench pages outputs weekly clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

run: .venv/.installed  ## the main job on the embedded Tennessee population
	$(BIN)/socialrm run --rule borda --out runs/tennessee --seed 0 --force

test: .venv/.installed sync lint notebooks  ## everything that CI checks
	$(BIN)/pytest

sync: .venv/.installed  ## notebooks and generated modules agree
	scripts/check-sync

lint: .venv/.installed  ## ruff on notebooks and tests; undefined names in generated modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --isolated --select F --ignore F722,F821,F401 --no-cache socialrm/*.py

notebooks: .venv/.installed  ## run every notebook, slow cells left out
	$(BIN)/nbdev_test --n_workers 2 --do_print

export: .venv/.installed  ## write the package from the notebooks
	$(BIN)/nbdev_export && $(BIN)/nbdev_clean

execute: .venv/.installed  ## run notebooks whole and store their outputs: make execute NOTEBOOKS=nbs/00_ballots.ipynb
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.timeout=3600 --ExecutePreprocessor.coalesce_streams=True $(NOTEBOOKS)
	$(BIN)/nbdev_clean

lab: .venv/.installed  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab nbs

reproduce: .venv/.installed  ## the long checks, ten seeds each; writes benchmarks/results/
	$(BIN)/python benchmarks/reproduce.py --again
	$(BIN)/python benchmarks/claims.py --again
	$(BIN)/python benchmarks/claims.py --readme
	$(BIN)/python benchmarks/real_data.py
	$(BIN)/python benchmarks/reliability.py && $(BIN)/python benchmarks/reliability.py --readme
	$(BIN)/python benchmarks/overoptimisation.py && $(BIN)/python benchmarks/overoptimisation.py --readme
	$(BIN)/python benchmarks/held_out.py --minutes 600
	$(BIN)/python benchmarks/held_out.py --readme
	$(BIN)/python benchmarks/ukp_folds.py --methods linear kernel raters orders
	$(BIN)/python benchmarks/ukp_folds.py --readme
	$(BIN)/python benchmarks/ukp_run.py
	$(BIN)/python benchmarks/ukp_run.py --kernel
	$(BIN)/python benchmarks/ukp_run.py --readme
	$(MAKE) execute NOTEBOOKS="$(wildcard nbs/experiments/*.ipynb)"

bench: .venv/.installed  ## speed, side by side; writes benchmarks/results/
	for f in benchmarks/bench_*.py; do $(BIN)/python $$f || exit 1; done

pages: .venv/.installed  ## every page of the site in headless Chromium, wide and narrow, light and dark
	$(BIN)/python scripts/check-pages

outputs: .venv/.installed  ## every stored output again, byte for byte, slow cells too
	$(BIN)/python scripts/check-outputs

weekly: .venv/.installed  ## hours: slow tests, ten thousand hostile inputs, twenty killed runs
	$(BIN)/pytest -m "slow or not slow"
	$(BIN)/python benchmarks/fuzz.py
	$(BIN)/python benchmarks/kill_resume.py
	$(BIN)/python benchmarks/kill_resume.py --default --kills 4
	$(BIN)/python benchmarks/kill_resume.py --cost
	$(BIN)/python scripts/check-outputs --fast
	$(BIN)/python scripts/check-pages
	$(BIN)/python scripts/check-wheel --notebooks

clean:  ## remove what can be made again
	rm -rf .venv runs _proc _docs .pytest_cache .ruff_cache build *.egg-info
