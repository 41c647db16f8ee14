# What one does here, by name; `make` alone lists it. All of it happens inside .venv.

BIN := .venv/bin
COMPILE := $(BIN)/python -m piptools compile --quiet --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# PYTHON=python3.12 chooses the interpreter that .venv is made with, ARGS is handed on to the tool.
export PYTHON
export CUSTOM_COMPILE_COMMAND := make requirements
# To compile all tests takes as long as to run a tenth of them; `make clean` removes what is kept of it.
unexport PYTHONDONTWRITEBYTECODE

POOLED := tests/test_database.py tests/test_reading.py tests/house/test_migrations.py tests/jobs/test_runner.py \
	tests/api/test_product.py tests/api/test_product_list.py tests/api/test_orders.py tests/flows/test_sync.py

.DEFAULT_GOAL := help
.PHONY: help run test test-pooled check format requirements bench bench-sync bench-history bench-api evidence evidence-trust sabotage fuzz clean runtime development

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

# The last line of a recipe is one plain command, so that make itself starts it and hands signals on to it.
run: runtime ## Install, migrate, and run everything on this machine with some products (PORT, SANDBOX_PORT)
	@$(BIN)/python -m aggregator.cli.demo

test: development ## Install and run all tests, on SQLite and on PostgreSQL (ARGS="-k offers")
	@$(BIN)/python -m pytest -n auto --maxschedchunk=8 $(ARGS)

test-pooled: development ## Run a part of the tests once more, on PostgreSQL through pgbouncer, where that is installed
	@TEST_POOLER=1 $(BIN)/python -m pytest -n auto --maxschedchunk=8 -k postgresql $(POOLED) $(ARGS)

check: development ## Lint, check the format and the types
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

format: development ## Bring the code into the house's form
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

# Compiled with the oldest Python supported: what only that one needs must be on the list too.
requirements: development ## Write requirements*.txt from requirements*.in (ARGS=--upgrade)
	@$(COMPILE) $(ARGS) requirements.in
	@$(COMPILE) $(ARGS) requirements-s3.in
	@$(COMPILE) $(ARGS) requirements-dev.in

bench-sync: development ## Measure how fast offers are synced
	@$(BIN)/python -m benchmarks.sync $(ARGS)

bench-history: development ## Measure how fast old prices are read and rolled up; its 10 million points are kept
	@$(BIN)/python -m benchmarks.history $(ARGS)

bench-api: development ## Measure how fast the API answers and imports, and how that grows; its catalogues are kept
	@$(BIN)/python -m benchmarks.api $(ARGS)

bench: bench-sync bench-history bench-api ## Measure all of it

evidence: evidence-trust ## Run what takes long: schemathesis as three callers, how long failing logins take, imports, prices
	@$(BIN)/python -m pytest -m evidence -n auto $(ARGS)
	@$(BIN)/python -m tests.security.timing
	@$(BIN)/python -m tests.evidence_prices --examples 10000
	@$(BIN)/python -m tests.evidence_prices --examples 10000 --steps 3

evidence-trust: development ## Replay faults from outside on fresh processes and both databases (ARGS="A1 C6")
	@$(BIN)/python -m tests.evidence $(ARGS)

sabotage: development ## Spoil some lines, one at a time, and see that the tests notice (ARGS="services/orders")
	@$(BIN)/python -m tests.sabotage $(ARGS)

fuzz: development ## Try the running API with all that schemathesis can think of (ARGS="--examples 500")
	@$(BIN)/python -m tests.security.fuzz $(ARGS)

clean: ## Remove .venv, caches, and the database and logs of `make run`
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	@rm -rf instance/logs instance/demo.db instance/demo.db-wal instance/demo.db-shm
	@rm -rf /tmp/aggregator-bench-history /tmp/aggregator-bench-api /tmp/aggregator-generated-clients
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime:
	@sh scripts/venv.sh requirements.txt

development:
	@sh scripts/venv.sh requirements-dev.txt
