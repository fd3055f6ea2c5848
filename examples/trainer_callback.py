"""ASWA in `transformers.Trainer`: a small GPT-2 learns the facts of UMLS as three-word sentences.

    pip install 'aswa[transformers]'
    OMP_NUM_THREADS=1 python examples/trainer_callback.py

No download: the facts are part of aswa, the model starts from random weights.
"""

import tempfile
from importlib.resources import files

from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

from aswa.averaging import ASWA, EMA
from aswa.integrations.transformers import AveragingCallback

UMLS = files("aswa") / "data" / "embedded" / "umls"
WORDS = sorted(set((UMLS / "train.txt").read_text().split()))
NUMBERS = {word: number for number, word in enumerate(WORDS)}


def sentences(split: str) -> list[dict[str, list[int]]]:
    """Head, relation and tail of each fact as three tokens."""
    lines = (UMLS / f"{split}.txt").read_text().splitlines()
    facts = [[NUMBERS[word] for word in line.split()] for line in lines]
    return [{"input_ids": fact, "labels": fact} for fact in facts]


def main(folder: str, epochs: int = 10) -> None:
    set_seed(0)
    config = GPT2Config(n_layer=1, n_embd=32, n_head=2, n_positions=4, vocab_size=len(WORDS))
    args = TrainingArguments(
        output_dir=folder,
        num_train_epochs=epochs,
        per_device_train_batch_size=128,
        per_device_eval_batch_size=256,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        eval_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    train, valid, model = sentences("train"), sentences("valid"), GPT2LMHeadModel(config)
    trainer = Trainer(model=model, args=args, train_dataset=train, eval_dataset=valid)
    methods = {"aswa": ASWA, "ema": lambda model: EMA(model, half_life=40)}
    averaging = AveragingCallback(methods).attach(trainer)
    trainer.train()

    print(f"members of the ASWA average: {averaging.averagers['aswa'].n_averaged}")
    for name in ("running", "aswa", "ema"):
        if name in methods:
            trainer.model = GPT2LMHeadModel.from_pretrained(f"{folder}/{name}")
        test = trainer.evaluate(sentences("test"), metric_key_prefix="test")
        print(f"{name}: loss {test['test_loss']:.4f} on the test split")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
