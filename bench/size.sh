#!/usr/bin/env bash
# Summary: builds the predict images and shows what they consist of; fails if one is more than
#          BUDGET_MB over its base.
# Usage:   bench/size.sh [MODEL_DIR...]       (make size)
#
# Without names it takes the combined image and every model's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/choose.sh

[[ ${BUDGET_MB:-1} =~ ^[0-9]+(\.[0-9]+)?$ ]] ||
  die 2 "BUDGET_MB=$BUDGET_MB: expected megabytes, such as 180"

if [ $# = 0 ]; then
  read -ra models < <(makefile_value all MODEL_DIRS)
  set -- all "${models[@]}"
fi

choose_engine
images=()
for directory; do
  image=$(makefile_value "$directory" CONTAINER_NAME)-predict
  ./build.sh "$image" "$directory" predict
  images+=("$image")
done
exec python3 bench/size.py "$ENGINE" "${images[@]}"
