.DEFAULT_GOAL := help
PY := .venv/bin/python

.PHONY: help setup setup-serving run serve test test-all torture coverage docs lint format lock clean

help:           ## show this list
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' Makefile | expand -t 12

setup:          ## install the locked environment into .venv; does nothing when it is up to date
	@sh tools/setup.sh

run: setup      ## train on the bundled images; make run ARGS="--help" lists what else it can do
	@$(PY) run_pipeline.py $(ARGS)

setup-serving: setup
	@sh tools/serving.sh

serve: setup-serving  ## serve the pushed model on this machine; make serve ARGS="--help" lists the limits
	@exec .venv-serving/bin/python -m serving $(ARGS)

# As many processes as there are cores and memory for; the tests of a file share one, and what is expensive to make.
PYTEST := -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=15

test: setup     ## every test that needs this environment alone
	@$(PY) $(PYTEST) $(ARGS)

test-all: test setup-serving  ## those, and whatever needs servers, browsers or databases
	@sh tools/browser.sh
	@$(PY) -m pytest --durations=15 -m "server or docs" $(ARGS)

torture: setup  ## kills, damages, crowds and fills disks for an hour, and prints what held; make torture ARGS=--quick
	@$(PY) -m tools.torture $(ARGS)

coverage: setup ## which lines and branches the tests run: a summary, and pages in build/coverage
	@$(PY) -m coverage erase
	@$(PY) -m coverage run $(PYTEST) $(ARGS)
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage html --quiet
	@$(PY) -m coverage report

docs: setup     ## build the documentation into build/docs; a warning is an error
	@$(PY) -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "open build/docs/index.html"

lint: setup     ## ruff and mypy, as continuous integration runs them
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy

format: setup   ## let ruff rewrite what it can
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

# One universal file for both stacks (Python 3.10 and 3.11 to 3.13); naming no index, so that any mirror serves.
UV_COMPILE := .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	--python-version 3.10 --extra dev --extra polygons pyproject.toml $(ARGS)

lock: setup     ## resolve pyproject.toml again into both lock files; ARGS=--upgrade takes newer versions
	$(UV_COMPILE) --output-file requirements.lock
	$(UV_COMPILE) --extra gpu --constraints requirements.lock --output-file requirements-gpu.lock
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.10 serving/requirements.in $(ARGS) --output-file serving/requirements.lock

clean:          ## remove caches and build leftovers; runs/ and the environments stay
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage* build dist *.egg-info
	find . -name __pycache__ -not -path './.venv*' -not -path './runs/*' -prune -exec rm -rf {} +
