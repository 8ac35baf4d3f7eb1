"""A session's texts: class weights and embeddings, from the store where they have been made before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlmbench.encoders.base import Scale
from vlmbench.encoders.families import ASIF
from vlmbench.encoders.files import ModelFiles
from vlmbench.features.texts import read_texts, write_texts
from vlmbench.foundations.hashing import digest
from vlmbench.heads.prompts import PromptSet
from vlmbench.heads.zeroshot import ZeroShotWeights, class_weights

if TYPE_CHECKING:
    from vlmbench.runs.session import Session


def text_weights(
    session: "Session", model: str, classnames: Sequence[Sequence[str]], prompts: PromptSet, raw: Sequence[str]
) -> ZeroShotWeights:
    """A zero-shot classifier from prompts; see `Session.text_weights`."""
    files = session.require_texts(model).files
    texts = [prompts.prompts(names, raw[i] if raw else None) for i, names in enumerate(classnames)]
    prompts_sha = digest([list(item) for item in texts])
    key = digest(["class-weights", *_key(session, files), prompts_sha])
    stored = read_texts(session.context.cache_dir, key)
    if stored is None:
        flat = [text for item in texts for text in item]
        unique = list(dict.fromkeys(flat))
        embedded, scale = session.embed_texts(model, unique)
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


def text_embeddings(session: "Session", model: str, texts: Sequence[str]) -> tuple[np.ndarray, Scale]:
    """Embeddings [T, D] of texts and the model's scale; see `Session.text_embeddings`."""
    files = session.require_texts(model, alone=True).files
    if files.family is ASIF:
        return session.embed_texts(model, texts)
    key = digest(["texts", *_key(session, files), list(texts)])
    stored = read_texts(session.context.cache_dir, key)
    if stored is None:
        stored = session.embed_texts(model, texts)
        write_texts(session.context.cache_dir, key, *stored)
    return stored


def _key(session: "Session", files: ModelFiles) -> list[str]:
    return [files.weights_sha256, files.preprocessing_sha256, files.tokenizer_sha256, session.precision]
