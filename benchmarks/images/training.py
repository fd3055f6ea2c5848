"""Training on CIFAR-10: images a second beside the usual loop, and what five methods cost.

    python -m benchmarks.images.training [--repetitions 3]                  # a CPU, an hour
    python -m benchmarks.images.training --device cuda --batches 128 512 --name image_training_gpu

- **Images a second**: steps of our training loop, and of a plain port of the one that most
  repositories have (DataLoader with two workers, torchvision's transforms image by image,
  contiguous fp32, the loss read at every step), each in a process of its own,
  in turns. Start-up, reading and the first steps are in nobody's clock.
- **The share of the matrix rate** is the FLOPs of forward and backward (FlopCounterMode, a
  multiply-add counts as two) times images a second, over the rate of a large square product in the
  same precision and process.
- **The cost of the methods** is an epoch with all five of them over one of SGD with its
  validation: medians over epochs of training on `--images`, with the share of images for validation
  and for batch-norm statistics that a whole epoch has by default.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from aswa.config import load
from benchmarks import side_by_side as sbs

ROW = sbs.HERE / "images" / "training_row.py"
SPEEDUP = 1.3
# Cost of the five methods that is aimed at: without batch-norm in the network, and with it.
COST, COST_BATCH_NORM = 1.25, 1.6
TRAINED_ON = 47_500  # images of an epoch by default


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="*", default=["vgg16", "preresnet164"])
    parser.add_argument("--batches", nargs="+", type=int, default=[128])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--methods", nargs="*", default=["vgg16", "vgg16_bn"], help="networks")
    parser.add_argument("--images", type=int, default=950, help="an epoch of --methods")
    parser.add_argument("--epochs", type=int, default=4, help="of --methods, on the clock")
    parser.add_argument("--steps", type=int, default=8, help="on the clock")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="image_training")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    parser.add_argument("overrides", nargs="*", help="of our runs, as for aswa-train")
    return parser.parse_args()


def measured(loop: str, model: str, batch: int, o: argparse.Namespace, *words: str) -> Any:
    """The record of one process."""
    overrides = ["dataset=cifar10", f"model={model}", "base_optimizer=sgd", "schedule=constant",
                 "lr=0.05", f"batch_size={batch}", f"device={o.device}", *words]  # fmt: skip
    options = ["--loop", loop, "--threads", o.threads, "--steps", o.steps]
    if loop == "methods":
        options = ["--loop", loop, "--threads", o.threads, "--steps", o.epochs, "--warm-up", 1]
    return sbs.run(sys.executable, ROW, [*options, *overrides], o.threads)


def speed(model: str, batch: int, o: argparse.Namespace) -> dict[str, Any]:
    """Images a second of the usual loop and of ours in each precision."""
    found: dict[str, list[dict[str, Any]]] = {"usual": [], **{p: [] for p in o.precisions}}
    for repetition in range(o.repetitions):
        found["usual"].append(measured("usual", model, batch, o))
        for precision in o.precisions:
            words = [f"precision={precision}", *o.overrides]
            found[precision].append(measured("ours", model, batch, o, *words))
        print(f"  {model} batch {batch}: {repetition + 1}/{o.repetitions}", flush=True)
    contestants = {}
    for name, records in found.items():
        rate = sbs.spread([record["images_per_second"] for record in records])
        matrices = statistics.median(record["matrix_flops"] for record in records)
        share = rate["median"] * records[0]["flops_per_image"] / matrices
        contestants[name] = {"images_per_second": rate, "matrix_flops": matrices, "share": share}
    return {"model": model, "batch": batch, **contestants}


def methods(model: str, o: argparse.Namespace) -> dict[str, Any]:
    """Seconds of an epoch by SGD alone and with all five."""
    whole = load(["dataset=cifar10", f"model={model}", "lr=0.05"])
    batch = 128
    share = o.images / TRAINED_ON
    words = [
        f"dataset.train_size={o.images}",
        f"dataset.valid_ratio={round(2500 * share) / 50_000}",
        "epochs=100",
    ]
    if "batch_norm_batches" in whole.model.options:
        n_batches = max(1, round(whole.model.options["batch_norm_batches"] * share))
        words.append(f"model.batch_norm_batches={n_batches}")
    seconds = {}
    for optimizer in ("sgd", "all"):
        swa = ["optimizer.swa.start=1"] if optimizer == "all" else []  # so that it takes part
        record = measured("methods", model, batch, o, f"optimizer={optimizer}", *words, *swa)
        seconds[optimizer] = sbs.spread(record["epoch_seconds"])
        print(f"  {model} epoch with {optimizer}", flush=True)
    cost = seconds["all"]["median"] / seconds["sgd"]["median"]
    return {"model": model, "overrides": words, "seconds": seconds, "cost": cost}


def text(record: dict[str, Any]) -> str:
    machine = record["machine"]
    lines = [
        f"# Training on CIFAR-10, {machine['device']}",
        f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}, "
        f"{machine['date']}, n = {record['repetitions']}; median (range). "
        f"Aim on a CPU: {SPEEDUP} times the usual loop.",
    ]
    rows = []
    for cell in record["speed"]:
        usual = cell["usual"]["images_per_second"]
        for name in ("usual", *record["precisions"]):
            got = cell[name]["images_per_second"]
            rows.append(
                (cell["model"], str(cell["batch"]), "usual loop, fp32" if name == "usual" else name,
                 sbs.span(got, 0),
                 f"{got['median'] / usual['median']:.2f}", f"{cell[name]['share']:.0%}")
            )  # fmt: skip
    if note := record.get("note"):
        lines.append(note)
    header = ("network", "batch", "loop", "images/s", "× usual", "of the matrix rate")
    lines.append(sbs.markdown(header, rows))
    rows = [
        (cell["model"], f"{cell['seconds']['sgd']['median']:.2f}",
         f"{cell['seconds']['all']['median']:.2f}", f"{cell['cost']:.2f}")
        for cell in record["methods"]
    ]  # fmt: skip
    lines.append(
        f"An epoch of {record['images']} images, n = {record['epochs']} epochs. Aims: {COST} "
        f"without batch-norm in the network, {COST_BATCH_NORM} with it."
    )
    lines.append(sbs.markdown(("network", "SGD, s", "all five, s", "ratio"), rows))
    return "\n\n".join(lines)


def main() -> None:
    options = parse()
    machine = sbs.machine(options.threads) | {"device": options.device}
    record: dict[str, Any] = {
        "machine": machine,
        "repetitions": options.repetitions,
        "precisions": options.precisions,
        "images": options.images,
        "epochs": options.epochs,
        "overrides": options.overrides,
        "speed": [],
        "methods": [],
    }
    parts = [("speed", lambda m=m, b=b: speed(m, b, options)) for m in options.models
             for b in options.batches]  # fmt: skip
    parts += [("methods", lambda m=m: methods(m, options)) for m in options.methods]
    for kind, measure in parts:
        record[kind].append(measure())
        sbs.save(options.name, record, text(record), options.results)


if __name__ == "__main__":
    main()
