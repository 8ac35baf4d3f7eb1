"""A session's texts: class weights and embeddings, from the store where they have been made before.

Nothing else reads or writes that part of the store. Embeddings are stored un-normalised, a file a batch of texts, as
soon as the batch is done: a run that is stopped goes on from there.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vlmbench.encoders.base import TEXT_BATCH, Scale
from vlmbench.encoders.files import ModelFiles
from vlmbench.features.texts import EMBEDDINGS, WEIGHTS, TextKey, read_texts, write_texts
from vlmbench.foundations.hashing import digest
from vlmbench.heads.prompts import PromptSet
from vlmbench.heads.zeroshot import ZeroShotWeights, class_weights

if TYPE_CHECKING:
    from vlmbench.session.session import Session


def text_weights(
    session: "Session", model: str, classnames: Sequence[Sequence[str]], prompts: PromptSet, raw: Sequence[str]
) -> ZeroShotWeights:
    """A zero-shot classifier from prompts; see `Session.text_weights`."""
    files = session.require_texts(model).files
    texts = [prompts.prompts(names, raw[i] if raw else None) for i, names in enumerate(classnames)]
    prompts_sha = digest([list(item) for item in texts])
    key = _key(session, files, WEIGHTS, prompts_sha)
    stored = read_texts(session.context.cache_dir, key)
    if stored is None:
        flat = [text for item in texts for text in item]
        unique = list(dict.fromkeys(flat))
        embedded, scale = session.text_embeddings(model, unique)
        place = {text: i for i, text in enumerate(unique)}
        weights = class_weights(embedded[[place[text] for text in flat]], [len(item) for item in texts])
        stored = (weights, scale)
        write_texts(session.context.cache_dir, key, *stored)
    weights, scale = stored
    return ZeroShotWeights(
        weights=weights,
        logit_scale=scale.scale,
        logit_bias=scale.bias,
        templates=prompts.templates or texts[0],
        classnames=tuple(names[0] for names in classnames),
        sha256=prompts_sha,
    )


def text_embeddings(session: "Session", model: str, texts: Sequence[str]) -> tuple[Any, Scale]:
    """Embeddings [T, D] of texts and the model's scale; see `Session.text_embeddings`."""
    opened = session.require_texts(model, alone=True)
    unique = list(dict.fromkeys(texts))
    parts = []
    with session.context.reporter.task(f"texts of {model}", len(unique)) as advance:
        for start in range(0, len(unique), TEXT_BATCH):
            part = unique[start : start + TEXT_BATCH]
            key = _key(session, opened.files, EMBEDDINGS, digest(part))
            stored = read_texts(session.context.cache_dir, key)
            if stored is None:
                stored = opened.encoder.encode_texts(part), opened.encoder.scale
                write_texts(session.context.cache_dir, key, *stored)
            parts.append(stored)
            advance(len(part))
    values, scale = np.concatenate([values for values, _ in parts]), parts[0][1]
    if len(unique) < len(texts):
        place = {text: row for row, text in enumerate(unique)}
        values = values[[place[text] for text in texts]]
    return values, scale


def _key(session: "Session", files: ModelFiles, kind: str, content: str) -> TextKey:
    return TextKey(
        kind, files.weights_sha256, files.preprocessing_sha256, files.tokenizer_sha256, session.precision, content
    )
