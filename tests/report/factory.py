"""Records and per-sample files with a known truth, as runs would write them, for tests of tables, report and gate."""

from pathlib import Path
from typing import Any

import numpy as np

from vlmbench.data.captions.read import Candidates, References
from vlmbench.metrics.classification import metrics_from_samples, sample_columns, softmax
from vlmbench.records.result import DatasetFacts, Metric, ModelFacts, Record
from vlmbench.records.store import StoredRun, write_run
from vlmbench.report.table import Cell, Table
from vlmbench.session.context import Context, Stopwatch
from vlmbench.tasks.captions.evaluate import score_captions
from vlmbench.tasks.captions.scoring import Inputs, Scoring, System

RUN = {"started": "2025-01-01T00:00:00Z", "seconds": 1.0}


def columns(n: int, classes: int, accuracy: float, seed: int, prefix: str = "") -> dict[str, Any]:
    """Per-sample columns in which about `accuracy` of the images are right."""
    truth = np.random.default_rng([99, classes]).integers(0, classes, n)
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, classes))
    right = generator.random(n) < accuracy
    target = np.where(right, truth, (truth + 1 + generator.integers(0, classes - 1, n)) % classes)
    logits[np.arange(n), target] += 5
    return sample_columns(softmax(logits), truth, [f"{prefix}{index:05d}" for index in range(n)])


def classification_record(
    task: str, system: str, dataset: str, n: int, metrics: dict[str, Metric], **more: Any
) -> Record:
    protocol = {"metric": "accuracy", **more.pop("protocol", {})}
    facts = more.pop("dataset_facts", {})
    return Record(
        task=task,
        system=system,
        model=ModelFacts(id=system, weights_sha256=f"{abs(hash_text(system)):064x}", kind="dual-encoder"),
        dataset=DatasetFacts(**{"id": dataset, "fingerprint": f"{hash_text(dataset):064x}", "split": "test", **facts}),
        n=n,
        seed=0,
        protocol=protocol,
        metrics=metrics,
        versions={"numpy": "2"},
        **more,
    )


def hash_text(text: str) -> int:
    from vlmbench.foundations.seeds import derive_seed

    return derive_seed(0, text)


def write_classification(
    out: Path,
    task: str = "zeroshot",
    system: str = "tiny-clip",
    dataset: str = "digits",
    *,
    accuracy: float = 0.8,
    n: int = 400,
    classes: int = 10,
    seed: int = 1,
    shots: int | None = None,
    classnames: list[str] | None = None,
    protocol: dict[str, Any] | None = None,
    **more: Any,
) -> StoredRun:
    """One classification run with its samples; a few-shot run has five seeds."""
    names = classnames or [f"class {index}" for index in range(classes)]
    protocol = {"classnames": names, **(protocol or {})}
    wanted = ["accuracy", "mean_per_class_accuracy", "ece", "brier"]
    wanted = wanted if protocol.get("metric", "accuracy") in wanted else [*wanted, str(protocol["metric"])]
    if shots is None:
        samples = columns(n, len(names), accuracy, seed)
        detail = more.pop("detail", {})
    else:
        blocks = [columns(n, len(names), accuracy, seed * 100 + index) for index in range(5)]
        samples = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        samples["seed"] = np.repeat(np.arange(5), n)
        detail = {"per_seed": [float((block["label"] == block["prediction"]).mean()) for block in blocks]}
        detail |= more.pop("detail", {})
    metrics = metrics_from_samples(samples, wanted, 0)
    record = classification_record(
        task, system, dataset, n, metrics, shots=shots, detail=detail, protocol=protocol, **more
    )
    return write_run(out, record, samples, RUN)


def systems(table: Table) -> list[tuple[Cell, ...]]:
    """The rows of a table without its reference rows (majority, chance)."""
    return [row for row in table.rows if not any(cell.reference for cell in row)]


