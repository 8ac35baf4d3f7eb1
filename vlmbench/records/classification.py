"""Records of classification: zero-shot and the linear probe."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, JsonValue

from vlmbench.records.task import ColumnRule, EncodedProtocol, Fields, Number, TaskDetail, TaskSpec

if TYPE_CHECKING:
    from vlmbench.records.result import Record

FAMILY = "classification"
TRAINED_ON, WITH_CLASSES_OF = " trained on {}", " with the classes of {}"
"""What follows the name of a probe, and of zero-shot beside it, on a test set that is not the training set's own."""


class ClassificationProtocol(EncodedProtocol):
    """What decides a figure over classes."""

    classnames: list[str] | None = None
    prompts: str | None = None
    """The name of the prompt set."""
    templates: list[str] | int | str | None = None
    """The templates, their number where they are many, or ``class-specific``."""
    prompts_count: int | None = None
    prompts_sha256: str | None = None
    prompts_source: dict[str, JsonValue] | None = None
    logit_scale: Number | None = None
    classes_from: str | None = None
    """The dataset whose classes are told apart (a probe was trained on it), where it is not the one tested on."""
    left_out_classes: list[str] | None = None
    """Classes of it that the test set does not have: their logits are left out."""
    class_map: dict[str, JsonValue] | None = None
    """Classes of the test set that ``--class-map`` names, each with its class there; null: its images are left out."""


class ZeroShotProtocol(ClassificationProtocol):
    """What decides a zero-shot figure."""

    classnames_sha256: str | None = None
    """Digest of names and synonyms."""
    classnames_source: dict[str, JsonValue] | None = None
    logit_bias: Number | None = None


class ProbeProtocol(ClassificationProtocol):
    """What decides a probe's figure."""

    normalize: bool | None = None
    train_fingerprint: str | None = None
    val_fingerprint: str | None = None
    probe: str | None = None
    solver: str | None = None
    tolerance: float | None = None
    relative_tolerance: float | None = None
    max_iter: int | None = None
    c: Number | str | None = None
    """The strength, or ``searched``."""
    validation: str | None = None
    """Where the validation images come from."""
    refit: bool | None = None
    settings: dict[str, JsonValue] | None = None
    """Hyperparameters of a head other than ``logistic``."""
    seeds: int | None = None
    """Few-shot samples."""
    probe_sha256: str | None = None
    """Of the file, where a saved probe was scored."""


class ClassFigures(Fields):
    """The figures of one class; a share of no images is None."""

    name: str = Field(alias="class")
    n: int
    recall: float | None
    precision: float | None


class ClassificationDetail(TaskDetail):
    """What explains a figure over classes."""

    per_class: list[ClassFigures] | None = None
    group: str | None = None
    """The group that the catalogue puts the dataset in."""
    skipped: int | None = None
    """Damaged images that were left out."""


class CalibrationBin(Fields):
    """One bin of the reliability diagram."""

    n: int
    low: float
    high: float
    confidence: float
    accuracy: float


class Trial(Fields):
    """One strength that was tried, and its score on validation images."""

    c: float
    score: float
    log_loss: float
    iterations: int
    converged: bool


class FitDetail(TaskDetail):
    """What explains one fit."""

    head: dict[str, JsonValue] | None = None
    """What a head other than ``logistic`` reports about itself."""
    c: float | None = None
    iterations: int | None = None
    converged: bool | None = None
    search: list[Trial] | None = None
    search_metric: str | None = None
    classes_without_training_images: list[str] | None = None


class SeedFit(FitDetail):
    """The fit to one few-shot sample."""

    seed: int


class CurvePoint(Fields):
    """One point of a few-shot curve; `shots` is None for all labels."""

    shots: int | None
    labels_per_class: float
    value: float
    low: float | None
    high: float | None
    per_seed: list[float]


class Curve(Fields):
    """The few-shot curve, and the zero-shot figure for comparison, if there is one."""

    metric: str
    points: list[CurvePoint]
    zero_shot: float | None
    zero_shot_prompts: dict[str, JsonValue] | None = None


class LabelsToMatch(Fields):
    """Labelled images per class at which the curve reaches a figure; None if that is outside the curve."""

    value: float | None
    low: float | None
    high: float | None
    text: str
    interval: str
    sentence: str


