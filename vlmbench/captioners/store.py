"""Captions are generated once: a JSONL file in the cache directory for each model and decoding.

``captions/<model>-<decoding>/captions.jsonl`` holds ``{"image": sha256, "caption": text, "checksum": …}`` per line,
added as soon as a batch is done and flushed to the disk, so that a killed run loses at most its current batch. A line
truncated by a kill is not JSON and is ignored; the next one starts on a new line. A line whose checksum
(which includes the directory's name) does not match is ignored with a warning; one of image and caption alone, from an
earlier version, is accepted. ``key.json`` next to it has the data that the key is a digest of.

With a shared cache (`foundations.shared`) captions also lie in ``shared-<digest>.jsonl`` files of the same lines, which
never change: a run fetches those that are lacking here, and puts one there for every `SHARED` captions it made, and for
the rest at its end.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

from vlmbench.foundations.atomic import cannot_write, flush_directory, require_writable, write_bytes, write_json
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import damaged
from vlmbench.foundations.shared import SharedCache
from vlmbench.foundations.versions import encoding_versions
from vlmbench.records.result import ModelFacts

SHARED = 1000
"""Captions after which what was made is put into the shared cache."""
FILES = 10_000
"""Shared files that are looked at."""
_SHARED = re.compile(r"shared-[0-9a-f]{32}\.jsonl")


class CaptionStore:
    """The captions of one model decoded in one way, by the SHA-256 of the image.

    Args:
        model: the captioner's part of a record; its weights' hash counts (for an endpoint: of address and name).
        decoding: everything else that decides a caption, as JSON values.
        version: `CaptionerKind.store_version`.

    The versions of what runs models count too, but for an endpoint, which runs elsewhere.
    """

    def __init__(
        self,
        cache_dir: Path,
        model: ModelFacts,
        decoding: Mapping[str, Any],
        version: int = 1,
        shared: SharedCache | None = None,
    ) -> None:
        weights = model.weights_sha256
        key = {"version": version, "weights_sha256": weights, "decoding": dict(decoding)}
        key |= {"versions": encoding_versions()} if model.kind != "endpoint" else {}
        self.directory = cache_dir / "captions" / f"{weights[:16]}-{digest(key)[:16]}"
        self.path = self.directory / "captions.jsonl"
        require_writable(self.directory)
        if not (self.directory / "key.json").exists():
            write_json(self.directory / "key.json", key)
        self._captions, whole = self._read(self.path)
        self._shared, self._own = shared, dict[str, str]()
        self._fetch()
        try:
            binary = getattr(os, "O_BINARY", 0)  # Windows' files are text otherwise
            self._handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | binary, 0o666)
            flush_directory(self.directory)
            if not whole:
                os.write(self._handle, b"\n")
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def get(self, image: str) -> str | None:
        """The caption of the image with this SHA-256, if stored."""
        return self._captions.get(image)

    def add(self, captions: Mapping[str, str]) -> None:
        """Stores captions by image; when this returns they are on disk."""
        if not captions:
            return
        data = self._lines(captions)
        try:
            while data:
                data = data[os.write(self._handle, data) :]
            os.fsync(self._handle)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._captions.update(captions)
        self._own.update(captions)
        if len(self._own) >= SHARED:
            self._put()

    def __len__(self) -> int:
        return len(self._captions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)
        self._put()

    def _fetch(self) -> None:
        """Takes in what other runs have put into the shared cache; what this store alone has is put there later."""
        shared, found = self._shared, dict[str, str]()
        elsewhere = shared.names(self.directory) or () if shared is not None else ()
        local = [path.name for path in self.directory.glob("shared-*.jsonl")]
        for name in sorted({*local, *islice(filter(_SHARED.fullmatch, elsewhere), FILES)}):
            path = self.directory / name
            read = partial(self._read_shared, path)
            found |= read() or (shared.take(path, read) if shared is not None else None) or {}
        self._own = {image: text for image, text in self._captions.items() if image not in found}
        self._captions = found | self._captions

    def _put(self) -> None:
        """Puts into the shared cache what it lacks."""
        if self._shared is None or not self._own:
            return
        data = self._lines(self._own)
        path = self.directory / f"shared-{hashlib.sha256(data).hexdigest()[:32]}.jsonl"
        write_bytes(path, data)
        if not self._shared.put(path):
            path.unlink()  # it is tried again at the next run
        self._own = {}

    def _read_shared(self, path: Path) -> dict[str, str] | None:
        """The captions of a shared file; none where it is not what its name says."""
        try:
            sound = hashlib.sha256(path.read_bytes()).hexdigest()[:32] in path.name
        except OSError:
            return None
        return self._read(path)[0] if sound else None

    def _lines(self, captions: Mapping[str, str]) -> bytes:
        lines = [
            json.dumps({"image": image, "caption": text, "checksum": self._checksum(image, text)}, ensure_ascii=True)
            for image, text in captions.items()
        ]
        return ("\n".join(lines) + "\n").encode()

    def _read(self, path: Path) -> tuple[dict[str, str], bool]:
        """The captions in a file, and whether it ends with a whole line."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return {}, True
        found: dict[str, str] = {}
        lines = data.split(b"\n")
        for line in filter(None, lines):
            try:
                entry = json.loads(line)
                image, caption = str(entry["image"]), str(entry["caption"])
                if set(entry) != {"image", "caption"} and entry["checksum"] != self._checksum(image, caption):
                    raise ValueError("changed")
                found[image] = caption
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                if line is not lines[-1]:  # else truncated by a kill: that image is captioned again
                    damaged(path)
        return found, not data or data.endswith(b"\n")

    def _checksum(self, image: str, caption: str) -> str:
        return digest([self.directory.name, image, caption])[:16]
