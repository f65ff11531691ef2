# Every verb sets up what it needs by itself: python3 (3.11 or newer) and make are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
READY  := $(VENV)/.ready
# what is compiled is kept: the tests start hundreds of interpreters that import the same modules
unexport PYTHONDONTWRITEBYTECODE
PACKAGES := packages/cutover packages/agent_runtime packages/sandbox

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench soak docs lock clean

help: ## list the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	@touch $(UV)

$(READY): $(UV) requirements/dev.txt $(PACKAGES:%=%/pyproject.toml)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(PACKAGES:%=-e %)
	@touch $(READY)

setup: $(READY) ## make .venv with everything that is pinned

demo: $(READY) ## move live traffic from hetzner to phala on this machine, by the runbook
	$(BIN)/cutover demo $(ARGS)

# most tests wait for sockets and for time to pass: two side by side keep a processor busy
WORKERS ?= $(shell echo $$((2 * $$(nproc))))

# a browser is got beside the tests that need none; the others wait for it
test: $(READY) ## run the tests
	$(if $(ARGS),,$(BIN)/python tests/browser/finder.py &) \
	$(BIN)/python -m pytest -n $(WORKERS) -m "not soak" $(ARGS)

check: $(READY) ## lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## measure, side by side with peers; prints tables, writes build/bench.json
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/bench.txt
	$(BIN)/python benchmarks/run.py $(ARGS)

soak: $(READY) ## the slow matrix
	$(BIN)/python -m pytest -m "soak" $(ARGS)

docs: $(READY) ## print the generated parts of the docs afresh
	$(BIN)/python docs/generate.py

lock: $(UV) ## resolve the requirement files anew
	$(UV) pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header requirements/uv.in -o requirements/uv.txt
	$(UV) pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header $(PACKAGES:%=%/pyproject.toml) -o requirements/runtime.txt
	$(UV) pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header $(PACKAGES:%=%/pyproject.toml) requirements/dev.in -o requirements/dev.txt
	$(UV) pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header requirements/bench.in -o requirements/bench.txt
	$(UV) pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header packages/agent_runtime/pyproject.toml -c requirements/runtime.txt -o requirements/agent.txt
	$(UV) pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header requirements/agent-build.in -c requirements/dev.txt -o requirements/agent-build.txt

clean: ## remove what the verbs made
	rm -rf $(VENV) build .cutover .pytest_cache .mypy_cache .ruff_cache
