#!/usr/bin/env bash
# Summary: moves an image's tag to a build that is whole; else it stays where it was, and the build's leftovers go.
# Usage:   keep.sh UNFINISHED IMAGE EXIT_CODE MOUNTED     (s2i's exit code, a folder that only its container has mounted)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 4 ] || usage
# s2i can end with 0 and without an image, and once killed leaves its container.
if [ "$3" != 0 ] || ! docker image inspect "$1" >/dev/null 2>&1; then
  docker ps -aq --filter volume="$4" | while read -r left; do docker rm -f "$left" >/dev/null; done || true
  docker rmi "$1" >/dev/null 2>&1 || true
  die 1 "s2i ended with exit code $3; its messages stand above, and $2 is as it was"
fi
before=$(docker image inspect --format '{{.Id}}' "$2" 2>/dev/null) || true
docker tag "$1" "$2"
docker rmi "$1" >/dev/null
# Else each build would leave a nameless image. One with another name stays, and one that a container still runs on.
names=$(docker image inspect --format '{{len .RepoTags}}' "$before" 2>/dev/null) || true
[ "$names" != 0 ] || docker rmi "$before" >/dev/null 2>&1 || true
