#!/usr/bin/env bash
# Send the offline W&B runs of a results folder: scripts/sync_wandb.sh RESULTS_DIR
#
# A run that was interrupted left several offline folders of the same id; they are sent in the order in
# which they were made, each appended to the one before. What was sent is marked by W&B and not sent again.
set -euo pipefail
shopt -s nullglob
results=${1:?usage: scripts/sync_wandb.sh RESULTS_DIR}
runs=("$results"/wandb/offline-run-*)
if [ ${#runs[@]} -eq 0 ]; then
  echo "no offline runs in $results/wandb"
  exit 0
fi
for run in "${runs[@]}"; do  # their names begin with the time
  if compgen -G "$run/*.synced" >/dev/null; then
    continue
  fi
  wandb sync --append "$run"
done
