"""Classes of unequal size: which images, which losses, which accuracies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from aswa.config import ConfigError, load
from aswa.data.long_tail import class_sizes, groups, long_tailed
from aswa.tasks.image_classification import ImageClassification
from aswa.tasks.image_losses import LDAM, LOSSES, SCALE, BalancedSoftmax, CosineHead
from aswa.tasks.task import Stage

pytestmark = pytest.mark.numeric
COUNTS = torch.tensor([500, 60, 4])


@pytest.mark.parametrize(
    ("classes", "largest", "totals"),
    [
        (10, 5_000, {10: 20_431, 50: 13_996, 100: 12_406, 200: 11_203}),
        (100, 500, {10: 19_573, 50: 12_608, 100: 10_847, 200: 9_502}),
    ],
)
def test_sizes_are_the_published_ones(classes: int, largest: int, totals: dict[int, int]) -> None:
    for factor, total in totals.items():
        sizes = class_sizes(largest, factor, classes)
        assert (sizes[0], sizes[-1], sum(sizes)) == (largest, largest // factor, total)


def test_a_subset_is_drawn_by_its_own_generator() -> None:
    """Balanced validation, no image twice, other images under another seed, global state kept."""
    labels = torch.arange(600) % 3
    order = torch.randperm(600, generator=torch.Generator().manual_seed(1))
    before = torch.get_rng_state()
    train, valid = long_tailed(labels, order, 20, 9, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.bincount(labels[train]).tolist() == [180, 60, 20]
    assert torch.bincount(labels[valid]).tolist() == [20, 20, 20]
    assert not set(train.tolist()) & set(valid.tolist())
    same, other = (long_tailed(labels, order, 20, 9, seed=seed) for seed in (4, 5))
    assert torch.equal(same[0], train) and not torch.equal(other[0], train)
    assert torch.equal(other[1], valid)
    with pytest.raises(ValueError, match="largest=181"):
        long_tailed(labels, order, 20, 9, largest=181)
    with pytest.raises(ValueError, match="no image"):
        long_tailed(labels, order, 20, 9, largest=5)


def test_groups_are_by_training_images() -> None:
    found = groups(torch.tensor([500, 100, 20, 19]))
    assert {name: own.tolist() for name, own in found.items()} == {
        "many": [0],
        "medium": [1, 2],
        "few": [3],
    }


def test_balanced_softmax_gives_the_prior_where_logits_say_nothing() -> None:
    """And with equal classes it is cross-entropy."""
    logits, labels = torch.zeros(3, 3), torch.arange(3)
    loss = BalancedSoftmax(COUNTS).total(logits, labels, 0.0, 0.0)
    torch.testing.assert_close(loss, -(COUNTS / COUNTS.sum()).log().sum())
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1])
    equal = BalancedSoftmax(torch.tensor([7, 7, 7])).total(logits, labels, 0.0, 0.0)
    torch.testing.assert_close(equal, F.cross_entropy(logits, labels, reduction="sum"))


def test_ldam_against_a_slow_twin() -> None:
    """Margins n^(−1/4), the largest 0.5 of a cosine; weights of effective numbers at the end."""
    logits = SCALE * torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([0, 2, 2, 1])
    margin = [0.5 * (4 / n) ** 0.25 for n in (500, 60, 4)]
    weight = [(1 - 0.9999) / (1 - 0.9999**n) for n in (500, 60, 4)]
    weight = [w / sum(weight) * 3 for w in weight]
    early, late = [], []
    for row, label in zip(logits, labels.tolist(), strict=True):
        lowered = row.clone()
        lowered[label] -= SCALE * margin[label]
        early.append(-lowered.log_softmax(0)[label])
        late.append(weight[label] * early[-1])
    loss = LDAM(COUNTS)
    loss._margins, loss._weights = loss._margins.double(), loss._weights.double()
    torch.testing.assert_close(loss.total(logits, labels, 0.0, 0.79), torch.stack(early).sum())
    torch.testing.assert_close(loss.total(logits, labels, 0.0, 0.8), torch.stack(late).sum())
    assert loss.size(labels, 0.79) == 4
    norm = loss.size(labels, 0.8)
    assert float(norm) == pytest.approx(sum(weight[label] for label in labels.tolist()), rel=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 training and 100 test images of noise, in the publisher's binary form."""
    place = tmp_path_factory.mktemp("noise")
    (place / "cifar10").mkdir()
    generator = torch.Generator().manual_seed(0)
    sizes = {**{f"data_batch_{i}.bin": 1000 for i in range(1, 6)}, "test_batch.bin": 100}
    for name, n in sizes.items():
        rows = torch.randint(256, (n, 3073), dtype=torch.uint8, generator=generator)
        rows[:, 0] = torch.arange(n) % 10
        (place / "cifar10" / name).write_bytes(rows.numpy().tobytes())
    return place


def words(folder: Path, *overrides: str) -> list[str]:
    none = [f"dataset.{key}.{split}=null" for key in ("sha256", "images")
            for split in ("train", "test")]  # fmt: skip
    return ["dataset=cifar10_lt", f"data_dir={folder}", "model=wide_resnet10x1", *none, "lr=0.1",
            "dataset.valid_ratio=0.04", "batch_size=64", "device=cpu", *overrides]  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_a_network(loss: str, folder: Path) -> None:
    """Metrics by size of the class; what the network says is the mean over its groups."""
    task = ImageClassification(load(words(folder, f"dataset.loss={loss}")), torch.device("cpu"))
    model = task.build_model(torch.Generator().manual_seed(0))
    heads = [m for m in model.modules() if isinstance(m, CosineHead)]
    assert len(heads) == (loss == "ldam")
    for progress in (0.0, 0.9):
        first, n = next(task.losses(model, torch.Generator(), 0, Stage(progress=progress)))
        first.backward()
        assert n == 64 and torch.isfinite(first)
    found = task.metrics([model], "test")
    sizes = {name: len(own) for name, own in task._groups.items()}
    assert set(sizes) == {"many", "medium", "few"}
    mean = sum(found[f"accuracy_{name}"] * size for name, size in sizes.items()) / 10
    assert found["accuracy"] == pytest.approx(mean)


def test_a_size_of_the_whole_split_does_not_fit_unequal_classes(folder: Path) -> None:
    with pytest.raises(ConfigError, match="largest"):
        ImageClassification(load(words(folder, "dataset.train_size=99")), torch.device("cpu"))


@pytest.mark.parametrize("key", ["largest", "subset_seed"])
def test_what_only_unequal_classes_have_is_refused_without_them(key: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"dataset.{key}=5: .*imbalance"):
        load(words(folder, "dataset.imbalance=null", f"dataset.{key}=5"))
    load(words(folder, "dataset.imbalance=1", f"dataset.{key}=5"))


def test_tables_name_the_imbalance(folder: Path) -> None:
    assert "imbalance 100" in str(load(words(folder)).reduced)
    assert load(words(folder)).run_id != load(words(folder, "dataset.imbalance=50")).run_id
