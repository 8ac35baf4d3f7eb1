"""Captioners opened in a session: the models, datasets and features that they use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vlmbench.captioners.anchors import unit
from vlmbench.captioners.base import Calls, Captioner, Captioning, Decoding, Example, Runtime, Training
from vlmbench.captioners.checkpoint import Checkpoint, find_checkpoint
from vlmbench.captioners.names import CaptionerRef
from vlmbench.captioners.open import open_captioner
from vlmbench.data.base import TRAIN, Split
from vlmbench.data.fingerprint import fingerprint, image_digest
from vlmbench.data.images import decode
from vlmbench.encoders.families import ASIF, DUAL
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.session.context import REDUCED
from vlmbench.session.images import Selection
from vlmbench.session.models import OpenModel
from vlmbench.session.session import Session


def captioner_in(session: Session, ref: CaptionerRef, how: Captioning, avoid: str | None = None) -> Captioner:
    """A captioner that opens its models and datasets through a session; see `open_captioner`.

    Args:
        session: the session.
        ref: the captioner.
        how: how it captions; `anchors` names the set it uses.
        avoid: the split being captioned, which must not serve as anchors.
    """
    if session.context.decode == REDUCED:
        raise UsageError("captioners are given whole images", where="--decode reduced", fix="leave --decode out")
    return open_captioner(ref, SessionSetup(session, how, avoid))


@dataclass(frozen=True)
class SessionSetup:
    """A `vlmbench.captioners.base.Setup` on a session."""

    session: Session
    how: Captioning
    avoid: str | None = None

    @property
    def decoding(self) -> Decoding:
        """How captions are made, with the run's seed."""
        return replace(self.how.decoding, seed=self.session.context.seed)

    @property
    def calls(self) -> Calls:
        """How an endpoint is called."""
        return self.how.calls

    @property
    def runtime(self) -> Runtime:
        """Device, precision, batch size, reporter."""
        session, context = self.session, self.session.context
        return Runtime(session.device, session.precision, context.batch_size, context.reporter, session.engine)

    @property
    def offline(self) -> bool:
        """Whether no network may be used."""
        return self.session.context.offline

    def checkpoint(self, name: str) -> Checkpoint:
        """The files of a captioner or language model."""
        context = self.session.context
        if self.session.engine is not None:
            raise UsageError(f"{visible(name)} generates in torch alone", where="--engine", fix="leave --engine out")
        found = find_checkpoint(name, context.cache_dir, trusted=context.trust_remote_code)
        if found.own_code:
            context.reporter.warn(f"{name}: the Python code that comes with it is run, as requested")
        return found

    def encoder(self, name: str) -> OpenModel:
        """An image encoder."""
        return self.session.model(name)

    def dual_encoder(self, name: str) -> OpenModel:
        """An encoder of images and texts; see the function of this name."""
        return dual_encoder(self.session, name)

    def training(self, what: str) -> Training:
        """The training split and its fingerprint."""
        split, context = self._training_split(what), self.session.context
        return Training(str(self.how.anchors), split, fingerprint(split, context.cache_dir, context.reporter))

    def examples(self) -> list[Example]:
        """`Decoding.shots` training images with one caption each, sampled with `Decoding.seed`."""
        decoding = self.decoding
        if not decoding.shots:
            return []
        split = self._training_split("few-shot examples")
        if decoding.shots > len(split):
            raise InputError(
                f"--shots {decoding.shots}, but the training split has {len(split)} images",
                where=self.how.anchors,
                fix="use fewer",
            )
        generator = np.random.default_rng(derive_seed(decoding.seed, "caption-shots", decoding.shots))
        examples = []
        for row in generator.permutation(len(split))[: decoding.shots]:
            raw = split.images.read(int(row))
            caption = split.captions[row][int(generator.integers(len(split.captions[row])))]
            examples.append(Example(decode(raw, split.ids[row]), caption, image_digest(raw)))
        return examples

    def text_embeddings(self, model: str, texts: Sequence[str]) -> np.ndarray:
        """Unit-norm text embeddings [M, D] float32 by a dual encoder."""
        return unit_embeddings(self.session, model, texts)

    def training_features(self, model: str, layer: str) -> tuple[Sequence[str], np.ndarray]:
        """Ids [N] of the training images and their features [N, D]."""
        found = self.session.features(model, Selection(str(self.how.anchors), TRAIN), layer=layer)
        return found.items.ids, np.asarray(found.x)

    def _training_split(self, what: str) -> Split:
        dataset = self.how.anchors
        if dataset is None:
            raise UsageError(f"{what} come from a captioned training set: name one", fix="--anchors DATASET")
        opened = self.session.dataset(dataset)
        if TRAIN not in opened.info.splits or self.avoid == TRAIN:
            why = "only the one being captioned" if self.avoid == TRAIN else "none"
            raise InputError(
                f"{what} come from a training split, and {visible(dataset)} has {why}",
                where=dataset,
                fix="name a captioned set with a training split: --anchors DATASET",
            )
        split = opened.split(TRAIN)
        if not split.captions:
            raise InputError(
                f"{visible(dataset)} has no captions", where=dataset, fix="name a captioned set: --anchors DATASET"
            )
        return split


def unit_embeddings(session: Session, model: str, texts: Sequence[str]) -> np.ndarray:
    """Unit-norm text embeddings [M, D] float32 by a dual encoder; see `Session.text_embeddings`.

    Raises:
        UsageError: the model has no text encoder.
    """
    dual_encoder(session, model)
    return unit(session.text_embeddings(model, texts)[0])


def dual_encoder(session: Session, model: str) -> OpenModel:
    """The model called `model`, which must have a text encoder.

    Raises:
        UsageError: it has none.
    """
    opened = session.model(model)
    if opened.files.family is ASIF:
        raise UsageError(
            f"{visible(model)} is two encoders; a single dual encoder is needed",
            where=model,
            fix="a model such as CLIP",
        )
    if opened.files.family.kind != DUAL:
        kind = opened.files.family.name
        raise UsageError(
            f"{visible(model)} ({kind}) has no text encoder", where=model, fix="name a dual encoder such as CLIP"
        )
    return opened
