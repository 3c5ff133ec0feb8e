#!/usr/bin/env bash
# Fuzzes what reads bytes of a stranger, with libFuzzer and the stable toolchain.
#
#   scripts/fuzz.sh SECONDS [TARGET…]   fuzz each target so long, one after the other; no target = all
#   scripts/fuzz.sh together SECONDS [TARGET…]   the same, all at once: short, for `make check`
#   scripts/fuzz.sh keep [TARGET…]      take what a run has found into fuzz/corpus, as few files as cover the same
#   scripts/fuzz.sh seeds FOLDER…       make first files of every corpus from recordings (video/init.mp4 and so on)
#
# A finding is kept as fuzz/crashes/TARGET/…, where `make test` runs it from then on. What a run finds on the way stays in
# the build folder until it is kept.
#
# Owns: how the fuzzers are built and started. Must not: know what they check (fuzz/src does), or change a kept file
# unless it was told to keep.
#
# Exit: 0 nothing found · 1 something found, or not built · 2 usage.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  sed -n '4,7s/^#  *//p' "$0" >&2
  exit 2
}

all=(walk init index readback salvage layout ebml)
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
bin=$target_dir/$host/release

# Longest input, longest run of one, and most memory of a whole fuzzer: a reader of strangers' bytes stays far below.
limits=(-max_len=8192 -timeout=10 -rss_limit_mb=256)

# What `cargo fuzz --sanitizer none` passes. The target is named so that build scripts are built without it.
build() {
  local bins=() name
  for name in "$@"; do bins+=(--bin "$name"); done
  local coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
  coverage+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
  coverage+=" -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
  RUSTFLAGS=$coverage cargo build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host" \
    --target-dir "$target_dir" "${bins[@]}"
}

# fuzz NAME SECONDS: new inputs go to the build folder, so that a checkout stays as it was.
fuzz() {
  local name=$1 seconds=$2
  local found=$target_dir/found/$name crashes=fuzz/crashes/$name log=$target_dir/$name.log words=()
  mkdir -p "$found" "$crashes" "fuzz/corpus/$name"
  case $name in
    walk | init | readback | salvage) words=(-dict=fuzz/boxes.dict) ;;
    ebml) words=(-dict=fuzz/elements.dict) ;;
  esac
  if "$bin/$name" "${limits[@]}" "${words[@]}" -max_total_time="$seconds" -print_final_stats=1 \
    -artifact_prefix="$crashes/" "$found" "fuzz/corpus/$name" 2>"$log"; then
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs in $seconds s," \
      "coverage $(sed -n 's/^#.* cov: \([0-9]*\) ft: \([0-9]*\).*/\1, features \2/p' "$log" | tail -n 1), nothing found" >&2
    rmdir --ignore-fail-on-non-empty "$crashes" 2>/dev/null || true
  else
    grep -v '^#[0-9]' "$log" | head -n 40 >&2
    echo "$name: FOUND something; it is kept in $crashes" >&2
    return 1
  fi
}

# As few of the files as cover what all of them do, under names that are their own digests.
keep() {
  local name=$1
  local kept=fuzz/corpus/$name fresh=$target_dir/kept/$name
  rm -rf "$fresh"
  mkdir -p "$fresh" "$kept" "$target_dir/found/$name"
  "$bin/$name" "${limits[@]}" -merge=1 "$fresh" "$kept" "$target_dir/found/$name" 2>"$target_dir/$name.log"
  rm -rf "$kept"
  mv "$fresh" "$kept"
  echo "$name: $(find "$kept" -type f | wc -l) files, $(du -sb "$kept" | cut -f1) bytes" >&2
}

case ${1:-} in
  seeds)
    shift
    [ $# -gt 0 ] || usage
    cargo run --quiet --manifest-path fuzz/Cargo.toml --target-dir "$target_dir" --bin seeds -- \
      "$target_dir/found" "$@"
    ;;
  keep)
    shift
    [ $# -gt 0 ] || set -- "${all[@]}"
    build "$@"
    for name in "$@"; do keep "$name"; done
    ;;
  together)
    [[ ${2:-} =~ ^[0-9]+$ ]] || usage
    seconds=$2
    shift 2
    [ $# -gt 0 ] || set -- "${all[@]}"
    build "$@"
    pids=()
    for name in "$@"; do fuzz "$name" "$seconds" & pids+=($!); done
    failed=0
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
    exit "$failed"
    ;;
  *)
    [[ ${1:-} =~ ^[0-9]+$ ]] || usage
    seconds=$1
    shift
    [ $# -gt 0 ] || set -- "${all[@]}"
    build "$@"
    failed=0
    for name in "$@"; do fuzz "$name" "$seconds" || failed=1; done
    exit "$failed"
    ;;
esac
