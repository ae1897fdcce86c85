# SPDX-License-Identifier: Apache-2.0
#
# Needs Go and make, nothing else: `make test` fetches the rest, everything but it and bench works as any user.

# mosquitto, the tests' peer, is in /usr/sbin, which is not in an ordinary user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

GO    ?= go
TOOL   = $(GO) tool -modfile=internal/tools/go.mod
ARCHES = amd64 arm64 arm riscv64
# Tests that need what is no dependency of edged are modules of their own.
MODULES = internal/peers internal/fleet

# The version is told by git, the build time by the commit and not by the clock: the same commit gives the same bytes.
# A tree without git (a tarball) may give SOURCE_DATE_EPOCH.
VERSION    ?= $(or $(shell git describe --always --dirty 2>/dev/null),unknown)
BUILD_TIME ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),$(SOURCE_DATE_EPOCH),0)
# -buildvcs=false: go would stamp the commit a second time, and stops the build where git distrusts the folder's owner.
BUILD_FLAGS = -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION) -X main.buildTime=$(BUILD_TIME)'

DEMO_FLAGS  ?= --for 60s
BENCH_FLAGS ?=
# Two packages at a time: many tests start real processes, and on a machine with many cores these would starve each
# other. The time-out is for one package; the slowest needs about a minute on two busy cores.
TEST_FLAGS  ?= -p 2 -timeout 20m
# Go has no race detector for arm v6 and v7: there the tests run without.
RACE         = $(if $(filter amd64 arm64,$(shell $(GO) env GOARCH)),-race)

.DEFAULT_GOAL := help
.PHONY: help demo build test check bench cross fmt-check lint tidy-check arch-check cross-check

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: build ## simulated sensors to a pretend cloud whose link is cut and mended; a minute; DEMO_FLAGS= for as long as you like
	./bin/edged demo $(DEMO_FLAGS)

build: ## bin/edged for this machine
	CGO_ENABLED=0 $(GO) build $(BUILD_FLAGS) -o bin/edged ./cmd/edged

test: ## every test with the race detector; as root it installs mosquitto and gcc from Debian where missing
	internal/tools/debian
	@test "$$(id -u)" = 0 || echo "NOT RUN: internal/path needs root, for network namespaces" >&2
	$(if $(RACE),CGO_ENABLED=1) $(GO) test $(RACE) $(TEST_FLAGS) ./...
	@for dir in $(MODULES); do \
		(cd $$dir && $(if $(RACE),CGO_ENABLED=1) $(GO) test $(RACE) $(TEST_FLAGS) ./...) || exit 1; \
	done

check: fmt-check lint tidy-check arch-check cross-check ## format, vet, staticcheck, go.mod, the rules of the tree, cross builds
	@echo "check: all good"

fmt-check:
	@bad=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) || exit 1; \
	test -z "$$bad" || { printf 'not in gofmt'"'"'s form; run gofmt -w on:\n%s\n' "$$bad"; exit 1; }
	@bad=$$($(TOOL) gofumpt -l .) || exit 1; \
	test -z "$$bad" || { printf 'not in gofumpt'"'"'s form; run $(TOOL) gofumpt -w on:\n%s\n' "$$bad"; exit 1; }

lint:
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@for dir in $(MODULES); do \
		(cd $$dir && $(GO) vet ./... && $(GO) tool -modfile=../tools/go.mod staticcheck ./...) || exit 1; \
	done

tidy-check:
	@for dir in . internal/tools $(MODULES); do \
		(cd $$dir && $(GO) mod tidy -diff) || exit 1; \
	done

arch-check:
	$(GO) test -count=1 ./internal/arch

# Every board that the images are for: a package that builds only here would be found by a user. GOARM is read for arm alone.
cross-check:
	@for arch in $(ARCHES); do \
		echo "build for linux/$$arch"; \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch GOARM=6 $(GO) build ./... || exit 1; \
	done

bench: build ## figures of this machine: latency, CPU, memory, start, bytes written
	internal/tools/debian
	@if [ -d internal/bench ]; then \
		$(GO) run ./internal/bench $(BENCH_FLAGS); \
	else \
		$(GO) test -run='^$$' -bench=. -benchmem $(BENCH_FLAGS) ./...; \
	fi

cross: ## bin/edged-linux-ARCH for amd64, arm64, arm (v6) and riscv64
	@for arch in $(ARCHES); do \
		echo "bin/edged-linux-$$arch"; \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch GOARM=6 $(GO) build $(BUILD_FLAGS) -o bin/edged-linux-$$arch ./cmd/edged || exit 1; \
	done
