"""Folders of Hugging Face models on disk: their bytes, and their tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from aswa.config.schema import ConfigError
from aswa.data.text.alphabet import UNKNOWN
from aswa.data.text.vocabulary import Ids
from aswa.kinds.declaration import Plain

TOKENIZER = "tokenizer.json"


def fill_folder(plain: Plain) -> list[Path]:
    """Name the bytes of `model.path`; the text is read with its tokenizer.

    Returns:
        the files whose bytes it named.

    Raises:
        ConfigError: the folder is not there, or lacks a file.
    """
    model = plain["model"]
    if not model.get("path"):
        raise ConfigError("model.path: the folder of a Hugging Face model on this machine")
    folder = Path(model["path"]).expanduser()
    weights = sorted(folder.glob("*.safetensors"))
    files = [folder / "config.json", folder / TOKENIZER, *weights]
    lacking = [file.name for file in files if not file.is_file()]
    lacking += [] if weights else ["*.safetensors"]
    if lacking:
        raise ConfigError(
            f"model.path={folder}: no {', '.join(lacking)} in it; a folder is needed as "
            "save_pretrained of transformers writes it"
        )
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    found = digest.hexdigest()
    if model.get("path_sha256") not in (None, found):
        raise ConfigError(f"model.path={folder}: its files have path_sha256={found}")
    model["path_sha256"] = found
    plain["dataset"]["vocabulary"] = "model"
    return files


class ModelTokens:
    """The tokens of a model's tokenizer.json.

    Raises:
        ValueError: the model has no folder, or the library tokenizers is not installed.
    """

    def __init__(self, path: str | None) -> None:
        if path is None:
            raise ValueError("dataset.vocabulary=model: this model brings no tokenizer")
        try:
            import tokenizers
        except ImportError:
            raise ValueError(
                "model=hf_causal_lm: tokenizers is not installed; pip install 'aswa[llm]'"
            ) from None
        self._model = tokenizers.Tokenizer.from_file(str(Path(path).expanduser() / TOKENIZER))
        self._model.no_truncation()
        self._model.no_padding()
        self.size = int(self._model.get_vocab_size())

    def encode(self, text: str) -> Ids:
        plain = text.replace(UNKNOWN, "\0")
        return np.array(self._model.encode(plain, add_special_tokens=False).ids, np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return str(self._model.decode([int(each) for each in ids], skip_special_tokens=False))

    def n_bytes(self, ids: Ids) -> int:
        return len(self.decode(ids).encode())
