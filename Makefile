PYTHON ?= python3
WORKERS ?= 3
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help venv run test check lint faults campaign ablations refreshes sabotage bench herd conformance lock

help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## .venv with everything installed, exactly as locked

run: $(READY) ## the control plane with a demo tenant on http://127.0.0.1:8700; Ctrl-C stops it all
	@$(BIN)/controlplane up --demo

test: $(READY) ## the whole suite on a real Postgres and Redis of its own; ARGS="tests/embedded -k port" narrows it
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

check: lint test ## what CI runs: format, lint, types, import contracts, tests

lint: $(READY) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(READY) ## kill -9 of everything, 200 times, a quarter of an hour; KILLS=500 SEED=7 as you like
	@$(BIN)/python -m tests.faults --kills $(or $(KILLS),200) --seed $(or $(SEED),0)

campaign: $(READY) ## 2,000 random schedules of the model's faults, half an hour; SCHEDULES=1 SEED=7 plays that one again
	@$(BIN)/python -m tests.faults.campaign $(if $(WAY),--way $(WAY),--schedules $(or $(SCHEDULES),2000) --seed $(or $(SEED),0))

ablations: $(READY) ## take each rule of the sync protocol out of the code and print what the campaign says; ONLY="a word" of its name
	@$(BIN)/python -m scripts.ablate $(if $(ONLY),"$(ONLY)")

refreshes: $(READY) ## one grant, three processes, sixty callers, tokens of two seconds, and a minute of faults
	$(BIN)/pytest tests/refreshing/long_form.py tests/refreshing/oidc_provider.py

sabotage: $(READY) ## break the code in twenty ways, one at a time, and see that some test notices; ONLY="a word" of its name
	@$(BIN)/python -m scripts.sabotages $(if $(ONLY),"$(ONLY)")

bench: $(READY) ## every budget as a ratio, one JSON line each; ONLY=name runs one
	@$(BIN)/python -m benchmarks $(ONLY)

herd: $(READY) ## ten thousand simulated runtimes against one replica, some ten minutes; RUNTIMES=500 RECORDS=5000000 as you like
	@$(BIN)/python -m benchmarks.herd --runtimes $(or $(RUNTIMES),10000) --records $(or $(RECORDS),200000)

conformance: browser ## what needs more than the bare machine: a real browser, axe-core, an identity provider, Spectral, schemathesis, pgrls
	@command -v npm > /dev/null || echo "npm is missing: axe-core, Spectral and oidc-provider cannot be installed, and their tests will say so" >&2
	-@npm install --silent --no-save --ignore-scripts --prefix .venv/node axe-core@4.14.1 @stoplight/spectral-cli@6.16.3 oidc-provider@9.13.3
	@test -x .venv/opinions/bin/pip || $(PYTHON) -m venv --clear .venv/opinions
	@.venv/opinions/bin/pip install -q --disable-pip-version-check --require-hashes -r opinions.lock
	$(BIN)/pytest conformance $(ARGS)

screenshots: browser ## pictures of every page of the console, into docs/screenshots
	$(BIN)/python -m conformance.screenshots docs/screenshots

browser: $(READY)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r conformance.lock

lock: pyproject.toml ## write the lock files again from pyproject.toml; needs uv on PATH
	uv pip compile pyproject.toml --all-extras $(LOCKED) -o requirements.lock
	uv pip compile --group conformance -c requirements.lock $(LOCKED) -o conformance.lock
	uv pip compile --group opinions $(LOCKED) -o opinions.lock

LOCKED := --universal --generate-hashes --no-annotate --no-header --python-version 3.11 --quiet

# venv repairs a half-made .venv; the build backend comes from the lock, so that nothing unlocked is ever fetched
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
