PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
LOWEST := .venv-lowest
TORCH := $(shell grep '^torch==' constraints.txt)
TORCH_CPU := https://download.pytorch.org/whl/cpu

.PHONY: demo test slow lowest lint check format docs reference bench reliability screenshots clean

demo: $(VENV)/core.stamp  ## train three nets on real handwritten digits and write a report
	$(BIN)/firstlight demo

test: $(VENV)/test.stamp  ## the suite, some eight minutes on two cores
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

slow: $(VENV)/test.stamp  ## the tests that take seconds each
	$(BIN)/pytest -n 2 --dist worksteal -m slow

# With the least Python too, 3.11. No PyTorch and no other extra here, and warnings of old packages are no error.
lowest: $(LOWEST)/lowest.stamp  ## the wheel with the core alone, in the least versions that pyproject.toml allows
	rm -rf $(LOWEST)/wheel
	$(LOWEST)/bin/pip wheel --quiet --no-deps --wheel-dir $(LOWEST)/wheel .
	$(LOWEST)/bin/pip install --quiet --no-deps --force-reinstall $(LOWEST)/wheel/firstlight-*.whl
	$(LOWEST)/bin/pytest -W default -m "not slow" -k "not (other_engine or not_here or odd_names or ctrl_c)" \
	  tests/data tests/evaluation tests/records tests/layers/test_examples.py tests/app/test_index.py \
	  tests/report/pages/test_run_page.py tests/cli/test_commands.py

lint: $(VENV)/test.stamp  ## formatting, ruff, types, import contracts, declared dependencies
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/deptry --ignore DEP002,DEP004 tests benchmarks docs

check: lint test slow  ## everything that a change must pass

format: $(VENV)/test.stamp
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/docs.stamp  ## the book: build/site, and build/site/firstlight.pdf; its tutorials are run
	$(BIN)/python -m docs.build

reference: $(VENV)/test.stamp  ## docs/reference anew, where a command, a key, a component or a public name changed
	$(BIN)/python -m docs.reference

screenshots: $(VENV)/test.stamp  ## the pictures of README and docs, by chromium: docs/images/*.png
	$(BIN)/python docs/screenshots.py

reliability: $(VENV)/test.stamp  ## attack firstlight by programs of its own; writes docs/why/reliability.md
	$(BIN)/python -m benchmarks.reliability

bench: $(BENCH)/bench.stamp  ## firstlight beside its peers, in an environment of their own; writes docs/why/benchmarks.md
	$(BENCH)/bin/python -m benchmarks

$(BIN)/python $(BENCH)/bin/python $(LOWEST)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "firstlight needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(@D)/..

$(VENV)/core.stamp: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

# Without a GPU, PyTorch's build for CPUs spares gigabytes; where it cannot be had, the usual one follows.
$(VENV)/test.stamp: $(BIN)/python pyproject.toml constraints.txt
	[ "$$(uname)" != Linux ] || command -v nvidia-smi > /dev/null || \
	  $(BIN)/pip install --quiet --retries 1 --timeout 30 --no-deps $(TORCH) --index-url $(TORCH_CPU) || \
	  echo "PyTorch's build for CPUs cannot be had: the usual one is installed."
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@ $(VENV)/core.stamp

$(VENV)/docs.stamp: $(VENV)/test.stamp
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# "name>=1.2,<3" becomes "name==1.2". What those need in turn is as new as they allow, as for whoever installs today.
$(LOWEST)/lowest.stamp: $(LOWEST)/bin/python pyproject.toml
	$(LOWEST)/bin/python -c 'import re, tomllib; \
	  project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*(re.sub(">=([^,]*).*", r"==\1", one) for one in project["dependencies"]), sep="\n")' > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/pip install --quiet --only-binary :all: --requirement $(LOWEST)/lowest.txt httpx hypothesis playwright pytest
	touch $@

# The version of PyTorch first: its own choice of a build stays, whatever the peers ask for.
$(BENCH)/bench.stamp: $(BENCH)/bin/python pyproject.toml constraints.txt benchmarks/requirements.txt
	$(BENCH)/bin/pip install --quiet torch==2.13.0
	$(BENCH)/bin/pip install --quiet --constraint constraints.txt --editable '.[embed,export,torch]' -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
