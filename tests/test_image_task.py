"""Image classification: the model that is trained, several members, torchrun on CPUs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aswa import distributed
from aswa.config import ConfigError, load
from aswa.tasks.image_classification import ImageClassification

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
NONE = [
    f"dataset.{key}.{split}=null" for key in ("sha256", "images") for split in ("train", "test")
]


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 training and 20 test images of noise, in the publisher's binary form."""
    folder = tmp_path_factory.mktemp("noise")
    (folder / "cifar10").mkdir()
    generator = torch.Generator().manual_seed(0)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        rows = torch.randint(256, (20, 3073), dtype=torch.uint8, generator=generator)
        rows[:, 0] = torch.arange(20) % 10
        (folder / "cifar10" / name).write_bytes(rows.numpy().tobytes())
    return folder


def task_of(
    data_folder: Path, model: str = "wide_resnet10x1", *overrides: str
) -> ImageClassification:
    words = ["dataset=cifar10", f"data_dir={data_folder}", f"model={model}", *NONE]
    words += ["dataset.valid_ratio=0.2", "batch_size=40", "lr=0.05", "device=cpu", *overrides]
    return ImageClassification(load(words), CPU)


def build(task: ImageClassification, seed: int) -> nn.Module:
    return task.build_model(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("compiled", [False, True])
def test_the_model_that_is_given_is_trained(
    data_folder: Path, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one built last, also where training calls a wrapper; one of another task as well."""
    wrapped: list[nn.Module] = []
    monkeypatch.setattr(
        torch, "compile", lambda model: wrapped.append(model) or nn.Sequential(model)
    )
    task = task_of(data_folder, "wide_resnet10x1", f"model.compile={compiled}")
    first, last, foreign = build(task, 0), build(task, 1), build(task_of(data_folder), 2)
    assert len(wrapped) == 2 * compiled
    for model in (first, last, foreign):
        loss, n = next(task.losses(model, torch.Generator().manual_seed(0)))
        loss.backward()
        assert n == 40
        for other in (first, last, foreign):
            has_gradient = {p.grad is not None for p in other.parameters()}
            assert has_gradient == {other is model}
        model.zero_grad()


def test_several_members_are_judged_by_their_mean_probability(data_folder: Path) -> None:
    """−log of the mean of softmax, and its greatest class, beside that of the mean logit."""
    task = task_of(data_folder)
    members = [build(task, seed) for seed in range(3)]
    for member in members:
        for parameter in member.parameters():
            parameter.data.mul_(1.5)  # so that members are sure, and of different classes
    images, labels = task._splits["valid"]
    with torch.no_grad():
        logits = [member.eval()(task._input(images)).double() for member in members]
    mean = torch.stack([each.softmax(1) for each in logits]).mean(0)
    found = task.metrics(members, "valid")
    assert found["loss"] == pytest.approx(float(-mean.log()[range(20), labels].mean()), rel=1e-5)
    assert found["accuracy"] == float((mean.argmax(1) == labels).double().mean())
    mean_of_logits = torch.stack(logits).mean(0)
    assert found["accuracy_logits"] == float((mean_of_logits.argmax(1) == labels).double().mean())
    one = task.metrics(members[:1], "valid")
    assert "accuracy_logits" not in one
    assert one["loss"] != pytest.approx(found["loss"], rel=1e-3)
    assert one["accuracy"] == task.score(members[0])
    expected = F.cross_entropy(logits[0].float(), labels, reduction="sum").double() / 20
    assert one["loss"] == pytest.approx(float(expected), rel=1e-6)


def test_several_processes_on_cpus_need_a_model_without_batch_norm(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_norm, plain = nn.Sequential(nn.BatchNorm2d(3)), nn.Linear(2, 2)
    assert distributed.synchronise_batch_norm(with_norm, CPU) is with_norm
    task = task_of(data_folder)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert distributed.synchronise_batch_norm(plain, CPU) is plain
    with pytest.raises(
        ConfigError, match="one process on a CPU, or take a model without batch-norm"
    ):
        build(task, 0)
