#!/usr/bin/env bash
# Measures Spool beside its peers.
#
#   bench.sh mux            makes the sets, runs everything, writes docs/benchmarks.md
#   bench.sh mux --quick    tries the harness with small sets and writes target/bench/mux/quick.md
#
# Owns: target/bench, where a release build of Spool and of the harness (bench/) lies, the sets and whatever a run makes.
# Must not: install anything for the system; a peer that is not there is not measured. Whatever else runs on the machine
# is measured too, so leave it alone.
#
# Exit: 0 measured, whatever came out · 1 it did not run · 2 usage
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-} ${2:-}" in
  "mux " | "mux --quick") ;;
  *)
    echo "usage: scripts/bench.sh mux [--quick]" >&2
    exit 2
    ;;
esac

build=target/bench
work=$build/mux
out=docs/benchmarks.md
if [ "${2:-}" = --quick ]; then out=$work/quick.md; fi

# One folder for both workspaces: most of what they need is the same.
CARGO_TARGET_DIR=$build cargo build --quiet --release --locked --package spool-worker --bin spool
CARGO_TARGET_DIR=$build cargo build --quiet --release --locked --manifest-path bench/Cargo.toml --bins

peers=()
if folder=$(scripts/tools.sh peers); then peers=(--peers "$folder"); fi
mkdir -p "$work"
exec "$build/release/bench-mux" run --spool "$build/release/spool" "${peers[@]}" --work "$work" --out "$out" ${2:+"$2"}
