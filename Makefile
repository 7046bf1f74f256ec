# Every target sets up what it needs: a virtual environment from the hashed requirements, nothing by hand.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
REQUIREMENTS := deploy/requirements
# These tests mostly wait for servers and timeouts, so running them in parallel costs little CPU.
# Of the other integration tests about half the work: the groups run side by side.
PLATFORM_TESTS := tests/faults $(addprefix tests/integration/test_,$(addsuffix .py,\
	e2e bridge_alertmanager bridge_webhook roles browser browser_pages browser_recorder charts_in_browser \
	live_caseload dashboard_page openapi history hostile_requests roles_and_routes sign_in python_page ten_tasks))
OPENSMILE_TESTS := tests/unit/workers/acoustic tests/unit/workers/scoring/test_shipped.py
# Integration tests that start no server: they run after the unit tests, since the group with servers takes longest.
LOCAL_TESTS := $(addprefix tests/integration/test_,$(addsuffix .py,offline decoders_agree interrupts imports demo))
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml
# Every extra but `gpu`: what all roles together run.
EXTRAS := --extra openvino --extra history --extra dashboard --extra fhir --extra pkcs11 --extra aws-kms --extra audit-anchors
export PYTHONPATH := $(CURDIR)
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-pure test-servers test-platform check format schemas docs dist kafka servers e2e chaos parade shutdown fuzz bench lock clean

help:  ## List every target.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(VENV)/.dev  ## Create the virtual environment for running and testing.

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

$(VENV)/.release: $(REQUIREMENTS)/release.txt $(VENV)/.dev
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/release.txt
	@touch $@

demo: $(VENV)/.run  ## Run an end-to-end demo with six simulated users and a dashboard (SERVE=1 keeps it up).
	$(BIN)/undertone demo $(if $(SERVE),--serve)

# Where a real server can be installed, a test that needs it fails without it; elsewhere the test is skipped and says
# which command installs it.
test: export UNDERTONE_REQUIRE ?= $(if $(shell command -v java),$(if $(shell command -v mvn),kafka)),$(if $(shell command -v redis-server),redis),$(if $(shell command -v chromium),browser)
test: $(VENV)/.dev  ## Run all tests, three groups in parallel.
	@$(MAKE) --no-print-directory -j3 --output-sync=target test-pure test-servers test-platform

test-pure: $(VENV)/.dev  ## Run the unit tests, and the integration tests that need no server.
	# openSMILE runs in its own process, as in production: it has aborted in one process with TensorFlow, librdkafka and FFmpeg.
	$(BIN)/python -m pytest $(OPENSMILE_TESTS)
	$(BIN)/python -m pytest tests/unit tests/fuzz schemas workers streams $(addprefix --ignore=,$(OPENSMILE_TESTS))
	$(BIN)/python -m pytest $(LOCAL_TESTS)

test-servers: $(VENV)/.dev  ## Run the contract and integration tests, with brokers and stores.
	$(BIN)/python -m pytest tests/contract tests/integration $(addprefix --ignore=,$(PLATFORM_TESTS) $(LOCAL_TESTS))

test-platform: $(VENV)/.dev  ## Run the end-to-end tests: with external servers, permissions and injected faults.
	$(BIN)/python -m pytest $(PLATFORM_TESTS)

check: $(VENV)/.dev  ## Check format, lint, types, import order, schemas and generated documents.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.compatibility
	$(BIN)/python -m schemas.generate_docs --check
	$(BIN)/python -m streams.reference.command_page --check
	$(BIN)/python -m streams.reference.privacy_page --check
	$(BIN)/python -m streams.reference.audit_page --check
	$(BIN)/python -m streams.api.openapi_document --check
	$(BIN)/python -m deploy.grafana.boards --check
	$(BIN)/python deploy/prometheus/as_kubernetes.py --check
	$(BIN)/python -m deploy.k8s.secret_items --check
	$(BIN)/python deploy/kafka/acls.py --check
	$(BIN)/python -m tests.benchmarks.figures --check

