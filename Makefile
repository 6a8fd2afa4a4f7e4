# Every target works on a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo serve test unit lint type fmt docs bench clean

setup: $(STAMP)

# torch goes first and by exact version, so that nothing pulls another build of it.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[compact,vlm,tensorboard,dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/vlmrec demo --out demo-shop --overwrite

# What the demo made, at http://127.0.0.1:8000
serve: $(STAMP)
	$(BIN)/vlmrec serve demo-shop/runs/content-both --data demo-shop/dataset --with-history \
		--runs demo-shop/runs --database sqlite:///demo-shop/served.db

# One thread a worker: workers that each take all cores wait for one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test: $(STAMP)
	$(PYTEST) -m "not network and not gpu"

unit: $(STAMP)
	$(PYTEST) tests/unit -m "not network and not gpu and not slow and not realdata"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(STAMP)
	$(BIN)/pyright

fmt: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) site demo-shop .pytest_cache .ruff_cache .hypothesis
