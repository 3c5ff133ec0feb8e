#!/usr/bin/env bash
# Makes the pictures of the documents, docs/pictures: the console and the player, each of a demo that really runs.
#
# Owns: docs/pictures, and a throw-away folder with the demo's parts. Must not: touch data/ or anything that runs.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/docs/pictures
programs=$PWD/${CARGO_TARGET_DIR:-target}/debug
work=$(mktemp -d)
demo='' driver=''
# Called by the trap.
# shellcheck disable=SC2329
cleanup() {
  [ -z "$driver" ] || kill "$driver" 2>/dev/null || true
  [ -z "$demo" ] || { kill -INT "$demo" 2>/dev/null && wait "$demo"; } || true
  rm -rf "$work"
}
trap cleanup EXIT

# Waits up to a minute and a half for a command to succeed.
until_true() {
  local tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 900 ] || {
      echo "waited in vain: $*" >&2
      tail -5 "$work/told" >&2
      return 1
    }
    sleep 0.1
  done
}

cargo build --quiet --locked --bins
cargo build --quiet --locked -p spool-tui --example picture
mkdir -p "$out"

# SIGINT is ignored by what a script starts in the background, unless job control is on.
set -m
env -u DATABASE_URL "$programs/spool" demo --no-console --seconds 240 --data "$work/data" \
  --set cleanup.grace=1h >"$work/told" 2>&1 &
demo=$!
set +m
until_true grep -q 'watch it: ' "$work/told"
# shellcheck disable=SC1091
. "$work/data/demo.env"
watch=$(sed -n 's/.*watch it: //p' "$work/told")
recording=$(sed 's|.*/watch/||; s|?.*||' <<<"$watch")
api=http://$SPOOL__HTTP__LISTEN
service=$(cut -d: -f2 "$work/data/secrets/service-tokens")
picture() { "$programs/examples/picture" "$@"; }
ask() { curl -sf "$@" -H "Authorization: Bearer $service"; }
listed() { "$programs/spool" job ls --state "$1" | grep -q "mux .*$2"; }

# A recording whose result cannot be made, as in the README.
"$programs/spool" queue pause mux --reason 'for a picture'
ask "$api/api/recordings" --json '{"id": "standup", "owner_id": "anna"}' >"$work/created.json"
SPOOL_UPLOAD_TOKEN=$(sed 's/.*"upload_token":"\([^"]*\)".*/\1/' "$work/created.json") \
  "$programs/spool-record" test: --fast --seconds 10 --url "$api" --recording standup >/dev/null 2>&1
ask "$api/api/upload/recording-complete" --json '{"videoId": "standup"}' >/dev/null
until_true listed available standup
rm "$work/data/objects/anna/standup/segments/video/segment_003.m4s"
"$programs/spool" queue resume mux
until_true listed discarded standup

# The player, live.
port=$((20000 + RANDOM % 20000))
chromedriver --port="$port" --log-level=WARNING >/dev/null 2>&1 &
driver=$!
wd=http://127.0.0.1:$port
until_true curl -sf "$wd/status"
arguments='"--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--mute-audio", "--hide-scrollbars",
  "--autoplay-policy=no-user-gesture-required", "--window-size=960,640", "--force-prefers-reduced-motion"'
session=$(curl -sf "$wd/session" --json "{\"capabilities\": {\"alwaysMatch\": {\"browserName\": \"chrome\",
  \"goog:chromeOptions\": {\"args\": [$arguments]}}}}" | sed 's/.*"sessionId":"\([^"]*\)".*/\1/')
curl -sf "$wd/session/$session/url" --json "{\"url\": \"$watch&autoplay=1\"}" >/dev/null
played() {
  curl -sf "$wd/session/$session/execute/sync" \
    --json '{"script": "return document.querySelector(\"video\").currentTime > 8", "args": []}' | grep -q true
}
until_true played
curl -sf "$wd/session/$session/screenshot" | sed 's/.*"value":"\([^"]*\)".*/\1/' | base64 -d >"$out/player.png"
curl -sf -X DELETE "$wd/session/$session" >/dev/null

# The console: the running recording, and the job that was given up.
picture 100x24 wait:ARMED 'wait:in store' wait:live "shot:$out/console.svg" -- \
  "$programs/spool-tui" "recordings/$recording" --arm
picture 100x24 wait:standup 'type:\r' 'wait:not found' "shot:$out/repair.svg" -- \
  "$programs/spool-tui" 'jobs?state:discarded' --arm
ls -l "$out" >&2
