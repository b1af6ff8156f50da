# Needs Python 3.11 or later and make; everything else is set up in .venv.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PORT ?= 8080
DATA ?= var/demo
BIN := .venv/bin

.PHONY: help setup run test test-engines test-full bench proto clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: ## .venv with the pinned packages and the souk command
	@test -n "$(PYTHON)" || { echo "Souk needs Python 3.11 or later, and there is none on the path" >&2; exit 1; }
	@$(PYTHON) tools/setup.py

run: setup ## the marketplace with demo data on :8080, with one order walked through it, until Ctrl-C
	@SOUK_LOG_FILE=$(DATA)/souk.log exec $(BIN)/souk up --demo --data $(DATA) --port $(PORT) --then order

test: setup ## every check, and every test that needs no engine beyond the wheels
	@exec $(BIN)/python tools/checks.py test

test-engines: setup ## brings Consul, etcd, Eureka and dnsmasq (minutes, once), and the tests that need them
	@$(BIN)/python tools/engines.py install
	@exec $(BIN)/python tools/checks.py engines

test-full: setup ## the tests that take long
	@exec $(BIN)/python tools/checks.py full

bench: setup ## measures this machine
	@exec $(BIN)/python -m bench

proto: setup ## generates code from the contracts
	@exec $(BIN)/python tools/contracts.py generate

clean: ## removes what was set up and built, but no data
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
