"""The notebook of the documentation: its cells run one after the other, and it is stored without outputs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import CHECKOUT, DOCS

NOTEBOOK = DOCS / "how-to" / "notebook.ipynb"
IMAGES = 12  # of the bundled ones, the small ones
LARGEST = 1 << 16  # bytes


def code_cells() -> list[dict]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_it_is_stored_without_outputs():
    assert len(code_cells()) > 5
    assert [(cell["outputs"], cell["execution_count"]) for cell in code_cells() if cell["outputs"]] == []


@pytest.mark.docs
def test_its_cells_run(tmp_path: Path):
    here = tmp_path / "docs" / "how-to"
    here.mkdir(parents=True)
    for name in ("unet_pipeline.py", "run_pipeline.py", "pipeline", "components", "unet"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    small = [p for p in sorted((CHECKOUT / "data/nuclei/images").iterdir()) if p.stat().st_size < LARGEST]
    for kind in ("images", "masks"):
        (tmp_path / "data/nuclei" / kind).mkdir(parents=True)
        for path in small[:IMAGES]:
            (tmp_path / "data/nuclei" / kind / path.name).symlink_to(path.parents[1] / kind / path.name)
    cells = ["".join(cell["source"]) for cell in code_cells()]
    few = [re.sub(r"steps=200, validate_every=100", "steps=10, validate_every=10, patch_size=316", cell)
           for cell in cells]  # fmt: skip
    assert few != cells
    program = (
        "import json, sys\n"
        "names = {'__name__': '__main__'}\n"
        "for number, cell in enumerate(json.load(sys.stdin)):\n"
        "    exec(compile(cell, f'<cell {number}>', 'exec'), names)\n"
        "assert names['run'].status == 'pushed', names['run']\n"
        "assert names['mask'].shape == names['image'].shape\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(few), cwd=here, text=True, capture_output=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
