#!/usr/bin/env bash
# Summary: checks shell, Python and the Dockerfile with pinned tools; --fix formats them.
# Usage:   tools/lint.sh [--fix]       (make lint)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh lint tools/requirements_lint.txt
format=(-i 2 -ci)

files=()
scripts=()
while IFS= read -r file; do
  # git also lists files that are removed but whose removal is not committed.
  [ -f "$file" ] || continue
  files+=("$file")
  read -r first <"$file" || true
  [[ $first != '#!'*bash ]] || scripts+=("$file")
done < <(git ls-files --cached --others --exclude-standard)

if [ "${1:-}" = --fix ]; then
  "$BIN/shfmt" --write "${format[@]}" "${scripts[@]}"
  "$BIN/ruff" check --fix --quiet .
  "$BIN/ruff" format --quiet .
fi
"$BIN/shellcheck" --external-sources "${scripts[@]}"
"$BIN/shfmt" --diff "${format[@]}" "${scripts[@]}"
"$BIN/ruff" check --quiet .
"$BIN/ruff" format --check --quiet .
"$BIN/python" tools/check_style.py "${files[@]}"
"$BIN/python" tools/check_words.py "${files[@]}"
"$BIN/mypy"
"$BIN/hadolint" builders/Dockerfile
say "Lint: ${#scripts[@]} scripts, all Python, the Dockerfile: no findings"
