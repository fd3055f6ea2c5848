#!/usr/bin/env bash
# Send the offline W&B runs of a results folder: scripts/sync_wandb.sh RESULTS_DIR
#
# A run that was interrupted left several offline folders of one id; recent versions of wandb (seen with
# 0.31) send these in the order of their start, and skip what was sent before.
set -euo pipefail
shopt -s nullglob
results=${1:?usage: scripts/sync_wandb.sh RESULTS_DIR}
runs=("$results"/wandb/offline-run-*)
if [ ${#runs[@]} -eq 0 ]; then
  echo "no offline runs in $results/wandb"
  exit 0
fi
exec wandb sync "${runs[@]}"
