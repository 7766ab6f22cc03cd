"""The walkthrough runs from top to bottom, and what is stored in it reads well."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from helpers import REPOSITORY

PATH = REPOSITORY / "docs" / "walkthrough.ipynb"


@pytest.mark.filterwarnings("default")  # of Jupyter's own
def test_runs(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(PATH, 4)
    cells = [cell for cell in notebook.cells if "install" not in cell.metadata.get("tags", [])]
    assert len(cells) == len(notebook.cells) - 1
    notebook.cells = cells
    code = "\n".join(cell.source for cell in cells)
    for old, new in (("EPOCHS = 10", "EPOCHS = 2"), ('source="auto"', 'source="sample"')):
        assert old in code
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    monkeypatch.setenv("IPYTHONDIR", str(empty_folder / "ipython"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    said = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert "mnist-sample-5k" in said and "best epoch on validation: " in said
    assert Path("exported/mnist.h5").is_file() and Path("runs/walkthrough/version_0").is_dir()


def test_outputs_are_stored_and_small() -> None:
    notebook = nbformat.read(PATH, 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    silent = [cell for cell in code if not cell.outputs]
    assert len(silent) <= 2  # installing, importing
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
    assert PATH.stat().st_size < 500_000
