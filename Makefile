# Set-up, tests and checks. `make` alone lists the targets.
#
# What is installed is remembered by stamp files in .venv, so a second call starts at once; a change of
# pyproject.toml or constraints.txt installs again.

PYTHON ?= python3
UV ?=
TORCH_INDEX ?=
ARGS ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.stamp-run
TEST := $(VENV)/.stamp-test
DEV := $(VENV)/.stamp-dev

ifeq ($(filter-out 0 no,$(UV)),)
CREATE = $(PYTHON) -m venv $(VENV)
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt
else
# --seed puts pip there too: tests/test_packaging.py installs the wheel with it.
CREATE = uv venv --quiet --seed --python $(PYTHON) $(VENV)
INSTALL = uv pip install --python $(BIN)/python -c constraints.txt
endif

# Built without isolation, so that hatchling too is the pinned one.
INSTALL_SELF = $(INSTALL) --quiet --no-build-isolation --editable

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format benchmark gallery wheel clients web-tools vendor clean distclean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PYTHON=python3.12   the Python to make .venv with (3.11 or newer)"
	@echo "  UV=1                install with uv instead of pip"
	@echo "  TORCH_INDEX=URL     take torch from there, for example https://download.pytorch.org/whl/cpu"
	@echo "  ARGS='-k sampler'   passed on by test, benchmark and gallery"
	@echo "  JOBS=4              how many files of tests run at a time"

demo: $(RUN) ## Draw a picture with the built-in model and say where it is
	@$(BIN)/nodegraph run workflows/hello.yaml

test: $(TEST) ## Run all tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(DEV) ## Check style, formatting, types and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports

format: $(DEV) ## Format the code and sort its imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

benchmark: $(RUN) ## Measure, and print a table for each question
	@$(BIN)/python -m benchmarks $(ARGS)

gallery: $(RUN) ## Draw the pictures of README.md and docs/gallery.md and write that page
	@$(BIN)/python docs/gallery.py $(ARGS)

wheel: $(TEST) ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clients: ## Bring JavaScript's clients, which tests then use (needs npm)
	npm --prefix tests/server/comfy/javascript install --no-package-lock --no-audit --no-fund

web-tools: ## Bring what checks the canvas, which tests then use (needs npm)
	npm --prefix web/vendor-src ci --ignore-scripts --no-audit --no-fund

vendor: web-tools ## Make the libraries in web/vendor again (needs npm)
	node web/vendor-src/build.mjs

clean: ## Remove caches and built files; pictures and .venv stay
	rm -rf dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## Remove .venv as well
	rm -rf $(VENV)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "make: $(PYTHON) is not there; install Python 3.11 or newer, or say where it is: PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: nodegraph needs Python 3.11 or newer and $(PYTHON) is $$($(PYTHON) -V 2>&1); try PYTHON=python3.12" >&2; exit 1; }
ifeq ($(filter-out 0 no,$(UV)),)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make: $(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
else
	@command -v uv >/dev/null || \
	  { echo "make: UV=1 needs uv on the PATH (https://docs.astral.sh/uv); leave UV=1 out to install with pip" >&2; exit 1; }
endif
	@rm -rf $(VENV)
	@$(CREATE) || { rm -rf $(VENV); exit 1; }

# torch comes first and by itself, because only torch is taken from TORCH_INDEX.
$(RUN): pyproject.toml constraints.txt hatch_build.py | $(BIN)/python
	@echo "Installing nodegraph into $(VENV). The first time this downloads PyTorch, which takes a while."
	@rm -f $(RUN) $(TEST) $(DEV)
	@$(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX) --no-deps) torch
	@$(INSTALL) --quiet hatchling editables
	@$(INSTALL_SELF) .
	@touch $@

$(TEST): $(RUN)
	@echo "Installing what the tests need"
	@$(INSTALL_SELF) '.[test,templates]'
	@touch $@

$(DEV): $(TEST)
	@echo "Installing ruff, pyright and import-linter"
	@$(INSTALL_SELF) '.[dev]'
	@touch $@
