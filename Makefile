# pss-msbs: everything is built with libvirt loaded at run time, so no libvirt
# headers are needed; gcc is (cgo).
GO     ?= go
TAGS   := libvirt_dlopen
BIN    := bin
PROGS  := pss dbss dsrs sif
PREFIX ?= /usr/local
export CGO_ENABLED := 1

.PHONY: all build demo test test-full check fuzz campaign detector model bench-scale energy mutations scenarios-update test-lab test-lab-short test-calm bench-lab lab lab-down install clean
all: build

build: $(addprefix $(BIN)/,$(PROGS))

$(BIN)/%: FORCE
	$(GO) build -trimpath -tags $(TAGS) -o $@ ./cmd/$*

.PHONY: FORCE
FORCE:

demo: build ## the paper's evaluation with the real executables on the emulated fleet
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/demo ./scripts/demo
	@$(BIN)/demo -bin $(BIN)

# Where goroutines of ours share memory outside virtual time, whose bubbles the
# race detector slows down several times without seeing more of these packages.
RACED := $(addprefix ./pkg/,access budget clock command conffile daemon doubt guest ipc lockedfile probe sif/... sim/... startup task virt wake watch)
# -count=1: else go test hashes every file that a test has touched, for minutes.
GOTEST = $(GO) tool gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- -count=1 -tags $(TAGS) -timeout 40m

test: ## units, fuzz seeds, virtual-time scenarios and the four real binaries; -race where goroutines share memory; 20 campaigns
	$(GOTEST) -race $(RACED)
	$(GOTEST) $$($(GO) list -tags $(TAGS) ./... | grep -v -x -F "$$($(GO) list -tags $(TAGS) $(RACED))")
	@$(MAKE) --no-print-directory campaign SEEDS=20

test-full: ## what CI runs: all of it with -race, and 200 campaigns
	$(GOTEST) -race ./...
	@$(MAKE) --no-print-directory campaign SEEDS=200

check: ## formatting, module file, vet, staticcheck, import rules
	@test -z "$$(gofmt -l cmd pkg scripts)" || { gofmt -l cmd pkg scripts; echo 'gofmt these files'; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet -tags $(TAGS) ./...
	$(GO) vet -tags '$(TAGS) lab' ./pkg/lab/... ./scripts/lab
	$(GO) tool staticcheck -tags $(TAGS) ./...
	$(GO) tool staticcheck -tags '$(TAGS) lab' ./pkg/lab/... ./scripts/lab
	$(GO) run ./scripts/imports

SEEDS ?= 1000
FIRST ?= 0
campaign: ## SEEDS random systems with random loads, faults and kills, in virtual time
	$(GO) test -tags $(TAGS) ./pkg/scenario -run 'Campaign$$' -count=1 -timeout 0 -v -first $(FIRST) -seeds $(SEEDS)

DETECTOR_FLAGS ?=
detector: ## a server-year of each bad network and machine, and thousands of faults, in virtual time; DETECTOR_FLAGS="-years 0.1 -rows loss"
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/detector ./scripts/detector
	$(BIN)/detector $(DETECTOR_FLAGS)

model: ## every interleaving of pss, dbss and dsrs in the larger scopes too; minutes, some gigabytes
	$(GO) test -tags $(TAGS) ./pkg/model -run Protocol -count=1 -timeout 0 -v -large

BENCH_FLAGS ?=
bench-scale: build ## 300 dbss and sif, 6 dsrs and pss as real processes; a real server with 50 virtual servers dies
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/bench ./scripts/bench
	$(BIN)/bench -bin $(BIN) $(BENCH_FLAGS)

ENERGY_FLAGS ?=
energy: ## what shifting saves over ten generated weeks, by the defaults, by the published rules and in hindsight
	@$(GO) run ./scripts/energy $(ENERGY_FLAGS)

scenarios-update: ## rewrite the expected logs of testdata/scenarios; read the difference
	$(GO) test -tags $(TAGS) ./pkg/scenario -run Scenarios -count=1 -update

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list -tags $(TAGS) ./pkg/...); do \
	  for f in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

RUN ?=
mutations: ## each deliberate defect of testdata/mutations must be caught by the test that it names; RUN=regexp: only those
	$(GO) run ./scripts/mutate -tags $(TAGS) -run '$(RUN)'

test-lab: build ## the drivers, and the paper's whole evaluation, on real virtual machines (20 minutes); root, installs Debian packages
	scripts/lab-deps.sh
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/lab ./scripts/lab
	$(GO) test -race -tags '$(TAGS) lab' -count=1 -v -timeout 15m ./pkg/lab/...
	$(GO) test -tags '$(TAGS) lab' -count=1 -v -timeout 60m ./scripts/lab -run TestRoom

test-lab-short: build ## what CI runs of it, in 10 minutes: the conformance test, and a small room that takes over once for each kind of trouble
	scripts/lab-deps.sh
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/lab ./scripts/lab
	$(GO) test -tags '$(TAGS) lab' -count=1 -v -timeout 5m ./pkg/lab -run 'TestDriver|TestEvents'
	$(GO) test -tags '$(TAGS) lab' -count=1 -v -timeout 12m ./scripts/lab -run TestShort -small

CALM ?= 10m
CALM_FLAGS ?=
test-calm: build ## 5 % of packets lost, thirty accesses a second, no idle processor, held guests, CALM each: no takeover, no reset; root
	scripts/lab-deps.sh
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/lab ./scripts/lab
	$(GO) test -tags '$(TAGS) lab' -count=1 -v -timeout 0 ./scripts/lab -run TestCalm -calm $(CALM) $(CALM_FLAGS)

RUNS ?= 5
CELLS ?=
bench-lab: build ## Table 5 on real virtual machines RUNS times, medians (some 20 minutes a run); root; CELLS=regexp: only those troubles
	scripts/lab-deps.sh
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/lab ./scripts/lab
	$(GO) test -tags '$(TAGS) lab' -count=1 -v -timeout 0 ./scripts/lab -run 'TestRoom/(Moderate|PS1)/$(CELLS)' -runs $(RUNS)

LAB_FLAGS ?=
lab: build ## the whole system on real virtual machines, with real mail, web and FTP; root, installs Debian packages; LAB_FLAGS=--small: guests that only greet
	scripts/lab-deps.sh
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/lab ./scripts/lab
	$(BIN)/lab up $(LAB_FLAGS)

lab-down: ## end the lab: no process, namespace, bridge or mount remains
	$(GO) build -trimpath -tags $(TAGS) -o $(BIN)/lab ./scripts/lab
	$(BIN)/lab down

install: build ## into PREFIX/sbin
	install -d $(DESTDIR)$(PREFIX)/sbin
	install -m 0755 $(addprefix $(BIN)/,$(PROGS)) $(DESTDIR)$(PREFIX)/sbin

clean:
	rm -rf $(BIN)
