"""What a report shows of the images themselves: confusions, disagreements, best and worst captions."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from vlmbench.metrics.spec import caption_specs, title
from vlmbench.records.classification import ClassificationProtocol
from vlmbench.records.store import StoredRun
from vlmbench.report.pairs import Pairs
from vlmbench.report.tables.caption_blocks import Block

EXAMPLES = 8
CAPTIONS = 6
MOST_PAIRS = 6
"""Up to this many pairs of captioners are all shown: those of four."""
MATRIX = 20
"""Up to this many classes the whole confusion matrix is shown."""


@dataclass(frozen=True)
class Disagreement:
    """An image on which zero-shot and probe disagree."""

    id: str
    label: str
    zero_shot: str
    zero_confidence: float
    probe: str
    probe_confidence: float


@dataclass(frozen=True)
class Disagreements:
    """How often both, one or neither are right, with examples of each disagreement, most confident first."""

    both: int
    zero_only: int
    probe_only: int
    neither: int
    probe_wins: tuple[Disagreement, ...]
    zero_wins: tuple[Disagreement, ...]
    both_wrong: tuple[Disagreement, ...]


def disagreements(first: Mapping[str, Any], second: Mapping[str, Any], names: Sequence[str]) -> Disagreements:
    """Where zero-shot (`first`) and probe (`second`) disagree; with columns of the same images in the same order."""
    import numpy as np

    truth = first["label"]
    zero, probe = first["prediction"] == truth, second["prediction"] == truth

    def examples(chosen: Any, sure: Any) -> tuple[Disagreement, ...]:
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(-sure[rows], kind="stable")][:EXAMPLES]
        return tuple(
            Disagreement(
                str(first["id"][row]),
                names[int(truth[row])],
                names[int(first["prediction"][row])],
                float(first["confidence"][row]),
                names[int(second["prediction"][row])],
                float(second["confidence"][row]),
            )
            for row in rows
        )

    return Disagreements(
        both=int((zero & probe).sum()),
        zero_only=int((zero & ~probe).sum()),
        probe_only=int((probe & ~zero).sum()),
        neither=int((~zero & ~probe).sum()),
        probe_wins=examples(probe & ~zero, second["confidence"]),
        zero_wins=examples(zero & ~probe, first["confidence"]),
        both_wrong=examples(~zero & ~probe, np.maximum(first["confidence"], second["confidence"])),
    )


@dataclass(frozen=True)
class Mistake:
    """An image that is classified wrongly."""

    id: str
    label: str
    prediction: str
    confidence: float


def surest_errors(columns: Mapping[str, Any], names: Sequence[str]) -> tuple[Mistake, ...]:
    """The errors of one run of which it is most confident."""
    import numpy as np

    rows = np.flatnonzero(columns["prediction"] != columns["label"])
    rows = rows[np.argsort(-np.asarray(columns["confidence"])[rows], kind="stable")][:EXAMPLES]
    return tuple(
        Mistake(
            str(columns["id"][row]),
            names[int(columns["label"][row])],
            names[int(columns["prediction"][row])],
            float(columns["confidence"][row]),
        )
        for row in rows
    )


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix (whole if it is small), and its most frequent mistakes."""

    names: tuple[str, ...]
    rows: tuple[tuple[tuple[int, int], ...], ...]
    """By true, then predicted class: images, and their share of the class in tenths; empty if large."""
    worst: tuple[tuple[str, str, int, int], ...]
    """True class, predicted class, images, images of the true class."""


