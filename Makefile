# make demo    set up, race two schedules on handwritten digits, name the report to open
# make test    set up, run the tests
# make check   set up, run formatter, linter, types, import contract, tests
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test check clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/fewepochs demo --out runs

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

clean:
	rm -rf .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("fewepochs needs Python 3.11 or later, not " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
