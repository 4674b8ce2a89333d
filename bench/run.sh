#!/usr/bin/env bash
# Summary: runs a benchmark, or all of them, with what it needs; results go to bench/results (RESULTS).
# Usage:   bench/run.sh [predict|serve|beside|build|training|size|tune]       (make bench, make bench-serve)
#
# BASELINE=../other also compares predict and serve with another checkout.
# ROUNDS and SECONDS_EACH make it longer or shorter. The servers run on the local engine, on loopback, under wrk.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
if [ -n "${BASELINE:-}" ] && ! [ -x "$BASELINE/build.sh" ]; then
  die 2 "BASELINE=$BASELINE: expected the root folder of another checkout of this repository"
fi
. tools/environment.sh bench bench/requirements.txt builders/runtime/requirements.txt ./*/requirements_train.txt
export PYTHONPATH=$PWD:$PWD/builders
ls models/*.pkl >/dev/null 2>&1 || make ENGINE=local train-all
for benchmark in "${@:-predict serve beside build training size}"; do
  for name in $benchmark; do
    say "Benchmark: $name"
    if [ "$name" = size ]; then bench/size.sh; else "$BIN/python" "bench/$name.py"; fi
  done
done
