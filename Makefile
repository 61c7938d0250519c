# Every target makes the environment it needs. PYTHON names the Python (3.11 or newer) to start from.
PYTHON ?= python3
BIN := .venv/bin
NETS := photos rendered
EXPERIMENT := experiments/experiment1
PEERS := tf-keras-vis xplique
NOTEBOOKS := $(addprefix $(EXPERIMENT)/visualization_,first_pass.ipynb conv_layers.ipynb dense_layers.ipynb softmax_outputs.ipynb)
FOLLOW_UPS = $(wildcard experiments/experiment[2345]/*.ipynb)
SHARED = $(wildcard experiments/experiment0/*.ipynb) $(NOTEBOOKS) $(wildcard experiments/*/*.ipynb notebooks/*.ipynb)

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: figures experiments test browser share lab train bench format clean

figures: .venv/made
	$(BIN)/python -m helpers.sweeps $(EXPERIMENT)/experiment.toml --net $(NETS)
	$(BIN)/python -m helpers.publish.notebooks $(NOTEBOOKS)
	$(BIN)/python -m helpers.publish.notebooks $(NOTEBOOKS) --output $(EXPERIMENT)/rendered --set net=rendered
	$(BIN)/python -m helpers.sweeps experiments/experiment2/experiment.toml --net photos
	$(BIN)/python -m helpers.sweeps experiments/experiment3/experiment.toml --net photos
	$(BIN)/python -m helpers.publish.notebooks $(FOLLOW_UPS)
	@echo; echo "Figures:"; ls experiments/*/figures/*.png experiments/*/figures/*/*.png
	@echo; echo "Pages:"; ls experiments/*/*.html $(EXPERIMENT)/rendered/*.html

experiments: .venv/made
	$(BIN)/python -m helpers.publish.notebooks $(wildcard experiments/experiment0/*.ipynb)
	$(BIN)/python -m experiments.architectures experiments/experiment4/experiment.toml
	$(BIN)/python -m experiments.architectures experiments/experiment5/experiment.toml
	$(MAKE) figures

test: .venv/made browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

browser: .venv/made
	$(BIN)/python tests/browser/install.py

share: .venv/made
	$(BIN)/python -m helpers.publish.share $(SHARED)

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
	rm -rf .venv .browser shared_pages benchmarks/.peers experiments/*/results experiments/*/rendered
