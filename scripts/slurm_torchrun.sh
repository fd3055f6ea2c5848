#!/usr/bin/env bash
# One image run on several GPUs of a node, by torchrun; before its time is over it is saved and requeued.
#
#   sbatch --gpus-per-node=4 --cpus-per-task=32 --time=12:00:00 scripts/slurm_torchrun.sh \
#     experiment=images_published hydra.mode=RUN dataset=cifar100 model=wide_resnet28x10 seed=0
#
# The arguments are aswa-train's; the environment is the one that sbatch is called in. Without GPUs,
# ASWA_PROCESSES says how many processes there are.
#SBATCH --job-name=aswa --ntasks=1 --requeue --open-mode=append --signal=B:USR1@120
set -u
processes=${ASWA_PROCESSES:-${SLURM_GPUS_ON_NODE:-1}}
torchrun --standalone --nproc-per-node "$processes" -m aswa.train "$@" &
child=$!
# torchrun passes SIGTERM on to its processes, which save the run together; USR1 it would die of.
end() {
  kill -TERM "$child"
  wait "$child"
}
trap 'end; scontrol requeue "$SLURM_JOB_ID"; exit 0' USR1
trap 'end; exit 143' TERM
wait "$child"
