#!/usr/bin/env bash
# Summary: makes the package image of an application, and prints its name.
# Usage:   package_image.sh BUILDER CONTEXT train|predict SCRATCH UNFINISHED
#
# A package image is a builder image in which setup.sh has run and the packages are installed. Its
# tag is a digest of everything that decides the packages, so applications with equal packages share
# it. There is no package image if setup.sh writes into the folder of the application, or if BUILDER
# is another builder image. Then the script prints BUILDER.
#
# SCRATCH is a temporary folder with the settings of the build. UNFINISHED is a tag for an image
# that is not complete. The caller removes the containers that mount the settings, and that tag.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
. engines/layers.sh
[ $# = 5 ] || usage
builder=$1
context=$2
role=$3
scratch=$4
unfinished=$5

make_setup_image() { # make_setup_image NAME: makes the image in which setup.sh has run
  local changes
  run_in "$base" cp -R /run/s2i-source/. "$app_root"
  commit "$unfinished"
  # docker diff compares sizes and times in seconds. It would not find a change in the same second.
  sleep 1
  run_in "$unfinished" /opt/builders/packages.sh setup
  changes=$(docker diff "$container")
  if [ -z "$changes" ]; then
    docker tag "$base" "$1"
  elif grep -q "^. $app_root/" <<<"$changes"; then
    docker build --quiet --label writes-application=yes --tag "$1" - <<<"FROM $base" >/dev/null
  else
    # The application's files are not kept, because a module that is deleted later must not stay.
    docker commit "$container" "$unfinished" >/dev/null
    run_in "$unfinished" find "$app_root" -mindepth 1 -maxdepth 1 ! -name data ! -name models \
      -exec rm -rf {} +
    commit "$1"
  fi
  docker rm "$container" >/dev/null
  docker rmi "$unfinished" >/dev/null
}

install_packages() { # install_packages NAME: makes the image in which the packages are installed
  # shellcheck disable=SC2016 # the shell in the container expands it
  run_in "$base" bash -c 'cd /run/s2i-source && exec /opt/builders/packages.sh install'
  commit "$1"
}

case $builder in
  s2i-model-python | s2i-daemon-python) ;;
  *)
    echo "$builder"
    exit
    ;;
esac
user_label='{{index .Config.Labels "io.openshift.s2i.assemble-user"}}'
read -r base app_root user < <(inspect "$builder" "{{.Id}} {{.Config.WorkingDir}} $user_label")
if [ -f "$context/setup.sh" ]; then
  copy_files setup
  setup=s2i-setup:$digest
  exists "$setup" || make_setup_image "$setup"
  if [ "$(inspect "$setup" '{{index .Config.Labels "writes-application"}}')" = yes ]; then
    echo "$builder"
    exit
  fi
  base=$(inspect "$setup" '{{.Id}}')
fi
copy_files "$role"
packages=s2i-packages:$digest
exists "$packages" || install_packages "$packages"
echo "$packages"
