"""The functions of `vlmbench` that run something, one per command.

Each writes the same runs under ``out``/runs as its command, byte for byte, and returns them; none prints, and errors
are raised as those of `vlmbench.errors`. The options of all runs (``out``, ``cache_dir``, ``device`` …) are those of
`RunOptions`. ``zeroshot.job(…)`` and so on make jobs for `run_plan`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Unpack

from vlmbench.api import options
from vlmbench.api.jobs import writes_runs
from vlmbench.api.options import AnyPath, Names, RunOptions
from vlmbench.foundations.errors import UsageError
from vlmbench.session.context import Context
from vlmbench.tasks.base import TaskJob

if TYPE_CHECKING:
    from vlmbench.records.store import StoredRun
    from vlmbench.session.session import Session


@writes_runs
def zeroshot(
    models: Names,
    datasets: Names,
    *,
    split: str | None = None,
    limit: int | None = None,
    prompts: Names = (),
    classnames: AnyPath | None = None,
    metric: str | None = None,
    holdout: float | None = None,
    boxes: AnyPath | None = None,
    tiles: int | None = None,
    corrupt: str | None = None,
    group: str | None = None,
    class_map: AnyPath | None = None,
    **run: Unpack[RunOptions],
) -> TaskJob:
    """Zero-shot classification by dual encoders (CLIP, SigLIP …): no labels, only class names.

    Args:
        models: aliases, hub ids or directories, as ``vlmbench zeroshot -m`` takes them.
        datasets: names, ``hf:owner/name`` or ``folder:PATH``.
        split: the split; None: test, else the only one.
        limit: N randomly sampled images of each dataset; None: all.
        prompts: a set, a file or a template; several give one run each. None: ``a photo of a {}.``
        classnames: a file of class names instead of the dataset's, or ``"wds"``.
        metric: the main metric; None: the dataset's own.
        holdout: for datasets with a single split: score only the fraction that a probe with this ``holdout`` is tested
            on.
        boxes: COCO instances JSON; its boxes are classified instead of whole images.
        tiles: score the whole image and N tiles; each class takes its best.
        corrupt: also on corrupted images: ``"all:1-5"``, ``"gaussian_noise,fog:3"``, ``"blur:1-5"`` …
        group: the column of ``file:LIST.csv`` (a patient) whose images `holdout` keeps on one side.
        class_map: a JSON or CSV file, class to the class it becomes; several may become one.
        **run: see `RunOptions`.

    Raises:
        VlmbenchError: a model, a dataset, a file, an image or ``out`` is invalid.

    Examples:
        >>> import tempfile, vlmbench
        >>> with tempfile.TemporaryDirectory() as out:
        ...     found = vlmbench.zeroshot("tiny-clip", "digits", limit=40, out=out, cache_dir=out, device="cpu")
        >>> found
        <Results: 1 run: zeroshot tiny-clip on digits>
        >>> found[0].n, found[0].metrics["accuracy"].value
        (40, 1.0)
    """
    options.at_least("limit", limit)
    options.at_least("tiles", tiles, 2)
    from vlmbench.tasks.zeroshot import ZeroShotRequest

    request = ZeroShotRequest(
        models=options.names(models),
        datasets=_named(datasets, group, class_map),
        split=split,
        limit=limit,
        prompts=options.names(prompts),
        classnames=options.text(classnames),
        metric=metric,
        holdout=holdout,
        boxes=options.path(boxes),
        tiles=tiles,
        corrupt=corrupt,
    )
    return TaskJob.of("zeroshot", request)


@writes_runs
def linear_probe(
    models: Names = (),
    datasets: Names = (),
    *,
    features: AnyPath | None = None,
    shots: str | int | Sequence[str | int | None] | None = "all",
    seeds: int = 5,
    head: Names = "logistic",
    c: float | Literal["auto"] = "auto",
    solver: Literal["native", "sklearn"] = "native",
    refit: bool = False,
    init: Literal["zero", "zeroshot"] = "zero",
    features_layer: Literal["pre_proj", "proj"] | None = None,
    normalize: bool = False,
    prompts: Names = (),
    limit: int | None = None,
    metric: str | None = None,
    target: float | None = None,
    holdout: float | None = None,
    test_on: Names = (),
    class_map: AnyPath | None = None,
    group: str | None = None,
    corrupt: str | None = None,
    figures: bool = False,
    save_probe: AnyPath | None = None,
    load_probe: AnyPath | None = None,
    **run: Unpack[RunOptions],
) -> TaskJob:
    """A classifier on frozen features: with all labels, or with a few per class over several seeds.

    `vlmbench.LinearProbe` is the same for features in memory.

    Args:
        models: aliases, hub ids or directories: dual encoders or plain backbones.
        datasets: names, ``hf:owner/name`` or ``folder:PATH``.
        features: instead of both an .npz or .safetensors file: x_train, y_train, x_test, y_test, perhaps x_val, y_val.
        shots: labels per class: ``"all"``, 4, ``"1,2,4,all"`` or ``[1, 2, 4, "all"]``.
        seeds: few-shot samples to average over.
        head: the classifier, see `list_heads`; or several, for a record each. ``NAME?setting=value`` sets one of its
            settings. The next three are for ``"logistic"`` and ``"zeroshot-init"``.
        c: the strength, C = 1 / λ as in scikit-learn; ``"auto"``: chosen on the validation split.
        solver: vlmbench's own L-BFGS, or scikit-learn's for comparison.
        refit: fit again on training and validation images at the chosen strength.
        init: ``"zeroshot"`` is the same as ``head="zeroshot-init"``.
        features_layer: before or after the projection; None: ``pre_proj``; ``proj`` for heads that use text.
        normalize: scale features to unit length.
        prompts: for the zero-shot comparison and for heads that use text.
        limit: N randomly sampled images of each split; None: all.
        metric: the main metric, also for the choice of the strength; None: the dataset's own.
        target: a figure of the main metric, such as 0.95: also say how many labels per class it takes.
        holdout: for datasets with a single split: the fraction of each class held out for testing; None: a quarter.
        test_on: further test sets, or ``"family"``: what is trained here, and zero-shot beside it, is scored there too.
        class_map: a JSON or CSV file, class to the class it becomes; several may become one. With `test_on` or
            `load_probe`: class of the test set to class of the training set; None: they are matched by name.
        group: the column of ``file:LIST.csv`` (a patient) of which no value is in two of training, validation and test.
        corrupt: also on its own test images corrupted, after training on clean ones: ``"all:1-5"``, ``"fog:3"`` …
        figures: draw curve, confusion matrix and reliability diagram under ``out``/figures.
        save_probe: save the probe with the most labels as this .safetensors file, for ``vlmbench predict``.
        load_probe: instead of training, score a saved probe on labelled images.
        **run: see `RunOptions`.

    Raises:
        VlmbenchError: an option, a model, a dataset, a file, an image or ``out`` is invalid.
    """
    options.at_least("seeds", seeds)
    options.at_least("limit", limit)
    options.choice("solver", solver, ("native", "sklearn"))
    options.choice("init", init, ("zero", "zeroshot"))
    options.choice("features_layer", features_layer, (None, "pre_proj", "proj"))
    heads = options.names(head) or ["logistic"]
    if init == "zeroshot" and heads != ["logistic"]:
        raise UsageError(
            f"--init is for the head logistic, not {', '.join(heads)}", where="--init", fix="--head zeroshot-init"
        )
    from vlmbench.report.page.figures import write_figures
    from vlmbench.tasks.probe.fit import ProbeRequest

    tested_elsewhere = bool(test_on) or load_probe is not None
    request = ProbeRequest(
        models=options.names(models),
        datasets=_named(datasets, group, None if tested_elsewhere else class_map),
        features=options.path(features),
        shots=options.shots(shots),
        seeds=seeds,
        heads=["zeroshot-init"] if init == "zeroshot" else heads,
        c=options.strength(c),
        solver=solver,
        layer=features_layer,
        normalised=normalize,
        refit=refit,
        prompts=options.names(prompts),
        limit=limit,
        metric=metric,
        target=options.share("target", target),
        holdout=holdout,
        save=options.path(save_probe),
        load=options.path(load_probe),
        test_on=options.names(test_on),
        class_map=options.path(class_map) if tested_elsewhere else None,
        corrupt=corrupt,
    )
    job = TaskJob.of("linear-probe", request)

    def fit(context: Context, session: "Session | None") -> "list[StoredRun]":
        runs = job.run(context, session)
        if figures:
            write_figures(runs, context.out / "figures")
        return runs

    return TaskJob(job.check, fit)


def _named(datasets: Names, group: str | None, class_map: AnyPath | None) -> list[str]:
    """The datasets' names, with what groups their images and merges their classes."""
    from vlmbench.data.names import CLASSES, IN_GROUPS, with_option

    grouped = with_option(options.names(datasets), IN_GROUPS, group)
    return with_option(grouped, CLASSES, options.text(class_map))


