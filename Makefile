GO ?= go
FUZZTIME ?= 30s
export LC_ALL = C

.PHONY: help build dist demo test ansible check race chaos soak lint fmt fuzz bench benchcmp gen cover tidy vuln tools clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/agent
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/agent ./cmd/agent

demo: build ## a master and two slaves on this machine, live
	@.ci/need rsync /usr/sbin/sshd=openssh-server
	bin/agent demo $(DEMO)

dist: ## what the Ansible role installs: bin/agent-linux-amd64, bin/agent-linux-arm64, bin/SHA256SUMS
	@for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOARCH=$$arch $(GO) build -trimpath -ldflags '-s -w' -o bin/agent-linux-$$arch ./cmd/agent || exit 1; done
	cd bin && sha256sum agent-linux-amd64 agent-linux-arm64 > SHA256SUMS

tools:
	@.ci/need rsync gcc /usr/sbin/sshd=openssh-server ansible-playbook=ansible-core

test: tools ## every test
	$(GO) test -shuffle=on -timeout 30m ./...

race: tools ## every test under the race detector
	$(GO) test -race -shuffle=on -timeout 60m ./...

chaos: tools ## the fault suite, under the race detector: CASES='link_.*', CHAOS_SEED=42; rewrites the table of docs/chaos.md
	@.ci/need ip=iproute2 tc=iproute2 chattr=e2fsprogs
	CHAOS_TABLE=$(CURDIR)/docs/chaos.md $(if $(CHAOS_SEED),CHAOS_SEED=$(CHAOS_SEED)) \
		$(GO) test -race -tags chaos -count 1 -v -timeout 2h -parallel 4 -run '^TestChaos$$$(if $(CASES),/^($(CASES))$$)' ./agent/chaostest

soak: tools ## faults for hours under one agent, which must not grow: FOR=2h
	@.ci/need ip=iproute2 tc=iproute2
	CHAOS_SOAK=$(or $(FOR),2h) $(GO) test -tags chaos -count 1 -v -timeout 0 -run '^TestChaos$$/^soak_long$$' ./agent/chaostest

lint: ## formatting, vet, staticcheck
	@test -z "$$($(GO) tool gofumpt -l .)" || { $(GO) tool gofumpt -l .; echo "run make fmt" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags chaos ./agent/chaostest
	$(GO) tool staticcheck ./...

fmt: ## format the code
	$(GO) tool gofumpt -w .

ansible: ## the collection on real hosts, booted for it: needs root (RUN=TestRotation, TIMES=3,10)
	@.ci/need ansible-playbook=ansible-core ansible-lint yamllint systemd-nspawn=systemd-container mmdebstrap ip=iproute2 ssh-keygen=openssh-client strace python3
	AGENT_LAB=1 AGENT_LAB_TIMES=$(TIMES) $(GO) test ./cmd/lab ./roles -count=1 -v -timeout 90m $(if $(RUN),-run '$(RUN)')

check: lint race gen ansible ## everything, and generated files are current
	git diff --exit-code

fuzz: tools ## each fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg || exit 1; \
		done; \
	done

cover: tools ## coverage by function
	$(GO) test -coverpkg ./... -coverprofile bin/cover.out ./...
	$(GO) tool cover -func bin/cover.out

bench: build ## side by side with what people use instead: ROWS=latency,burst ROUNDS=3 OUT=docs/bench.md HUGE=1
	@.ci/need rsync
	@.ci/need lsyncd inotifywait=inotify-tools || echo "what is missing is left out" >&2
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench $(if $(ROWS),-rows $(ROWS)) $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(OUT),-out $(OUT)) $(if $(HUGE),-huge) $(BENCH)

benchcmp: ## Go benchmarks: SAVE=bin/old.txt keeps a run, OLD=bin/old.txt NEW=bin/new.txt compares two
	@test -n "$(SAVE)" || { test -n "$(OLD)" && test -n "$(NEW)"; } || { echo "give SAVE=FILE, or OLD=FILE NEW=FILE" >&2; exit 2; }
	$(if $(SAVE),$(GO) test -run '^$$' -bench . -benchmem -count $(or $(COUNT),6) $(or $(PKGS),./...) > $(SAVE))
	$(if $(OLD),$(GO) tool benchstat $(OLD) $(NEW))

gen: ## man pages
	$(GO) run ./cmd/agent man docs/man

tidy: ## go.mod and go.sum
	$(GO) mod tidy

vuln: ## known holes in what we depend on (needs the network)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.6.0 ./...

clean: ## remove what was built
	rm -rf bin
