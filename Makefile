# One entry for every habit. Continuous integration runs the same verbs and nothing else.

CARGO ?= cargo
export CARGO

.DEFAULT_GOAL := help
.PHONY: help check test live sim sabotage campaign bench demo up down generate

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: ## format, lints, documentation, the rules of the house (seconds, no servers)
	@deploy/dev/check

test: ## all of it, against real PostgreSQL and Kafka: installs what is missing, ends with `N passed, N failed`
	@deploy/dev/test

live: ## only the tests that need the servers
	@deploy/dev/test live

sim: ## the simulation, with SEEDS=n seeds
	@$(if $(SEEDS),TWINBOX_SIM_SEEDS=$(SEEDS)) $(CARGO) test --features faults --test it -- simulation::

sabotage: ## plant each bug of tests/sabotage in a scratch copy and see its layer go red; ONLY="B03 B07" for some
	@deploy/dev/sabotage $(ONLY)

campaign: ## the scenarios and crash points at full size (hours); ONLY=name for some
	@TWINBOX_CAMPAIGN=1 TWINBOX_LIMIT=12h deploy/dev/with $(CARGO) test --features faults --test it -- --nocapture scenarios::$(ONLY)

bench: ## figures, against real PostgreSQL and Kafka
	@TWINBOX_LIMIT=4h deploy/dev/with $(CARGO) bench

demo: ## the promises, seen: no Docker, no broker, installs what is missing
	@deploy/dev/install build
	@$(CARGO) run --quiet --profile bench --bin twinbox -- demo

up: ## start PostgreSQL and Kafka for your own experiments, and say how to reach them
	@deploy/dev/install test
	@deploy/dev/up

down: ## stop them
	@deploy/dev/down

generate: ## rewrite what is generated: schema, references, fixtures
	@UPDATE=1 $(CARGO) test --test generated
