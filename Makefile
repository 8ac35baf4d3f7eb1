# `make demo` and `make test` are the whole set-up: each makes .venv where there is none. On another interpreter:
# make test PYTHON=python3.13 VENV=.venv-3.13
# Without a GPU, PyTorch's build for CPUs saves gigabytes on Linux:
# make demo TORCH="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
TORCH  ?=
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test test-long test-extras docs clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	$(BIN)/vlmbench demo --out results

test: $(STAMP)
	$(BIN)/ruff check vlmbench tests benchmarks docs
	$(BIN)/ruff format --check vlmbench tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
	rm -rf $(VENV)/gate
	mkdir -p $(VENV)/gate/cache
	-cp -R .pytest_cache/d/meteor/meteor $(VENV)/gate/cache    # METEOR's index, which the tests built
	$(BIN)/vlmbench demo --quiet --out $(VENV)/gate --cache-dir $(VENV)/gate/cache > /dev/null
	$(BIN)/vlmbench check --baseline results/baseline.json $(VENV)/gate

# Tests that take minutes: commands on machines that lack something, torchrun.
test-long: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m long

# Open CLIP and timm need torchvision, and that the newest torch: an environment of its own (about 6 GB); OpenVINO and Ray are there too.
test-extras: .venv-extras/.installed
	OMP_NUM_THREADS=1 .venv-extras/bin/python -m pytest -q tests/encoders/test_extras.py tests/encoders/test_engine.py tests/tasks/test_ray.py

.venv-extras/.installed: pyproject.toml
	test -x .venv-extras/bin/python || $(PYTHON) -m venv .venv-extras
	.venv-extras/bin/python -m pip install --quiet --no-compile --disable-pip-version-check torch torchvision
	.venv-extras/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --editable ".[dev,open-clip,timm,openvino,ray]"
	touch $@

# The documentation's site, in site/: a small environment of its own, since building it imports nothing of vlmbench.
docs: .venv-docs/.installed
	.venv-docs/bin/zensical build --strict

.venv-docs/.installed: pyproject.toml constraints.txt
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt zensical mkdocstrings-python
	touch $@

# The pinned set of versions is in constraints.txt; torch first, so that nothing else chooses its build.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vlmbench needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt $(TORCH) torch
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf site .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
