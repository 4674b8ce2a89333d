#!/usr/bin/env bash
# Summary: prints a warning if an image was built from other files than its model directory has.
# Usage:   check_image.sh IMAGE MODEL_DIR train|predict       (ENGINE is docker or local)
#
# It compares digests and not times. An image without a digest, which s2i alone has built, is not
# checked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 3 ] || usage

image=$1
model=$2
role=$3

image_environment() { # image_environment: prints the variables of the image, one per line
  case $ENGINE in
    docker)
      docker image inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$image" 2>/dev/null
      ;;
    local)
      cat ".local/images/$image/.s2i/environment" 2>/dev/null
      ;;
  esac
}

source_digest() { # source_digest: prints the value of SOURCE_DIGEST in the input
  sed -n 's/^SOURCE_DIGEST=//p'
}

built=$(image_environment | source_digest || true)
[ -n "$built" ] || exit 0

context=$(mktemp -d)
trap 'remove "$context"' EXIT
engines/stage.sh "$model" "$context"
current=$(source_digest <"$context/.s2i/environment")
[ "$built" != "$current" ] || exit 0

if [ -e ".local/unfinished/$image" ]; then
  problem="the last build of $image failed, and this is the image of the build before"
else
  problem="$image is older than the files in $model"
fi
echo "warning: $problem. Run make build-$role, or set BUILD=1." >&2
