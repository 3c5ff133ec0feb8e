#!/usr/bin/env bash
# Holds the chart against Helm (the oldest and the newest), Kubernetes (1.27 to 1.37), the program's settings and itself.
#
#   chart.sh           check everything
#   chart.sh write     write anew what follows from elsewhere: ci/expected, the README's table, and the settings
#                      that the schema of values knows
#
# Owns: how the checks of scripts/chart are called. Must not: need a cluster, or a network once the tools are there.
set -euo pipefail
cd "$(dirname "$0")/.."

helm=$(scripts/tools.sh helm)
venv=$(scripts/tools.sh venv)
# Helm reads and writes folders of the person's own; nothing in them belongs here.
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
export HELM=$helm HELM_CONFIG_HOME=$home HELM_CACHE_HOME=$home HELM_DATA_HOME=$home PYTHONDONTWRITEBYTECODE=1

check() { "$venv/bin/pytest" --quiet -p no:cacheprovider scripts/chart "$@"; }

case ${1:-check} in
  check) check ;;
  write) CHART_WRITE=1 check -k "committed_files or readme_lists or schema_knows" ;;
  *)
    echo "usage: scripts/chart.sh [check|write]" >&2
    exit 2
    ;;
esac
