"""Writes the features of a model on a dataset to a file for other programs, whole or in shards for a cluster."""

from dataclasses import dataclass, replace
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
from vlmbench.tasks.sharing import shared


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

    The features land in the store, where zero-shot and probe find them. Of a shard only its own images are encoded and
    written, whole batches, so that the shards together are the same bytes as the whole; the one that finds all others
    in the store too writes the whole beside its own.

    Raises:
        VlmbenchError: what is wrong with the model, the dataset, an image or ``out``.
    """
    require_writable(context.out)
    session = session or Session(context)
    layers = session.model(request.model).files.family.layers
    layer = request.layer or (PROJ if PROJ in layers else PRE_PROJ)
    split = session.choose_split(request.dataset, request.split)
    whole = Selection(request.dataset, split, request.limit)
    if request.shard == (1, 1):
        session.expect([request.model], whole)
        with shared(session):
            return _write(request, layer, whole, session)
    if context.pool is not None:
        raise UsageError("workers share all images", where="--shard and --ray", fix="leave one of them out")
    found = _write(request, layer, replace(whole, part=request.shard), session)
    if session.complete(request.model, whole):
        merged = _write(request, layer, whole, session)["path"]
        context.reporter.note(f"all shards are in the store; merged into {merged}")
    return found


def _write(request: EmbedRequest, layer: str, selection: Selection, session: Session) -> dict[str, Any]:
    found = session.features(request.model, selection, layer=layer)
    number, count = selection.part or (1, 1)
    if not len(found.ids):
        raise InputError(
            f"shard {number} of {count} has no images: a shard has whole batches",
            where="--shard",
            fix="use fewer shards, or a smaller --batch-size",
        )
    suffix = f"-{number:04d}-of-{count:04d}" if count > 1 else ""
    drawn = None if request.limit is None else [request.limit, session.context.seed]
    split = selection.split
    what = [found.model.weights_sha256, request.dataset, split, layer, session.precision, drawn]
    name = f"{slug(f'{found.model.id}-{request.dataset}-{split}-{layer}', longest=100)}-{digest(what)[:10]}{suffix}"
    path = session.context.out / "embeddings" / f"{name}.safetensors"
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
