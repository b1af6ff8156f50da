# Needs Python 3.11 or later and make; everything else is set up in .venv. Targets for developers depend on setup-dev.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PORT ?= 8080
DATA ?= var/souk
MINUTES ?= 5
SECONDS ?= 60
SEED ?= 1
BROKER ?= bus
BIN := .venv/bin

.PHONY: help python setup setup-dev run test test-engines test-full test-kubernetes chaos fuzz bench proto wheels client settings decisions sdk metrics kubernetes brokers screenshots clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: python ## .venv with the souk command and what it needs to run, as one process and as a fleet
	@$(PYTHON) tools/setup.py

setup-dev: python ## that, and the developers' tools
	@$(PYTHON) tools/setup.py dev

python:
	@test -n "$(PYTHON)" || { echo "Souk needs Python 3.11 or later, and there is none on the path" >&2; exit 1; }

run: setup ## the marketplace with demo data on :8080, with one order walked through it, until Ctrl-C
	@SOUK_LOG_FILE=$(DATA)/souk.log exec $(BIN)/souk up --demo --data $(DATA) --port $(PORT) --then order

test: setup-dev ## every check, and every test that needs no engine beyond the wheels
	@exec $(BIN)/python tools/checks.py test $(AGAIN:%=--again)

test-engines: setup-dev ## brings Consul, etcd, Eureka, Kafka, RabbitMQ and others (minutes, once), and the tests that need them
	@$(BIN)/python tools/engines.py install
	@exec $(BIN)/python tools/checks.py engines $(AGAIN:%=--again)

test-full: setup-dev ## the tests that take long
	@exec $(BIN)/python tools/checks.py full $(AGAIN:%=--again)

test-kubernetes: setup-dev ## builds Kubernetes, kwok, CoreDNS and Istio (up to an hour, once), and tries deploy/kubernetes on them
	@$(BIN)/python tools/engines.py install dnsmasq etcd36 kubernetes kwok kubeconform coredns gateway-api istio-crds istio
	@exec $(BIN)/python tools/checks.py kubernetes

chaos: setup-dev ## harm of every kind to a fleet with BROKER for MINUTES, as SEED decides, and a check that all adds up
	@exec $(BIN)/python -m tests.chaos --minutes $(MINUTES) --seed $(SEED) --broker $(BROKER)

fuzz: setup-dev ## mutated and generated input for a running gateway, for SECONDS, as SEED decides
	@exec $(BIN)/python -m tests.attacks.fuzz --seconds $(SECONDS) --seed $(SEED)

bench: setup-dev ## measures this machine
	@exec $(BIN)/python -m bench

proto: setup-dev ## generates code from the contracts
	@exec $(BIN)/python tools/contracts.py generate

wheels: setup-dev ## builds our wheels into dist
	@exec $(BIN)/python tools/wheels.py

client: setup-dev ## generates the Python client from the contracts
	@exec $(BIN)/python tools/client.py generate

settings: setup-dev ## writes docs/settings.md from the settings
	@$(BIN)/souk settings --markdown > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

decisions: setup-dev ## writes the index of docs/decisions
	@exec $(BIN)/python tools/decisions.py

sdk: setup-dev ## writes docs/sdk.md from souk/sdk
	@exec $(BIN)/python tools/sdk_page.py

metrics: setup-dev ## writes docs/metrics.md, and the rules and the dashboard of deploy/observability
	@exec $(BIN)/python tools/metrics

kubernetes: setup-dev ## writes deploy/kubernetes/base from what the services declare
	@exec $(BIN)/python tools/kubernetes

brokers: setup-dev ## runs the suite of brokers against each one here, and writes its table in docs/brokers.md
	@exec $(BIN)/python tools/broker_table.py

screenshots: setup-dev ## takes the pictures of docs/console, in Chromium, of a fleet in which things happened
	@exec $(BIN)/python -m tests.engines.browser.screenshots

clean: ## removes what was set up and built, but no data
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
