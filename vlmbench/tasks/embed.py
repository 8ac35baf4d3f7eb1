"""Writes the features of a model on a dataset to a file for other programs, whole or in shards for a cluster."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vlmbench.encoders.base import PRE_PROJ, PROJ
from vlmbench.features.tensors import write_tensors
from vlmbench.foundations.atomic import require_writable, write_json
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.paths import slug
from vlmbench.foundations.text import visible
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session


@dataclass(frozen=True)
class EmbedRequest:
    """The request: a model, a dataset, a split, a layer, and the shard ``(i, n)`` of the images, counted from 1."""

    model: str
    dataset: str
    split: str | None = None
    layer: str | None = None
    limit: int | None = None
    shard: tuple[int, int] = (1, 1)


def parse_shard(text: str | None) -> tuple[int, int]:
    """``2/8`` as (2, 8); None is the whole.

    Raises:
        UsageError: it is not i/n with 1 <= i <= n.
    """
    if text is None:
        return 1, 1
    first, slash, second = text.partition("/")
    if slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise UsageError(f"not a shard: {visible(text)}", where="--shard", fix="i/n from 1/n to n/n, such as 2/8")


def run_embed(request: EmbedRequest, context: Context, session: Session | None = None) -> dict[str, Any]:
    """Writes ``embeddings/<name>.safetensors`` (x [N, D] float32 un-normalised, y) and ``<name>.json`` (ids, classes).

    Only the shard's own images are encoded, so that n machines share the work; for the whole (``1/1``) the features
    go to the store, where zero-shot and probe find them.

    Raises:
        VlmbenchError: what is wrong with the model, the dataset, an image or ``out``.
    """
    require_writable(context.out)
    session = session or Session(context)
    layers = session.model(request.model).files.family.layers
    layer = request.layer or (PROJ if PROJ in layers else PRE_PROJ)
    split = session.choose_split(request.dataset, request.split)
    part = request.shard if request.shard != (1, 1) else None
    found = session.features(request.model, Selection(request.dataset, split, request.limit, part), layer=layer)
    if not len(found.ids):
        raise InputError("the shard has no images", where="--shard", fix="use fewer shards")
    number, count = request.shard
    suffix = f"-{number:04d}-of-{count:04d}" if count > 1 else ""
    drawn = None if request.limit is None else [request.limit, context.seed]
    what = [found.model.weights_sha256, request.dataset, split, layer, session.precision, drawn]
    name = f"{slug(f'{found.model.id}-{request.dataset}-{split}-{layer}', longest=100)}-{digest(what)[:10]}{suffix}"
    path = context.out / "embeddings" / f"{name}.safetensors"
    write_tensors(path, {"x": found.x, "y": np.ascontiguousarray(found.y)})
    facts = {
        "model": found.model.model_dump(mode="json"),
        "dataset": found.dataset.model_dump(mode="json"),
        "protocol": {**found.protocol, "shard": f"{number}/{count}"},
        "classnames": list(found.info.classnames),
        "ids": list(found.ids),
    }
    write_json(path.with_suffix(".json"), facts)
    return {
        "path": str(path),
        "facts": str(path.with_suffix(".json")),
        "n": len(found.ids),
        "width": int(found.x.shape[1]),
        "layer": layer,
        "encoded": found.encoded,
        "work": session.throughput(found),
    }