class ValidationScores(Fields):
    """Validation images of two classes by the probability of the second, from which a threshold can be chosen."""

    source: str
    """Where the images come from."""
    starts: list[float]
    """The lowest probability in each bin, ascending; a bin for each probability, or 400 bins."""
    images: list[list[int]]
    """The images of the first and of the second class in each bin."""


class ProbeDetail(ClassificationDetail, FitDetail):
    """What explains a probe's figure."""

    validation_scores: ValidationScores | None = None

    per_seed: list[float] | None = None
    """The main metric for each few-shot sample, or for the only fit."""
    train_images: int | None = None
    train_class_counts: list[int] | None = None
    calibration: list[CalibrationBin] | None = None
    by_seed: list[SeedFit] | None = None
    classes_with_fewer_images: list[str] | None = None
    """Classes with fewer training images than the requested shots."""
    curve: Curve | None = None
    labels_to_match: LabelsToMatch | None = None
    """Where the curve reaches zero-shot."""
    labels_to_match_probe: LabelsToMatch | None = None
    """Where it reaches ``logistic`` with the most labels of the same run."""
    labels_for_target: LabelsToMatch | None = None
    """Where it reaches ``--target``, or will by a power law."""


def wrong_probabilities(record: "Record", columns: Mapping[str, Any]) -> list[str]:
    """Whether every class's probability, where it is stored, agrees with the other columns."""
    import numpy as np

    names = record.protocol.classnames if isinstance(record.protocol, ClassificationProtocol) else None
    if "probabilities" not in columns or names is None:
        return []
    found = np.stack([*columns["probabilities"]]).astype(np.float64)
    rows, label, prediction = np.arange(len(found)), columns["label"], columns["prediction"]
    if found.shape[1] != len(names):
        return [f"probabilities: there are {found.shape[1]} an image, and {len(names)} classes"]
    off = [
        np.abs(found[rows, label] - columns["probability"]),
        np.abs(found[rows, prediction] - columns["confidence"]),
        found.max(axis=1) - found[rows, prediction],
        np.abs(found.sum(axis=1) - 1),
    ]
    wrong = np.flatnonzero(np.max(off, axis=0) > 1e-5)
    return [f"probabilities: those of row {wrong[0]} do not agree with its other columns"] if len(wrong) else []


COLUMNS = (("label", "prediction", "confidence"), ("labels", "scores"))
_CLASS = ColumnRule(0, whole=True, classes=True)
_SHARE = ColumnRule(0, 1)
RULES = {
    **dict.fromkeys(("label", "prediction", "rank"), _CLASS),
    **dict.fromkeys(("probability", "confidence", "score"), _SHARE),
    "seed": ColumnRule(0, whole=True),
    "labels": ColumnRule(0, 1, whole=True, lists=True, even=True),
    "scores": ColumnRule(lists=True, even=True),
    "probabilities": ColumnRule(0, 1, lists=True, even=True),
}
TABLE = "vlmbench.report.tables.classification:classification_table"

ZEROSHOT = TaskSpec(
    name="zeroshot",
    definition="zero-shot classification by a dual encoder, from class names alone",
    family=FAMILY,
    role="zero-shot",
    protocol=ZeroShotProtocol,
    detail=ClassificationDetail,
    columns=COLUMNS,
    rules=RULES,
    verify=wrong_probabilities,
    gated="main",
    request="vlmbench.tasks.zeroshot:ZeroShotRequest",
    check="vlmbench.tasks.zeroshot:check_zeroshot",
    run="vlmbench.tasks.zeroshot:run_zeroshot",
    command="vlmbench.cli.zeroshot:command",
    table=TABLE,
)
PROBE = TaskSpec(
    name="linear-probe",
    definition="a classifier on frozen features, trained on all labels or on a few per class",
    family=FAMILY,
    role="probe",
    protocol=ProbeProtocol,
    detail=ProbeDetail,
    columns=COLUMNS,
    rules=RULES,
    verify=wrong_probabilities,
    gated="main",
    request="vlmbench.tasks.probe.fit:ProbeRequest",
    check="vlmbench.tasks.probe.run:check_linear_probe",
    run="vlmbench.tasks.probe.run:run_linear_probe",
    command="vlmbench.cli.linear_probe:command",
    table=TABLE,
)
