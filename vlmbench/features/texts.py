"""The text side of the store: small files of class weights and of text embeddings, each with the model's logit scale.

Nothing else reads or writes them. Embeddings are stored un-normalised, a file for each batch of texts, as soon as the
batch is done: a run that is stopped goes on from there. Sparse rows (`scipy.sparse.csr_array`) are stored as their
numbers, columns and row ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from vlmbench.encoders.base import TEXT_BATCH, Scale, TextEncoder
from vlmbench.encoders.files import ModelFiles
from vlmbench.features.store import array_sha256
from vlmbench.features.tensors import write_tensors
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import damaged
from vlmbench.foundations.progress import Advance
from vlmbench.foundations.shared import SharedCache
from vlmbench.foundations.versions import encoding_versions
from vlmbench.metrics.rows import is_sparse

_NAME = "values"
_SPARSE = ("data", "indices", "indptr")

FORMAT = 2
"""Files of format 1 are not read: un-normalised and unit-norm embeddings stood there under one key."""

EMBEDDINGS = "embeddings"
"""Un-normalised text embeddings, a row a text."""
WEIGHTS = "class-weights"
"""A zero-shot classifier, a unit-norm row a class."""


@dataclass(frozen=True)
class TextKey:
    """Everything that decides a file; a change of any field is another file.

    Attributes:
        kind: `EMBEDDINGS` or `WEIGHTS`: what the rows are.
        weights_sha256: of the model.
        preprocessing_sha256: of its configuration.
        tokenizer_sha256: of its tokenizer.
        precision: it runs in.
        content: digest of the texts.
        versions: the packages that encode them.
        format: of the file.
        engine: that it runs in; none: torch.
    """

    kind: str
    weights_sha256: str
    preprocessing_sha256: str
    tokenizer_sha256: str
    precision: str
    content: str
    versions: Mapping[str, str]
    format: int = FORMAT
    engine: str | None = None

    @cached_property
    def name(self) -> str:
        """64 hexadecimal digits; the file is called after the first 32."""
        return digest({name: value for name, value in asdict(self).items() if value is not None})


class TextStore:
    """The texts of one model.

    Attributes:
        cache_dir: where the store is.
        files: what identifies the model.
        precision: it runs in.
        engine: that it runs in; none: torch.
        shared: the shared cache, if any.
    """

    def __init__(
        self,
        cache_dir: Path,
        files: ModelFiles,
        precision: str,
        engine: str | None = None,
        shared: SharedCache | None = None,
    ) -> None:
        self.cache_dir, self.files, self.precision, self.engine = cache_dir, files, precision, engine
        self.shared = shared

    def embeddings(
        self, texts: Sequence[str], encoder: Callable[[], TextEncoder], advance: Advance
    ) -> tuple[np.ndarray, Scale]:
        """Un-normalised embeddings [T, D] float32 of texts, each text embedded once, and the model's scale.

        Args:
            texts: [T], at least one.
            encoder: gives the model, where the store lacks a batch.
            advance: hears of the distinct texts that are done.
        """
        unique = list(dict.fromkeys(texts))
        parts = []
        for start in range(0, len(unique), TEXT_BATCH):
            batch = unique[start : start + TEXT_BATCH]
            parts.append(self.get(EMBEDDINGS, digest(batch), partial(_embedded, encoder, batch)))
            advance(len(batch))
        values, scale = np.concatenate([values for values, _ in parts]), parts[0][1]
        if len(unique) < len(texts):
            place = {text: row for row, text in enumerate(unique)}
            values = values[[place[text] for text in texts]]
        return values, scale

    def get(self, kind: str, content: str, make: Callable[[], tuple[Any, Scale]]) -> tuple[Any, Scale]:
        """The values and the scale under a key; made and stored where they are not there, or damaged.

        Args:
            kind: `EMBEDDINGS` or `WEIGHTS`.
            content: digest of the texts.
            make: makes them.
        """
        files = self.files
        hashes = (files.weights_sha256, files.preprocessing_sha256, files.tokenizer_sha256)
        key = TextKey(kind, *hashes, self.precision, content, encoding_versions(self.engine), engine=self.engine)
        path, read = _path(self.cache_dir, key), partial(read_texts, self.cache_dir, key)
        stored = read()
        if stored is None and self.shared is not None:
            stored = self.shared.take(path, read)
        if stored is None:
            stored = make()
            write_texts(self.cache_dir, key, *stored)
            if self.shared is not None:
                self.shared.put(path)
        return stored


def read_texts(cache_dir: Path, key: TextKey) -> tuple[Any, Scale] | None:
    """What `write_texts` stored under `key`; none where it is absent or damaged."""
    try:
        with safe_open(_path(cache_dir, key), framework="numpy") as handle:
            facts = handle.metadata() or {}
            if "columns" in facts:
                from scipy.sparse import csr_array

                parts = [handle.get_tensor(name) for name in _SPARSE]
                values: Any = csr_array(tuple(parts), shape=(len(parts[-1]) - 1, int(facts["columns"])))
            else:
                values = handle.get_tensor(_NAME)
        scale = Scale(float(facts["scale"]), float(facts["bias"]))
        if facts.get("key") == key.name and facts.get("sha256") == _digest(values, scale):
            return values, scale
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        pass
    damaged(_path(cache_dir, key))
    return None


def write_texts(cache_dir: Path, key: TextKey, values: Any, scale: Scale) -> None:
    """Stores values [M, D] float32, dense or sparse, and the scale, under `key`.

    Raises:
        OutputError: it cannot be written.
    """
    values = values.astype(np.float32) if is_sparse(values) else np.ascontiguousarray(values, np.float32)
    facts = {
        "key": key.name,
        "sha256": _digest(values, scale),
        "scale": repr(scale.scale),
        "bias": repr(scale.bias),
    }
    tensors = {name: getattr(values, name) for name in _SPARSE} if is_sparse(values) else {_NAME: values}
    if is_sparse(values):
        facts["columns"] = str(values.shape[1])
    write_tensors(_path(cache_dir, key), tensors, facts)


def _digest(values: Any, scale: Scale) -> str:
    arrays = [getattr(values, name) for name in _SPARSE] if is_sparse(values) else [values]
    parts = [[array.dtype.str, list(array.shape), array_sha256(array)] for array in arrays]
    return digest([list(values.shape), parts, repr(scale.scale), repr(scale.bias)])


def _path(cache_dir: Path, key: TextKey) -> Path:
    return cache_dir / "texts" / f"{key.name[:32]}.safetensors"


def _embedded(encoder: Callable[[], TextEncoder], texts: Sequence[str]) -> tuple[np.ndarray, Scale]:
    return encoder().encode_texts(texts), encoder().scale
