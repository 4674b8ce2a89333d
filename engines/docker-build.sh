#!/usr/bin/env bash
# Summary: builds an image with s2i and Docker. A failed build does not change its tag.
# Usage:   docker-build.sh IMAGE CONTEXT train|predict
#
# TRAIN_BUILDER and PREDICT_BUILDER name the builder images (build.sh sets them). s2i builds the
# application on a package image, so that an edit does not install the packages again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 3 ] || usage
check_image_name "$1"

image=$1
context=$2
role=$3
case $role in
  train) builder=$TRAIN_BUILDER ;;
  predict) builder=$PREDICT_BUILDER ;;
  *) usage ;;
esac
# The build uses this tag, so that IMAGE does not change until the build has succeeded.
unfinished=$image:unfinished-$$-$RANDOM

remove_leftovers() { # remove_leftovers: removes this build's containers, unfinished image and files
  local containers
  # Only the containers of this build mount its settings.
  containers=$(docker ps -aq --filter volume="$settings" || true)
  # shellcheck disable=SC2086 # a list of ids, one word each
  [ -z "$containers" ] || docker rm -f $containers >/dev/null || true
  docker rmi "$unfinished" >/dev/null 2>&1 || true
  rm -rf "$scratch"
}

add_labels() { # add_labels: replaces the unfinished image by the same image with labels
  docker build --quiet --tag "$unfinished" - <<<"FROM $unfinished
$(cat "$scratch/labels")" >/dev/null
}

move_tag() { # move_tag: tags the new image as IMAGE and removes the old one
  local old tags
  old=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || true)
  docker tag "$unfinished" "$image"

  # Without this step, each build would leave an image without a name. An old image is kept if it
  # has another name, or if a container uses it.
  tags=$(docker image inspect --format '{{len .RepoTags}}' "$old" 2>/dev/null || true)
  [ "$tags" != 0 ] || docker rmi "$old" >/dev/null 2>&1 || true
}

scratch=$(mktemp -d)
settings=$scratch/settings
trap remove_leftovers EXIT
# The labels are read at the same time, because a build after an edit takes only two seconds.
python3 engines/image_labels.py "$image" >"$scratch/labels" &
labels=$!
engines/builders.sh "$builder"
mkdir "$settings"
python3 engines/pip_settings.py "$settings"
base=$(engines/package_image.sh "$builder" "$context" "$role" "$scratch" "$unfinished") ||
  die 1 "the package image was not made (output above). Image $image was not changed."
# assemble reads this file.
[ "$base" = "$builder" ] || touch "$settings/packages-installed"
wait "$labels"
TMPDIR=$scratch s2i build --copy "$context" "$base" "$unfinished" \
  --application-name "$image" --pull-policy never \
  --volume "$settings:/run/s2i-settings:ro" --volume s2i-python-wheels:/var/cache/s2i ||
  die 1 "s2i failed (exit code $?, output above). Image $image was not changed."
# s2i can exit with 0 although it has made no image.
docker image inspect "$unfinished" >/dev/null 2>&1 ||
  die 1 "s2i failed (exit code 0, output above). Image $image was not changed."
add_labels
move_tag
