#!/usr/bin/env bash
# Summary: sets the permissions of an application in an image.
# Usage:   permissions.sh APP_ROOT
#
# Any user may run the image, but always in group 0. Only data/ and models/ can be written. With
# ASSEMBLE_USER=1001, the files belong to the user of the container, who can change these modes.
set -euo pipefail
cd "$1"
chgrp -R 0 .
chmod -R g=u .
find . -maxdepth 1 ! -name . ! -name data ! -name models -exec chmod -R a-w {} +
chmod a-w .
