# make demo | shell | erasure | test | test-full | sdks | check | bench: each makes its own .venv the first time and is
# quick after that.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
XDIST  ?= -n 2

.PHONY: demo shell erasure test test-full sdks check bench clean

demo: $(READY)
	$(BIN)/wbgql demo

shell: $(READY)
	@echo 'This shell finds the command wbgql. Leave it with exit. Start here: wbgql --help'
	@PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" exec "$${SHELL:-/bin/sh}"

erasure: $(READY)
	$(BIN)/python examples/erasure/story.py

test: $(READY)
	$(BIN)/python -m pytest $(XDIST) -m "not full"

test-full: $(READY)
	$(BIN)/python -m pytest $(XDIST)

sdks: $(READY)
	$(BIN)/python -m tests.sdk.environments

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/wbgql schema check

bench: $(READY)
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

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
