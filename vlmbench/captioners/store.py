"""Captions are generated once: a JSONL file in the cache directory for each model and decoding.

``captions/<model>-<decoding>/captions.jsonl`` holds ``{"image": sha256, "caption": text, "checksum": …}`` per line,
added as soon as a batch is done and flushed to the disk, so that a killed run loses at most its current batch. A line
truncated by a kill is not JSON and is ignored; the next one starts on a new line. A line whose checksum
(which includes the directory's name) does not match is ignored with a warning; one without, from an earlier version, is
accepted. ``key.json`` next to it has the data that the key is a digest of.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vlmbench.foundations.atomic import cannot_write, flush_directory, require_writable, write_json
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import damaged
from vlmbench.foundations.versions import encoding_versions
from vlmbench.records.result import ModelFacts


class CaptionStore:
    """The captions of one model decoded in one way, by the SHA-256 of the image.

    Args:
        cache_dir: the cache directory.
        model: the captioner's part of a record; its weights' hash counts (for an endpoint: of address and name).
        decoding: everything else that decides a caption, as JSON values.
        version: `CaptionerKind.store_version`.

    The versions of what runs models count too, but for an endpoint, which runs elsewhere.

    Raises:
        OutputError: the directory cannot be written.
    """

    def __init__(self, cache_dir: Path, model: ModelFacts, decoding: Mapping[str, Any], version: int = 1) -> None:
        weights = model.weights_sha256
        key = {"version": version, "weights_sha256": weights, "decoding": dict(decoding)}
        key |= {"versions": encoding_versions()} if model.kind != "endpoint" else {}
        self.directory = cache_dir / "captions" / f"{weights[:16]}-{digest(key)[:16]}"
        self.path = self.directory / "captions.jsonl"
        require_writable(self.directory)
        if not (self.directory / "key.json").exists():
            write_json(self.directory / "key.json", key)
        self._captions, whole = self._read()
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
        """Stores captions by image; when this returns they are on disk.

        Raises:
            OutputError: they cannot be written.
        """
        if not captions:
            return
        lines = [
            json.dumps({"image": image, "caption": text, "checksum": self._checksum(image, text)}, ensure_ascii=True)
            for image, text in captions.items()
        ]
        data = ("\n".join(lines) + "\n").encode()
        try:
            while data:
                data = data[os.write(self._handle, data) :]
            os.fsync(self._handle)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._captions.update(captions)

    def __len__(self) -> int:
        return len(self._captions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)

    def _read(self) -> tuple[dict[str, str], bool]:
        """The captions in the file, and whether it ends with a whole line."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}, True
        found: dict[str, str] = {}
        lines = data.split(b"\n")
        for line in filter(None, lines):
            try:
                entry = json.loads(line)
                image, caption = str(entry["image"]), str(entry["caption"])
                if entry.get("checksum", entry) not in (self._checksum(image, caption), entry):
                    raise ValueError("changed")
                found[image] = caption
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                if line is not lines[-1]:  # else truncated by a kill: that image is captioned again
                    damaged(self.path)
        return found, not data or data.endswith(b"\n")

    def _checksum(self, image: str, caption: str) -> str:
        return digest([self.directory.name, image, caption])[:16]
