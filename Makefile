# `make help` lists the targets. Each makes its own .venv the first time and is quick after that.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
XDIST  ?= -n 2

.PHONY: help demo shell erasure test test-full coverage sdks check bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.* ## ' $(MAKEFILE_LIST) | sed -E 's/:.* ## /\t/' | awk -F'\t' '{ printf "  %-10s %s\n", $$1, $$2 }'

demo: $(READY) ## log, find, change, hide and purge on a local server
	$(BIN)/wbgql demo

shell: $(READY) ## a shell that finds the command wbgql
	@echo 'This shell finds the command wbgql. Leave it with exit. Start here: wbgql --help'
	@PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" exec "$${SHELL:-/bin/sh}"

erasure: $(READY) ## a case of erasure from request to certificate
	$(BIN)/python examples/erasure/story.py

test: $(READY) ## the tests, without those marked full
	$(BIN)/python -m pytest $(XDIST) -m "not full"

test-full: $(READY) ## all tests
	$(BIN)/python -m pytest $(XDIST)

coverage: $(READY) ## which lines the tests reach; measured, not gated
	$(BIN)/python -m pytest $(XDIST) -m "not full" --cov --cov-report=term:skip-covered --cov-report=html

sdks: $(READY) ## the environments of older wandb SDKs; needs the network
	$(BIN)/python -m tests.sdk.environments

check: $(READY) ## lint, format, types, import contracts, spelling, documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/wbgql schema check

bench: $(READY) ## benchmarks, as ratios
	$(BIN)/python -m bench
	$(BIN)/python -m bench.erasure

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "wbgql needs Python 3.11 or newer: apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "wbgql needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv (Debian, Ubuntu)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $(READY)

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
