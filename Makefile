# What there is to do with this tree. `make` lists it.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# How long `make fuzz` gives each fuzz target, and how long a test run may take.
FUZZTIME     ?= 10s
TEST_TIMEOUT ?= 60m
SLOW_TIMEOUT ?= 180m

# How many turns each server has in `make compare-dns` and `make compare-http`.
# Fewer than 15 tell nothing finer than a tenth.
ROUNDS ?= 15

# What `make quality` lives through: worlds of S1 to S4 and how much of each, of S5 to
# S10, of each row of a study, of each row of the robustness table, and how many outages.
# After QUALITY_MINUTES no further piece begins (0 = all are made); pieces stay in
# QUALITY_PIECES, from where a run that was cut goes on.
QUALITY_SEEDS         ?= 20
QUALITY_LENGTH        ?= 3h
QUALITY_MORE          ?= 10
QUALITY_MORE_LENGTH   ?= 2h
QUALITY_STUDY         ?= 5
QUALITY_STUDY_LENGTH  ?= 1h
QUALITY_ROBUST        ?= 5
QUALITY_ROBUST_LENGTH ?= 1h
QUALITY_OUTAGES       ?= 200
QUALITY_MINUTES       ?= 0
QUALITY_PIECES        ?= bin/quality

# The whole-program tests hold a running node to its promised seconds, so they
# have the machine to themselves.
WHOLE := fairway/cmd/fairway

# The seed of the property tests (pgregory.net/rapid). `make test` asks the same
# questions every time, so that its answer is about the change; `make slow` asks
# new ones. RAPID_SEED=0 makes every run ask new ones.
test: export RAPID_SEED ?= 1

# The linter has a module of its own, so that its needs never become Fairway's.
STATICCHECK := go tool -modfile=tools/lint/go.mod staticcheck

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build Fairway and run its demo on this machine; Ctrl-C ends it
	@exec bin/fairway demo

.PHONY: fleet
fleet: build consul ## run a whole fleet on this machine: Consul, control, vantages, doors, a process each; Ctrl-C ends it
	@exec bin/fairway demo fleet --consul "$$(tools/consul/build --path)"

.PHONY: build
build: need-go ## build bin/fairway
	@go build -o bin/fairway ./cmd/fairway

.PHONY: test
test: setup consul lint verify check-generated build ## everything that CI runs; installs what the tests need
	go test -race -timeout $(TEST_TIMEOUT) $$(go list ./... | grep -v '^$(WHOLE)$$')
	go test -race -timeout $(TEST_TIMEOUT) $(WHOLE)

.PHONY: setup
setup: need-go ## install the programs that the tests drive (Debian packages; video players by npm; an ACME authority)
	@tools/setup/install
	@tools/players/install
	@tools/pebble/build

.PHONY: consul
consul: need-go ## build the Consul server that the tests run; once, and kept
	@tools/consul/build

.PHONY: lint
lint: need-go ## check the format, vet, staticcheck
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then \
		echo "not formatted:" $$unformatted; echo "    format them: gofmt -w" $$unformatted; exit 1; \
	fi
	go vet ./...
	go vet -tags slow ./...
	$(STATICCHECK) ./...

.PHONY: verify
verify: need-go ## check that the modules in the cache are what go.sum says
	go mod verify

.PHONY: check-generated
check-generated: need-go ## check that generated and embedded files are current
	go run ./tools/geodata -check

.PHONY: fuzz
fuzz: need-go ## run every fuzz target for FUZZTIME (10s)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "fuzz $$package $$target for $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: slow
slow: setup consul ## the tests of `make test` and those too slow for it
	@tools/prometheus/build
	go test -race -tags slow -timeout $(SLOW_TIMEOUT) ./...

.PHONY: slow-fuzz
slow-fuzz: need-go ## the parser and the checker of policies, ten minutes each
	go test -run '^$$' -fuzz '^FuzzCompile$$' -fuzztime 10m ./policies
	go test -run '^$$' -fuzz '^FuzzReview$$' -fuzztime 10m ./cmd/fairway/review

.PHONY: quality quality-page
quality: build ## compare policies in simulated worlds, within 90 minutes on two processors; writes docs/STEERING-QUALITY.md
	SEEDS=$(QUALITY_SEEDS) LENGTH=$(QUALITY_LENGTH) MORE=$(QUALITY_MORE) MORE_LENGTH=$(QUALITY_MORE_LENGTH) \
		STUDY=$(QUALITY_STUDY) STUDY_LENGTH=$(QUALITY_STUDY_LENGTH) ROBUST=$(QUALITY_ROBUST) ROBUST_LENGTH=$(QUALITY_ROBUST_LENGTH) \
		OUTAGES=$(QUALITY_OUTAGES) MINUTES=$(QUALITY_MINUTES) tools/quality/run $(QUALITY_PIECES)
	go run ./tools/quality -pieces $(QUALITY_PIECES)

quality-page: need-go ## write the page from the pieces that there are
	go run ./tools/quality -pieces $(QUALITY_PIECES)

.PHONY: compare-dns
compare-dns: need-go ## compare the DNS door with gdnsd, Knot and PowerDNS (installs them); writes docs/PERFORMANCE.md
	@tools/setup/install --peers
	go build -o bin/bench ./dnsserver/bench
	bin/bench -rounds $(ROUNDS) -into docs/PERFORMANCE.md

.PHONY: compare-http
compare-http: need-go ## compare the HTTP door with nginx and HAProxy (installs them); writes docs/PERFORMANCE.md
	@tools/setup/install --peers
	go build -o bin/bench-http ./steering/httpserver/bench
	bin/bench-http -rounds $(ROUNDS) -into docs/PERFORMANCE.md

.PHONY: clean
clean: ## remove what was built
	rm -rf bin

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { \
		echo "Fairway is built with Go, and there is none on your PATH"; \
		echo "    install $$(sed -n 's/^go /Go /p' go.mod) or newer: https://go.dev/doc/install"; exit 1; }
