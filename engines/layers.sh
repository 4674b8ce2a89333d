#!/usr/bin/env bash
# Summary: functions that make an image from an image and a command of the builder.
# Usage:   . engines/layers.sh      (from engines/package_image.sh)
#
# Containers mount $scratch/settings, the settings of the build, and $files at /run/s2i-source. The
# engine makes these folders as root. Therefore $files is not mounted at /tmp/src, into which s2i
# writes as the user of the build.
# shellcheck disable=SC2034,SC2154 # the script that includes this one sets and reads the variables
set -euo pipefail

inspect() { # inspect IMAGE FORMAT: prints a property of an image; fails without that image
  docker image inspect --format "$2" "$1" 2>/dev/null
}

exists() { # exists IMAGE
  inspect "$1" . >/dev/null
}

copy_files() { # copy_files setup|ROLE: copies the files that decide a step; sets files and digest
  files=$scratch/$1
  mkdir "$files"
  digest=$(python3 engines/package_context.py "$1" "$context" "$files" "$base")
  # The user of the container may be another one.
  chmod -R a+rX "$files"
}

run_in() { # run_in IMAGE COMMAND...: runs a command in a new container; sets container
  local variables=/run/s2i-source/.s2i/environment
  container=s2i-packages-$$-$RANDOM
  docker run --detach --name "$container" --user "$user" --volume "$files:/run/s2i-source:ro" \
    --volume "$scratch/settings:/run/s2i-settings:ro" \
    --volume s2i-python-wheels:/var/cache/s2i "$1" \
    env PYTHONPATH=/opt/builders python3 -m runtime.environment run "$variables" "${@:2}" >/dev/null
  # Ctrl-C ends this command at once. It would not end `docker run` before the container ends.
  docker logs --follow "$container" >&2
  [ "$(docker wait "$container")" = 0 ]
}

commit() { # commit NAME: makes image NAME from the container, unless another build has made it
  local image
  image=$(docker commit --change "USER 1001" --change 'CMD ["/usr/libexec/s2i/usage"]' \
    --change "LABEL org.opencontainers.image.title=${1%:*}" "$container")
  if exists "$1"; then
    docker rmi "$image" >/dev/null
  else
    docker tag "$image" "$1"
  fi
}
