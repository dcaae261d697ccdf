# Everything lives in .venv/; `make up` works on a machine that has nothing but git, make and root.
.DEFAULT_GOAL := help
.PHONY: help up down test lint bench test-fresh run dev engine images

BIN := .venv/bin
ARGS ?=

help: ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

up: engine ## Bring up every service, ready for use; ends with the table of endpoints
	$(BIN)/envctl up --profile full $(ARGS)

down: run ## Take it down and prove it gone
	$(BIN)/envctl down $(ARGS)

test: dev images ## Run all tests (one of them: make test ARGS="-k name")
	scripts/test $(ARGS)

lint: dev ## Check style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: dev images ## Measure, side by side with plain docker compose
	$(BIN)/python bench/run.py $(ARGS)

test-fresh: dev engine ## Prove the way from a bare Debian 12 (makes one; takes minutes, needs root)
	$(BIN)/python -m pytest tests/fresh/fresh_machine.py $(ARGS)

run:
	@scripts/bootstrap

dev:
	@scripts/bootstrap dev

engine: run
	$(BIN)/envctl doctor --fix

# Beforehand, so that no test's time contains a download: `up` gets each image from where it can be had. The tests'
# own small services stand on the base image, and the kernel is probed with the tools: no registry has these two.
images: engine
	$(BIN)/envctl images build base tools
	$(BIN)/envctl --env prepare-tests up --profile full
	$(BIN)/envctl --env prepare-tests down
