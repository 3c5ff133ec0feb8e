#!/usr/bin/env bash
# Says whether the tree may be committed: format, lints, documentation, house rules, fuzzing in short, licences,
# scripts, chart.
# Every step runs even when an earlier one failed, so that one run shows everything there is to repair.
#
# Owns: the list of steps. Must not: change a file (`make fix` does).
set -euo pipefail
cd "$(dirname "$0")/.."

failed=()
step() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name" >&2
  if "$@"; then
    echo "   ok ($((SECONDS - begin)) s)" >&2
  else
    echo "   FAILED ($((SECONDS - begin)) s)" >&2
    failed+=("$name")
  fi
}
skip() { echo "== $1: skipped, $2" >&2; }

# Warnings become errors on the command line: in RUSTFLAGS they would give the tests a second copy of every dependency.
step format cargo fmt --all --check
step "format of bench" cargo fmt --manifest-path bench/Cargo.toml --check
step lints cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
step documentation env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps
step "house rules" cargo test --quiet --locked --workspace --test tidy
# The first three read what any recorder may send. `make fuzz` goes on for ten minutes each, over all of them.
step "fuzzing in short" scripts/fuzz.sh together 30 walk init index
if cargo deny --version >/dev/null 2>&1; then
  step licences cargo deny --offline --locked check bans licenses sources
else
  skip licences "cargo-deny is not installed (cargo install cargo-deny --locked)"
fi
if command -v shellcheck >/dev/null 2>&1; then
  step scripts shellcheck scripts/*.sh .ci/run
else
  skip scripts "shellcheck is not installed"
fi
step chart scripts/chart.sh

if [ "${#failed[@]}" -gt 0 ]; then
  printf 'failed:' >&2
  printf ' [%s]' "${failed[@]}" >&2
  echo >&2
  exit 1
fi
echo "everything checked" >&2
