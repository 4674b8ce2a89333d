#!/usr/bin/env bash
# Summary: checks the descriptions of data and the test instances; prints findings as JSON.
# Usage:   check_data.sh       (make check)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 0 ] || usage

requirements=(extras/describe/requirements.txt)
! ls data/*.parquet >/dev/null 2>&1 || requirements+=(extras/describe/requirements_parquet.txt)
. tools/environment.sh describe "${requirements[@]}" >&2
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD:$PWD/engines:$PWD/builders
exec "$BIN/python" project/check_data.py
