#!/usr/bin/env bash
# Summary: builds the predict images and tells what they are made of; above BUDGET_MB over its base, one fails.
# Usage:   bench/size.sh [MODEL_DIR...]       (make size; without names the combined image and every model's)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/choose.sh
[[ ${BUDGET_MB:-1} =~ ^[0-9]+(\.[0-9]+)?$ ]] || die 2 "BUDGET_MB=$BUDGET_MB: expected megabytes, such as 180"
[ $# -gt 0 ] || read -ra models < <(sed -n 's/^MODEL_DIRS *:= *//p' all/Makefile)
[ $# -gt 0 ] || set -- all "${models[@]}"
choose_engine
images=()
for directory; do
  images+=("$(sed -n 's/^CONTAINER_NAME := //p' "$directory/Makefile")-predict")
  ./build.sh "${images[${#images[@]} - 1]}" "$directory" predict
done
exec python3 bench/size.py "$ENGINE" "${images[@]}"
