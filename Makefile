# One door. Every target sets up what it needs: a virtual environment from the hashed requirements, nothing by hand.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
REQUIREMENTS := deploy/requirements
# These mostly wait, for what real life takes its time over: a lane of their own costs little.
PLATFORM_TESTS := tests/faults $(addprefix tests/integration/test_,e2e.py bridge_alertmanager.py bridge_webhook.py roles.py)
OPENSMILE_TESTS := tests/unit/workers/acoustic tests/unit/workers/scoring/test_shipped.py
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml
export PYTHONPATH := $(CURDIR)
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-pure test-servers test-platform check format schemas kafka servers e2e chaos bench lock clean

help:  ## List every target.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(VENV)/.dev  ## Create the virtual environment with everything that running and testing needs.

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Undertone needs Python 3.11 to 3.13, found %d.%d; try make PYTHON=python3.11" % sys.version_info[:2] if not (3, 11) <= sys.version_info < (3, 14) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(REQUIREMENTS)/run.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/run.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(REQUIREMENTS)/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/dev.txt
	@touch $@

$(VENV)/.bench: $(REQUIREMENTS)/bench.txt $(VENV)/.dev
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/bench.txt
	@touch $@

demo: $(VENV)/.run  ## Run the whole system on this machine with simulated users, and show the alerts it raised.
	$(BIN)/undertone demo

# Where real servers can be had, a test that lacks them fails; elsewhere it is skipped and says what would bring them.
test: export UNDERTONE_REQUIRE ?= $(if $(shell command -v java),$(if $(shell command -v mvn),kafka)),$(if $(shell command -v redis-server),redis)
test: $(VENV)/.dev  ## Run the tests, pure ones beside those with real servers.
	@$(MAKE) --no-print-directory -j3 --output-sync=target test-pure test-servers test-platform

test-pure: $(VENV)/.dev  ## Run the tests that need no server.
	# openSMILE in a process of its own, as in production: it has aborted beside TensorFlow, librdkafka and FFmpeg in one.
	$(BIN)/python -m pytest $(OPENSMILE_TESTS)
	$(BIN)/python -m pytest tests/unit schemas workers streams $(addprefix --ignore=,$(OPENSMILE_TESTS))

test-servers: $(VENV)/.dev  ## Run the tests with brokers, stores and whole systems.
	$(BIN)/python -m pytest tests/contract tests/integration $(addprefix --ignore=,$(PLATFORM_TESTS))

test-platform: $(VENV)/.dev  ## Run the tests of the whole system: beside a platform's servers, with rights, under faults.
	$(BIN)/python -m pytest $(PLATFORM_TESTS)

check: $(VENV)/.dev  ## Check format, lint, types, import order, schemas and generated documents.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.compatibility
	$(BIN)/python -m schemas.generate_docs --check
	$(BIN)/python deploy/grafana/boards.py --check
	$(BIN)/python deploy/prometheus/as_kubernetes.py --check
	$(BIN)/python -m tests.benchmarks.figures --check

format: $(VENV)/.dev  ## Format the code and mend what lint can mend.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: $(VENV)/.dev  ## Write the documents and dashboards that are generated from the code.
	$(BIN)/python -m schemas.generate_docs
	$(BIN)/python deploy/grafana/boards.py
	$(BIN)/python deploy/prometheus/as_kubernetes.py
	$(BIN)/python -m tests.benchmarks.figures

kafka: $(VENV)/.run  ## Run a real single-node Apache Kafka (needs Java 17 and Maven), until interrupted.
	$(BIN)/python deploy/kafka/server.py

servers:  ## Install Prometheus, Alertmanager, Redis, Java, Maven and docker-compose for the tests, from Debian's packages.
	deploy/servers.sh

e2e: $(VENV)/.dev servers  ## Run the whole system beside real Kafka, Redis, Prometheus and Alertmanager: memos in, alerts out.
	UNDERTONE_REQUIRE=kafka,redis,monitoring $(BIN)/python -m pytest -m e2e tests/integration

chaos: $(VENV)/.dev  ## Tell the long stories of things that die while memos flow (SEED=7 tells one again).
	$(BIN)/python -m tests.faults long real empty --report tests/benchmarks/results/chaos.md $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.bench  ## Run the benchmarks (ONLY=encoder,drift for some) and write tests/benchmarks/results.
	$(BIN)/python -m tests.benchmarks $(ONLY)

lock: $(VENV)/.dev  ## Pin the dependencies again, with hashes and without addresses.
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(COMPILE) --upgrade -o $(REQUIREMENTS)/run.txt
	$(COMPILE) --extra gpu -c $(REQUIREMENTS)/run.txt -o $(REQUIREMENTS)/gpu.txt
	$(COMPILE) --group dev -c $(REQUIREMENTS)/run.txt -o $(REQUIREMENTS)/dev.txt
	$(COMPILE) --group dev --group bench -c $(REQUIREMENTS)/dev.txt -o $(REQUIREMENTS)/bench.txt

clean:  ## Remove the virtual environment and every cache.
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .undertone
