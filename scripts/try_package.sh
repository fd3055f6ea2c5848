#!/usr/bin/env bash
# The package as a user gets it: sdist and wheel are built, and tried in an empty venv, away from
# the checkout: the library, its tests, the commands, and the loops of each of examples/.
#
#     scripts/try_package.sh [PYTHON] [TORCH]
#     scripts/try_package.sh python3.12 oldest
#
# PYTHON is an interpreter (python3); TORCH a version, `oldest` (what pyproject.toml allows) or
# `newest`. Takes minutes, and about 5 GB of disk where torch brings CUDA; all of it is deleted.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
base=${1:-python3} wanted=${2:-newest}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMP_NUM_THREADS=1
unset PYTHONPATH ASWA_DATA_DIR

case $wanted in
  oldest) torch="torch==$(sed -n 's/^dependencies = \["torch>=\([0-9.]*\)"\]/\1/p' "$root/pyproject.toml").*" ;;
  newest) torch=torch ;;
  *) torch="torch==$wanted" ;;
esac

"$base" -m venv "$folder/builder"
"$folder/builder/bin/python" -m pip install --quiet build
git -C "$root" archive --prefix=source/ HEAD | tar -x -C "$folder"
"$folder/builder/bin/python" -m build --outdir "$folder/dist" "$folder/source" >"$folder/build.log" ||
  { cat "$folder/build.log"; exit 1; }
wheel=$(echo "$folder"/dist/*.whl) sdist=$(echo "$folder"/dist/*.tar.gz)

"$base" -m venv "$folder/venv"
python="$folder/venv/bin/python"
echo "installing $(basename "$wheel") with $torch"
"$python" -m pip install --quiet "$torch" "$wheel"
mkdir "$folder/away" && cd "$folder/away"

# 1. The library alone: torch is all there is.
"$python" - <<'PYTHON'
import importlib.util, sys, torch, aswa
assert "away" not in aswa.__file__ and "site-packages" in aswa.__file__
absent = [name for name in ("hydra", "pandas", "scipy") if importlib.util.find_spec(name)]
assert not absent, absent
print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, aswa {aswa.__version__}")
PYTHON
for example in plain_torch ema_every_step own_metric; do
  "$python" "$folder/source/examples/$example.py" | tail -1
done

# 2. Its tests, against the installed package. torch's checkpoints of several processes need numpy.
"$python" -m pip install --quiet pytest hypothesis numpy
"$python" -m torch.distributed.run --nproc-per-node 2 "$folder/source/examples/fsdp.py" 2>errors ||
  { cat errors; exit 1; }
mkdir tests && cp "$folder"/source/tests/{test_averag,drifting_model,test_plain_averages}*.py tests
cp -r "$folder"/source/{pyproject.toml,benchmarks} .
"$python" -m pytest -q -p no:cacheprovider -m "not gpu" tests

# 3. The sdist, with the commands.
"$python" -m pip install --quiet --force-reinstall --no-deps "$sdist"
"$python" -m pip install --quiet "$torch" "$sdist[experiments,analysis]"
"$folder/venv/bin/aswa-train" dataset=umls model=distmult epochs=3 lr=0.1 optimizer=all results_dir=runs --quiet
"$folder/venv/bin/aswa-analyze" runs >/dev/null
ls runs/analysis/report.html

# 4. Other packages' training loops.
"$python" -m pip install --quiet "$torch" "$sdist[lightning,transformers]"
for example in lightning_callback trainer_callback; do
  "$python" "$folder/source/examples/$example.py" 2>errors | tail -1 || { cat errors; exit 1; }
done
"$python" -m pip check
echo "tried: $(basename "$wheel") and $(basename "$sdist"), $("$python" -V), $torch"
