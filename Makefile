# Every target makes what it needs, the virtual environment too.
PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check lint format types nightly coverage clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/installed  ## run the tour; tables on the screen, the rest in results/
	$(BIN)/neuraxis run specs/tour.nax

test: .venv/installed-dev  ## all tests that this machine can run
	$(BIN)/python -m pytest

check: lint types test  ## everything that continuous integration runs: format, lint, types, tests

lint: .venv/installed-dev  ## is it formatted, and is anything suspicious
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: .venv/installed-dev  ## format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: .venv/installed-dev  ## mypy --strict
	$(BIN)/mypy

nightly: .venv/installed-dev  ## the laws on 5,000 programs each, and 10,000 odd texts; takes an hour
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest tests/test_laws.py tests/dsl/test_fuzz.py

coverage: .venv/installed-dev  ## the tests, and the lines they did not reach
	$(BIN)/python -m pytest --cov --cov-report=term --cov-report=html

clean:  ## remove the environment and everything made
	rm -rf .venv build dist results .coverage htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache src/*.egg-info

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'neuraxis needs Python 3.11 or newer; say which with: make PYTHON=python3.12'; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
