# Every target makes the environment it needs. PYTHON names the Python (3.11 or newer) to start from.
PYTHON ?= python3
BIN := .venv/bin
MODELS := photos rendered
EXPERIMENT := experiments/experiment1
PEERS := tf-keras-vis xplique
NOTEBOOKS := $(addprefix $(EXPERIMENT)/visualization_,first_pass.ipynb conv_layers.ipynb dense_layers.ipynb softmax_outputs.ipynb)
FOLLOW_UPS = $(wildcard experiments/experiment[23456]/*.ipynb)
EVERY = $(wildcard experiments/*/*.ipynb notebooks/*.ipynb)
OUTPUT := experiments/*/output notebooks/output
RENDER = $(BIN)/python -m helpers.publish.notebooks

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: all figures renew experiments test browser share lab train bench format clean

# A run writes to output/ beside each experiment, which git ignores.
figures: .venv/made
	$(BIN)/python -m helpers.sweeps $(EXPERIMENT)/experiment.toml --model $(MODELS)
	$(RENDER) $(NOTEBOOKS)
	$(RENDER) $(NOTEBOOKS) --output $(EXPERIMENT)/output/rendered --set net=rendered
	$(BIN)/python -m helpers.sweeps experiments/experiment2/experiment.toml --model photos
	$(BIN)/python -m helpers.sweeps experiments/experiment3/experiment.toml --model photos
	$(RENDER) $(FOLLOW_UPS)
	@echo; echo "Figures:"; find $(OUTPUT) -name '*.png' 2>/dev/null | sort
	@echo; echo "Pages:"; find $(OUTPUT) -name '*.html' 2>/dev/null | sort

# Also the maps of many ImageNet classes, about ten minutes.
all: figures
	$(BIN)/python -m experiments.experiment6 --gallery

# Replaces the notebooks and figures that are committed.
renew: .venv/made
	$(RENDER) --renew $(EVERY)

# Trains the models of experiments 4, 5 and 6 anew and replaces the numbers, notebooks and figures.
experiments: .venv/made
	$(BIN)/python -m experiments.architectures experiments/experiment4/architectures.toml
	$(BIN)/python -m experiments.architectures experiments/experiment5/architectures.toml
	$(BIN)/python -m experiments.experiment6
	$(MAKE) renew

test: .venv/made browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

browser: .venv/made
	$(BIN)/python tests/browser/install.py

share: .venv/made
	$(BIN)/python -m helpers.publish.share $(EVERY)

lab: .venv/made
	$(BIN)/jupyter lab notebooks/explore.ipynb

train: .venv/made
	$(BIN)/python -m helpers.faces.training $(TRAIN)

bench: .venv/made $(PEERS:%=benchmarks/.peers/%/made)
	$(BIN)/python -m benchmarks

benchmarks/.peers/%/made: benchmarks/peers-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-deps --requirement $<
	@touch $@

format: .venv/made
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/made: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv .browser shared_pages benchmarks/.peers experiments/*/results $(OUTPUT)
