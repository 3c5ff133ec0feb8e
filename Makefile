# Every target works on a new machine: whatever is missing is installed first, after asking once
# (YES=1, or no terminal to ask at, answers yes).
# Logic lives in scripts/; this file only names it.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
PROFILE := debug

# SECONDS is special in bash, so the demo's variables become options here and no script ever reads them.
DEMO_OPTIONS := $(if $(filter-out 0,$(HEADLESS)),--headless) \
                $(if $(filter-out 0,$(NO_CONSOLE)),--no-console) \
                $(if $(SECONDS),--seconds $(SECONDS)) \
                $(if $(KEEP),--keep "$(abspath $(KEEP))")

.DEFAULT_GOAL := help
.PHONY: help setup demo build test chaos browser check fix fuzz pictures player bench bench-mux chart security soak

help: ## list the targets
	@echo "Spool: from a recorder's segments to one verified result.mp4"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r target words; do printf '%-12s %s\n' "$$target" "$$words"; done
	@echo
	@echo "Variables: YES=1 install what is missing without asking"
	@echo "           demo: HEADLESS=1 no terminal, end in one line of JSON; NO_CONSOLE=1 tell in plain text;"
	@echo "                 SECONDS=20 how long to record; KEEP=DIR copy what the recorder sent into DIR"
	@echo "           test: ARGS='-p spool-queue' what to run, in nextest's own words"

setup: ## install what building and testing need
	@scripts/setup.sh test

# A headless run says that nobody is there to ask, even from a terminal: a yes to installing what is missing.
demo: ## bring everything up, record a live synthetic source, open the console on it
	@$(if $(filter-out 0,$(HEADLESS)),YES=1) scripts/setup.sh demo
	@$(CARGO) build $(if $(filter-out 0,$(HEADLESS)),--quiet) --locked --bin spool --bin spool-record --bin spool-tui >&2
	@exec $(TARGET)/$(PROFILE)/spool demo $(strip $(DEMO_OPTIONS))

build: ## build every binary
	@scripts/setup.sh demo
	@$(CARGO) build --locked --bins

test: ## run every test against real Postgres, real FFmpeg and a real browser
	@scripts/setup.sh test
	@scripts/test.sh $(ARGS)

# The long forms of what `make test` does in short: recordings of a minute, outages that are waited out.
chaos: ## everything that kills, freezes, cuts off and fills up, at length
	@scripts/setup.sh test
	@SPOOL_TEST_CHAOS=long scripts/test.sh -E '(binary(contract) & test(/^(drain|lease|orphans|outage|processes)::/)) | (binary(path) & test(/^crash::/)) | binary(scaled)'

browser: ## the player in a real browser, everything that happens to viewers
	@scripts/setup.sh test
	@scripts/test.sh --ignore-default-filter -E 'binary(browser)'

check: ## format, lints, documentation, house rules, fuzzing in short, licences, scripts, chart
	@scripts/setup.sh test
	@scripts/check.sh

fix: ## repair what can be repaired without thinking
	@$(CARGO) fmt --all
	@$(CARGO) clippy --locked --workspace --all-targets --fix --allow-dirty --allow-staged
	@$(CARGO) fmt --all
	@scripts/player.sh check
	@scripts/chart.sh write

chart: ## the Helm chart: lint, render, schemas of Kubernetes 1.27 to 1.37, settings
	@scripts/setup.sh test
	@scripts/chart.sh

pictures: ## make the pictures of the documents anew
	@scripts/setup.sh test
	@scripts/pictures.sh

fuzz: ## fuzz everything that reads bytes of a stranger, ten minutes each; FOR=60 makes it seconds, TARGETS=walk one of them
	@scripts/setup.sh test
	@scripts/fuzz.sh $(or $(FOR),600) $(TARGETS)

player: ## hold the player's copy of hls.js against its npm package
	@scripts/player.sh fetch

bench: bench-mux ## measure everything there is a benchmark of

bench-mux: ## measure the mux beside FFmpeg, on disk and over S3, and write docs/benchmarks.md; QUICK=1 tries it in small
	@scripts/setup.sh test
	@scripts/bench.sh mux $(if $(filter-out 0,$(QUICK)),--quick)

# Named already so that nobody takes their absence for success.
security soak:
	@echo "make $@ is not there yet; 'make help' lists what is" >&2; exit 1
