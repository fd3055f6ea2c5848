"""Run the notebooks from their scripts and write them with outputs: `make notebooks`."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbclient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


def main() -> None:
    """Each `.py` of notebooks/ becomes the `.ipynb` beside it."""
    for script in sorted(FOLDER.glob("*.py")):
        notebook = jupytext.read(script)
        nbclient.NotebookClient(
            notebook, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
        ).execute()
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{number}"
            cell.get("metadata", {}).pop("execution", None)  # times of day
        jupytext.write(notebook, script.with_suffix(".ipynb"))
        print(script.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main()
