"""Low-rank adapters: what stays, what moves, and the same numbers as peft."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aswa.averaging import ASWA, EMA, SGD, SWA, EarlyStopping
from aswa.models.text.gpt import GPT
from aswa.models.text.lora import Adapted, LowRankLinear, merged

TOKENS = torch.randint(11, (4, 9), generator=torch.Generator().manual_seed(5))


def base_gpt() -> GPT:
    return GPT(11, 2, 2, 16, 8, generator=torch.Generator().manual_seed(0))


def adapted(base: nn.Module, **options: Any) -> Adapted:
    generator = torch.Generator().manual_seed(1)
    return Adapted(base, ["q", "v"], r=4, alpha=8.0, generator=generator, **options)


def loss_of(model: nn.Module) -> torch.Tensor:
    return F.cross_entropy(model(TOKENS[:, :-1]).flatten(0, 1), TOKENS[:, 1:].flatten())


def train(model: nn.Module, steps: int = 5, after: Any = lambda model: None) -> None:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        after(model)


def test_with_b_zero_the_base_is_there_bit_for_bit_and_it_never_moves() -> None:
    base = base_gpt()
    before = {name: p.clone() for name, p in base.named_parameters()}
    logits = base(TOKENS[:, :8])
    model = adapted(copy.deepcopy(base))
    assert torch.equal(model(TOKENS[:, :8]), logits)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 2 * 2 and all(name[-2:] in (".A", ".B") for name in trained)
    train(model)
    assert not torch.equal(model(TOKENS[:, :8]), logits)
    frozen = {n.replace(".base.", ".").removeprefix("model."): p
              for n, p in model.named_parameters() if not p.requires_grad}  # fmt: skip
    assert frozen.keys() == before.keys()
    assert all(torch.equal(p, before[name]) for name, p in frozen.items())


def test_averages_hold_the_adapters_alone_and_share_the_base() -> None:
    model = adapted(base_gpt())
    averagers = [SGD(model), SWA(model), EMA(model, decay=0.5), EarlyStopping(model), ASWA(model)]

    def after(model: nn.Module) -> None:
        for each in averagers:
            each.step(model)
            each.update(model, lambda m: -float(loss_of(m).detach()))

    train(model, after=after)
    storages = {
        p.data_ptr() for each in averagers for p in each.module.parameters() if not p.requires_grad
    }
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert storages == {p.data_ptr() for p in frozen}
    mean = averagers[1].module
    own = dict(model.named_parameters())
    moved = [name for name, p in mean.named_parameters() if not torch.equal(p, own[name])]
    assert moved == [name for name, p in own.items() if p.requires_grad]
    assert averagers[1].state_dict()["weights"].keys() == set(moved)


def test_a_state_is_the_adapters_and_loads_onto_the_same_base() -> None:
    model = adapted(base_gpt())
    train(model)
    state = model.state_dict()
    assert state.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    other = adapted(base_gpt())
    other.load_state_dict(state)
    assert torch.equal(other(TOKENS[:, :8]), model(TOKENS[:, :8]))
    del state[next(iter(state))]
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict(state)


def test_merged_is_unmerged() -> None:
    model = adapted(base_gpt(), dropout=0.1).eval()
    train(model)
    with torch.no_grad():
        before = model(TOKENS[:, :8])
        bare = merged(copy.deepcopy(model))
    assert isinstance(bare, GPT)
    torch.testing.assert_close(bare(TOKENS[:, :8]), before, rtol=1e-5, atol=1e-6)


def test_the_product_of_mean_factors_is_not_the_mean_product() -> None:
    """Averages are of factors: documented, so that nobody takes one for the other."""
    layers = []
    for sign in (1.0, -1.0):
        layer = LowRankLinear(nn.Linear(3, 3), 1, 1.0)
        with torch.no_grad():
            layer.A.fill_(sign)
            layer.B.fill_(sign)
        layers.append(layer)
    swa = SWA(layers[0])
    for layer in layers:
        swa.update(layer, lambda _: 0.0)
    mean = swa.module
    assert isinstance(mean, LowRankLinear)
    assert not bool(mean.product().any())
    assert torch.equal(layers[0].product(), torch.ones(3, 3))
    assert torch.equal(layers[1].product(), torch.ones(3, 3))


def test_a_wrong_target_is_told_the_right_ones() -> None:
    with pytest.raises(ValueError, match="no linear layer 'query'; there are: q, k, v, out"):
        Adapted(base_gpt(), ["query"], 4, 8.0)


def test_outputs_and_training_are_those_of_peft() -> None:
    """The same base, A and B: logits and five steps of AdamW agree to 1e-6."""
    peft = pytest.importorskip("peft")
    ours = adapted(base_gpt())
    config = peft.LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=["q", "v"])
    theirs = peft.inject_adapter_in_model(config, base_gpt())
    own = dict(ours.model.named_parameters())
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            if ".lora_" in name:
                place, _, matrix = name.removesuffix(".default.weight").rpartition(".lora_")
                p.copy_(own[f"{place}.{matrix}"])
    for _ in range(2):
        torch.testing.assert_close(ours(TOKENS[:, :8]), theirs(TOKENS[:, :8]), rtol=1e-6, atol=1e-6)
        train(ours)
        train(theirs)
