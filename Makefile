# What a person types. Every target makes what it needs from a bare Python >= 3.11.

PYTHON  ?= $(shell command -v python3.11 || command -v python3)
VENV    ?= .venv
WORKERS ?= 2
CASES   ?= 1000000
KILLS   ?= 10000
BENCH   ?= $(filter-out benchmarks/_% benchmarks/tokens_%,$(wildcard benchmarks/*.py))
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
# Stamps: the runtime alone, the same environment with the developer's tools, and llmopt itself in it.
RUN     := $(VENV)/.run
DEV     := $(VENV)/.dev
SELF    := $(VENV)/.self
# Two more environments for benchmarks: the peers beside llmopt, and litellm, which cannot be beside llm.
PEERS   := $(VENV)-bench/.peers
LITELLM := $(VENV)-litellm/.peers

.DEFAULT_GOAL := help
.PHONY: help demo test check fix fuzz crash bench docs constraints clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

demo: $(SELF)  ## see llmopt at work, without a network
	@$(BIN)/llmopt demo

test: $(DEV) $(SELF)  ## run the tests; ARGS="-k cache" for some of them
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

check: $(DEV) $(SELF)  ## all that must hold: format, lint, types, floors, docs, tests, coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/zensical build --strict --clean
	$(BIN)/pytest -n $(WORKERS) --cov --junitxml=build/junit.xml

fix: $(DEV)  ## format, and repair what the linter can repair
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(PEERS) $(LITELLM)  ## measure anew what the documentation quotes; BENCH=benchmarks/x.py, ARGS=--quick
	@for script in $(BENCH); do echo "# $$script"; $(VENV)-bench/bin/python $$script $(ARGS) || exit 1; done
	$(VENV)-bench/bin/python benchmarks/_table.py $(ARGS)

fuzz: $(DEV) $(SELF)  ## the plan parser against orjson; CASES=1000000
	$(BIN)/python tests/stream/fuzz.py --cases $(CASES)

crash: $(DEV) $(SELF)  ## kill processes that write the usage log, and count what is in it; KILLS=10000
	$(BIN)/python tests/usage/crash.py --kills $(KILLS)

docs: $(DEV) $(SELF)  ## build the documentation into site/
	$(BIN)/zensical build --strict --clean

constraints: $(VENV)-uv/bin/uv  ## resolve the pins anew, without releases younger than a week
	$(call resolve,run,--group build)
	$(call resolve,dev,--group dev --constraints constraints/run.txt)

clean:  ## remove all that these targets have made
	rm -rf $(VENV) $(VENV)-uv $(VENV)-bench $(VENV)-litellm build dist site .cache .coverage

$(RUN): constraints/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llmopt needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --require-hashes -r constraints/run.txt
	@touch $@

$(DEV): constraints/dev.txt $(RUN)
	$(PIP) --require-hashes -r constraints/dev.txt
	@touch $@

$(SELF): pyproject.toml $(RUN)
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(PEERS): constraints/run.txt benchmarks/peers.txt pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check hatchling editables \
	    -r benchmarks/peers.txt $$(sed -n 's/^\(llm\|openai\|orjson\|tiktoken\|sqlite-utils\)\(==[^ ;]*\).*/\1\2/p' constraints/run.txt)
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e .
	@touch $@

$(LITELLM): benchmarks/litellm.txt
	$(PYTHON) -m venv --clear $(VENV)-litellm
	$(VENV)-litellm/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/litellm.txt
	@touch $@

$(VENV)-uv/bin/uv:
	$(PYTHON) -m venv --clear $(VENV)-uv
	$(VENV)-uv/bin/python -m pip install --quiet uv==0.13.6

define resolve
	$(VENV)-uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --custom-compile-command "make constraints" \
	    $(2) -o constraints/$(1).txt pyproject.toml
endef
