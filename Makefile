# `make demo` and `make test` do their own set-up, each safe to run twice.

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.maskdex_ready
# Beyond two workers the simulated robot and the ROS processes of the tests fight for the cores.
WORKERS := 2

# Small tensors: more threads are slower, and the test workers share the cores.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint clean

help:
	@echo "make demo    set up, plan on the small table scene through the real ROS 2 node, leave out/demo"
	@echo "make test    set up, all tests and style checks"
	@echo "make setup   make .venv with maskdex in it; nothing else"
	@echo "make lint    style checks and types"
	@echo "make clean   remove .venv, out and caches"

setup: $(STAMP)

$(STAMP): setup.py pyproject.toml scripts/setup.sh
	bash scripts/setup.sh $(VENV)
	touch $@

demo: $(STAMP)
	$(VENV)/bin/maskdex demo --out out/demo

test: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PYTHON) -m pytest -n auto --maxprocesses=$(WORKERS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(PYTHON)

clean:
	rm -rf $(VENV) out build install log .pytest_cache .ruff_cache .hypothesis *.egg-info
