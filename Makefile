# Everything a fresh machine needs is Python 3.11, 3.12 or 3.13: each target makes .venv first.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
ARGS ?=
BOOK_TESTS := tests/runs/test_book.py tests/runs/test_book_in_browser.py tests/runs/test_pdf.py
NBVAL_OUTPUTS := $(CURDIR)/outputs/nbval
LONG := $(patsubst %,benchmarks/%.py,coverage_of_years fans rules scaling sweep)

.DELETE_ON_ERROR:
.PHONY: help ready book lint test-fast test hard lab bench bench-full clean

help:  ## what there is to make
	@echo "make ready      .venv with the pinned requirements, for the commands of bessvpp"
	@echo "make book       run the seven notebooks and build the book: outputs/book/_build/html/index.html"
	@echo "make test-fast  lint, and the tests that take no more than a few seconds: after each edit"
	@echo "make test       every check: lint, tests, notebooks, the book in a browser if there is one"
	@echo "make hard       every check again where a machine is busy or counts otherwise; takes hours"
	@echo "make lab        JupyterLab, which opens on start.md"
	@echo "make bench      the benchmarks that take minutes"
	@echo "make bench-full the benchmarks that take longer"
	@echo "make clean      remove .venv, caches, and what make itself has put into outputs/"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter; ARGS=\"...\" goes to the run of make book,"
	@echo "such as ARGS=\"--overwrite\" after a change of parameters, or ARGS=\"--jobs 4\"."

# Made afresh whenever the requirements change, so that nothing of an earlier set stays.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed, and '$(PYTHON)' is another or is not there:"; \
	  $(PYTHON) --version; \
	  echo "Name one that is installed, for example: make book PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing the pinned requirements into $(VENV) ..."
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

ready: $(READY)  ## .venv alone

book: $(READY)  ## the report
	@$(RUN) -m bessvpp run --profile book $(ARGS)
	@$(RUN) -m bessvpp book --profile book

lint: $(READY)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

# No test marked slow, none that runs notebooks; ARGS="tests/optimizer" for those of a room.
test-fast: lint  ## what an edit breaks most often
	@$(RUN) -m pytest -n auto -p no:cacheprovider -m "not slow" $(or $(ARGS),tests)

# Files of tests go to all cores; then the project's book, a small book, and the notebooks, each of
# which reads files of those before it: a core for each of the three. A day that one has planned
# another finds in the cache of all, which is empty at first.
test: lint  ## every check
	@rm -rf $(NBVAL_OUTPUTS) outputs/test/cache
	@mkdir -p $(NBVAL_OUTPUTS) outputs/test/cache && ln -s ../test/cache $(NBVAL_OUTPUTS)/cache
	@$(RUN) -m pytest -n auto -p no:cacheprovider --durations=10 tests $(BOOK_TESTS:%=--ignore=%)
	@BESSVPP_OUTPUTS=$(NBVAL_OUTPUTS) $(RUN) -m pytest -n auto --no-loadscope-reorder --nbval-lax \
	  --nbval-current-env --nbval-cell-timeout=3600 --nbval-kernel-startup-timeout=600 -p no:cacheprovider --durations=10 $(BOOK_TESTS) notebooks

# ARGS="tests/test_x.py" for some of them.
hard: $(READY)  ## every check beside busy loops, under other kernels and hash seeds
	@$(RUN) tests/hard.py $(ARGS)

lab: $(READY)  ## explore; Markdown opens as it is read, in the settings of _lab
	@$(RUN) -m jupyterlab --LabApp.app_settings_dir=_lab --LabApp.default_url=/lab/tree/start.md

bench: SCRIPTS = $(filter-out $(LONG),$(wildcard benchmarks/[a-z]*.py))
bench-full: SCRIPTS = $(LONG)
bench bench-full: $(READY)  ## the benchmarks; those that take longest
	@for script in $(SCRIPTS); do echo "== $$script"; $(RUN) $$script || exit 1; done

clean:  ## start afresh; runs of your own in outputs/ stay
	rm -rf $(VENV) outputs/book outputs/test outputs/nbval data/synthetic data/.cache build
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
