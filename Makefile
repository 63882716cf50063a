# make repro builds everything, make test runs every test; both set themselves up first.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup repro test test-ray test-lm-eval check soak ui clean FORCE

setup: .venv/installed data/interpreter.txt

FORCE:

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; make PYTHON=python3.12 names another")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

# What the embedded corpus is read from; download depends on it. Written only when it differs.
data/interpreter.txt: .venv/installed FORCE
	@$(BIN)/python --version | cmp --silent - $@ || $(BIN)/python --version > $@

repro: setup
	$(BIN)/python -m pipeline repro

# For two cores; a third of their time these processes wait for servers and files.
test: setup
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# Tokens, shards and trainings on Ray clusters of the tests, in an environment of their own with the extra (240 MB).
test-ray: .venv-ray/installed
	PATH=$(CURDIR)/.venv-ray/bin:$(PATH) .venv-ray/bin/python -m pytest tests/integrations --ignore tests/integrations/test_lm_eval.py

.venv-ray/installed: pyproject.toml constraints.txt constraints-ray.txt
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	--constraint constraints-ray.txt --editable '.[ray,test]'
	@touch $@

# Scores of lm-evaluation-harness beside ours, in an environment of its own with the extra.
test-lm-eval: .venv-lm-eval/installed
	.venv-lm-eval/bin/python -m pytest tests/integrations/test_lm_eval.py

.venv-lm-eval/installed: pyproject.toml constraints.txt constraints-lm-eval.txt
	$(PYTHON) -m venv .venv-lm-eval
	.venv-lm-eval/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	.venv-lm-eval/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	--constraint constraints-lm-eval.txt --editable '.[lm-eval,test]'
	@touch $@

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_architecture.py

# Two hundred kills of each training, alone and in two processes, compared byte for byte. After make repro.
soak: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak --moments 200
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak --moments 200 --processes 2

ui: setup
	$(BIN)/python -m pipeline ui

# Back to a fresh clone, but for the environment: outputs, runs and DVC's cache are lost.
clean:
	rm -rf .work .prefect mlflow.db mlartifacts .dvc/cache .dvc/tmp data/raw data/tokenizer data/tokens data/quarantine \
	data/shards data/tasks data/overlap data/predictions data/responses data/scores data/judged data/checks data/losses.jsonl data/choices.jsonl \
	data/margins.jsonl data/samples.json data/report.html data/timings.html models
