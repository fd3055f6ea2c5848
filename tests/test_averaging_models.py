"""Models as people have them: frozen in part, compiled, data-parallel, on another device."""

from __future__ import annotations

import copy
import gc
import itertools
import weakref

import pytest
import torch
from torch import nn

from aswa.averaging import ASWA, EMA, SGD, SWA, Averager, offload
from aswa.averaging.reference import flat
from drifting_model import AVERAGES, Odd, batch_norm_model, bits, drift, scores, small_model

pytestmark = pytest.mark.numeric


class Adapted(nn.Module):
    """A large frozen base and a small adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(100, 100).requires_grad_(False)
        self.adapter = nn.Linear(100, 2)


def storage(module: nn.Module) -> dict[int, int]:
    """Bytes by address of all that a module holds."""
    tensors = [t.untyped_storage() for t in [*module.parameters(), *module.buffers()]]
    return {s.data_ptr(): s.nbytes() for s in tensors}


@pytest.mark.parametrize("cls", AVERAGES)
def test_an_adapter_on_a_frozen_base_costs_the_adapter(cls: type[Averager]) -> None:
    model = Adapted()
    averager = cls(model)
    assert len(storage(averager.module).keys() & storage(model).keys()) == 2
    for value in (0.1, 0.2):
        drift(model)
        averager.step(model)
        averager.update(model, scores(0.0, value))
    own = storage(averager.module).keys() - storage(model).keys()
    adapter = sum(storage(model.adapter).values())
    assert sum(storage(averager.module)[address] for address in own) == adapter
    assert not averager.module.base.weight.requires_grad
    assert averager.module.adapter.weight.requires_grad
    saved = averager.state_dict()["weights"]
    assert saved.keys() == {"adapter.weight", "adapter.bias"}
    again = cls(copy.deepcopy(model))
    again.load_state_dict(averager.state_dict())
    assert bits(again.module) == bits(averager.module)


def test_frozen_weights_follow_the_running_model_and_must_stay_frozen() -> None:
    model = Adapted()
    swa = SWA(model)
    swa.update(model, lambda _: 0.0)
    swa.module.to(torch.float64).to(torch.float32)  # the average gets storage of its own
    model.base.weight.data = torch.ones(100, 100)
    swa.update(model, lambda _: 0.0)
    assert swa.module.base.weight.data_ptr() == model.base.weight.data_ptr()
    model.base.requires_grad_(True)
    with pytest.raises(ValueError, match=r"base\.weight.*build the averager after unfreezing"):
        swa.update(model, lambda _: 0.0)


def test_compiled_and_data_parallel_models_are_seen_through() -> None:
    """Wrapped from the start, later, or no more: one average, under clean names."""
    bare = small_model()
    compiled = torch.compile(bare, backend="eager")
    parallel = nn.DataParallel(compiled)
    ways = [(bare, bare), (compiled, compiled), (bare, compiled), (parallel, bare)]
    for cls in AVERAGES:
        torch.manual_seed(0)
        averagers = [cls(first) for first, _ in ways]
        for epoch in range(3):
            drift(bare)
            for averager, (_, later) in zip(averagers, ways, strict=True):
                averager.step(later)
                averager.update(later, scores(0.0, epoch))
        for averager in averagers:
            assert type(averager.module) is nn.Sequential
            assert bits(averager.module) == bits(averagers[0].module)
            assert averager.state_dict()["weights"].keys() == bare.state_dict().keys()
    sgd = SGD(parallel)
    sgd.update(compiled, lambda _: 0.0)
    assert sgd.module is bare


def test_the_running_model_itself_is_what_is_scored() -> None:
    """Wrapped as it was given, so that a caller can tell it from the look-ahead."""
    model = nn.DataParallel(small_model())
    seen: list[nn.Module] = []
    aswa = ASWA(model)
    aswa.update(model, lambda module: seen.append(module) or 0.0)
    assert seen == [model]


def test_parts_that_are_compiled_are_averaged_and_run() -> None:
    """A compiled block keeps its prefix in the average; `module.compile()` changes no name."""
    model = nn.Sequential(torch.compile(nn.Linear(3, 3), backend="eager"), nn.Linear(3, 2))
    model.compile(backend="eager")
    bare = nn.Sequential(copy.deepcopy(model[0]._orig_mod), copy.deepcopy(model[1]))
    averagers = SWA(model), SWA(bare)
    for _ in range(2):
        weights = torch.randn(20)
        for each in (model, bare):
            nn.utils.vector_to_parameters(weights, each.parameters())
        for averager, each in zip(averagers, (model, bare), strict=True):
            averager.update(each, lambda module: 0.0)
    one, other = (averager.module for averager in averagers)
    assert bits(one) == bits(other)
    x = torch.randn(5, 3)
    torch.testing.assert_close(one(x), other(x))


@pytest.mark.parametrize("cls", AVERAGES)
def test_a_parameter_that_appears_later_is_refused_by_name(cls: type[Averager]) -> None:
    """And the averager goes on with the model as it was."""
    model = small_model()
    averager, score = cls(model), itertools.count()

    def epoch() -> None:
        drift(model)
        averager.step(model)
        averager.update(model, lambda module: float(next(score)))

    epoch()
    model.late = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"late\.weight.*\(2, 2\) now, absent then.*new averager"):
        epoch()
    del model.late
    epoch()


class Quantised(nn.Parameter):
    """Whole numbers and a scale, which a copy of the storage alone would lose."""

    def __new__(cls, weight: torch.Tensor) -> Quantised:
        scale = weight.abs().amax() / 127
        made = super().__new__(cls, (weight / scale).round().to(torch.int8), requires_grad=False)
        made.scale = scale
        return made


class OnQuantisedBase(nn.Module):
    """x → (W + B A) x, as adapters on 8-bit weights compute it."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Quantised(torch.randn(50, 50))
        self.plain = nn.Parameter(torch.ones(50, dtype=torch.uint8), requires_grad=False)
        self.a, self.b = nn.Parameter(torch.randn(1, 50)), nn.Parameter(torch.randn(50, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.base * self.base.scale + self.b @ self.a).T * self.plain


@pytest.mark.parametrize("device", [None, "meta"])
@pytest.mark.parametrize("cls", AVERAGES)
def test_a_quantised_base_is_shared_and_stays_where_it_is(
    cls: type[Averager], device: str | None
) -> None:
    """torch's device without data stands for a second one."""
    if device and issubclass(cls, (ASWA,)):
        pytest.skip("the look-ahead needs data")
    model = OnQuantisedBase()
    averager = cls(model, device=device)
    for value in (0.1, 0.2):
        drift(model)
        averager.step(model)
        averager.update(model, scores(0.0, value))
    assert averager.module.base is model.base
    assert model.base.device.type == "cpu"
    assert averager.state_dict()["weights"].keys() == {"a", "b"}
    if device is None:
        assert averager.module.plain.data_ptr() == model.plain.data_ptr()
        x = torch.randn(3, 50)
        expected = x @ (model.base * model.base.scale + averager.module.b @ averager.module.a).T
        torch.testing.assert_close(averager.module(x), expected)


def test_what_is_brought_comes_in_groups_and_in_the_masters_precision() -> None:
    sizes = (2, 3, 1, 9, 1)
    starts = [torch.zeros(n) for n in sizes]
    ends = [torch.randn(n).to(torch.bfloat16) for n in sizes]
    groups = list(offload.groups(list(zip(starts, ends, strict=True)), limit=20))
    assert [[end.numel() for _, end in group] for group in groups] == [[2, 3], [1], [9], [1]]
    found = [pair for group in offload.brought(starts, ends) for pair in zip(*group, strict=True)]
    for (start, end), own, running in zip(found, starts, ends, strict=True):
        assert start is own
        assert end.dtype == torch.float32
        assert torch.equal(end, running.float())
    ((same, untouched),) = offload.brought(starts, starts)
    assert [*map(id, same)] == [*map(id, untouched)] == [*map(id, starts)]
    assert not list(offload.brought([], []))


@pytest.mark.gpu
@pytest.mark.parametrize("cls", AVERAGES)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_average_on_the_cpu_is_pinned_and_the_same_in_many_groups(
    cls: type[Averager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """bf16 is copied as bf16 and averaged in fp32, however it is grouped."""
    monkeypatch.setattr(offload, "GROUP_BYTES", 64)
    monkeypatch.setattr(offload.groups, "__defaults__", (64,))
    model = nn.Sequential(*(nn.Linear(40, 40) for _ in range(20))).cuda().bfloat16()
    here, there = cls(model), cls(model, device="cpu")
    for epoch in range(6):
        drift(model)
        for averager in (here, there):
            averager.step(model)
            averager.update(model, scores(0.5 if epoch == 2 else 0.0, epoch / 6))
        torch.testing.assert_close(flat(there.module), flat(here.module).cpu(), rtol=0, atol=0.02)
    masters = there.state_dict()["weights"], here.state_dict()["weights"]
    for name, tensor in masters[0].items():
        torch.testing.assert_close(tensor, masters[1][name].cpu(), rtol=1e-6, atol=1e-6)
    assert all(parameter.is_pinned() for parameter in there.module.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize("cls", AVERAGES)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_average_on_the_cpu_of_a_model_on_a_gpu(cls: type[Averager]) -> None:
    model = Odd().cuda()
    here, there = cls(model), cls(model, device="cpu")
    for epoch in range(4):
        drift(model)
        for averager in (here, there):
            averager.step(model)
            averager.update(model, scores(0.5 if epoch == 2 else 0.0, epoch / 4))
        assert {t.device.type for t in there.module.state_dict().values()} == {"cpu"}
        torch.testing.assert_close(flat(there.module), flat(here.module).cpu())
    model.cpu()
    here.step(model)
    here.update(model, scores(0.9, 0.9))
    assert {t.device.type for t in here.module.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize("cls", AVERAGES)
def test_a_device_of_its_own_changes_no_value(cls: type[Averager]) -> None:
    """Here both are the CPU."""
    model = batch_norm_model()
    options = {"batches": [torch.randn(8, 3)]}
    here, there = cls(model, **options), cls(model, **options, device="cpu")
    for epoch in range(4):
        drift(model)
        for averager in (here, there):
            averager.step(model)
            averager.update(model, scores(0.5 if epoch == 2 else 0.0, epoch / 4))
        assert bits(here.members()[0]) == bits(there.members()[0])


@pytest.mark.parametrize("device", [None, "cpu"])
def test_an_offloaded_ensemble_gives_the_memory_of_its_look_ahead_back(device: str | None) -> None:
    model, seen = small_model(), []
    aswa = ASWA(model, device=device)
    for _ in range(2):
        aswa.update(model, lambda module: seen.append(weakref.ref(module)) or 0.0)
    gc.collect()
    assert (seen[-1]() is None) == (device == "cpu")


@pytest.mark.parametrize("cls", [SWA, EMA])
def test_only_the_average_goes_to_its_device(cls: type[Averager]) -> None:
    """With torch's device without data in place of a second one."""
    model = Adapted()
    averager = cls(model, device="meta")
    for _ in range(3):
        averager.step(model)
        averager.update(model, lambda _: 0.0)
    assert {p.device.type for p in averager.module.parameters()} == {"meta"}
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert [p.requires_grad for p in averager.module.parameters()] == [False] * 2 + [True] * 2
