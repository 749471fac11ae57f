# make demo    set up, race two schedules on handwritten digits, name the report to open
# make picture    the README's picture: carries out the study of the digits, opens its report in Chromium
# make test    set up, run the tests
# make check   set up, run formatter, linter, types, import contract, tests
# make test-slow   the tests that take minutes: kills at every moment, Keras at depth 56, packed seeds
# make test-hours  the studies that the pages show, carried out
# make test-browser   the report in Chromium, which must be installed
# make test-ray    the tests on a Ray cluster of two nodes (Linux, root, iproute2); installs the ray extra
# make test-trackers   the tests against MLflow and Weights & Biases; installs the mlflow and wandb extras
# make bench   our step beside Keras's and a plain PyTorch loop's, in about ten minutes; DATA=DIR says where CIFAR-10 is
# make bench-growth    how the cost of ours grows with batch, depth and runs at once
# make site    the documentation as web pages, docs/_build/html/index.html; installs the docs extra
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PEERS := .venv-peers/bin
PEERS_READY := .venv-peers/ready
WHERE = $(if $(DATA),--data "$(DATA)")
BENCH = $(PEERS)/python -m benchmarks.speed $(WHERE)

.PHONY: demo picture bench bench-growth site test test-slow test-hours test-browser test-ray test-trackers check clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/fewepochs demo --out runs

picture: $(READY)
	$(BIN)/fewepochs study run studies/digits-schedules.toml --out runs --quiet > /dev/null
	$(BIN)/fewepochs report studies/digits-schedules.toml --out runs --to runs/digits-schedules.html
	$(BIN)/python tools/make_readme_picture.py runs/digits-schedules.html

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow --numprocesses auto --dist worksteal --timeout 900

test-hours: $(READY)
	$(BIN)/python -m pytest -m hours --numprocesses auto --dist worksteal

test-browser: $(READY)
	$(BIN)/python -m pytest -m browser --numprocesses auto --dist worksteal

test-ray: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[ray]'
	$(BIN)/python -m pytest -m ray --timeout 900

test-trackers: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[mlflow,wandb]'
	$(BIN)/python -m pytest -m trackers --timeout 900

site: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going --fresh-env docs docs/_build/html
	$(BIN)/python tools/check_site.py docs/_build/html

bench: $(PEERS_READY)
	$(BENCH) --to results/speed-cpu.json
	$(PEERS)/python -m benchmarks.speed.profile $(WHERE) --to results/speed-profile-cpu.json
	$(PEERS)/python -m benchmarks.speed.tables

bench-growth: $(PEERS_READY)
	$(BENCH) --growth --to results/speed-growth-cpu.json
	$(PEERS)/python -m benchmarks.speed.tables

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

clean:
	rm -rf .venv .venv-peers docs/_build

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("fewepochs needs Python 3.11 or later, not " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

$(PEERS_READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-peers
	$(PEERS)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[peers]'
	touch $@
