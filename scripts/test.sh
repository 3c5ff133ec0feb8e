#!/usr/bin/env bash
# Runs every test of the workspace against one throw-away Postgres: documentation examples, then all other tests.
# Arguments go to nextest as they are and then the documentation examples are left out.
#
# Owns: the order of the steps. Must not: install anything (setup.sh does) or know what a test needs beyond a database.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}

# A frame that differs is a failure here, and never a new snapshot; `INSTA_UPDATE=always` makes those.
export INSTA_UPDATE=${INSTA_UPDATE:-no}

# The whole-path tests start these as processes; Cargo builds binaries only for tests of their own package.
cargo build --quiet --locked --bins

if [ $# -eq 0 ]; then
  # First, so that the last lines of the output are the summary of all the others.
  cargo test --quiet --locked --workspace --doc
fi

if cargo nextest --version >/dev/null 2>&1; then
  # Built before the cluster starts: a compile error should not have to wait for a database.
  cargo nextest run --locked --workspace --no-run
  exec "$target/debug/with-postgres" cargo nextest run --locked --workspace "$@"
fi
echo "cargo-nextest is not installed; running with cargo test, which is slower. (cargo install cargo-nextest --locked)" >&2
cargo test --quiet --locked --workspace --all-targets --no-run
exec "$target/debug/with-postgres" cargo test --locked --workspace --all-targets --no-fail-fast "$@"
