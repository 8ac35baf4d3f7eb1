"""Scores of groups of images: nocaps' in-domain, near-domain and out-domain, or any group a reference file names.

A group is scored as ``pycocoevalcap`` scores a file cut to its images: CIDEr's document frequencies are those of the
group's own references. Every other score follows from what was computed for all images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlmbench.data.captions.read import Aligned
from vlmbench.foundations.hashing import digest
from vlmbench.metrics.captions.scoring import Scored, Tokenized, refusals, score_native
from vlmbench.metrics.spec import needing
from vlmbench.records.result import DatasetFacts


@dataclass(frozen=True)
class Group:
    """The images of a group, tokenized and scored.

    Attributes:
        name: what the references call it.
        systems: indexes of the systems that have a caption of one of its images.
        aligned: those images and captions.
        text: their tokens.
        scored: their scores, a system each.
        left_out: metrics that cannot be had of so few images, with the reason.
    """

    name: str
    systems: tuple[int, ...]
    aligned: Aligned
    text: Tokenized
    scored: list[Scored]
    left_out: dict[str, str]

    def facts(self, whole: DatasetFacts, groups: Mapping[str, str]) -> DatasetFacts:
        """The group as a data set of its own, called after the whole set and the group."""
        return whole.model_copy(
            update={
                "id": f"{whole.id} {self.name}",
                "fingerprint": digest([whole.fingerprint, "group", self.name]),
                "skipped": tuple(image for image in whole.skipped if groups.get(image, self.name) == self.name),
            }
        )


def groups_of(
    aligned: Aligned, text: Tokenized, scored: Sequence[Scored], groups: Mapping[str, str], metrics: Sequence[str]
) -> list[Group]:
    """The groups of the images, in the order of their names; none where all images are in one.

    Args:
        aligned: all images.
        text: their tokens.
        scored: their scores.
        groups: the group of each image that is in one.
        metrics: those that are scored.
    """
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(aligned.ids):
        if image in groups:
            rows.setdefault(groups[image], []).append(row)
    found = [_group(name, rows[name], aligned, text, scored, metrics) for name in sorted(rows)]
    if len(found) < 2:
        return []
    return [group for group in found if group.systems and set(metrics) - set(group.left_out)]


def _group(
    name: str, rows: list[int], aligned: Aligned, text: Tokenized, scored: Sequence[Scored], metrics: Sequence[str]
) -> Group:
    inside = set(rows)
    kept = [[k for k, image in enumerate(images) if image in inside] for images in aligned.images]
    systems = tuple(index for index, part in enumerate(kept) if part)
    cut = aligned.only(rows, systems)
    part = Tokenized(
        [text.references[row] for row in rows],
        [[text.candidates[index][k] for k in kept[index]] for index in systems],
        [np.asarray(images, dtype=np.int64) for images in cut.images],
        text.documents,
    )
    found = [Scored({key: column[kept[index]] for key, column in scored[index].columns.items()}) for index in systems]
    left_out = refusals(metrics, len(rows if text.documents is None else text.documents))
    again = [name for name in metrics if name in needing("documents") and name not in left_out]
    if again and text.documents is None:
        for own, item in zip(score_native(part, again), found, strict=True):
            item.columns.update(own.columns)
    return Group(name, systems, cut, part, found, left_out)
