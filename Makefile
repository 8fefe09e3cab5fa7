# Two commands do everything from a fresh clone: `make demo` and `make test`. Python 3.11 is all they need.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
QUIET  := --quiet --disable-pip-version-check

.PHONY: demo test lint docs bench bench-encoder bench-snippets clean

demo: $(VENV)/.installed
	$(BIN)/kbsearch build articles --index indexes/help
	@echo; echo '$$ kbsearch search 返品の送料は誰が払いますか -k 3'
	@$(BIN)/kbsearch search 返品の送料は誰が払いますか -k 3
	@echo; echo '$$ kbsearch search "I cannot remember my password" -k 3'
	@$(BIN)/kbsearch search "I cannot remember my password" -k 3
	@echo; echo '$$ kbsearch search henpinnnosouryou -k 1      # typed with the input method off'
	@$(BIN)/kbsearch search henpinnnosouryou -k 1
	@echo; echo '$$ kbsearch search "How do I get an invoice for my company?" --lang ja -k 3      # asked in English, answered in Japanese'
	@$(BIN)/kbsearch search "How do I get an invoice for my company?" --lang ja -k 3
	@echo; echo '$$ kbsearch search 返品の送料は誰が払いますか --budget sms      # an answer that fits a text message'
	@$(BIN)/kbsearch search 返品の送料は誰が払いますか --budget sms
	@echo; echo '$$ kbsearch steps shop/returns/how-to-return.en --step 2'
	@$(BIN)/kbsearch steps shop/returns/how-to-return.en --step 2

test: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.run --quick

bench-encoder: $(VENV)/.installed-test
	$(BIN)/python benchmarks/encoder.py

bench-snippets: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.snippets --write

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# What is installed points into this folder; only the C has to be compiled again.
CORE := $(wildcard kbsearch/core/*)

$(VENV)/.installed: pyproject.toml hatch_build.py $(CORE) | $(VENV)/bin/python
	$(BIN)/pip install $(QUIET) --editable .
	touch $@

# torch first and pinned: its release named here is the CPU build, a later or plain one brings gigabytes of CUDA.
$(VENV)/.installed-test: pyproject.toml hatch_build.py $(CORE) | $(VENV)/bin/python
	$(BIN)/pip install $(QUIET) torch==2.13.0
	$(BIN)/pip install $(QUIET) --editable '.[test]'
	touch $@ $(VENV)/.installed $(VENV)/.installed-docs

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/.installed
	$(BIN)/pip install $(QUIET) --editable '.[docs]'
	touch $@

$(VENV)/.installed-bench: pyproject.toml $(VENV)/.installed-test
	$(BIN)/pip install $(QUIET) --editable '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) indexes/help docs/_build docs/generated .mypy_cache .ruff_cache .pytest_cache .hypothesis
