#!/usr/bin/env bash
# Summary: builds the predict images and prints the sizes of their parts. It fails if an image is
#          more than BUDGET_MB larger than its base.
# Usage:   bench/size.sh [MODEL_DIR...]       (make size)
#
# Without names, it uses the combined image and the image of every model.
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
