"""The functions of `vlmbench` that write no runs of their own: features, predictions, lists, this machine, the demo."""

from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from vlmbench.api import options
from vlmbench.api.jobs import heard
from vlmbench.api.options import AnyPath, RunOptions, run_context
from vlmbench.api.results import Results
from vlmbench.api.rows import Embeddings, Listing, Predictions, Rows
from vlmbench.foundations.paths import default_cache_dir
from vlmbench.session.context import go_offline

if TYPE_CHECKING:
    from vlmbench.tasks.doctor import Finding


def embed(
    model: AnyPath,
    dataset: AnyPath,
    *,
    split: str | None = None,
    features_layer: Literal["pre_proj", "proj"] | None = None,
    limit: int | None = None,
    shard: str | tuple[int, int] | None = None,
    **run: Unpack[RunOptions],
) -> Embeddings:
    """Writes image features to a safetensors file under ``out``/embeddings, with ids, labels and settings.

    Args:
        model: alias, hub id or directory.
        dataset: name, ``hf:owner/name``, ``folder:PATH`` or ``file:PATH``.
        split: the split; None: test, else the only one.
        features_layer: None: ``proj`` if the model has it.
        limit: N randomly sampled images; None: all.
        shard: ``"2/8"`` or (2, 8): the second of eight parts, for a cluster; None: all.
        **run: see `RunOptions`.

    Raises:
        VlmbenchError: the model, the dataset, an image or ``out`` is invalid.

    Examples:
        >>> import tempfile, vlmbench
        >>> with tempfile.TemporaryDirectory() as out:
        ...     found = vlmbench.embed("tiny-clip", "digits", limit=10, out=out, cache_dir=out, device="cpu")
        ...     x, y = found.load()
        >>> x.shape == (found.n, found.width), found.n, found.layer
        (True, 10, 'proj')
    """
    options.at_least("limit", limit)
    options.choice("features_layer", features_layer, (None, "pre_proj", "proj"))
    context = run_context(**run)
    from vlmbench.tasks.embed import EmbedRequest, parse_shard, run_embed

    (named,), (data,) = options.names(model), options.names(dataset)
    part = parse_shard("/".join(map(str, shard)) if isinstance(shard, tuple) else shard)
    found = run_embed(EmbedRequest(named, data, split, features_layer, limit, part), context)
    return Embeddings(**{**found, "path": Path(found["path"]), "facts": Path(found["facts"])})


def predict(probe: AnyPath, images: AnyPath | Iterable[AnyPath], **run: Unpack[RunOptions]) -> Predictions:
    """Predicts class labels and probabilities for images with a saved probe.

    Args:
        probe: a file written by ``save_probe`` of `linear_probe`.
        images: image files, directories of images, or lists (.csv, .tsv, .jsonl), of which the images without a label
            are predicted, all if every one has a label.
        **run: see `RunOptions`.

    Raises:
        AbsentError: a file or the probe's encoder is missing.
        InputError: it is no probe, its encoder has other weights now, there is no image, or one is damaged and
            ``on_bad_image`` is ``"error"``.
    """
    context = run_context(**run)
    from vlmbench.tasks.predict import find_images, open_predictor

    paths = [Path(item) for item in ([images] if isinstance(images, str | PathLike) else images)]
    found = find_images(paths, context.reporter)
    predictor = open_predictor(Path(fspath(probe)), context)
    rows = list(predictor.predict(found))
    probe_used = predictor.probe
    return Predictions(rows, probe_used.classnames, heard([], context).warnings, multilabel=probe_used.head.multilabel)


def demo(**run: Unpack[RunOptions]) -> Results:
    """The whole main job on what ships with the package: no network, no Java, under two minutes.

    Zero-shot against a linear probe on digits, shapes and counting, and four captioners on scenes.

    Args:
        **run: see `RunOptions`.

    Raises:
        OutputError: ``out`` cannot be written.
    """
    go_offline()
    context = run_context(**run)
    from vlmbench.tasks.demo import run_demo

    return heard(run_demo(context), context)


def doctor(out: AnyPath = "results", cache_dir: AnyPath | None = None) -> "Rows[Finding]":
    """What this machine has, what is missing, and the command that fixes it; touches no network.

    Args:
        out: the results directory to look at.
        cache_dir: the cache directory to look at; None: the platform's.

    Examples:
        >>> import vlmbench
        >>> [found.state for found in vlmbench.doctor() if found.what == "bundled models"]
        ['ok']
    """
    from vlmbench.tasks.doctor import examine

    return Rows(examine(Path(cache_dir) if cache_dir is not None else default_cache_dir(), Path(out)))


def list_datasets() -> Listing:
    """The named datasets, a row each: name, group, classes, metric, family, where it comes from, revision."""
    return _listed("datasets")


def list_models() -> Listing:
    """The named models, a row each: name, kind, parameters, width, whether it is on this machine, hub id."""
    return _listed("models")


def list_metrics() -> Listing:
    """The metrics, a row each: name, what they are of, definition, range, direction, what they are blind to, source.

    Examples:
        >>> import vlmbench
        >>> [row["better"] for row in vlmbench.list_metrics() if row["name"] == "ece"]
        ['lower']
    """
    return _listed("metrics")


def list_prompts() -> Listing:
    """The named prompt sets, a row each: name, number of templates, the first."""
    return _listed("prompts")


def list_heads() -> Listing:
    """The heads that `linear_probe` can fit, a row each: name, definition, hyperparameters, source.

    Examples:
        >>> import vlmbench
        >>> [row["name"] for row in vlmbench.list_heads()][0]
        'logistic'
    """
    return _listed("heads")


def list_tasks() -> Listing:
    """The tasks, a row each: name, what it measures, its metrics, what the gate compares.

    Examples:
        >>> import vlmbench
        >>> vlmbench.list_tasks()[0]["name"]
        'zeroshot'
    """
    return _listed("tasks")


def _listed(what: str) -> Listing:
    from vlmbench.tasks import listing

    return Rows(getattr(listing, what)())


def parts(rows: "list[dict[str, Any]]") -> "list[tuple[str, list[dict[str, Any]]]]":
    """The rows of `list_models` in groups of a kind, each with a heading."""
    from vlmbench.tasks import listing

    return listing.parts(rows)


def captions(what: str) -> str:
    """What else can be named, beside the rows of a list."""
    from vlmbench.tasks import listing

    return listing.CAPTIONS[what]
