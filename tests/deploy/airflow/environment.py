"""Airflow's own environment, in which the DAG is read."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PYTHON = CHECKOUT / ".venv-airflow/bin/python"
needs_airflow = pytest.mark.skipif(
    not PYTHON.exists(), reason="there is no .venv-airflow: make setup-airflow makes it"
)


def settings_file(folder: Path, **settings: Any) -> Path:
    """Writes a file of settings: JSON's strings, numbers and lists are TOML's, too."""
    path = folder / "cells.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    return path


def answer(code: str, folder: Path, **settings: Any) -> Any:
    """What a program prints as JSON, as its last line, in Airflow's environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(CHECKOUT),
        "UNET_AIRFLOW": str(settings_file(folder, **settings)),
    }
    done = subprocess.run(
        [PYTHON, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
