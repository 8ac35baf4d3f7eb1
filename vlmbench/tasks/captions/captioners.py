"""From what a user calls a captioner to one that is ready: generated, chosen from a training set.

Or asked of an endpoint.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl

import numpy as np

from vlmbench.captioners.anchors import Anchors, Asif, Retriever, unit
from vlmbench.captioners.base import Captioner, Decoding, Example
from vlmbench.captioners.checkpoint import Checkpoint, find_checkpoint
from vlmbench.captioners.registry import FORMS
from vlmbench.data.base import TRAIN
from vlmbench.data.fingerprint import fingerprint, image_digest
from vlmbench.data.images import decode
from vlmbench.encoders.asif import NONZERO, POWER
from vlmbench.encoders.base import PRE_PROJ, PROJ, DualEncoder
from vlmbench.encoders.families import ASIF, DUAL
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.records.result import ModelFacts
from vlmbench.session.images import Selection
from vlmbench.session.models import OpenModel
from vlmbench.session.session import Session


def open_captioner(
    session: Session,
    model: str,
    options: Decoding,
    *,
    anchors: str | None = None,
    avoid: str | None = None,
    concurrency: int = 8,
    timeout: float = 60.0,
) -> Captioner:
    """The captioner a user names.

    Args:
        session: models and data sets are opened through it.
        model: a checkpoint, ``retrieval:ENCODER``, ``asif:IMAGES[,TEXTS]``, ``magic:LM,ENCODER[?alpha=…&beta=…&k=…]``
            or ``endpoint:URL#MODEL``.
        options: how it decodes.
        anchors: the captioned set whose training split retrieval, ASIF and worked examples draw on.
        avoid: the split that is captioned, in case the set has no other.
        concurrency: calls at a time, of an endpoint.
        timeout: seconds a call may take, of an endpoint.

    Raises:
        AbsentError: there is no such captioner.
        UsageError: options that it does not take, or no set to draw on.
    """
    kind, colon, rest = model.partition(":")
    if colon and kind in {"retrieval", "asif"}:
        if options != Decoding(seed=options.seed, max_new_tokens=options.max_new_tokens):
            raise UsageError(
                f"{kind} chooses a caption whole: --prompt, --num-beams, --temperature and --shots do nothing there",
                where=model,
            )
        return _choosing(session, model, kind, rest, anchors, avoid)
    if colon and kind == "magic":
        return _magic(session, model, rest, options)
    if colon and kind == "endpoint":
        from vlmbench.captioners.endpoint import LOOPBACK, Endpoint

        examples = draw_examples(session, anchors, avoid, options) if options.shots else []
        captioner = Endpoint(rest, options, concurrency=concurrency, timeout=timeout, examples=examples)
        if session.context.offline and captioner.address.hostname not in LOOPBACK:
            raise UsageError("--offline forbids calling an endpoint", where=visible(model), fix="leave --offline out")
        return captioner
    checkpoint = _checkpoint(session, model)
    return generator(session, checkpoint, options, anchors, avoid)


def _checkpoint(session: Session, name: str) -> Checkpoint:
    context = session.context
    found = find_checkpoint(name, context.cache_dir, trusted=context.trust_remote_code)
    if found.own_code:
        context.reporter.warn(f"{name}: the Python code that came with it is run, as you asked")
    return found


def generator(
    session: Session, checkpoint: Checkpoint, options: Decoding, anchors: str | None, avoid: str | None
) -> Captioner:
    """A checkpoint as a captioner, with its worked examples."""
    from vlmbench.captioners.generate import Generator

    examples = draw_examples(session, anchors, avoid, options) if options.shots else []
    return Generator(
        checkpoint,
        options,
        device=session.device,
        precision=session.precision,
        batch_size=session.context.batch_size,
        reporter=session.context.reporter,
        examples=examples,
    )


def draw_examples(session: Session, dataset: str | None, avoid: str | None, options: Decoding) -> list[Example]:
    """`options.shots` images of the training split with a caption each, drawn with `options.seed`; the same for every
    image.

    Raises:
        InputError: the set has no training split, or too few images.
    """
    split = training_split(session, dataset, avoid, "worked examples")
    if options.shots > len(split):
        raise InputError(
            f"--shots {options.shots}, but the training split has {len(split)} images",
            where=dataset,
            fix="ask for fewer",
        )
    generator = np.random.default_rng(derive_seed(options.seed, "caption-shots", options.shots))
    examples = []
    for row in generator.permutation(len(split))[: options.shots]:
        raw = split.images.read(int(row))
        caption = split.captions[row][int(generator.integers(len(split.captions[row])))]
        examples.append(Example(decode(raw, split.ids[row]), caption, image_digest(raw)))
    return examples


def training_split(session: Session, dataset: str | None, avoid: str | None, what: str) -> Any:
    """The captioned training split of `dataset`.

    Raises:
        UsageError: no data set is named.
        InputError: it has no training split, no captions, or the split is the one that is to be captioned.
    """
    if dataset is None:
        raise UsageError(f"{what} come from a captioned training set, and none is named", fix="--anchors DATASET")
    info = session.dataset(dataset).info
    if TRAIN not in info.splits or avoid == TRAIN:
        why = "no other than the one captioned" if avoid == TRAIN else "none"
        raise InputError(
            f"{what} come from a training split, and {visible(dataset)} has {why}",
            where=dataset,
            fix="name a captioned set that has one: --anchors DATASET",
        )
    split = session.dataset(dataset).split(TRAIN)
    if not split.captions:
        raise InputError(
            f"{visible(dataset)} has no captions", where=dataset, fix="name a captioned set: --anchors DATASET"
        )
    return split


def unit_embeddings(session: Session, model: str, texts: Sequence[str]) -> np.ndarray:
    """Unit-norm text embeddings [M, D] float32 by a dual encoder; see `Session.text_embeddings`.

    Raises:
        UsageError: the model has no text side.
    """
    dual_encoder(session, model)
    return unit(session.text_embeddings(model, texts)[0])


def _magic(session: Session, model: str, rest: str, options: Decoding) -> Captioner:
    from vlmbench.captioners.magic import LanguageModel, Magic, Weights

    models, _, query = rest.partition("?")
    named, _, images = models.partition(",")
    if not named or not images:
        raise UsageError(f"not a captioner: {visible(model)}", where=model, fix=f"a captioner is {FORMS}")
    weights = Weights(**_numbers(model, query, {"alpha": float, "beta": float, "k": int}))
    checkpoint = _checkpoint(session, named)
    encoder = dual_encoder(session, images)
    files = encoder.files
    sees = digest([files.weights_sha256, files.preprocessing_sha256, files.tokenizer_sha256, session.precision])
    facts = ModelFacts(
        id=model,
        revision=checkpoint.revision,
        weights_sha256=digest([checkpoint.weights_sha256, sees]),
        kind="magic",
        trust_remote_code=checkpoint.own_code or files.own_code,
    )
    return Magic(
        f"magic:{checkpoint.system},{files.system}",
        facts,
        checkpoint,
        lambda: LanguageModel(checkpoint, session.device, session.precision),
        lambda: cast(DualEncoder, encoder.encoder),
        options,
        batch_size=session.context.batch_size,
        reporter=session.context.reporter,
        weights=weights,
    )


def _numbers(model: str, query: str, known: dict[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The numbers after ``?`` in a captioner's name.

    Raises:
        UsageError: an unknown name, or no number.
    """
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        return {name: known[name](value) for name, value in given.items()}
    except (KeyError, ValueError) as error:
        form = "&".join(f"{name}=NUMBER" for name in known)
        raise UsageError(f"no settings of a captioner: {visible(query)}", where=model, fix=f"…?{form}") from error


