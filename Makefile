# Relata's commands, for people and for continuous integration. Everything is installed into .venv, nothing elsewhere.

# Any of 3.11, 3.12, 3.13; one of the others below is taken when this one does not fit.
PYTHON ?= python3
# More arguments for pytest, for a benchmark or for the command crm: make test ARGS="-k parking"
ARGS ?=
# The benchmarks to run; all without it.
ONLY ?=

# How many times as many faults as continuous integration: make test-faults COUNT=10
COUNT ?= 1

# What `make test-kafka` starts: apache (the broker's published jars; needs Java 17 and Maven) or testcontainers (Docker)
KAFKA ?= apache

# How many test files run side by side, each worker with servers of its own; 0: in this process, as a debugger needs it.
# Most tests wait for a server rather than for a core.
WORKERS ?= 2
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_KAFKA := $(VENV)/.installed-kafka
PYPROJECTS := $(wildcard shared/*/pyproject.toml services/*/pyproject.toml deploy/*/pyproject.toml)
DISTRIBUTIONS := $(patsubst %/pyproject.toml,%,$(PYPROJECTS))
SOURCES := $(addsuffix /src,$(DISTRIBUTIONS)) benchmarks $(wildcard examples/*.py) conftest.py
TESTS := $(wildcard shared/*/tests services/*/tests deploy/*/tests tests)
IMAGE_FILE := deploy/images/Dockerfile

.DEFAULT_GOAL := help
.PHONY: help install demo up check test tests test-faults test-kafka test-containers lint format types imports contracts deployment bench lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install everything into .venv; again only when the lock or a pyproject.toml has changed

demo: $(INSTALLED) ## Start everything, load real purchases, show what came of it, and go on serving
	@$(BIN)/crm demo $(ARGS)

up: $(INSTALLED) ## Start everything without loading anything
	@$(BIN)/crm up $(ARGS)

check: $(INSTALLED) ## The fast loop, in seconds: style, and the tests that need no servers
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/pytest -q -m "not servers and not slow" $(ARGS)

test: lint tests ## Every check and every test

tests: $(INSTALLED) ## Every test, without the checks
	$(PYTEST) $(ARGS)

test-kafka: $(INSTALLED_KAFKA) ## Every test that uses servers, and some more, against Apache Kafka
	$(PYTEST) --kafka=$(KAFKA) shared services tests $(ARGS)

test-containers: $(INSTALLED_KAFKA) ## Every test that uses servers, on Apache Kafka, MongoDB and PostgreSQL in containers
	$(PYTEST) --servers=containers shared services tests $(ARGS)

test-faults: $(INSTALLED) ## Processes, stores and networks that die, compared with an oracle; longer with COUNT=10
	$(BIN)/pytest tests/faults --count=$(COUNT) $(ARGS)

lint: $(INSTALLED) ## Every check that runs no code: style, types, imports, contracts, deployment files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(MAKE) --no-print-directory types imports contracts deployment

format: $(INSTALLED) ## Put the code into the common format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Test folders one by one: their files may have the same names, which mypy cannot tell apart in one run.
types: $(INSTALLED) ## Check types
	$(BIN)/mypy $(SOURCES)
	@for folder in $(TESTS); do echo "$(BIN)/mypy $$folder"; $(BIN)/mypy $$folder || exit 1; done

imports: $(INSTALLED) ## Check who imports whom
	$(BIN)/python tests/architecture/imports.py

contracts: $(INSTALLED) ## Check that schemas, AsyncAPI and docs/reference/events.md say what the code says
	$(BIN)/python -m crm_contracts.tooling.schemas --check
	$(BIN)/python -m crm_contracts.tooling.docs --check

deployment: $(INSTALLED) ## Check docker-compose.yml and the image file
	$(BIN)/yamllint --strict docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/hadolint --failure-threshold style $(IMAGE_FILE)

bench: $(INSTALLED) ## Measure speed against the limits of the stores: make bench ONLY=relay ARGS=--json
	@$(BIN)/python -m benchmarks $(ONLY) $(ARGS)

lock: ## Resolve the requirements anew, for every supported Python and system
	$(BIN)/pip install --require-hashes --only-binary :all: -r requirements/uv.txt
	requirements/lock $(BIN)/uv $(ARGS)

clean: ## Delete .venv and every cache; data in .data stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(INSTALLED): requirements/dev.txt requirements/data.txt $(PYPROJECTS)
	@test -x $(BIN)/pip || for python in $(PYTHON) python3.13 python3.12 python3.11 none; do \
		if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
			echo "Making $(VENV) with $$($$python --version)"; \
			$$python -m venv $(VENV) || exit 1; \
			break; \
		elif test $$python = none; then \
			echo "Relata needs Python 3.11, 3.12 or 3.13: install one, or name it by make PYTHON=..." >&2; \
			exit 1; \
		fi; \
	done
	$(BIN)/pip install --require-hashes --only-binary :all: -r requirements/dev.txt
	$(BIN)/pip install --require-hashes --only-binary :all: --no-deps -r requirements/data.txt
	$(BIN)/pip install --no-deps --no-build-isolation $(addprefix --editable ./,$(DISTRIBUTIONS))
	@rm -rf .mypy_cache # it remembers which packages were missing
	@touch $@

$(INSTALLED_KAFKA): $(INSTALLED) requirements/kafka.txt
	$(BIN)/pip install --require-hashes --only-binary :all: -r requirements/kafka.txt
	@touch $@
