# Needs Python 3.11 or newer, with venv, and make; everything else is installed into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
BUILD := build
PIP := -m pip --disable-pip-version-check install -q

# The first Python on the path that is new enough (only looked for when a venv has to be made).
find_python = for p in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	if command -v $$p > /dev/null && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; \
	then echo $$p; exit 0; fi; done; \
	echo "No Python 3.11 or newer with venv was found: install one (Debian: apt-get install python3-venv)" >&2; \
	echo "or name it: make PYTHON=/path/to/python3.12" >&2; exit 1

.PHONY: help demo test lint types wheel snippets docs screenshots lowest faults bench proto clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 14

$(BIN)/python:
	@python=$$($(find_python)); echo "making $(VENV) with $$($$python --version)"; $$python -m venv $(VENV)

$(VENV)/.run-ready: pyproject.toml | $(BIN)/python
	@echo "installing rxalerts into $(VENV)"
	@$(BIN)/python $(PIP) -e .
	@touch $@

$(VENV)/.dev-ready: pyproject.toml | $(BIN)/python
	@echo "installing rxalerts and its development tools into $(VENV)"
	@$(BIN)/python $(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.run-ready

$(VENV)/.docs-ready: pyproject.toml | $(BIN)/python
	@echo "installing rxalerts and what builds its documentation into $(VENV)"
	@$(BIN)/python $(PIP) -e '.[docs]'
	@touch $@ $(VENV)/.run-ready

demo: $(VENV)/.run-ready ## the example log through the road to stdout and a file, with the report
	@rm -rf $(BUILD)/demo && mkdir -p $(BUILD)/demo
	@echo "== rxalerts replay: warnings and worse, as JSON, into a file"
	$(BIN)/rxalerts replay examples/alerts.jsonl --priority warning --json --to $(BUILD)/demo/warnings.jsonl
	@echo "== the same from Python, with errors and worse on standard output as well: examples/demo.py"
	$(BIN)/python examples/demo.py $(BUILD)/demo/from-python.jsonl
	@echo "== the first lines of each file"
	@head -n 2 $(BUILD)/demo/*.jsonl

test: $(VENV)/.dev-ready ## the whole suite, docstrings included
	$(BIN)/python -m pytest -q -rs $(PYTEST_ARGS)

lint: $(VENV)/.dev-ready ## ruff, bandit, and what can be told of the installed packages offline
	$(BIN)/ruff check .
	$(BIN)/bandit -q -c pyproject.toml -r rxalerts operators sinks
	$(BIN)/python .ci/audit.py

types: $(VENV)/.dev-ready ## mypy and pyright, both strict
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

wheel: $(VENV)/.dev-ready ## build the wheel, install it into a fresh venv and try it outside of the tree
	@.ci/try_wheel $(BIN)/python

snippets: $(VENV)/.dev-ready ## run the code blocks of README and docs
	$(BIN)/python -m pytest -q -rs tests/test_snippets.py

docs: $(VENV)/.docs-ready ## the documentation as a site in build/docs; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "built $(BUILD)/docs/index.html"

screenshots: $(VENV)/.dev-ready ## take the pictures of README and documentation anew (needs Chromium)
	$(BIN)/python docs/screenshots.py

lowest: | $(BIN)/python ## the core tests with every core dependency at its lower bound
	@.ci/try_lowest $(BIN)/python

faults: $(VENV)/.dev-ready ## the fault suite and its table (RXALERTS_FAULTS=full: about half an hour)
	$(BIN)/python -m tests.faults $(FAULTS_ARGS)

bench: | $(BIN)/python ## measure, and compare with the targets (takes some minutes)
	@.ci/prepare_bench $(BIN)/python $(BUILD)/bench
	$(BUILD)/bench/venv/bin/python -m benchmarks --folder $(BUILD)/bench $(BENCH_ARGS)

# With the oldest compiler that we support: what it writes runs with every protobuf from 5.26.1 on.
proto: | $(BIN)/python ## write the modules of Falco's gRPC messages anew from the .proto files
	@[ -x $(BUILD)/proto/bin/python ] || $(BIN)/python -m venv $(BUILD)/proto
	@$(BUILD)/proto/bin/python $(PIP) 'grpcio-tools==1.63.2' 'setuptools<80'
	$(BUILD)/proto/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. rxalerts/wire/proto/*.proto

clean: ## remove what was built, the venv excepted
	rm -rf $(BUILD) dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
