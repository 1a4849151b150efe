# One command for each task. `make demo` and `make test` are all that a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MINUTES ?= 10
KILLS ?= 100

.PHONY: setup demo test check bench bench-kafka bench-connectors bench-compare soak mutate lock proto clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml setup.py $(wildcard native/*.pyx native/*.pxi native/*.h)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 15) else f"expected Python 3.11 to 3.14, found {v.major}.{v.minor}: name another with make PYTHON=...")'
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing $$(grep -c '==' requirements.lock) packages of requirements.lock into $(VENV): a minute or two, the first time"
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	@echo "installing pks"
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "import native; print('the stages run', native.description())"
	@touch $@

demo: setup
	$(BIN)/python -m topology.demo

check: setup
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/vulture
	$(BIN)/python -m tests.check_docs

test: check
	$(BIN)/python -m pytest -n 2 --dist worksteal

bench: setup
	$(BIN)/python -m bench

# On a real broker, which it starts: Java and, the first time, Maven. Five to ten minutes on two quiet cores.
bench-kafka: setup
	$(BIN)/python -m bench kafka

bench-connectors: setup
	$(BIN)/python -m bench connectors nats questdb
	$(BIN)/python -m bench stopped-sink

bench-compare: setup
	$(BIN)/python -m bench --compare

soak: setup
	PKS_SOAK_MINUTES=$(MINUTES) PKS_SOAK_KILLS=$(KILLS) $(BIN)/python -m pytest -m soak --timeout 0

# Half an hour on two quiet cores; what is found stands in mutants/, and a second run tries only what changed.
mutate: setup
	$(BIN)/python -m tests.mutation

lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --no-emit-index-url --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --constraint requirements.lock --python-platform linux --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --output-file deploy/requirements.lock

proto: setup
	$(BIN)/python -m tests.protobuf_code

clean:
	rm -rf native/*.so native/*.c $(VENV) .pks mutants build *.egg-info .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
