#!/usr/bin/env bash
# Generated from the model directories by `make -C all generate`; don't edit.
set -euo pipefail
bash finance_income_prediction/xgBoost/setup.sh
