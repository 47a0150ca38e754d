.DEFAULT_GOAL := help
PY := .venv/bin/python

.PHONY: help setup setup-serving setup-airflow setup-kubeflow setup-clients setup-mlflow setup-peers run serve airflow test test-all torture bench coverage docs lint format lock clean

help:           ## show this list
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' Makefile | expand -t 12

setup:          ## install the locked environment into .venv; does nothing when it is up to date
	@sh tools/setup.sh

run: setup      ## train on the bundled images; make run ARGS="--help" lists what else it can do
	@$(PY) run_pipeline.py $(ARGS)

setup-serving: setup
	@sh tools/environment.sh .venv-serving serving/requirements.lock "400 MB"

serve: setup-serving  ## serve the pushed model on this machine; make serve ARGS="--help" lists the limits
	@exec .venv-serving/bin/python -m serving $(ARGS)

setup-airflow: setup
	@sh tools/environment.sh .venv-airflow deploy/airflow/requirements.lock "100 MB"

setup-kubeflow: setup
	@sh tools/environment.sh .venv-kubeflow deploy/kubeflow/requirements.lock "30 MB"

setup-clients: setup
	@sh tools/environment.sh .venv-clients tests/serving/clients/requirements.lock "50 MB"

airflow: setup-airflow  ## train every night under Airflow, on this machine; make airflow ARGS="cells.toml" says how
	@exec .venv-airflow/bin/python -m deploy.airflow $(ARGS)

setup-mlflow: setup
	@sh tools/environment.sh .venv-mlflow tests/pipeline/publishing/requirements.lock "300 MB"

# One process more than there are cores, if memory is there; the tests of a file share one, and what is expensive to make.
PYTEST := -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=15

test: setup     ## every test that needs this environment alone
	@$(PY) $(PYTEST) $(ARGS)

test-all: test setup-serving setup-airflow setup-kubeflow setup-clients setup-mlflow  ## those, and whatever needs servers, browsers or databases
	@sh tools/browser.sh
	@sh tools/databases.sh
	@$(PY) $(PYTEST) -m "server or airflow or engines or docs" $(ARGS)

torture: setup-serving  ## kills, damages, crowds and fills disks for an hour, and prints what held; make torture ARGS=--quick
	@$(PY) -m tools.torture $(ARGS)

setup-peers: setup
	@sh tools/environment.sh .venv-peers benchmarks/peers/requirements.lock "3 GB"

bench: setup-peers setup-serving  ## speed beside peers; make bench ARGS="--help" tells more, such as scores after equal minutes
	@$(PY) -m benchmarks $(ARGS)

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
	--python-version 3.10 --extra dev --extra polygons --extra remote --extra team --extra onnx pyproject.toml $(ARGS)

# The environments beside .venv.
UV_COMPILE_ALONE := .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	--python-version 3.10 $(ARGS)

lock: setup     ## resolve all dependencies again into the lock files; ARGS=--upgrade takes newer versions
	$(UV_COMPILE) --output-file requirements.lock
	$(UV_COMPILE) --extra gpu --constraints requirements.lock --output-file requirements-gpu.lock
	$(UV_COMPILE_ALONE) --override serving/overrides.in serving/requirements.in --output-file serving/requirements.lock
	$(UV_COMPILE_ALONE) deploy/airflow/requirements.in --output-file deploy/airflow/requirements.lock
	$(UV_COMPILE_ALONE) deploy/kubeflow/requirements.in --output-file deploy/kubeflow/requirements.lock
	$(UV_COMPILE_ALONE) tests/serving/clients/requirements.in --output-file tests/serving/clients/requirements.lock
	$(UV_COMPILE_ALONE) tests/pipeline/publishing/requirements.in --output-file tests/pipeline/publishing/requirements.lock
	$(UV_COMPILE_ALONE) benchmarks/peers/requirements.in --output-file benchmarks/peers/requirements.lock

clean:          ## remove caches and build leftovers; runs/ and the environments stay
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage* build dist *.egg-info
	find . -name __pycache__ -not -path './.venv*' -not -path './runs/*' -prune -exec rm -rf {} +
