#!/usr/bin/env bash
# Summary: sets the permissions of files and folders in an image.
# Usage:   permissions.sh PATH...
#
# Any user may run the image, but always in group 0. That user can write only the folders data/ and
# models/. With ASSEMBLE_USER=1001, the files belong to the user of the container, who can change
# these modes.
set -euo pipefail
for path; do
  chgrp -R 0 "$path"
  chmod -R g=u "$path"
  case ${path##*/} in
    data | models) ;;
    *) chmod -R a-w "$path" ;;
  esac
done
