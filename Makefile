# Each target does the set-up that it needs; the set-up is done once and again when pyproject.toml changes.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

# Much of a test's time is one process starting or tracing: two workers, each on one core. A worker
# without tests takes half of the other's, since files differ much in length.
IN_PARALLEL := --numprocesses 2 --dist worksteal
ONE_CORE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1

.PHONY: install bench demo docs test test-all coverage examples check format wheel-check clean

install: $(STAMP)

# uv installs in parallel and shares files between environments: a minute and a half instead of four.
# It compiles the packages' code, too: where PYTHONDONTWRITEBYTECODE is set, each process would
# compile it anew (importing TensorFlow took 24 s instead of 10 s on a slow machine).
# `make install TORCH=cpu` takes PyTorch without CUDA libraries, from PyTorch's own index.
$(STAMP): pyproject.toml
	@echo "Installing into .venv: about two minutes and $(if $(TORCH),3,9) GB."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python $(if $(TORCH),--torch-backend=$(TORCH)) \
		--compile-bytecode --editable ".[dev]"
	touch $@

bench: $(STAMP)
	$(BIN)/python benchmarks/speed.py

demo: $(STAMP)
	$(BIN)/convrnns demo

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: check
	$(ONE_CORE) $(BIN)/pytest -m "not slow and not ci" $(IN_PARALLEL) $(REPORT)

test-all: check
	$(ONE_CORE) $(BIN)/pytest $(IN_PARALLEL)

# CI's tests: those of `make test` and those marked `ci`, with the lines that each covers.
coverage: REPORT := --cov --cov-report=term:skip-covered
coverage: test
	$(ONE_CORE) $(BIN)/pytest -m "ci and not slow" $(IN_PARALLEL) $(REPORT) --cov-append

# The notebooks, one after the other: each uses all cores.
examples: $(STAMP)
	$(BIN)/pytest tests/test_examples.py

docs: $(STAMP)
	mkdir -p build
	$(BIN)/typer convrnns_brainscore.cli utils docs --name convrnns --output build/commands.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The sdist and the wheel, as a stranger would get them: installed outside the clone and used there.
wheel-check: $(STAMP)
	PATH="$(abspath $(BIN)):$$PATH" tests/wheel_check.sh

clean:
	rm -rf .venv build dist site *.egg-info demo
