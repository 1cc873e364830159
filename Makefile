# Everything here runs inside .venv, which `make setup` builds from the lock in requirements/.
# Needed on the machine: make and Python 3.11 or newer (PYTHON=python3.12 picks another).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements/lock.txt
BENCH ?= $(sort $(wildcard bench/bench_*.py))

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-portable check check-code check-types check-docs check-site format docs site lock bench pretrain clean
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX PYTHONDONTWRITEBYTECODE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## build .venv from the lock (once; again when the lock changes)

demo: $(READY) ## regraft on two real sets of pictures, offline
	$(BIN)/regraft demo

# A file of tests is one worker's, so what a file prepares is prepared once. In their own order: with
# the longest lists first, files of few and long tests come last, and one worker waits for another.
test: $(READY) ## run the tests (ARGS="-k name" for some)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# Again as on a processor without AVX-512, bfloat16 and AMX: what only a newer one keeps fails here.
# The limits are those of oneDNN (torch's and OpenVINO's) and of torch's own kernels.
test-portable: $(READY) ## run the tests with AVX2 alone (ARGS as for test)
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(MAKE) test

check: check-docs check-types check-code check-site ## format, lint, types, order of the house, docs

check-code: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q tests/test_house.py

check-types: $(READY)
	$(BIN)/mypy

check-docs: $(READY)
	$(BIN)/python checks/docs.py

check-site: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

format: $(READY) ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## write the generated parts of the pages anew
	$(BIN)/python checks/docs.py --write

site: check-site ## the documentation as a site in build/site; a dead link is an error
	@echo "Read it: $(BIN)/python -m http.server --bind 127.0.0.1 -d build/site" >&2

bench: $(READY) ## run the benchmarks (BENCH=bench/bench_x.py for one)
	@set -e; for script in $(BENCH); do echo "== $$script"; $(BIN)/python $$script; done

pretrain: $(READY) ## train the demonstration network anew (DATA=folder of CIFAR-10)
	@test -n "$(DATA)" || { echo "Name CIFAR-10's images: make pretrain DATA=FOLDER" >&2; exit 1; }
	$(BIN)/python examples/pretrain.py $(DATA) $(ARGS)

lock: $(READY) ## resolve the lock anew (UPGRADE=--upgrade for the newest versions)
	$(BIN)/uv pip compile pyproject.toml --all-extras -o $(LOCK) $(UPGRADE) $(RESOLVE)
	echo uv | $(BIN)/uv pip compile - -c $(LOCK) -o requirements/uv.txt $(UPGRADE) $(RESOLVE)
	$(BIN)/uv pip compile requirements/serve.in -c $(LOCK) -o requirements/serve.txt $(UPGRADE) $(RESOLVE)

# One set of versions for every Python and system (markers), a hash for every file, and no word
# about where the files come from: that is the business of the machine that installs them.
RESOLVE := --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

clean: ## remove .venv and what the tools leave
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests bench checks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# uv comes by pip, hash and all, and brings the rest in seconds instead of minutes. Byte code is
# compiled here, whatever the environment says: without it every start is twice as slow.
$(READY): requirements/uv.txt $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "regraft needs Python 3.11 or newer, and $(PYTHON) is" \
	    "$$($(PYTHON) -V 2>/dev/null || echo 'not there')." \
	    "Name another: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || { \
	  $(PYTHON) -m venv --clear $(VENV) || { \
	    echo "Python's venv module is missing (Debian: apt install python3-venv)" >&2; exit 1; }; \
	  $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps \
	    --only-binary :all: --require-hashes -r requirements/uv.txt; }
	@echo "Setting up $(VENV) from $(LOCK) (the first time: some 3 GB to fetch)" >&2
	@$(BIN)/python -m uv pip sync $$([ -t 2 ] || echo --quiet) --python $(BIN)/python \
	  --require-hashes --only-binary :all: --compile-bytecode $(LOCK)
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python \
	  --no-deps --no-build-isolation --editable .
	@touch $@
