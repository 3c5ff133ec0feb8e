#!/usr/bin/env bash
# Holds the player's copy of hls.js against the npm package it comes from, byte for byte. On demand and in `make fix`;
# building needs neither node nor a network, because the copy is committed.
#
#   player.sh          the committed files have the hashes that SOURCE names (no network)
#   player.sh fetch    the package of that version has the integrity that SOURCE names, and exactly these files
#   player.sh update   takes the files of the version that SOURCE names and writes their hashes; read the diff afterwards
#
# Owns: worker/player/vendor. Must not: run anything out of the package.
set -euo pipefail
cd "$(dirname "$0")/../worker/player/vendor/hls.js"

field() { awk -v key="$1" '$1 == key { print $2 }' SOURCE; }
files() { awk '$1 == "file" { print $2 }' SOURCE; }
hash_of() { openssl dgst -sha256 -r "$1" | cut -d' ' -f1; }

check() {
  local file wanted bad=0
  while read -r _ file wanted; do
    if [ "sha256-$(hash_of "${file##*/}")" != "$wanted" ]; then
      echo "${file##*/} is not the file that SOURCE names" >&2
      bad=1
    fi
  done < <(grep '^file' SOURCE)
  return "$bad"
}

fetch() {
  command -v npm >/dev/null || {
    echo "npm is needed to fetch the package" >&2
    exit 1
  }
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  local archive
  archive=$(npm pack --silent --ignore-scripts --pack-destination "$folder" "$(field package)@$(field version)")
  integrity="sha512-$(openssl dgst -sha512 -binary "$folder/$archive" | openssl base64 -A)"
  tar -xzf "$folder/$archive" -C "$folder"
}

case ${1:-check} in
  check) check ;;
  fetch)
    fetch
    [ "$integrity" = "$(field integrity)" ] || {
      echo "the package has integrity $integrity, and SOURCE names $(field integrity)" >&2
      exit 1
    }
    for file in $(files); do cmp "$folder/package/$file" "${file##*/}"; done
    check
    echo "hls.js $(field version) is the published one" >&2
    ;;
  update)
    fetch
    new=$folder/SOURCE
    printf '%-10s %s\n' package "$(field package)" version "$(field version)" integrity "$integrity" >"$new"
    for file in $(files); do
      cp "$folder/package/$file" "${file##*/}"
      printf '%-10s %-17s sha256-%s\n' file "$file" "$(hash_of "${file##*/}")" >>"$new"
    done
    cp "$new" SOURCE
    ;;
  *)
    echo "usage: scripts/player.sh [check|fetch|update]" >&2
    exit 2
    ;;
esac
