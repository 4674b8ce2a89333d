#!/usr/bin/env bash
# Summary: describes the data of a new project, and prints its task and test instances as JSON.
# Usage:   describe_data.sh PROJECT data/NAME.csv LABEL
#
# The output of `make describe` goes to stderr. A description that exists is used as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 3 ] || usage
export DATASET_NAME=$2 LABEL=$3

requirements=(extras/describe/requirements.txt)
[[ $DATASET_NAME != *.parquet ]] || requirements+=(extras/describe/requirements_parquet.txt)
. tools/environment.sh describe "${requirements[@]}" >&2
program=$PWD/project/instances.py
cd "$1"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD
[ -e "${DATASET_NAME%.*}.toml" ] || "$BIN/python" -m extras.describe.describe >&2
exec "$BIN/python" "$program" "$DATASET_NAME"
