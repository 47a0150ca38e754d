"""Large temporary arrays on disk, which bound the memory and vanish with the process in any case."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unet.images.raster import ImageError

IN_MEMORY = 1 << 27  # bytes up to which an array stays in memory


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None = None) -> NDArray[Any]:
    """Allocates an array; above `IN_MEMORY` bytes it is mapped to a temporary file without a name.

    Args:
        shape: shape of the array.
        dtype: type of the array's elements.
        folder: folder of the temporary file; None: the system's temporary folder.

    Raises:
        ImageError: the disk has no room for the array.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    place = str(folder or tempfile.gettempdir())
    try:
        # Without a name from the start: a killed process leaves nothing behind.
        with tempfile.TemporaryFile(dir=place) as file:
            # All blocks are allocated now: on a full disk, writing to the mapped file would kill the process.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        found = f"needs {size / 1e9:.1f} GB in {place} for a while ({error.strerror})"
        raise ImageError(found, "make room there") from error