format: $(VENV)/.dev  ## Format the code and apply lint fixes.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: $(VENV)/.dev  ## Generate the documents, dashboards and manifests from the code.
	$(BIN)/python -m schemas.generate_docs
	$(BIN)/python -m streams.reference.command_page
	$(BIN)/python -m streams.reference.privacy_page
	$(BIN)/python -m streams.reference.audit_page
	$(BIN)/python -m streams.api.openapi_document
	$(BIN)/python -m deploy.grafana.boards
	$(BIN)/python deploy/prometheus/as_kubernetes.py
	$(BIN)/python -m deploy.k8s.secret_items
	$(BIN)/python deploy/kafka/acls.py --write
	$(BIN)/python -m tests.benchmarks.figures

docs: $(VENV)/.dev  ## Build the documentation site into build/site; a broken link or anchor is an error.
	$(BIN)/python -m sphinx -qEW --keep-going -c docs -d .cache/doctrees . build/site
	@echo "open build/site/index.html"

# Built by the pinned tools of the environment, and with the time of the commit, so that the same commit gives the same wheel.
dist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
dist: $(VENV)/.release  ## Build and check the wheel, the source archive and the list of components (CycloneDX) in dist/.
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/cyclonedx-py requirements $(REQUIREMENTS)/run.txt --pyproject pyproject.toml --mc-type application \
		--spec-version 1.6 --output-reproducible --of JSON -o dist/undertone.cdx.json
	$(BIN)/python deploy/distribution.py dist

kafka: $(VENV)/.run  ## Run a single-node Apache Kafka until interrupted (needs Java 17 and Maven).
	$(BIN)/python deploy/kafka/server.py

servers:  ## Install the tests' servers from Debian packages: Prometheus, Alertmanager, Redis, Java, Maven, docker-compose, Chromium.
	deploy/servers.sh

e2e: $(VENV)/.dev servers  ## Run the end-to-end tests with Kafka, Redis, Prometheus and Alertmanager.
	UNDERTONE_REQUIRE=kafka,redis,monitoring $(BIN)/python -m pytest -m e2e tests/integration

chaos: $(VENV)/.dev  ## Run long fault-injection scenarios (SEED=7 repeats one).
	$(BIN)/python -m tests.faults long real empty sealed --report tests/benchmarks/results/chaos.md $(if $(SEED),--seed $(SEED))

parade: $(VENV)/.dev  ## Run every poison among 500 good memos (SEED=7 repeats an order).
	$(BIN)/python -m tests.faults.parade long --report tests/benchmarks/results/parade.md $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.faults.parade long --sealed --report tests/benchmarks/results/parade.md $(if $(SEED),--seed $(SEED))

shutdown: $(VENV)/.dev  ## End two hundred processes in every way and measure how long each takes (SEED=7 repeats the moments).
	$(BIN)/python -m tests.faults.shutdown --report tests/benchmarks/results/shutdown.md $(if $(SEED),--seed $(SEED))

fuzz: SECONDS ?= 120
fuzz: REPORT ?= tests/benchmarks/results/fuzz.md
fuzz: $(VENV)/.dev  ## Fuzz records, state and recordings for two minutes (SECONDS=7200 for longer, SEED=7 repeats inputs).
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --report $(REPORT) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.bench  ## Run the benchmarks (ONLY=encoder,drift selects some) and write tests/benchmarks/results.
	$(BIN)/python -m tests.benchmarks $(ONLY)

lock: $(VENV)/.dev  ## Pin the dependencies again, with hashes and without index URLs.
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(COMPILE) $(EXTRAS) --upgrade -o $(REQUIREMENTS)/run.txt
	$(COMPILE) $(EXTRAS) --extra gpu -c $(REQUIREMENTS)/run.txt -o $(REQUIREMENTS)/gpu.txt
	$(COMPILE) $(EXTRAS) --group dev -c $(REQUIREMENTS)/run.txt -o $(REQUIREMENTS)/dev.txt
	$(filter-out pyproject.toml,$(COMPILE)) --group embedding -c $(REQUIREMENTS)/run.txt -o $(REQUIREMENTS)/embedding.txt
	$(filter-out pyproject.toml,$(COMPILE)) --group release -c $(REQUIREMENTS)/dev.txt -o $(REQUIREMENTS)/release.txt
	$(COMPILE) $(EXTRAS) --group dev --group bench -c $(REQUIREMENTS)/dev.txt -o $(REQUIREMENTS)/bench.txt

clean:  ## Remove the virtual environment and all caches.
	rm -rf $(VENV) .cache build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .undertone
