"""Models of transformers from a folder: a tiny random Llama, written here; nothing of a hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from aswa.config import ConfigError, load
from aswa.sweeping.plan import check_run
from aswa.tasks.language_modeling import LanguageModeling
from aswa.training.session import execute

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

WORDS = ["dataset=austen", "model=hf_causal_lm", "model.context=16", "model.r=2", "device=cpu",
         "dataset.train_size=2048", "dataset.valid_size=300", "dataset.test_size=300",
         "batch_size=8", "epochs=2", "lr=0.01", "task=language_modeling",
         "task.sample=5"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """config.json, model.safetensors, tokenizer.json of 300 byte pairs."""
    path = tmp_path_factory.mktemp("llama")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(["it is a truth universally acknowledged "] * 9, trainer)
    tokenizer.save(str(path / "tokenizer.json"))
    sizes = transformers.LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(sizes).save_pretrained(path)
    return path


def test_a_run_adapts_the_model_of_a_folder(folder: Path, tmp_path: Path) -> None:
    words = [*WORDS, f"model.path={folder}", f"results_dir={tmp_path}", "optimizer=all"]
    config = load([*words, "save_weights=true"])
    assert config.model.options["path_sha256"] and config.dataset.options["vocabulary"] == "model"
    record = execute(config, report=lambda _: None)
    rows = {
        (r["optimizer"], r["metric"]): r["value"] for r in record["rows"] if r["split"] == "test"
    }
    assert rows["aswa", "loss"] < 8 and rows["aswa", "bits_per_byte"] > 0
    kept = torch.load(config.folder / "weights" / "aswa.pt", weights_only=True)
    assert len(kept) == 2 * 2 * 2 and all(name[-2:] in (".A", ".B") for name in kept)
    task = LanguageModeling(config, torch.device("cpu"))
    text = "It is not; “Naive”."
    assert task.vocabulary.decode(task.vocabulary.encode(text)) == text
    model = task.build_model(torch.Generator())
    whole = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = torch.arange(16)[None]
    assert torch.equal(model(tokens), whole(input_ids=tokens, use_cache=False).logits)


def test_what_is_no_such_folder_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json, tokenizer\.json, \*\.safetensors"):
        load([*WORDS, f"model.path={tmp_path}"])
    with pytest.raises(ConfigError, match=r"model\.path: the folder"):
        load(WORDS)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    said = json.loads((tmp_path / "config.json").read_text())
    remote = {"auto_map": {"AutoModelForCausalLM": "code.Model"}, "model_type": "unheard_of"}
    (tmp_path / "code.py").write_text("raise SystemExit('code of the folder ran')\n")
    (tmp_path / "config.json").write_text(json.dumps({**said, **remote}))
    with pytest.raises(ConfigError, match=r"model\.path="):
        check_run(load([*WORDS, f"model.path={tmp_path}"]))
