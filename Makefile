.DEFAULT_GOAL := help
SHELL := bash
GO ?= go
# Most tests wait for servers rather than for the processor, and some look at the clock: many of a
# package run side by side, but no package beside another.
PARALLEL ?= 8
TESTFLAGS ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Try it
.PHONY: demo
demo: servers ## Orders go through three workers, one is killed mid-order: see who takes over, and when
	$(GO) run ./scripts/demo

.PHONY: bench
bench: servers ## The worker beside other queues and what the servers can do: about four minutes (BENCHFLAGS=-h)
	$(GO) run ./scripts/bench $(BENCHFLAGS)

.PHONY: bench-full
bench-full: servers ## The same with everything that scripts/bench/BENCHMARKS.md shows: half an hour or more
	$(GO) run ./scripts/bench --full $(BENCHFLAGS)

.PHONY: chaos
chaos: servers ## Faults while orders come in: none is lost, none doubled (DURATION=5m SEED=7 HTML=file CHAOSFLAGS=-h)
	$(GO) run ./scripts/chaos --duration $(or $(DURATION),30s) $(if $(SEED),--seed $(SEED)) $(if $(HTML),--html $(HTML)) $(CHAOSFLAGS)

.PHONY: chaos-controls
chaos-controls: servers ## Take out one mechanism after the other: a fault or a test must notice (CONTROLS="reaper audit")
	$(GO) run ./scripts/controls $(CONTROLS)

.PHONY: chaos-compose
chaos-compose: ## The same with the containers of compose.yaml (needs Docker)
	$(GO) run ./scripts/chaos --compose --duration $(or $(DURATION),1m) --slack 3s $(if $(SEED),--seed $(SEED)) $(if $(HTML),--html $(HTML)) $(CHAOSFLAGS)

.PHONY: build
build: ## Build bin/worker and bin/queuectl
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(shell git describe --always --dirty 2>/dev/null || echo dev)' -o bin/ ./cmd/...

##@ Every day
.PHONY: test
test: test-tools ## All tests, on real servers that they start themselves, with the race detector
	$(GO) build -race ./...
	$(GO) test -race -p 1 -shuffle=on -parallel $(PARALLEL) -timeout 15m $(TESTFLAGS) ./...

.PHONY: check
check: fmt vet lint vuln test ## Before a commit; CI adds the demo, chaos, controls and containers

.PHONY: test-compose
test-compose: ## The containers: kill, freeze and stop workers mid-order (needs Docker)
	scripts/test-compose.sh

.PHONY: fuzz
fuzz: ## Look for a message that breaks the decoder, for half a minute
	$(GO) test -fuzz FuzzDecode -fuzztime 30s ./internal/order

##@ One by one
.PHONY: servers
servers: ## Install redis-server, postgresql and gcc from Debian's packages, if they are missing
	@scripts/install-servers.sh

.PHONY: test-tools
test-tools: ## The same, with what only the tests need: PgBouncer, Prometheus and Chromium
	@scripts/install-servers.sh --tests

.PHONY: fmt
fmt: ## Fail if a file is not formatted
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }

.PHONY: vet
vet: ## Suspicious code, also under the build tags
	$(GO) vet ./...
	$(GO) vet -tags torture ./...
	$(GO) vet -C scripts/bench/peers ./...

.PHONY: lint
lint: ## golangci-lint; .golangci.yml says why each linter is on
	$(GO) tool -modfile=.ci/tools.mod golangci-lint run ./...
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh scripts/queue.bash; else echo 'shellcheck is not installed: scripts not checked'; fi

.PHONY: vuln
vuln: ## Known vulnerabilities in what is called, where their database can be reached
	@if curl --silent --fail --max-time 10 --output /dev/null https://vuln.go.dev/index/db.json; \
	then $(GO) tool -modfile=.ci/tools.mod govulncheck ./...; \
	else echo 'the vulnerability database cannot be reached: not checked'; fi
