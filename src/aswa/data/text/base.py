"""Which run a base model is of: its size, run_id and checksum, named in a configuration."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from aswa.config.schema import ConfigError
from aswa.kinds.declaration import Plain

SIZE = ("layers", "heads", "dim", "context")


def fill_base(plain: Plain) -> list[Path]:
    """Fill in what the record of `model.base` says, and check what was given.

    Returns:
        the files whose bytes it named.

    Raises:
        ConfigError: there is no such run, or it is another one, or of another vocabulary.
    """
    model, dataset = plain["model"], plain["dataset"]
    if not model.get("base"):
        raise ConfigError(
            "model.base: the folder of a finished run with save_weights=true, such as "
            "model.base=results/runs/austen/gpt/0123456789ab"
        )
    folder = Path(model["base"]).expanduser()
    weights = folder / "weights" / f"{model['base_method']}.pt"
    try:
        record = json.loads((folder / "result.json").read_bytes())
        content = weights.read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"model.base={folder}: not the folder of a finished run that kept weights of "
            f"{model['base_method']} ({error}); train it with save_weights=true"
        ) from None
    found = {
        "base_run_id": record["run_id"],
        "base_sha256": hashlib.sha256(content).hexdigest(),
        **{key: record["config"]["model"].get(key) for key in SIZE},
    }
    for key, value in found.items():
        if model.get(key) not in (None, value):
            raise ConfigError(f"model.{key}={model[key]}: the base in {folder} has {value}")
        model[key] = value
    for key in ("vocabulary", "fold"):
        if (theirs := record["config"]["dataset"].get(key)) != dataset[key]:
            raise ConfigError(f"dataset.{key}={dataset[key]}: the base was trained with {theirs}")
    if dataset["vocabulary"] == "bpe":
        raise ConfigError(
            "dataset.vocabulary=bpe: its tokens are learned from the training text, so a base of "
            "another text has others; take characters or bytes"
        )
    return [folder / "result.json", weights]
