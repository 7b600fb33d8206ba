# Two commands do all the set-up on a fresh machine: make demo, make test.
PYTHON ?= python3
PORT ?= 8000
ONLY ?=
SEEDS ?= 1000
FROM ?= 1
BIN := .venv/bin
UV := $(BIN)/uv

.PHONY: help demo test install check format bench simulate lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      start the simulated estate, a gateway, a broker and the cloud (PORT=$(PORT), RESET=1 starts afresh)"
	@echo "make test      every test    make check  format, lint, types, import contracts"
	@echo "make simulate  seeded fault schedules of the delivery: SEEDS=$(SEEDS) FROM=$(FROM)"

.venv/uv.stamp: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python >= 3.11 is needed; set PYTHON=..."; exit 2; }
	@# some systems ship venv without ensurepip: then the system's pip installs into it
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv 2>/dev/null || $(PYTHON) -m venv --clear --without-pip .venv
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
		$$pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-uv.txt
	@touch $@

.venv/run.stamp: .venv/uv.stamp requirements.lock pyproject.toml
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

install: .venv/dev.stamp

demo: .venv/run.stamp
	@exec $(BIN)/hutong-site demo --port $(PORT) $(if $(RESET),--reset)

test: .venv/dev.stamp
	@sh tests/install-system-packages.sh
	@sh tests/run.sh $(ARGS)

check: .venv/dev.stamp
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint docker/*.Dockerfile
	@$(BIN)/compose-lint docker/compose.yaml

format: .venv/dev.stamp
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/dev.stamp
	@$(BIN)/python -m tests.benchmarks $(ONLY)

simulate: .venv/dev.stamp
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

lock: .venv/uv.stamp
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --extra edge --extra cloud --extra mirror --extra sim --extra build pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --all-extras -c requirements.lock pyproject.toml -o requirements-dev.lock
	@echo uv | $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header - -o requirements-uv.txt

clean:
	rm -rf .venv .demo dist build
