#!/usr/bin/env bash
# Summary: makes the environment that tests or checks run in, under .local, and sets BIN to its programs' folder.
# Usage:   . tests/environment.sh NAME REQUIREMENTS...       (from the repository's root)
set -euo pipefail
. builders/engines/common.sh
choose_python
eval "$(python3 builders/settings.py)"
export BIN=$PWD/.local/$1/bin
mkdir -p .local
CONSTRAINTS=constraints.txt CACHE=$PWD/.local/cache ENVIRONMENTS=$PWD/.local/environments \
  builders/install.sh "$PWD/.local/$1" "${@:2}"
