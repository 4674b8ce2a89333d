#!/usr/bin/env bash
# Summary: writes the description of a table, data/NAME.toml, with the kinds of its columns.
# Usage:   DATASET_NAME=data/NAME.csv LABEL=COLUMN extras/describe/describe.sh
#          (make describe DATASET_NAME=data/NAME.csv LABEL=COLUMN)
#
# FORCE=1 overwrites a description. ENCODING=latin-1 states the encoding of a CSV file.
# REPORT=1 also writes an HTML report of the table to .local/reports/NAME.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. engines/common.sh
[ -n "${DATASET_NAME:-}" ] || usage
requirements=(extras/describe/requirements.txt)
[[ $DATASET_NAME != *.parquet ]] || requirements+=(extras/describe/requirements_parquet.txt)
[ "${REPORT:-}" != 1 ] || requirements+=(extras/describe/requirements_report.txt)
. tools/environment.sh describe "${requirements[@]}"
exec "$BIN/python" -m extras.describe.describe
