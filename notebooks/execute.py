"""Execute notebooks and write them with their pictures: ``python notebooks/execute.py [NAME…]``.

The scripts are the source; each ``NAME.ipynb`` is made from ``NAME.py``. Without names: all of them.
"""

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("[0-9]*.py"))
_SECONDS = 1800  # of one cell
_COLOURS = 256  # of a picture: with all of them, notebooks of many dots are megabytes
_QUIET = {"PYTHONWARNINGS": "ignore:IProgress not found"}  # of tqdm, where ipywidgets are not installed


def execute(script: Path, parameters: Mapping[str, Any] | None = None, folder: Path = HERE) -> NotebookNode:
    """Run a notebook from its first cell to its last.

    Args:
        script: its .py.
        parameters: new values for the variables of the cell that is tagged ``parameters``, plain values.
        folder: where it runs; paths in it are relative to this.

    Returns:
        The notebook with all outputs, as .ipynb has it.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = jupytext.read(script)
    for place, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{place}"  # random ones would be new each time
    given = "\n".join(f"{name} = {value!r}" for name, value in (parameters or {}).items())
    for cell in notebook.cells:
        if given and "parameters" in cell.metadata.get("tags", []):
            cell["source"] += f"\n{given}"
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook, timeout=_SECONDS, kernel_name="python3", resources=resources, record_timing=False
    ).execute(env=os.environ | _QUIET)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
    notebook.metadata.pop("language_info", None)  # tells this machine's Python version
    return notebook


def smaller(png: str) -> str:
    """The same picture with fewer colours; both in base64."""
    image = Image.open(BytesIO(base64.b64decode(png))).convert("RGB")
    file = BytesIO()
    few = image.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # rare ones stay
    few.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main(names: Sequence[str]) -> None:
    """Execute the named notebooks, by the beginning of their names, and write them beside their scripts."""
    for name in names:
        if not any(script.name.startswith(name) for script in SCRIPTS):
            there = ", ".join(script.stem for script in SCRIPTS)
            sys.exit(f"error: no notebook's name begins with {name}; choose from {there}.")
    for script in SCRIPTS:
        if not names or script.name.startswith(tuple(names)):
            nbformat.write(execute(script), script.with_suffix(".ipynb"))
            print(f"{script.with_suffix('.ipynb').name}")


if __name__ == "__main__":
    main(sys.argv[1:])
