# What can be done here. `make` alone lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help

GO      ?= go
APP     := github.com/holdfast-checkout/holdfast/internal/app
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)

# The version is stamped here, so Go need not ask git, which refuses in a checkout of another user. Without the folder's name in them,
# what one checkout has compiled serves the next.
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false -trimpath)

.PHONY: help
help: ## list what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## start everything on this machine and print what to do next; Ctrl-C stops all of it
	@$(MAKE) --no-print-directory -j2 servers build
	@bin/holdfast dev

.PHONY: servers
servers: ## install PostgreSQL, Redis and RabbitMQ if they are missing and this is Debian or Ubuntu as root
	@internal/stack/install.sh

# The client of Redis is one package of thousands of methods, for which all others wait, and takes half as long to compile without
# inlining within it; Stripe's takes two thirds. What they do is wait for the network.
SLIM  := -gcflags=github.com/stripe/stripe-go/v85=-l
QUICK := -gcflags=github.com/redis/go-redis/v9=-l $(SLIM)

.PHONY: build
build: ## build bin/holdfast, one static binary
	CGO_ENABLED=0 $(GO) build $(QUICK) -ldflags '-s -w -X $(APP).version=$(VERSION) -X $(APP).commit=$(COMMIT)' -o bin/holdfast ./cmd/holdfast

# More tests at once than there are processors: most of them wait, for a lease to run out or a server to come back.
# Packages and flags for `go test`: make test ARGS='-v -run Hold ./internal/inventory'
ARGS ?= ./...

.PHONY: test
# Tests keep little and drop much: collecting it less often saves a fifth of their processor time, for some 400 MB.
test: export GOGC := 400
# Else every program with the race detector waits for a second before it ends.
test: export GORACE := atexit_sleep_ms=0
test: ## test everything, on real servers and with the race detector
	@internal/stack/install.sh --tests
	@command -v $${CC:-gcc} >/dev/null || { echo 'the race detector needs a C compiler: apt-get install gcc libc6-dev'; exit 1; }
	$(GO) run ./internal/testkit/withstack $(GO) test -race $(SLIM) -parallel 5 -timeout 10m $(ARGS)

.PHONY: statements
statements: export GOGC := 400
statements: export GORACE := atexit_sleep_ms=0
statements: ## list what SQL the tests send, all of them or those of ARGS, in internal/statements/list
	@internal/stack/install.sh --tests
	@sent=$$(mktemp) && trap 'rm -f "$$sent"' EXIT && export HOLDFAST_TEST_SENT="$$sent" && \
		{ $(GO) run ./internal/testkit/withstack $(GO) test -race $(SLIM) -parallel 5 -timeout 10m $(ARGS); failed=$$?; \
		$(GO) run ./internal/statements/update "$$sent" && exit $$failed; }

# How often, and from which seed on; each run takes the next seed.
RUNS ?= 1
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')

.PHONY: drill
drill: ## the long form of every drill, one after the other: faults, soaks, millions of operations (RUNS=3 SEED=1 ARGS=./...)
	@for run in $$(seq 0 $$(($(RUNS) - 1))); do \
		export HOLDFAST_DRILL=1 HOLDFAST_SEED=$$(($(SEED) + run)); \
		echo "drill: SEED=$$HOLDFAST_SEED"; \
		$(GO) run ./internal/testkit/withstack $(GO) test -v -tags drill -run '^TestDrill' -count=1 -p 1 -timeout 90m $(ARGS) || exit 1; \
	done

.PHONY: lint
lint: bin/tools/golangci-lint ## look for mistakes, and for code that is not formatted
	bin/tools/golangci-lint run ./...

.PHONY: fmt
fmt: bin/tools/golangci-lint ## format the code
	bin/tools/golangci-lint fmt ./...

# Building the linter takes a minute or two, once for each of its versions.
bin/tools/golangci-lint: tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../bin/tools/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

.PHONY: api
api: ## make the files in api/ from the source
	$(GO) run ./api/generate

.PHONY: verify
verify: ## fail if a file in api/ is not as it would be made
	$(GO) run ./api/generate -check

.PHONY: bench
bench: build ## measure beside the bare database, into bench/latest.json (ROWS=saga for the rows that begin so)
	$(GO) run ./cmd/bench $(if $(ROWS),--rows '$(ROWS)')
