# The verbs of this project. `make demo` and `make test` need nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TYPED := $(wildcard actors sip_adapter apps examples tests benchmarks docs)
# What pytest is given: make test T="tests/apps -k config"
T ?=
# Where make demo-web serves: make demo-web PORT=0 takes any free one
PORT ?= 8080

.PHONY: help venv demo demo-web screenshots test run lint docs bench bench-routing faults clean

help:
	@echo "make demo    show that it works: messages delivered, one kept across a kill -9"
	@echo "make demo-web  three nodes whose users write to each other, in the browser"
	@echo "make test    run the tests (T='tests/apps -k name' for some of them)"
	@echo "make run     start a node to try with a phone, on 127.0.0.1:5060 over UDP and TCP"
	@echo "make lint    check style, types and imports"
	@echo "make docs    build the pages of docs/ into build/docs"
	@echo "make screenshots  draw the pages of the console anew, into docs/screenshots"
	@echo "make bench   measure rates, latency and memory"
	@echo "make bench-routing  compare ways of finding a user in networks of up to 10,000 nodes"
	@echo "make faults  the long fault runs: kills, power cuts, damaged files"
	@echo "make venv    only the virtual environment, in $(VENV)"
	@echo "make clean   remove what was built, the virtual environment too"

venv: $(VENV)/.installed-dev

# Takes $(PYTHON) if it is new enough, else the newest python3.x that is; says what to do if there is none.
define make_venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
	        $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
	    done; \
	    if [ -z "$$python" ]; then \
	        echo "angarium needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)." \
	             "Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	    echo "making $(VENV) with $$($$python -V)"; \
	    $$python -m venv --clear $(VENV) || { \
	        echo "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; }
endef

$(VENV)/.installed-run: setup.cfg pyproject.toml
	$(make_venv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: setup.cfg pyproject.toml
	$(make_venv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(VENV)/.installed-run $@

$(VENV)/.installed-dev: setup.cfg pyproject.toml
	$(make_venv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.installed-run $(VENV)/.installed-test $@

$(VENV)/.installed-gui: setup.cfg pyproject.toml
	$(make_venv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[gui]'
	@touch $(VENV)/.installed-run $@

demo: $(VENV)/.installed-run
	@$(BIN)/angarium demo

demo-web: $(VENV)/.installed-gui
	@$(BIN)/angarium demo --nodes 3 --monitor --listen 127.0.0.1:$(PORT)

screenshots: $(VENV)/.installed-test
	$(BIN)/python -m docs.make_screenshots

# First what runs in virtual time or in one process and keeps a core busy each; then what starts programs and mostly
# waits for them; at last, one after the other, what needs the machine: browsers, and tests that judge seconds.
PROGRAMS := tests/apps tests/examples tests/faults tests/federation tests/interop tests/test_package.py
BUSY := tests/faults/test_actor_exceptions.py
BROWSERS := $(patsubst %/,%,$(sort $(dir $(wildcard tests/e2e/test_*.py))))

test: $(VENV)/.installed-test
ifdef T
	$(BIN)/python -m pytest $(T)
else
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PROGRAMS:%=--ignore=%) $(BROWSERS:%=--ignore=%) tests $(BUSY)
	$(BIN)/python -m pytest -n 3 --dist worksteal -m 'not alone' $(BUSY:%=--ignore=%) $(PROGRAMS)
	$(BIN)/python -m pytest -m alone $(PROGRAMS)
	$(if $(BROWSERS),$(BIN)/python -m pytest $(BROWSERS))
endif

run: $(VENV)/.installed-run
	$(BIN)/angarium node --name a --listen udp://127.0.0.1:5060 --listen tcp://127.0.0.1:5060 \
	    --data ./angarium-data --open

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "open build/docs/index.html"

bench: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.run

bench-routing: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.routing

faults: $(VENV)/.installed-test
	ANGARIUM_FAULTS=full $(BIN)/python -m pytest --timeout 3600 tests/faults tests/federation

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
