# make explore   environment, a small simulated night, its reduction, JupyterLab (LAB=0: all but JupyterLab)
# make test      environment, lint, types, contracts, tests
# make help      everything else

PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= demo
LAB    ?= 1
ARGS   ?=

BIN := $(VENV)/bin
# Everything goes to one archive: the demo's own, or the one that $TOMOE_ARCHIVE names.
export TOMOE_ARCHIVE := $(abspath $(or $(TOMOE_ARCHIVE),$(DEMO)/archive))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo explore test lint format bench lock clean

help:
	@echo 'make explore [LAB=0]  environment, demo night, reduction, summary, JupyterLab on notebooks/'
	@echo 'make test             environment, lint, types, import contracts, tests  (ARGS="-k name" goes to pytest)'
	@echo 'make lint | format    the checks alone | let ruff rewrite the files'
	@echo 'make bench            all benchmarks, quick form'
	@echo 'make env              the environment in $(VENV)'
	@echo 'make lock             requirements.txt anew (needs uv)'
	@echo 'make clean            remove what make made, the demo too; not the environment'

env: $(VENV)/ready

$(VENV)/ready: requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing about 240 packages into $(VENV): some minutes the first time ...'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --progress-bar off --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
	@echo 'Environment ready.'

# The whole is resumable: films that are there are kept, films that are reduced are skipped.
demo: env
	@test -e $(DEMO)/raw/complete || { \
	    $(BIN)/tomoe simulate $(DEMO)/raw --night 2020-08-14 --detectors 111,112 --exposures 4 --frames 18 --seed 1 \
	    && touch $(DEMO)/raw/complete; }
	@$(BIN)/tomoe init
	@$(BIN)/tomoe reduce $(DEMO)/raw --refcat $(DEMO)/raw/refcat.parquet
	@$(BIN)/tomoe summary

# JupyterLab refuses to start for root unless told; inside a container one is root.
explore: demo
ifeq ($(LAB),0)
	@echo 'Ready: make explore opens notebooks/00_quickstart.ipynb in JupyterLab.'
else
	cd notebooks && $(abspath $(BIN))/jupyter lab 00_quickstart.ipynb $$(test $$(id -u) -ne 0 || echo --allow-root)
endif

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

bench: env
	@for script in benchmarks/*.py; do \
	    test -e $$script || continue; echo "== $$script"; $(BIN)/python $$script --quick || exit 1; done

lock:
	uv pip compile pyproject.toml --all-extras --group build --group test --group lint --group bench --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet \
	    --output-file requirements.txt

clean:
	rm -rf $(DEMO) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
