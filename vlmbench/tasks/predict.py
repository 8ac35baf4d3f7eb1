"""Applies a saved probe to images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.images import ENDINGS, BadImage, decode, is_image, read_image
from vlmbench.data.local.listing import SUFFIXES as LISTS
from vlmbench.data.local.listing import unlabelled
from vlmbench.encoders.files import ModelFiles
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.paths import is_there, named_file
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible
from vlmbench.heads.probe_file import Probe, load_probe
from vlmbench.session.context import REDUCED, Context
from vlmbench.session.session import Session


@dataclass(frozen=True)
class Prediction:
    """A probe's prediction for an image: the most likely class (several labels per image: those above one half)."""

    image: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Predictor:
    """A probe with its encoder."""

    probe: Probe
    session: Session

    def predict(self, images: Sequence[Path]) -> Iterator[Prediction]:
        """Predictions, in order; an image that cannot be decoded is left out with ``on_bad_image`` ``skip``.

        Raises:
            BadImage: an image cannot be decoded and ``on_bad_image`` is ``error``.
        """
        context = self.session.context
        opened = self.session.model(self.probe.model)
        reduced = context.decode == REDUCED
        encoder, layer = opened.encoder, opened.files.family.stored_as(self.probe.layer)
        with context.reporter.task("predicting", len(images)) as advance:
            for start in range(0, len(images), context.batch_size):
                names, pixels = [], []
                for path in images[start : start + context.batch_size]:
                    try:
                        pixels.append(encoder.preprocess(decode(read_image(path), str(path), reduced=reduced)))
                        names.append(str(path))
                    except BadImage as error:
                        if context.on_bad_image != "skip":
                            raise
                        context.reporter.warn(f"left out: {error.what}")
                    advance()
                if pixels:
                    yield from self._batch(names, encoder.encode_images(np.stack(pixels))[layer])

    def _batch(self, names: Sequence[str], features: NDArray[Any]) -> Iterator[Prediction]:
        for name, row in zip(names, self.probe.probabilities(np.asarray(features, np.float32)), strict=True):
            chosen = np.flatnonzero(row > 0.5) if self.probe.head.multilabel else [int(row.argmax())]
            yield Prediction(name, tuple(self.probe.classnames[i] for i in chosen), tuple(map(float, row)))


def open_predictor(path: Path, context: Context) -> Predictor:
    """The predictor of a probe file.

    Raises:
        AbsentError: no such file, or its encoder is missing.
        InputError: it is not a probe, was trained on a features file, or its encoder now has other weights.
    """
    session = Session(context)
    return Predictor(open_probe(path, session), session)


def open_probe(path: Path, session: Session) -> Probe:
    """A saved probe whose encoder is the one that it was trained with; errors as `open_predictor`."""
    probe = load_probe(path)
    if not probe.model:
        raise InputError(
            "this probe was trained on a features file, so there is no encoder for images",
            where=str(path),
            fix="vlmbench linear-probe -m MODEL -d DATASET --save-probe FILE",
        )
    files: ModelFiles = session.model(probe.model).files
    if files.weights_sha256 != probe.weights_sha256:
        raise InputError(
            f"{visible(probe.model)} has different weights from those the probe was trained with "
            f"({files.weights_sha256[:12]}, not {probe.weights_sha256[:12]})",
            where=str(path),
            fix="train the probe again, or restore the old weights",
        )
    return probe


def find_images(paths: Sequence[Path], reporter: Reporter | None = None) -> list[Path]:
    """The named images, those in the named directories (by suffix, sorted), and those of the named lists (.csv, .tsv,
    .jsonl) that have no label, all if every one has; the reporter hears how many these are.

    Raises:
        AbsentError: a path does not exist.
        InputError: there is no image.
    """
    found: list[Path] = []
    for path in paths:
        if is_there(path, directory=True):
            found += sorted(item for item in path.rglob("*") if is_image(item.name) and item.is_file())
        elif path.suffix.lower() in LISTS:
            images, listed = unlabelled(named_file(path))
            if reporter is not None and len(images) < listed:
                reporter.note(f"{path}: {len(images):,} of {listed:,} images have no label, and are predicted")
            found += images
        else:
            found.append(named_file(path))
    if not found:
        raise InputError(
            "no images", where=", ".join(map(str, paths)), fix=f"files ending in {' '.join(sorted(ENDINGS))}"
        )
    return found
