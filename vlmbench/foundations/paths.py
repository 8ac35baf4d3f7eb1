"""Where things lie: the cache directory and the log."""

import os
import re
from pathlib import Path

from platformdirs import user_cache_path

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def default_cache_dir() -> Path:
    """``$VLMBENCH_CACHE_DIR``, else the platform's cache directory for vlmbench."""
    named = os.environ.get("VLMBENCH_CACHE_DIR")
    return Path(named) if named else user_cache_path("vlmbench", appauthor=False)


def slug(text: str, *, longest: int = 60) -> str:
    """`text` as part of a file name: letters, digits, dot, dash and underscore; never empty, never hidden."""
    cleaned = _UNSAFE.sub("-", text).strip("-._")
    return cleaned[:longest].rstrip("-._") or "unnamed"
