"""Arrays in a safetensors file, whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import save_file

from vlmbench.foundations.atomic import atomic_path, cannot_write


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Writes contiguous arrays by name, and text about them.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata=dict(metadata) if metadata else None)
        except SafetensorError as error:  # its wrapper of a full or read-only disk
            raise cannot_write(path, OSError(str(error))) from error
