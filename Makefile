# Linked Nodes. `make lab` shows the product at work on three nodes; `make test` passes every test.

CARGO ?= cargo
SCRIPTS = lab/first-light.sh hooks/linked-nodes-hook plugin/whm/index.cgi .ci/run

.PHONY: all bench-pages build lab lab-down packages check test docs clean

all: build

build: ## The product and the lab, optimised
	$(CARGO) build --release --workspace --locked

lab: ## Set everything up, build, and run the main job before your eyes
	@lab/first-light.sh

lab-down: ## Remove every trace of the lab
	@$(CARGO) run --quiet --release --locked -p lab -- down

packages: ## Install what the lab and the checks need: Debian packages, saying which, and the accessibility checker
	$(CARGO) run --quiet --locked -p lab -- packages --install --checks
	npm ci --prefix tests/browser --no-audit --no-fund --loglevel=error

check: packages ## Format, lints, documentation, scripts
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --document-private-items
	shellcheck $(SCRIPTS)

test: packages check ## Every test: units, properties, and the real binary in real nodes
	$(CARGO) build --workspace --locked
	$(CARGO) test --workspace --locked

docs: packages ## Take the README's pictures of WHM anew
	$(CARGO) build --workspace --locked
	SCREENSHOTS=$(CURDIR)/docs $(CARGO) test --locked --test nodes -- pictures_for_the_readme

bench-pages: ## What pages and routing cost with 20,000 accounts and 50 children, built as for the tests
	$(CARGO) bench --locked --profile dev --bench pages

clean:
	$(CARGO) clean