@writes_runs
def retrieval(
    models: Names,
    datasets: Names,
    *,
    split: str | None = None,
    limit: int | None = None,
    captions: int | None = None,
    rerank: int | None = None,
    **run: Unpack[RunOptions],
) -> TaskJob:
    """Image-text retrieval by dual encoders: recall at 1, 5 and 10 in both directions.

    Args:
        models: aliases, hub ids or directories.
        datasets: captioned sets.
        split: the split; None: test, else the only one.
        limit: N randomly sampled images of each dataset; None: all.
        captions: at most N captions per image; None: all.
        rerank: re-rank the N nearest with BLIP's matching head.
        **run: see `RunOptions`.

    Raises:
        VlmbenchError: a model, a dataset, an image or ``out`` is invalid.
    """
    for name, value in (("limit", limit), ("captions", captions), ("rerank", rerank)):
        options.at_least(name, value)
    from vlmbench.tasks.retrieval import RetrievalRequest

    request = RetrievalRequest(
        models=options.names(models),
        datasets=options.names(datasets),
        split=split,
        limit=limit,
        captions=captions,
        rerank=rerank,
    )
    return TaskJob.of("retrieval", request)


@writes_runs
def metric_eval(
    judgements: Names,
    references: Names = (),
    *,
    format: Literal["auto", "csv", "expert", "cf", "composite"] = "auto",
    metrics: str | Sequence[str] | None = None,
    images: AnyPath | None = None,
    clip: str | None = None,
    resamples: int = 1000,
    **run: Unpack[RunOptions],
) -> TaskJob:
    """Do the caption metrics agree with people? Kendall's tau-b and tau-c with human ratings: one run per metric.

    Args:
        judgements: CSV or JSONL with image_id, candidate, rating; Flickr8k's or Composite's files; several are one set.
        references: as for `score_captions`, or Flickr's ``*.token.txt``.
        format: ``"expert"``, ``"cf"``: ExpertAnnotations.txt, CrowdFlowerAnnotations.txt; ``"composite"``: its CSV.
        metrics: as for `score_captions`.
        images: a directory of the judged images by file name, for CLIPScore; or a captioned set.
        clip: the dual encoder of CLIPScore; None: openai/clip-vit-base-patch32.
        resamples: bootstrap resamples of whole images, at least 100.
        **run: see `RunOptions`.

    Raises:
        VlmbenchError: the judgements, a file, a metric or ``out`` are invalid.

    Examples:
        >>> import json, pathlib, tempfile, vlmbench
        >>> rows = [(1, "a dog", 4), (1, "a cat", 1), (2, "two cats sleep", 5), (2, "dogs", 2)]
        >>> with tempfile.TemporaryDirectory() as out:
        ...     references, judgements = pathlib.Path(out, "references.json"), pathlib.Path(out, "ratings.csv")
        ...     _ = references.write_text(json.dumps({1: ["a dog runs"], 2: ["two cats sleep"]}))
        ...     lines = ["image_id,candidate,rating", *(",".join(map(str, row)) for row in rows)]
        ...     _ = judgements.write_text("\\n".join(lines))
        ...     found = vlmbench.metric_eval(judgements, references, metrics="rouge_l", resamples=100, out=out)
        >>> found[0].system, round(found[0].metrics["kendall_tau_b"].value, 3)
        ('rouge_l', 0.667)
    """
    options.at_least("resamples", resamples, 100)
    options.choice("format", format, ("auto", "csv", "expert", "cf", "composite"))
    from vlmbench.tasks.captions.evaluate import metric_names
    from vlmbench.tasks.judgements.run import MetricEvalRequest

    request = MetricEvalRequest(
        judgements=options.names(judgements),
        references=options.names(references),
        format=format,
        metrics=metric_names(metrics),
        resamples=resamples,
        images=options.text(images),
        clip=clip,
    )
    return TaskJob.of("metric-eval", request)
