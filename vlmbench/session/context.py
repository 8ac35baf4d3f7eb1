"""What every run is given: where to write, where the cache is, which device, how to report."""

import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from vlmbench.foundations.cpu import cores
from vlmbench.foundations.launch import Launch, local_count
from vlmbench.foundations.paths import default_cache_dir
from vlmbench.foundations.progress import Reporter, Silent
from vlmbench.foundations.shared import SharedCache

if TYPE_CHECKING:
    from vlmbench.session.pool import Pool

FULL, REDUCED = DECODINGS = ("full", "reduced")


@dataclass(frozen=True)
class Context:
    """The common options of the command line, as a program would give them."""

    out: Path = Path("results")
    cache_dir: Path = field(default_factory=default_cache_dir)
    shared: SharedCache | None = None
    """A copy of the cache directory that machines share."""
    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"
    batch_size: int = 64
    workers: int | None = 0
    """Decoding threads; none: as many as suit the machine and the device."""
    seed: int = 0
    offline: bool = False
    on_bad_image: str = "error"
    decode: str = FULL
    trust_remote_code: bool = False
    reporter: Reporter = field(default_factory=Silent)
    launch: Launch | None = None
    pool: "Pool | None" = None
    """Workers that encode; none: this process does."""

    @property
    def threads(self) -> int:
        """Threads that decode images; by default one per core of this process, but one; 8 at most."""
        return max(0, min(8, cores() // local_count() - 1)) if self.workers is None else self.workers


class Stopwatch:
    """Collects the volatile facts that go into ``run.json``."""

    def __init__(self) -> None:
        self._started = time.time()
        self._clock = time.perf_counter()

    def facts(self, work: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """When, where and how long; and what is known of the `work` itself."""
        return {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
            "seconds": round(time.perf_counter() - self._clock, 3),
            "host": platform.node(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "command": list(sys.argv),
            **work,
        }


def go_offline() -> None:
    """Switches the hub clients off, before they are imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
