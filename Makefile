# Verbs only; what they do is said where it is done.
.PHONY: run test ci lint mutants bench nightly nightly-summary tools

CARGO ?= cargo

# The main job: build and run the first experiment, about 30 s. The closing lines say where the report is.
run:
	$(CARGO) run --release --locked --bin viewstorm -- run experiments/vr/partitions.toml

# All tests, with the runner's summary at the end.
test: tools
	$(CARGO) nextest run --workspace --locked --no-fail-fast

# What continuous integration runs.
ci:
	.ci/run

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# Plant each bug of mutants/ in a copy of the tree and see how many seeds it takes to catch it; then the first of
# them on real processes, ten runs.
mutants:
	$(CARGO) build --release --locked --bin viewstorm
	target/release/viewstorm mutants
	target/release/viewstorm mutants commit-with-f --world processes --seeds 10

# Measure this machine's floors.
bench:
	$(CARGO) run --release --locked --bin viewstorm -- bench floors

# A night of experiments under a time budget: `NIGHTLY_MINUTES=5 make nightly` for a short one. With NIGHTLY_ID a night
# that was cut off goes on.
nightly:
	$(CARGO) build --release --locked --bin viewstorm
	target/release/viewstorm nightly experiments/nightly.toml \
		$(if $(NIGHTLY_ID),--id $(NIGHTLY_ID)) $(if $(NIGHTLY_MINUTES),--minutes $(NIGHTLY_MINUTES))

# The summary of the night NIGHTLY_ID.
nightly-summary:
	@cat nights/nightly/$(NIGHTLY_ID)/summary.md

# The test runner, from the crate registry if it is not there.
tools:
	@$(CARGO) nextest --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-nextest
