"""Published hyper-parameters, schedules made for methods, and what reduces an experiment."""

from __future__ import annotations

import pytest
import yaml

from aswa.config import ConfigError, load
from aswa.files import conf_dir
from aswa.training.rates import learning_rate

TABLES = {
    (name, table, model): row
    for name in ("cifar10", "cifar100")
    for table, models in yaml.safe_load((conf_dir() / "dataset" / f"{name}.yaml").read_text())[
        "hyperparameters"
    ].items()
    for model, row in models.items()
}


@pytest.mark.parametrize(("dataset", "table", "model"), TABLES)
def test_a_table_fills_in_what_is_null(dataset: str, table: str, model: str) -> None:
    """Every number of the row arrives where it is used, also at another number of epochs."""
    row = TABLES[dataset, table, model]
    words = ["experiment=images_published", f"dataset={dataset}", f"model={model}"]
    config = load([*words, f"hyperparameters={table}"])
    assert config.epochs == row["epochs"]
    assert config.batch_size == row["batch_size"]
    assert config.lr == row["lr"]
    assert config.base_optimizer.weight_decay == row["weight_decay"]
    assert config.base_optimizer.momentum == 0.9
    assert (config.schedule.start, config.schedule.swa_lr) == (row["swa_start"], row["swa_lr"])
    assert config.methods["swa"]["start"] == config.methods["aswa_released"]["start"]
    assert config.methods["swa"]["start"] == row["swa_start"]
    assert config.reduced is None
    fewer = load([*words, f"hyperparameters={table}", "epochs=10", "lr=0.3"])
    assert fewer.lr == 0.3  # what is given stays
    assert fewer.schedule.start == max(1, round(row["swa_start"] * 10 / row["epochs"]))
    assert fewer.reduced == f"10 of {row['epochs']} epochs"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hyperparameters=relased"], "hyperparameters=relased of dataset=cifar10: .*'released'"),
        (["hyperparameters=izmailov", "model=vgg19"], "hyperparameters=izmailov: model: .*vgg16"),
        (["dataset.valid_ratio=0", "lr=1"], r"dataset\.valid_ratio=0: must be a number in \(0, 1"),
        (["dataset.train_size=0", "lr=1"], r"dataset\.train_size=0: must be at least 1"),
        (["epochs=null", "lr=1"], "epochs=None: expected a whole number"),
        (["optimizer.swa.start=256", "lr=1"], r"optimizer\.swa\.start=256: nothing would be"),
        (["model.batch_norm_batches=0", "model=vgg16_bn", "lr=1"], "batch_norm_batches=0: must"),
    ],
)
def test_what_cannot_be_is_said(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(["dataset=cifar10", "model=vgg16", *words])


def test_the_fair_schedules() -> None:
    """SGD decays to the end of its run; the averages reach swa_lr before they begin."""
    plain, averages = (
        load(["experiment=images_fair", f"optimizer={name}"]) for name in ("plain", "averages")
    )
    rates = [learning_rate(plain.schedule, plain.lr, epoch, 200) for epoch in range(200)]
    assert rates[0] == rates[100] == 0.05
    assert rates[-1] == pytest.approx(0.0005)
    assert rates[150] == pytest.approx(0.05 - (0.05 - 0.0005) * 0.25 / 0.4)
    rates = [learning_rate(averages.schedule, averages.lr, epoch, 200) for epoch in range(200)]
    assert rates[80] == 0.05
    assert rates[145:] == pytest.approx([0.01] * 55)


def test_fair_runs_are_compared_with_each_other() -> None:
    """Their schedules differ on purpose and belong to the methods; all else is shared."""
    plain, averages, other = (
        load(["experiment=images_fair", *words])
        for words in (["optimizer=plain"], ["optimizer=averages"], ["batch_size=64"])
    )
    assert plain.setting_ids["shared"] == averages.setting_ids["shared"]
    assert other.setting_ids["shared"] != averages.setting_ids["shared"]
    assert plain.setting["methods"]["sgd"]["schedule.start"] == 200


def test_the_small_experiments_have_the_schedules_that_they_register() -> None:
    """Every average begins with the low rate, a twentieth of the way; fair SGD decays."""
    words = ["experiment=images_small", "dataset=cifar100", "model=preresnet20"]
    small = load(words)
    starts = {name: row["start"] for name, row in small.methods.items() if "start" in row}
    assert set(starts) == {n for n in small.methods if n.startswith(("aswa", "swa", "polynomial"))}
    assert set(starts.values()) == {2}
    rates = [learning_rate(small.schedule, small.lr, epoch, 30) for epoch in range(30)]
    assert rates == pytest.approx([0.1] * 2 + [0.05] * 28)
    assert load([*words, "epochs=100"]).methods["polynomial_decay"]["start"] == 7  # 2 of 30
    released = {m: load([words[0], f"model={m}"]).methods["aswa_released"]["hard_updates"]
                for m in ("vgg11_small", "preresnet20")}  # fmt: skip
    assert released == {"vgg11_small": False, "preresnet20": None}
    plain = load(["experiment=images_small_fair", "model=preresnet20", "optimizer=plain"])
    rates = [learning_rate(plain.schedule, plain.lr, epoch, 30) for epoch in range(30)]
    assert (rates[15], rates[-1]) == (0.1, pytest.approx(0.001))