def confusion(columns: Mapping[str, Any], names: Sequence[str]) -> Confusion:
    """The confusions of one run, over its images (and seeds)."""
    import numpy as np

    from vlmbench.metrics.classification import confusion_matrix

    matrix = confusion_matrix(columns["label"], columns["prediction"], len(names))
    totals = matrix.sum(axis=1)
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off.ravel(), kind="stable")[:10]
    worst = []
    for place in order:
        true, said = divmod(int(place), len(names))
        if off[true, said]:
            worst.append((names[true], names[said], int(off[true, said]), int(totals[true])))
    rows: list[tuple[tuple[int, int], ...]] = []
    if len(names) <= MATRIX:
        for line, total in zip(matrix.tolist(), totals.tolist(), strict=True):
            rows.append(tuple((count, -(-10 * count // total) if total else 0) for count in line))
    return Confusion(tuple(names), tuple(rows), tuple(worst))


@dataclass(frozen=True)
class Captioned:
    """One image's caption with its references and scores (times 100)."""

    id: str
    candidate: str
    references: tuple[str, ...]
    scores: tuple[tuple[str, float], ...]


def best_and_worst(
    run: StoredRun, columns: Mapping[str, Any]
) -> tuple[str, tuple[Captioned, ...], tuple[Captioned, ...]]:
    """The metric that ranks them, the best captions and the worst (worst first); none appears twice."""
    import numpy as np

    shown = _ranking(columns)
    if not shown or "candidate" not in columns:
        return "", (), ()
    scores = np.asarray(columns[shown[0]], dtype=np.float64)
    order = np.argsort(scores, kind="stable")
    count = min(CAPTIONS, len(order) // 2)
    best = tuple(_example(columns, int(row), shown) for row in order[::-1][:count])
    worst = tuple(_example(columns, int(row), shown) for row in order[:count])
    return title(shown[0]), best, worst


def _ranking(columns: Mapping[str, Any], apart: Collection[str] = ()) -> list[str]:
    """The metrics shown beside a caption, the one that ranks captions first."""
    known = sorted((spec for spec in caption_specs() if spec.prominence), key=lambda spec: spec.prominence)
    return [spec.name for spec in known if spec.name in columns and spec.name not in apart]


def _example(columns: Mapping[str, Any], row: int, shown: Sequence[str]) -> Captioned:
    values = tuple((title(name), float(columns[name][row]) * 100) for name in shown)
    references = tuple(str(one).strip() for one in columns["references"][row]) if "references" in columns else ()
    return Captioned(str(columns["id"][row]), str(columns["candidate"][row]).strip(), references, values)


@dataclass(frozen=True)
class CaptionPair:
    """Two captioners on the same images: the captions that differ most, each way, the largest difference first."""

    first: tuple[str, StoredRun]
    second: tuple[str, StoredRun]
    metric: str
    better: int
    """Images on which the first has the higher score."""
    equal: int
    worse: int
    gains: tuple[tuple[Captioned, Captioned], ...]
    """The captions of the first and of the second, where the first is better."""
    losses: tuple[tuple[Captioned, Captioned], ...]


def caption_pairs(block: Block, pairs: Pairs) -> list[CaptionPair]:
    """The pairs of a block's systems; of more than `MOST_PAIRS` pairs those with the system that is the best."""
    import numpy as np

    found: list[tuple[float, CaptionPair]] = []
    for one, two in combinations([system for system in block.systems if pairs.has(system[1])], 2):
        first, second = pairs.aligned(one[1], two[1], block.images)
        shown = [name for name in _ranking(first, block.apart) if name in second]
        if not shown or "candidate" not in first or "candidate" not in second:
            continue
        gap = np.asarray(first[shown[0]], dtype=np.float64) - np.asarray(second[shown[0]], dtype=np.float64)
        order = np.argsort(-gap, kind="stable")
        wins, ties = int((gap > 0).sum()), int((gap == 0).sum())
        ends = (order[: min(CAPTIONS, wins)], order[::-1][: min(CAPTIONS, len(gap) - wins - ties)])
        gains, losses = (
            tuple((_example(first, int(row), shown), _example(second, int(row), shown)) for row in rows)
            for rows in ends
        )
        pair = CaptionPair(one, two, title(shown[0]), wins, ties, len(gap) - wins - ties, gains, losses)
        found.append((float(gap.mean()), pair))
    if len(found) <= MOST_PAIRS:
        return [pair for _, pair in found]
    ahead: Counter[str] = Counter()
    for gap_of_all, pair in found:
        ahead[str((pair.first if gap_of_all > 0 else pair.second)[1].path)] += 1
    best = ahead.most_common(1)[0][0]
    return [pair for _, pair in found if best in (str(pair.first[1].path), str(pair.second[1].path))]


def class_names(run: StoredRun, columns: Mapping[str, Any]) -> list[str]:
    """The class names of a run, or numbers if its record has none."""
    import numpy as np

    protocol = run.record.protocol
    names = list(protocol.classnames or ()) if isinstance(protocol, ClassificationProtocol) else []
    highest = int(max(np.max(columns["label"]), np.max(columns["prediction"])))
    return names + [str(index) for index in range(len(names), highest + 1)]
