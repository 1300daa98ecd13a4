# Two commands do all the set-up: `make demo` and `make test`. Both need Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV := .venv
DOCS_VENV := .venv-docs
BIN := $(VENV)/bin
export DRIFTFIELD_DATA ?= $(abspath ../shared/data)

.PHONY: demo test check bench docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    reconstruct a simulated ocean beside all peers; writes demo/"
	@echo "make test    ruff, types, floor contract and all tests, slow ones too"
	@echo "make check   the same without the slow tests"
	@echo "make docs    the site: docs/_build/index.html, without a warning"
	@echo "make bench   speed and skill, each against a named peer"

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo "Python 3.11 or newer is needed; set PYTHON=..." && exit 1)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/driftfield demo --out demo --overwrite

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

bench: $(VENV)/.installed
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(DOCS_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

docs: $(DOCS_VENV)/.installed
	$(DOCS_VENV)/bin/sphinx-build -W --keep-going -q docs docs/_build
	@echo "docs/_build/index.html"

clean:
	rm -rf $(VENV) $(DOCS_VENV) docs/_build docs/generated demo build dist src/*.egg-info
