"""A child process that ends with its parent, however this one ends: `kill -9` runs no handler of anybody."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence


def run_child(command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs a program that ends at the end of its standard input, in the folder of temporary files.

    Args:
        command: the program and its arguments.
        timeout: seconds after which the program is killed.

    Raises:
        subprocess.TimeoutExpired: it did not end in time.
    """
    reading, writing = os.pipe()  # nobody writes: its end is that of this process
    try:
        return subprocess.run(
            command,
            stdin=reading,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tempfile.gettempdir(),
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing)
