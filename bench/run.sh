#!/usr/bin/env bash
# Summary: runs benchmarks with what they need; results go to bench/results (RESULTS).
# Usage:   bench/run.sh [predict|serve|compare|build|training|size|tune]...
#
# make bench runs all of them, make bench-serve one. ROUNDS and SECONDS_EACH make them longer or
# shorter. The servers run on the local engine, on loopback, under wrk. BASELINE=../other also
# compares predict and serve with another checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh

if [ -n "${BASELINE:-}" ] && ! [ -x "$BASELINE/build.sh" ]; then
  die 2 "BASELINE=$BASELINE: expected the root folder of another checkout of this repository"
fi
[ $# -gt 0 ] || set -- predict serve compare build training size

. tools/environment.sh bench \
  bench/requirements.txt builders/runtime/requirements.txt ./*/requirements_train.txt
export PYTHONPATH=$PWD:$PWD/builders
compgen -G "models/*.pkl" >/dev/null || make ENGINE=local train-all

for name; do
  say "Benchmark: $name"
  if [ "$name" = size ]; then
    bench/size.sh
  else
    "$BIN/python" "bench/$name.py"
  fi
done
