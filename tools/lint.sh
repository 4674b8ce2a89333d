#!/usr/bin/env bash
# Summary: checks shell, Python and the Dockerfile with pinned tools; --fix lets those mend that can.
# Usage:   tools/lint.sh [--fix]       (make lint)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh lint tools/requirements_lint.txt
[ "${1:-}" != --fix ] || {
  "$BIN/shfmt" -w -i 2 -ci .
  "$BIN/ruff" check --fix --quiet . && "$BIN/ruff" format --quiet .
}
scripts=()
while IFS= read -r file; do
  read -r first <"$file" || true
  [[ $first != '#!'*bash ]] || scripts+=("$file")
done < <(git ls-files --cached --others --exclude-standard)
"$BIN/shellcheck" --external-sources "${scripts[@]}"
"$BIN/shfmt" --diff -i 2 -ci "${scripts[@]}"
"$BIN/ruff" check --quiet .
"$BIN/ruff" format --check --quiet .
"$BIN/mypy"
"$BIN/hadolint" builders/Dockerfile
say "Lint: ${#scripts[@]} scripts, all Python, the Dockerfile: sound"
