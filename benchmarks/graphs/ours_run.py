"""One aswa run, timed; the counterpart of peers/dicee_run.py. Runs in the project's venv.

`seconds.run` is from config overrides to a trained model that was evaluated on validation and test
and recorded on disk (composing the config, reading the graph, training, averaging, evaluating,
writing), imports excluded and given apart as `import_seconds`: what dicee's `Execute.start()` does.
Among these imports is torch._dynamo, seconds by itself, which torch loads when the first optimizer
is made and dicee when it is imported: outside the clock for both, inside `process_seconds`.
Results go to a temporary folder, so that no earlier run is found and skipped.

    python -m benchmarks.graphs.ours_run dataset=umls model=keci optimizer=aswa --out r.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="+", help="as for aswa-train")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    began = time.perf_counter()
    import hydra  # noqa: F401
    import torch._dynamo  # noqa: F401

    from aswa import registry
    from aswa.config import load
    from aswa.training.session import execute

    for method in registry.METHODS.values():
        registry.load(method.path)
    config = load(options.overrides)
    registry.load(config.kind.tasks[config.task.name].path)
    registry.load(registry.MODELS[config.model.name])
    imported = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="ours-run-") as folder:
        fixed = ["device=cpu", "tracker=none", f"results_dir={folder}"]
        start = time.perf_counter()
        record = execute(load([*options.overrides, *fixed]))
        seconds = time.perf_counter() - start
    record["seconds"]["run"] = seconds
    record["import_seconds"] = imported
    options.out.write_text(json.dumps(record, default=str))


if __name__ == "__main__":
    main()
