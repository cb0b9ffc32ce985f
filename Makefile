# Every target does the set-up that it needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export CGO_ENABLED := 1
ORT_VERSION := 1.29.0
ORT := bin/libonnxruntime.so.$(ORT_VERSION)
PYTHON ?= python3
UV_VERSION := 0.13.9
# On a terminal people see how far it is.
QUIET := $(if $(CI),-q)
VENV := training/.venv
LINTERS := .cache/linters
VECTORS := .cache/vectors
# With the data set there is more to compare.
VECTORS_DONE := $(VECTORS)/done$(if $(CLINC150_DIR),-with-clinc150)
TOOL := go tool -modfile=internal/tools/go.mod
SOURCES = $(shell git ls-files -co --exclude-standard '*.go' go.mod go.sum)
SHELL_FILES = .ci/run $(shell git ls-files -co --exclude-standard '*.sh')

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(ORT) build ## fetch ONNX Runtime and build the commands into bin/

$(ORT): model/onnx/fetch.sh
	@sh model/onnx/fetch.sh bin && touch $@

.PHONY: build
build: bin/flairstream bin/worker bin/producer ## build the commands into bin/

bin/flairstream bin/worker: bin/%: $(SOURCES)
	go build -trimpath -o $@ ./cmd/$*

bin/producer: $(SOURCES)
	CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/producer

.PHONY: demo
demo: setup ## classify 500 messages from an embedded JetStream, live in the terminal
	@bin/flairstream demo

.PHONY: test
test: test-go test-training ## run every test

.PHONY: test-go
test-go: $(ORT) $(VECTORS_DONE) $(VENV)/done ## run the Go tests with the race detector
	go vet ./...
	go test -race -timeout 12m ./...

.PHONY: test-training
test-training: $(VENV)/done ## set up Python and run the tests of training/
	cd training && .venv/bin/python -m pytest -q

.PHONY: train-env
train-env: $(VENV)/done ## set up Python for training: exact versions, about 6 GB

$(VENV)/done: training/requirements.lock training/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q uv==$(UV_VERSION)
	$(VENV)/bin/uv pip install $(QUIET) --python $(VENV)/bin/python --require-hashes -r training/requirements.lock
	$(VENV)/bin/uv pip install $(QUIET) --python $(VENV)/bin/python --no-deps -e training
	@touch $@

.PHONY: vectors
vectors: $(VECTORS_DONE) ## generate what the tokenizer is compared with: Hugging Face's own ids

$(VECTORS_DONE): examples/bundle/tokenizer.json $(wildcard training/vectors/*)
	$(PYTHON) -m venv .cache/vectors-venv
	.cache/vectors-venv/bin/pip install -q -r training/vectors/requirements.txt
	.cache/vectors-venv/bin/python training/vectors/generate.py --out $(VECTORS)
	@touch $@

.PHONY: lint
lint: $(LINTERS)/done $(VENV)/done ## run the linters of Go, Python, shell and Dockerfile
	@test -z "$$($(TOOL) gofumpt -l . | tee /dev/stderr)" || { echo 'run make fmt'; exit 1; }
	go vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) revive -config .revive.toml ./...
	cd training && .venv/bin/ruff check . && .venv/bin/ruff format --check .
	$(LINTERS)/bin/shellcheck $(SHELL_FILES)
	$(LINTERS)/bin/hadolint $$(git ls-files -co --exclude-standard '*Dockerfile')

$(LINTERS)/done: internal/tools/linters.txt
	$(PYTHON) -m venv $(LINTERS)
	$(LINTERS)/bin/pip install -q -r internal/tools/linters.txt
	@touch $@

.PHONY: fmt
fmt: $(VENV)/done ## format Go and Python
	$(TOOL) gofumpt -w .
	cd training && .venv/bin/ruff check --fix . && .venv/bin/ruff format .

.PHONY: docs
docs: ## write the files, settings and metrics in docs/ anew from the code
	go test ./docs -update

.PHONY: soak
soak: $(ORT) $(VECTORS_DONE) $(VENV)/done ## run the long rounds of faults and trainings, on the data set too; fuzzing is the other half
	FLAIRSTREAM_SOAK=1 go test -timeout 60m -count=1 -v ./e2e
	cd training && FLAIRSTREAM_SOAK=1 .venv/bin/python -m pytest -v -m soak
	@echo 'the other half is make fuzz'

FUZZ_TIME ?= 10m

.PHONY: fuzz
fuzz: ## fuzz every decoder, FUZZ_TIME (10m) each
	@for dir in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n 1 dirname | sort -u); do \
		targets=$$(go test "./$$dir" -list '^Fuzz' | grep '^Fuzz'); \
		for target in $$targets; do \
			echo "== $$dir $$target"; \
			go test "./$$dir" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME); \
		done; \
	done

BENCH := .cache/bench
BENCH_DATA := $(if $(CLINC150_DIR),clinc150,messages)
BENCH_TEXTS := $(if $(CLINC150_DIR),$(CLINC150_DIR)/test.jsonl,examples/messages.jsonl)
BENCH_SECONDS ?= 30
BENCH_RUN = bin/flairstream bench --bundle examples/bundle --seconds $(BENCH_SECONDS) --json \
	--compare $(BENCH)/siblings/fp32 --compare $(BENCH)/siblings/stock-int8

.PHONY: bench
bench: setup $(BENCH)/siblings/done $(BENCH)/$(BENCH_DATA)-mixed.jsonl ## measure speed: ours, fp32, stock int8, Python; half an hour
	@echo "== $(BENCH_TEXTS)"
	@$(BENCH_RUN) --texts $(BENCH_TEXTS) >$(BENCH)/$(BENCH_DATA).json
	@echo "== lengths mixed, up to 512 tokens"
	@$(BENCH_RUN) --texts $(BENCH)/$(BENCH_DATA)-mixed.jsonl >$(BENCH)/$(BENCH_DATA)-mixed.json
	@echo "== Python's onnxruntime and tokenizers"
	@$(VENV)/bin/python training/measurements/python_side.py --bundle examples/bundle --texts $(BENCH_TEXTS) \
		--flairstream bin/flairstream
	@echo "the figures, for machines: $(BENCH)/$(BENCH_DATA)*.json"

# What the demo's bundle is compared with. MODEL is the model that Flair saved; without it the bundle's own weights are used.
$(BENCH)/siblings/done: examples/bundle/bundle.json training/measurements/siblings.py $(VENV)/done
	rm -rf $(@D)
	$(VENV)/bin/python training/measurements/siblings.py --bundle examples/bundle --out $(@D) $(if $(MODEL),--model $(MODEL))
	@touch $@

$(BENCH)/$(BENCH_DATA)-mixed.jsonl: $(BENCH_TEXTS) training/measurements/mixed.py $(VENV)/done
	@mkdir -p $(@D)
	$(VENV)/bin/python training/measurements/mixed.py --texts $(BENCH_TEXTS) --tokenizer examples/bundle/tokenizer.json --out $@

.PHONY: bench-go
bench-go: $(ORT) ## run the benchmarks of single Go packages
	go test -run '^$$' -bench . -benchmem ./event ./queue/... ./model/... ./worker

.PHONY: image
image: ## build the Docker image (needs a Docker engine)
	docker build -t flairstream .

.PHONY: clean
clean: ## remove what was built and fetched
	rm -rf bin .cache $(VENV)
