#!/usr/bin/env bash
# Summary: copies the files of an image, the application and the shared code, into an empty folder.
# Usage:   stage.sh MODEL_DIR CONTEXT
#
# Appends two variables to CONTEXT/.s2i/environment. SOURCE_DIGEST is a digest of the files.
# GIT_COMMIT is the commit of the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 2 ] || usage

model=$1
context=$2
app=$context/$PACKAGE
mkdir "$app"
cp -R utils common_utils constraints.txt "$context"

if [ "$model" = all ]; then
  names=${MODEL_DIRS-$(makefile_value all MODEL_DIRS)}
  # shellcheck disable=SC2086 # a list of names, one word each
  python3 all/generate.py "$app" $names
else
  cp -R "$model/." "$app"
fi
# The checkout may be read-only.
chmod -R u+w "$context"

if [ "$model" = all ]; then
  for name in $names; do
    python3 builders/requirement_commands.py stage "$name" "$app"
    rm -rf "$app/$name"/{test,Makefile,README.md}
  done
else
  python3 builders/requirement_commands.py stage "$model" "$context"
  rm -rf "$app"/{test,Makefile,README.md}
fi
for name in .s2i setup.sh; do
  [ ! -e "$app/$name" ] || mv "$app/$name" "$context/$name"
done
# A requirements file may refer to other files, which are relative to its own folder.
for name in requirements.txt requirements_train.txt requirements_predict.txt; do
  [ ! -e "$app/$name" ] || echo "-r $PACKAGE/$name" >"$context/$name"
done
find "$context" -name __pycache__ -prune -exec rm -rf {} +

digest=$(python3 builders/commands.py tree "$context")
commit=$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown)
printf '\nSOURCE_DIGEST=%s\nGIT_COMMIT=%s\n' "$digest" "$commit" >>"$context/.s2i/environment"
