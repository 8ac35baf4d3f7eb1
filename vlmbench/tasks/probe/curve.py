"""The few-shot curve of a head, and the labels to match zero-shot and the probe."""

from collections.abc import Sequence
from typing import Any

from vlmbench.heads.spec import LOGISTIC
from vlmbench.metrics.crossing import A_PROBE, labels_to_match
from vlmbench.metrics.labels_needed import labels_needed
from vlmbench.metrics.reference import class_counts, not_better, references, unbeaten
from vlmbench.records.classification import Curve, CurvePoint, LabelsToMatch
from vlmbench.tasks.probe.data import TEST, TRAIN, ProbeData
from vlmbench.tasks.probe.fit import ProbeRequest


def few_shot_curve(
    points: Sequence[CurvePoint], data: ProbeData, request: ProbeRequest, seed: int, probe: CurvePoint | None
) -> dict[str, Any]:
    """The fields of `ProbeDetail` on the curve; none without few-shot points.

    Args:
        points: by shots, all labels last.
        data: what the head was fitted to, with the zero-shot figure if there is one.
        request: of one head.
        seed: seed of the resampling.
        probe: the last point of the logistic probe's curve, to compare with; None: nothing to compare with.
    """
    few = [point for point in points if point.shots is not None]
    if not few:
        return {}
    zero = data.zero_shot_figure
    level, prompts = (None, None) if zero is None else (zero.value, data.prompts or None)
    curve = Curve(metric=data.metric, points=list(points), zero_shot=level, zero_shot_prompts=prompts)
    found: dict[str, Any] = {"curve": curve}
    used = [point for point in points if point.shots is not None or point.labels_per_class > (few[-1].shots or 0)]
    labels, per_seed = [point.labels_per_class for point in used], [point.per_seed for point in used]
    head = A_PROBE if request.head.name == LOGISTIC else str(request.head)
    if probe is not None:
        which = f"{LOGISTIC} with {'all labels' if probe.shots is None else f'{probe.shots} per class'}"
        match = labels_to_match(labels, per_seed, probe.value, seed=seed, head=head, reference=which)
        found["labels_to_match_probe"] = LabelsToMatch(**match)
    if request.target is not None:
        needed = labels_needed(labels, per_seed, request.target)
        found["labels_for_target"] = LabelsToMatch(
            value=needed.value,
            low=needed.low,
            high=needed.high,
            text=needed.text,
            interval=needed.interval,
            sentence=needed.sentence(head, data.metric),
        )
    if zero is not None:
        found["labels_to_match"] = LabelsToMatch(**labels_to_match(labels, per_seed, zero.value, seed=seed, head=head))
        test, train = (class_counts(data.y[name], len(data.classnames)) for name in (TEST, TRAIN))
        known = references(data.metric, test, len(data.ids), train=train, multilabel=data.multilabel)
        below = unbeaten(zero, known)
        if below is not None:
            reason = f"Zero-shot ({100 * zero.value:.1f}) is {not_better(*below)}"
            sentence = f"{reason}: no labels per class to match it are given."
            found["labels_to_match"] = LabelsToMatch(
                value=None, low=None, high=None, text="", interval="", sentence=sentence
            )
    return found