def dual_encoder(session: Session, model: str) -> OpenModel:
    """The model called `model`, which has to have a text side.

    Raises:
        UsageError: it has none.
    """
    opened = session.model(model)
    if opened.files.family is ASIF:
        raise UsageError(
            f"{visible(model)} is two encoders and cannot stand for one here", where=model, fix="a model such as CLIP"
        )
    if opened.files.family.kind != DUAL:
        kind = opened.files.family.name
        raise UsageError(
            f"{visible(model)} ({kind}) has no text side", where=model, fix="name a dual encoder such as CLIP"
        )
    return opened


def _choosing(session: Session, model: str, kind: str, rest: str, anchors: str | None, avoid: str | None) -> Captioner:
    images, _, texts = rest.partition(",")
    if not images or (texts and kind == "retrieval"):
        raise UsageError(f"not a captioner: {visible(model)}", where=model, fix=f"a captioner is {FORMS}")
    texts = texts or images
    dual_encoder(session, texts)
    split = training_split(session, anchors, avoid, "its captions")
    pairs = [(row, caption) for row, captions in enumerate(split.captions) for caption in captions]
    facts = {
        "anchors": f"{anchors}/{split.name}",
        "anchors_sha256": digest(
            [fingerprint(split, session.context.cache_dir, session.context.reporter), split.captions]
        )[:16],
        "pairs": len(pairs),
    }
    opened = {name: session.model(name) for name in dict.fromkeys((images, texts))}
    beside = [[item.files.preprocessing_sha256, item.files.tokenizer_sha256] for item in opened.values()]
    key: dict[str, Any] = {**facts, "precision": session.precision, "processor": digest(beside)[:16]}
    weights = opened[images].files.weights_sha256
    if kind == "asif":
        key |= {"k": min(NONZERO, len(pairs)), "p": POWER}
        weights = digest([weights, opened[texts].files.weights_sha256])
    identity = ModelFacts(
        id=model,
        revision=opened[images].files.revision,
        weights_sha256=weights,
        kind=kind,
        trust_remote_code=any(item.files.own_code for item in opened.values()),
    )

    def gather() -> Anchors:
        captions = tuple(caption for _, caption in pairs)
        embedded = unit_embeddings(session, texts, captions)
        if kind == "retrieval":
            return Anchors(None, embedded, captions, facts)
        layer = PROJ if PROJ in opened[images].files.family.layers else PRE_PROJ
        found = session.features(images, Selection(str(anchors), split.name), layer=layer)
        row_of = {id: row for row, id in enumerate(found.ids)}
        kept = [place for place, (row, _) in enumerate(pairs) if split.ids[row] in row_of]
        x = unit(found.x)[[row_of[split.ids[pairs[place][0]]] for place in kept]]
        return Anchors(x, embedded[kept], tuple(captions[place] for place in kept), facts)

    chosen = Retriever if kind == "retrieval" else Asif
    return chosen(
        f"{kind}:{','.join(item.files.system for item in opened.values())}",
        identity,
        lambda: opened[images].encoder,
        gather,
        key,
        batch_size=session.context.batch_size,
        reporter=session.context.reporter,
    )
