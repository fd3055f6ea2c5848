#!/usr/bin/env bash
# A SLURM cluster of one node, this machine, to try sweeps on: for tests, never for work.
#
#   sudo scripts/slurm_single_node.sh start     # installs slurm-wlm and munge (Debian, Ubuntu) if need be
#   sudo scripts/slurm_single_node.sh stop
#
# It wants a machine where nothing else uses SLURM (a container, a CI runner): it writes
# /etc/slurm/slurm.conf and cgroup.conf, and refuses to if the first is there and not its own.
set -euo pipefail

MARK="# made by slurm_single_node.sh"
CONF=/etc/slurm/slurm.conf

start() {
  if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge >/dev/null
  fi
  if [ -e "$CONF" ] && ! grep -qF "$MARK" "$CONF"; then
    echo "$CONF is there and not of this script: is this a real cluster? Nothing done." >&2
    exit 1
  fi
  mkdir -p /etc/slurm /run/munge /var/lib/slurm/ctld /var/lib/slurm/d /var/log/slurm
  local host cores memory
  host=$(hostname -s)
  cores=$(nproc)
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  cat > "$CONF" <<CONF
$MARK
ClusterName=single
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
# Seconds that a requeued job waits; 120 if not given.
AuthInfo=cred_expire=5
SlurmUser=root
StateSaveLocation=/var/lib/slurm/ctld
SlurmdSpoolDir=/var/lib/slurm/d
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
# In a container there is no systemd and, maybe, no cgroup of its own: processes are found in /proc.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,sched_min_interval=0
# Two hours' worth of patience is of no use here: kill after 10 s, requeue at once.
KillWait=10
MessageTimeout=30
SlurmctldTimeout=60
SlurmdTimeout=60
JobRequeue=1
ReturnToService=2
MailProg=/bin/true
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
  cat > /etc/slurm/cgroup.conf <<CONF
$MARK
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
IgnoreSystemd=yes
CONF
  if [ ! -s /etc/munge/munge.key ]; then
    mkdir -p /etc/munge
    dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 status=none
  fi
  chown -R munge: /etc/munge /run/munge
  chmod 400 /etc/munge/munge.key
  pgrep -x munged >/dev/null || runuser -u munge -- /usr/sbin/munged
  pgrep -x slurmctld >/dev/null || slurmctld
  pgrep -x slurmd >/dev/null || slurmd
  for _ in $(seq 30); do
    if sinfo -h -o %T 2>/dev/null | grep -q idle; then
      sinfo
      return
    fi
    sleep 1
  done
  echo "the node did not become idle; see /var/log/slurm" >&2
  sinfo >&2 || true
  exit 1
}

stop() {
  scancel --quiet --state=PENDING --user="$(id -un)" 2>/dev/null || true
  for name in slurmd slurmctld munged; do
    pkill -x "$name" || true
  done
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  *) sed -n '2,8p' "$0" >&2; exit 2 ;;
esac
