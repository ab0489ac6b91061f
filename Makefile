# `make demo` and `make test` do their own set-up, each safe to run twice.

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.maskdex_ready
# Beyond two workers the simulated robot and the ROS processes of the tests fight for the cores.
WORKERS := 2

# Small tensors: more threads are slower, and the test workers share the cores.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint reference clean

help:
	@echo "make demo    set up, look at a mug, plan and lift it: the real ROS 2 node, a simulated robot; leave out/demo"
	@echo "make test    set up, all tests and style checks"
	@echo "make setup   make .venv with maskdex in it; nothing else"
	@echo "make lint    style checks and types"
	@echo "make reference  write the files that follow from the code: parameter and interface pages, MoveIt, SROS2"
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

reference: $(STAMP)
	$(PYTHON) -m maskdex_ros.reference

clean:
	rm -rf $(VENV) out build install log .pytest_cache .ruff_cache .hypothesis *.egg-info
