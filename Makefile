# The two commands are `make run` and `make test`; `make help` lists the rest.
PYTHON ?= python3
ARGS ?=
UPGRADE ?= --upgrade
BIN := .venv/bin
COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --no-header

# Where a target's own output belongs to its program, what happens before goes to stderr.
.SILENT:
.PHONY: help install run test check format reference lock bench rivals torture fuzz

help: ## Show this list.
	awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed ## Set up .venv from the hash-pinned lock.

.venv/installed: requirements/dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Likewise needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	echo "Setting up .venv …" >&2
	$(PYTHON) -m venv .venv >&2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock >&2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >&2
	touch $@

run: install ## Run `likewise dev` on an embedded database; make run ARGS='--port 0 --json'
	exec $(BIN)/likewise dev $(ARGS)

test: install ## Run all tests with branch coverage.
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=4 --dist=loadfile $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: install ## Check format, lint, types, import floors and the documents.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet --no-header tests/e2e/test_docs.py

format: install ## Format the code and mend what the linter can.
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

reference: install ## Write docs/reference.md anew from the service's own description.
	$(BIN)/python docs/reference.py

lock: ## Pin the newest versions by version and hash; make lock UPGRADE= keeps what is pinned.
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) $(UPGRADE) --group dev pyproject.toml -o requirements/dev.lock
	$(COMPILE) --constraints requirements/dev.lock --extra postgres pyproject.toml -o requirements/serve.lock
	$(COMPILE) --constraints requirements/dev.lock --group pyproject.toml:build -o requirements/build.lock
	$(COMPILE) --python-version 3.11 --constraints requirements/dev.lock --group pyproject.toml:fuzz -o requirements/fuzz.lock
	$(COMPILE) --constraints requirements/dev.lock --extra server --group bench pyproject.toml -o requirements/bench.lock

bench: install ## Measure next to others (needs wrk and two cores); make bench ARGS='--whole --write'
	exec $(BIN)/python -m benchmarks.serving $(ARGS)

rivals: install ## Set up in .venv-bench what make bench compares with (needs npm for the mock).
	$(PYTHON) -m venv .venv-bench >&2
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.lock >&2
	npm install --silent --no-audit --no-fund --prefix .venv-bench/prism @stoplight/prism-cli@5.16.0 >&2

torture: install ## Kill the service and its database 200 times under load and check every answer.
	exec $(BIN)/python -m tests.torture $(ARGS)

fuzz: install ## Fuzz the path of a request for a minute (needs atheris); make fuzz ARGS='--seconds 600'
	exec $(BIN)/python -m tests.fuzz $(ARGS)