def write_demo(out: Path) -> list[StoredRun]:
    """Two models on two datasets, zero-shot and probes, as the demo leaves them."""
    runs = []
    for dataset, zero, full in (("digits", 0.86, 0.96), ("counting", 0.55, 0.62)):
        for model, shift in (("tiny-clip", 0.0), ("other-clip", -0.04)):
            at = 1 + len(runs)
            runs.append(write_classification(out, "zeroshot", model, dataset, accuracy=zero + shift, seed=at))
            runs.append(write_classification(out, "linear-probe", model, dataset, accuracy=full + shift, seed=at + 50))
            for k, drop in ((1, 0.3), (2, 0.2), (4, 0.12), (8, 0.06), (16, 0.02)):
                accuracy = full + shift - drop
                runs.append(
                    write_classification(out, "linear-probe", model, dataset, accuracy=accuracy, seed=at + k, shots=k)
                )
    return runs


COLOURS = ("red", "green", "blue", "white")
SHAPES = ("circle", "square", "triangle")


def write_captions(
    out: Path,
    system: str = "generated",
    dataset: str = "scenes",
    *,
    wrong: float = 0.3,
    n: int = 40,
    seed: int = 1,
    candidates: list[str] | None = None,
    references: list[list[str]] | None = None,
    metrics: tuple[str, ...] = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"),
) -> StoredRun:
    """One caption run, really scored: captions of scenes, of which a share names the wrong shape."""
    truth = np.random.default_rng(7)
    generator = np.random.default_rng(seed)
    pairs = [(COLOURS[truth.integers(4)], SHAPES[truth.integers(3)]) for _ in range(n)]
    made = [[f"a {c} {s} on a black background", f"there is one {s}, and it is {c}"] for c, s in pairs]
    references = references or made
    if candidates is None:
        said = [SHAPES[generator.integers(3)] if generator.random() < wrong else s for _, s in pairs]
        candidates = [f"a {c} {s} on a background" for (c, _), s in zip(pairs, said, strict=True)]
    prefix = "scene" if dataset == "scenes" else dataset  # other sets have other images
    ids = [f"{prefix}-{index:04d}" for index in range(len(candidates))]
    inputs = Inputs(
        References("captions", "", dict(zip(ids, references, strict=True)), "here"),
        [System(Candidates(system, "", dict(zip(ids, candidates, strict=True)), "here"))],
        dataset=DatasetFacts(id=dataset, fingerprint="ab" * 32, split="test"),
    )
    return score_captions(inputs, Scoring(metrics, allow_empty=True), Context(out=out), Stopwatch())[0]


def write_retrieval(
    out: Path, system: str = "tiny-clip", *, spread: float = 3.0, n: int = 300, seed: int = 1
) -> StoredRun:
    """One retrieval run: ranks of each image's caption, and of the image for each of its five captions."""
    from vlmbench.metrics import retrieval

    generator = np.random.default_rng(seed)
    samples = {
        "id": [f"i{index}" for index in range(n)],
        "image_rank": np.floor(generator.exponential(spread, n)),
        "caption_ranks": [np.floor(generator.exponential(spread, 5)).tolist() for _ in range(n)],
    }
    record = Record(
        task="retrieval",
        system=system,
        model=ModelFacts(id=system, weights_sha256="ab" * 32, kind="dual-encoder"),
        dataset=DatasetFacts(id="scenes", fingerprint="cd" * 32, split="test"),
        n=n,
        seed=0,
        metrics=retrieval.metrics_from_samples(samples, retrieval.metric_names(), 0),
    )
    return write_run(out, record, samples, RUN)


def write_ranked(
    out: Path, task: str = "zeroshot", metric: str = "map11", *, signal: float = 2.0, n: int = 200, seed: int = 1
) -> StoredRun:
    """A multi-label run (``map11``) of four classes, or a binary one (``roc_auc``)."""
    truth_of, generator = np.random.default_rng(5), np.random.default_rng(seed)
    ids = [f"i{index:04d}" for index in range(n)]
    if metric == "roc_auc":
        truth = truth_of.integers(0, 2, n)
        logits = generator.normal(size=(n, 2)) + signal * np.eye(2)[truth]
        samples = sample_columns(softmax(logits), truth, ids)
        names = ["roc_auc", "accuracy"]
    else:
        labels = (truth_of.random((n, 4)) < 0.3).astype(np.uint8)
        samples = sample_columns(generator.normal(size=(n, 4)) + signal * labels, labels, ids)
        names = ["map11", "map", "roc_auc"]
    record = classification_record(
        task, "tiny-clip", "ranked", n, metrics_from_samples(samples, names, 0), protocol={"metric": metric}
    )
    return write_run(out, record, samples, RUN)
